#!/usr/bin/env bats
# covers: lib/buffer lib/drain lib/publish
# Durability: the order of writes, syncs, sends and answers, checked in the system calls.
# bats file_tags=nosanitize

# shellcheck disable=SC2030,SC2031,SC2154  # bats: a test is a subshell

load ../support/helper
load ../support/buffer

setup_file() {
	redis_start
}

setup() {
	need strace
	strace -f -o /dev/null true 2>/dev/null || skip "strace cannot trace here"
	buffer_setup
}

# traced COMMAND...: runs COMMAND; its system calls on files and sockets, with paths, are in $EB_TMP/trace.
traced() {
	timeout 60 strace -f -y -s 300 -o "$EB_TMP/trace" "$@"
}

# in_order PATTERN...: checks that the patterns occur in the trace in this order.
in_order() {
	local at=0 p next
	for p; do
		next=$(awk -v at="$at" -v p="$p" 'NR > at && $0 ~ p { print NR; exit }' "$EB_TMP/trace")
		[ -n "$next" ] || { cut -c1-200 "$EB_TMP/trace" | tail -n +60; fail "not behind line $at: $p"; }
		at=$next
	done
}

# never_before A B: checks that no A occurs before the first B.
never_before() {
	awk -v a="$1" -v b="$2" '$0 ~ b { exit } $0 ~ a { exit bad = 1 } END { exit bad }' "$EB_TMP/trace" || fail "$1 before $2"
}

SEG='buffer_[-0-9_]*[.]jsonl'

@test "ebpub: the line, fdatasync, then the answer" {
	buffered a 1 1
	down
	traced ebpub a 2
	in_order " write[(][0-9]+<[^>]*$SEG>.*\"[{].*event_type" " fdatasync[(][0-9]+<[^>]*$SEG>[)] += 0" ' write[(]1<.*buffered'
	never_before ' write[(]1<' ' fdatasync'
}

@test "ebpub: a new segment is synced in its directory before it is relied on" {
	down
	traced ebpub a 1
	in_order "openat.*$SEG\", O_RDWR.*O_EXCL" ' fsync[(][0-9]+<[^>]*buffer>[)] += 0' ' write[(]1<.*buffered'
	in_order 'mkdir.*buffer"' ' fsync[(]' ' write[(]1<.*buffered'
}

@test "ebpub: many lines are one write and one fdatasync" {
	buffered a 1 1
	down
	seq 2 101 >"$EB_TMP/in"
	traced ebpub -q a <"$EB_TMP/in"
	assert_equal "$(grep -cE " write[(][0-9]+<[^>]*$SEG>" "$EB_TMP/trace")" 1
	assert_equal "$(grep -c ' fdatasync(' "$EB_TMP/trace")" 1
}

@test "ebreplay: a line is durable before it is sent" {
	buffered a 1 1
	rm "$B/.outage"	# prevents system.redis_recovered, which would be appended and synced too
	traced ebreplay
	in_order " fdatasync[(][0-9]+<[^>]*$SEG>[)] += 0" 'sendto.*XADD'
	never_before 'sendto.*XADD' " fdatasync[(][0-9]+<[^>]*$SEG>[)] += 0"
}

@test "ebreplay: what is about to be sent is durable before it is sent" {
	buffered a 1 1
	traced ebreplay
	in_order 'pwrite64[(][0-9]+<[^>]*[.]progress>, "eventbus-progress.*going' ' fdatasync[(][0-9]+<[^>]*[.]progress>[)] += 0' 'sendto.*XADD'
	never_before 'sendto.*XADD' ' fdatasync[(][0-9]+<[^>]*[.]progress>'
}

@test "ebreplay: progress is durable before a segment goes" {
	buffered a 1 1
	rm -f "$B/.outage"	# prevents system.redis_recovered, which would need a second walk
	traced ebreplay
	in_order 'sendto.*XADD' 'recvfrom.*[0-9]-[0-9]' ' fdatasync[(][0-9]+<[^>]*[.]progress>[)] += 0' "unlinkat.*$SEG\""
	# The directory is synced after the unlink.
	in_order "unlinkat.*$SEG\"" ' fsync[(][0-9]+<[^>]*buffer>[)] += 0'
}

@test "ebreplay: a bad line is durable in quarantine before the marks pass it" {
	buffered a 1 2
	sed -i '1s/event_type/event_typo/' "$(echo "$B"/*.jsonl)"
	traced ebreplay || assert_equal $? 1
	in_order "write[(][0-9]+<[^>]*quarantine/.*quarantined_at" " fdatasync[(][0-9]+<[^>]*quarantine/" \
		' fsync[(][0-9]+<[^>]*quarantine>' ' fdatasync[(][0-9]+<[^>]*[.]progress>[)] += 0' "unlinkat.*$SEG\""
}

@test "a server that is stopped when we connect executes nothing, and nothing is in doubt" {
	redis_pause
	run -0 timeout 20 ebpub -t 0.3 a 1
	assert_output buffered
	redis_resume
	assert_equal "$(grep -c '"doubt":' "$B"/*.jsonl)" 0
	for _ in 1 2 3; do
		rcli ping >/dev/null
	done
	assert_equal "$(length a)" 0
}

@test "the lock file is replaced while a writer waits for it: one writer at a time" {
	buffered a 1 1
	down
	bg holder flock "$B/.lock" sleep 30
	wait_for "! flock -n '$B/.lock' true"
	bg waiting strace -f -o "$EB_TMP/trace" ebpub -t 20 a 2
	wait_for "grep -q 'flock.*EAGAIN' '$EB_TMP/trace'"
	cp -a "$B/.lock" "$B/.lock2"
	mv "$B/.lock2" "$B/.lock"
	# The holder of the new file's lock writes; the waiter gets the old file's lock and must not rely on it.
	bg second flock "$B/.lock" sleep 30
	wait_for "! flock -n '$B/.lock' true"
	pkill -KILL -P "${BG[holder]}"
	sleep 0.5
	assert_equal "$(lines | wc -l)" 1
	pkill -KILL -P "${BG[second]}"
	bg_wait waiting
	assert_equal "$(cat "$EB_TMP/waiting.out")" buffered
	assert_equal "$(lines | jq -r .message.payload | xargs)" '1 2'
}
