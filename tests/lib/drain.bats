#!/usr/bin/env bats
# covers: lib/drain lib/buffer
# Draining the buffer: events in doubt, changing segments, checkpoints, and memory and disk blocks.

# shellcheck disable=SC2016,SC2030,SC2031,SC2154  # bats: a test is a subshell

load ../support/helper
load ../support/buffer

setup_file() {
	redis_start
}

setup() {
	buffer_setup
}

need_strace() {
	need strace
	strace -f -o /dev/null true 2>/dev/null || skip "strace cannot trace here"
}

# killed_before CALL N COMMAND...: runs COMMAND and kills it with SIGKILL before its Nth CALL.
killed_before() {
	local what=$1 n=$2
	shift 2
	timeout 60 strace -f -o /dev/null -e "inject=$what:signal=KILL:when=$n" "$@" 2>/dev/null || return 0
}

# --- equal events in doubt ---------------------------------------------------------------------

# Publishes an event that is answered, then three in doubt that are equal in every field; the server has executed ONE of them.
three_of_one() {
	local _
	feed pub ebpub -q -t 0.3 --maxlen 0 -J
	echo '{"event_type":"a","event_id":"Y","payload":0}' >&8
	wait_for "[ \"\$(length a)\" = 1 ]"
	redis_pause
	for _ in 1 2 3; do
		equal X 1 >&8
	done
	wait_for "[ \$(grep -c '\"doubt\":' '$B'/*.jsonl) = 3 ]"
	kill -KILL "${BG[pub]}"
	exec 8>&-
	redis_resume
	# Most servers execute them now; one with I/O threads may notice first that the client has closed.
	wait_for "[ \"\$(length a)\" = 4 ]" 3 || :
	rcli del "$S:a" >/dev/null
	executed a 1
	rm -rf "$B/.probe" "$B/.outage" "$EB_TMP/pub.in"
}

@test "three equal lines in doubt in one batch, one executed: found once" {
	three_of_one
	run -0 ebreplay -j
	assert_equal "$(jq -c '[.found, .replayed]' <<<"$output")" '[1,2]'
	assert_equal "$(payloads a | xargs)" '1 1 1'
}

@test "an event executed late, while a replay is adding others of its type, is found" {
	buffered a 1 8
	feed pub ebpub -q -t 0.3 --maxlen 0 --unordered -J
	echo '{"event_type":"a","event_id":"Y","payload":0}' >&8
	wait_for "[ \"\$(length a)\" = 1 ]"
	redis_pause
	echo '{"event_type":"a","event_id":"X","payload":9}' >&8
	wait_for "grep -q '\"doubt\":' '$B'/*.jsonl"
	kill -KILL "${BG[pub]}"
	exec 8>&-
	redis_resume
	wait_for "[ \"\$(length a)\" = 2 ]" 3 || :
	rcli del "$S:a" >/dev/null
	rm -f "$B/.probe" "$B/.outage"
	# While the replay runs the event is added, as by a late execution.
	bg replay timeout 60 ebreplay --rate 5
	wait_for "[ \"\$(length a)\" -ge 2 ]"
	executed a 1
	bg_wait replay
	assert_equal "$status" 0
	assert_equal "$(payloads a | sort | xargs)" '1 2 3 4 5 6 7 8 9'
}

# --- the buffer's target -------------------------------------------------------------------------

@test "a streaming ebpub does not drain a buffer that got another target meanwhile" {
	feed pub ebpub -v a
	echo 1 >&8
	wait_for "[ \"\$(length a)\" = 1 ]"
	run -0 ebpub -u "unix://$EB_TMP/other" a '"for other"'
	assert_output buffered
	echo 2 >&8
	wait_for "[ \$(wc -l <'$EB_TMP/pub.out') = 2 ]"
	exec 8>&-
	bg_wait pub
	assert_equal "$status" 74
	assert_equal "$(payloads a | xargs)" 1
	assert_equal "$(lines | jq -r .message.payload)" '"for other"'
}

# --- discard, interrupted -------------------------------------------------------------------------

# bats test_tags=nosanitize
@test "discard killed before each of its changes: what is accepted afterwards arrives" {
	local call n
	need_strace
	for call in 'unlinkat 1' 'unlinkat 2' 'pwrite64 1' 'pwrite64 2' 'fsync 1' 'fsync 2' 'fsync 3' 'fdatasync 1'; do
		read -r call n <<<"$call"
		rm -rf "$B"
		redis_flush
		buffered a 1 2
		killed_before "$call" "$n" ebbuffer discard --yes
		wait_for "flock -n '$B/.lock' true"
		buffered a 3 3
		run ebreplay
		assert_equal "$(payloads a | tail -1)" 3
	done
}

@test "discard lets a plain writer finish its line" {
	mkdir -m 700 "$B"
	# The plain writer opened the file before it was adopted and writes afterwards.
	bg plain bash -c 'exec 5>>"$1/buffer_py.jsonl"; until ls "$1" | grep -q claimed; do sleep 0.02; done; printf "%s\n" "$2" >&5' \
		- "$B" "$(plain p 1 2025-12-04T10:30:00Z)"
	wait_for "[ -e '$B/buffer_py.jsonl' ]"
	run -0 ebbuffer discard --yes
	bg_wait plain
	assert_equal "$(cat "$B"/quarantine/*.jsonl | wc -l)" 1
	run -0 ebbuffer quarantine retry
	run -0 ebreplay
	assert_equal "$(payloads p)" 1
}

# --- segments that change during a replay -------------------------------------------------------------

# bats test_tags=nosanitize
@test "a segment that becomes suspect while the walk is before it is read under its new name" {
	need_strace
	down
	seq 30 | ebpub -q a
	close_segment
	ebpub -q a 31
	# A slow fdatasync fails: the segment is renamed to suspect in the middle of the replay.
	bg slow strace -qq -f -o /dev/null -e inject=fdatasync:error=EIO:delay_enter=3000000:when=1 ebpub a 32
	wait_for "[ \$(cat '$B'/*.jsonl | wc -l) = 32 ]"
	close_segment
	ebpub -q a 33
	rm -f "$B/.outage"
	up
	run -0 ebreplay --rate 8
	bg_wait slow
	assert_equal "$status" 0
	run -0 ebreplay
	assert_equal "$(payloads a | sort -n | xargs)" "$(seq 33 | xargs)"
}

# The next append starts another segment.
close_segment() {
	sed -i 's/^inode .*/inode 00000000000000000000/' "$B/.lock"
}

@test "a plain file's name used again after the adoption number was lost: both bad lines are kept" {
	mkdir -m 700 "$B"
	echo 'first bad line' >"$B/buffer_events.jsonl"
	run -1 ebreplay
	rm "$B/.progress"
	sleep 1
	echo 'second bad line' >"$B/buffer_events.jsonl"
	run -1 ebreplay
	assert_equal "$(jq -r .line "$B"/quarantine/*.jsonl)" 'first bad line
second bad line'
}

# bats test_tags=nosanitize
@test "after a fast clock ebpub does not begin a segment for each event" {
	need_clock
	down
	run -0 clock_at +2d ebpub -q a 0
	seq 5 | xargs -n 1 ebpub -q a
	assert_equal "$(find "$B" -name '*.jsonl' | wc -l)" 1
}

# --- conditions that must not stop a replay -----------------------------------------------------------------

# bats test_tags=nosanitize
@test "a file without an end of line: bounded memory, whole into quarantine, the rest goes on" {
	buffered a 1 2
	truncate -s 3G "$B/buffer_zz.jsonl"
	(
		ulimit -v 2000000
		timeout 100 ebreplay
	) || assert_equal $? 1
	assert_equal "$(payloads a | xargs)" '1 2'
	assert_equal "$(find "$B/quarantine" -name 'buffer_zz.claimed-*.bad-1.jsonl' | wc -l)" 1
	run -0 ebreplay
}

@test "a long bad line is kept in its file, not written out six times as long" {
	mkdir -m 700 "$B"
	truncate -s 20M "$B/buffer_zz.jsonl"
	plain p 1 2025-12-04T10:30:00Z >"$B/buffer_good.jsonl"
	run -1 ebreplay
	assert_equal "$(payloads p)" 1
	assert_equal "$(du -sb "$B/quarantine" | awk '{ print ($1 < 22000000) }')" 1
	run -0 ebreplay
}

@test "no inodes left: buffered events drain, a bad line too" {
	local i
	need_root
	mkdir "$EB_TMP/t"
	mount -t tmpfs -o size=4m,nr_inodes=60,mode=700 tmpfs "$EB_TMP/t" 2>/dev/null || skip "tmpfs cannot be mounted here"
	export EB_BUFFER_DIR=$EB_TMP/t/b
	B=$EB_BUFFER_DIR
	buffered a 1 1
	printf 'torn{' >>"$(echo "$B"/*.jsonl)"
	buffered a 2 2
	for ((i = 0; i < 100; i++)); do
		touch "$EB_TMP/t/f$i" 2>/dev/null || break
	done
	local rc=0
	ebreplay 2>"$EB_TMP/err" || rc=$?
	run payloads a
	umount -l "$EB_TMP/t"
	assert_output $'1\n2'
	[ "$rc" = 1 ] || fail "$rc: $(cat "$EB_TMP/err")"
}

@test "lines with limits of their own, by turns: the stream no longer than them and a node" {
	local i
	down
	for i in 1 2 3 4 5 6; do
		ebpub -q --maxlen $((10 + i % 2)) a < <(seq $((i * 40 - 39)) $((i * 40)))
	done
	up
	rcli xgroup create "$S:a" g 0 mkstream >/dev/null
	run -75 ebreplay
	[ "$(length a)" -le 111 ] || fail "$(length a) entries"
	assert_equal "$(payloads a)" "$(seq "$(length a)")"
}

@test "a type with a NUL in it is quarantined, also while another is held" {
	rcli set "$S:a" x >/dev/null
	buffered a 1 1
	run -75 ebreplay
	plain p 1 2036-12-04T10:30:00Z | sed 's/"event_type":"p"/"event_type":"a\\u0000xx"/' >"$B/buffer_p.claimed-000009.jsonl"
	run -0 ebstat
	run ebreplay
	assert_equal "$(ebstat -j | jq .buffer.quarantined)" 1
	assert_equal "$(ebstat -j | jq -r '.buffer.held[].event_type')" a
}

@test "another user's file and a directory named like a segment are ignored, and stop nothing" {
	need_root
	chmod 711 "$EB_TMP" "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "${BATS_FILE_TMPDIR%/*}" "${EB_TMP%/*}" 2>/dev/null || :
	install -d -o 65534 -g 65534 -m 700 "$B"
	plain p 1 2025-12-04T10:30:00Z >"$B/buffer_root.jsonl"
	chmod 600 "$B/buffer_root.jsonl"
	run -0 ebpub a 1
	assert_output --regexp '^[0-9]+-[0-9]+$'
	run -0 ebreplay
	assert_equal "$(payloads p)" ""
	assert_equal "$(ebstat -j | jq .buffer.odd_files)" 1
	mkdir "$B/buffer_old.jsonl"
	run -0 ebpub -u "unix://$EB_TMP/other" a 2
	assert_output buffered
}

@test "messages with odd file names stay on one line" {
	mkdir -m 700 "$B"
	echo bad >"$B/$(printf 'buffer_a\033[31m\nebreplay: all is well').jsonl"
	run -1 ebreplay
	assert_equal "${#lines[@]}" 1
	refute_output --partial $'\033'
	run -0 ebbuffer quarantine list
	refute_output --partial $'\033'
}

@test "a disk that is nearly full takes what it can of a stream, in order; the rest is named" {
	need_root
	mkdir "$EB_TMP/t"
	mount -t tmpfs -o size=300k,mode=700 tmpfs "$EB_TMP/t" 2>/dev/null || skip "tmpfs cannot be mounted here"
	export EB_BUFFER_DIR=$EB_TMP/t/b
	down
	local rc=0 n
	seq 3000 | ebpub a >"$EB_TMP/out" 2>"$EB_TMP/err" || rc=$?
	up
	n=$(grep -cx buffered "$EB_TMP/out")
	ebreplay 2>"$EB_TMP/err2" || fail "$? $(cat "$EB_TMP/err2")"
	umount -l "$EB_TMP/t"
	assert_equal "$rc" 74
	[ "$n" -gt 100 ] || fail "$n buffered"
	assert_equal "$(payloads a)" "$(seq "$n")"
	assert_equal "$(grep -c 'is NOT safe' "$EB_TMP/err")" $((3000 - n))
}

# --- intents stored ahead, and segments removed while the server is busy ---------------------------------------

# events FROM TO: prints events of type t for ebpub -J.
events() {
	seq "$1" "$2" | sed 's/.*/{"event_type":"t","event_id":"e&","payload":&}/'
}

# keep OPTION...: buffers the events from stdin.
keep() {
	down
	ebpub -q -J "$@"
	up
}

added() {
	rcli xinfo stream "$S:t" | grep -A 1 -x entries-added | tail -1
}

# bats test_tags=nosanitize
@test "lines with a short limit among others do not trim what a kill would leave in doubt" {
	need_strace
	local n
	for n in 38 44 50; do
		rcli del "$S:t" >/dev/null
		events 1 500 | keep --maxlen 100000
		events 501 900 | keep --maxlen 5
		events 901 1500 | keep --maxlen 100000
		killed_before sendto $n ebreplay
		run -0 ebreplay -j
		assert_equal "$n: $(jq .possible_duplicates <<<"$output")" "$n: 0"
		assert_equal "$n: $(added)" "$n: 1500"
	done
}

@test "a replay to a short stream does not trim what a kill would leave in doubt" {
	need_strace
	events 1 3000 | keep --maxlen 1000
	killed_before sendto 64 ebreplay
	run -0 ebreplay -j
	assert_equal "$(jq .possible_duplicates <<<"$output")" 0
	assert_equal "$(added)" 3000
}

# bats test_tags=nosanitize
@test "a segment that cannot be unlinked while the server is busy: what was answered is recorded" {
	need_strace
	events 1 300 | keep
	events 301 4000 | keep --segment-size 1
	strace -f -o /dev/null -e inject=unlinkat:error=EIO:when=2+ ebreplay 2>"$EB_TMP/err" || :
	assert grep -q "remove '.*Input/output error" "$EB_TMP/err"
	assert [ "$(added)" -ge 1000 ]
	run -0 ebreplay -j
	assert_equal "$(jq .found <<<"$output")" 0
	assert_equal "$(added)" 4000
}

@test "a held type whose lines were only read ahead is still held, with its reason" {
	{ events 1 5 && events 6 8 | sed 's/"t"/"u"/'; } | keep
	rcli mset "$S:t" x "$S:u" x
	run -75 ebreplay
	rcli del "$S:t"
	run -75 ebreplay --limit 1
	run timeout 0.35 ebreplay --rate 10
	run ebstat -j
	assert_equal "$(jq -r '.buffer.held[] | select(.event_type == "u") | .reason' <<<"$output" | cut -c 1-23)" "XINFO STREAM: WRONGTYPE"
}

# A checkpoint of 1000 types with long names would not fit in the file.
@test "many held types need no space on a full disk" {
	local i
	need_root
	mkdir "$EB_TMP/t"
	mount -t tmpfs -o size=12m,mode=700 tmpfs "$EB_TMP/t" 2>/dev/null || skip "tmpfs cannot be mounted here"
	export EB_BUFFER_DIR=$EB_TMP/t/b
	for ((i = 0; i < 4000; i++)); do
		printf '{"event_type":"type-%04d-%090d","payload":%d}\n' $((i % 1000)) 0 "$i"
	done | keep --min-free 0
	dd if=/dev/zero of="$EB_TMP/t/fill" bs=4k 2>/dev/null || :
	run ebreplay
	umount -l "$EB_TMP/t"
	assert_equal "$status" 0
}

@test "a connection that dies before the next batch is sent: what was answered is recorded" {
	need python3
	{ printf '{"event_type":"t","payload":"%040000d"}\n' 0 && events 1 1 | sed 's/"t"/"u"/'; } | keep
	bg proxy python3 "$TOP/tests/support/proxy.py" "$EB_TMP/p" "$REDIS_SOCK" cut "$S:u"
	wait_for "test -S '$EB_TMP/p'"
	ln -sfn "$EB_TMP/p" "$EB_TMP/r"
	run -75 ebreplay
	assert_equal "$(length t)" 1
	up
	run -0 ebreplay -j
	assert_equal "$(jq .found <<<"$output")" 0
	assert_equal "$(length t) $(length u)" "1 1"
}

# bats test_tags=nosanitize
@test "a recorded batch is sent 32 lines at a time, never a part of a line" {
	need strace
	events 1 10000 | keep
	strace -f -qq -e trace=sendto -o "$EB_TMP/trace" ebreplay -q
	assert_equal "$(length t)" 10000
	run grep -c XADD "$EB_TMP/trace"
	echo "# $output pieces of 10 000 lines" >&3
	[ "$output" -le 400 ]
}

# --- freeing the blocks of removed segments ----------------------------------------------------------------

# Makes three segments of more than a MiB, and a small one.
large_segments() {
	seq 1 12 | awk '{ printf "{\"event_type\":\"t\",\"payload\":\"%0400000d\"}\n", $1 }' | keep --segment-size 1200000
	assert [ "$(find "$B" -name '*.jsonl' -size +1024k | wc -l)" -ge 3 ]
}

# Prints how many descriptors of removed files are held, and "same" or "other" for the thread that closes each.
releases() {
	awk '/openat\(.*jsonl".*O_PATH/ { held[$NF] = main = $1; n++ }
		/ close\(/ { fd = $2; gsub(/[^0-9]/, "", fd); if (fd in held) { who[$1 == main ? "same" : "other"]++; delete held[fd] } }
		END { print n + 0, who["same"] + 0, who["other"] + 0 }' "$1"
}

# bats test_tags=nosanitize
@test "a thread frees the blocks of each large segment; small ones are freed without it" {
	need strace
	large_segments
	strace -f -qq -e trace=openat,close,clone3 -o "$EB_TMP/trace" ebreplay -q
	assert_equal "$(length t)" 12
	read -r held same other < <(releases "$EB_TMP/trace")
	assert [ "$held" -ge 3 ]
	assert_equal "$same $other" "0 $held"
	events 1 2000 | keep
	strace -f -qq -e trace=openat,close,clone3 -o "$EB_TMP/trace" ebreplay -q
	run ! grep -E 'O_PATH|clone3' "$EB_TMP/trace"
}

# bats test_tags=nosanitize
@test "when no thread can be created the blocks are freed all the same" {
	need strace
	large_segments
	strace -f -qq -e trace=openat,close,clone3 -e inject=clone3:error=EAGAIN -o "$EB_TMP/trace" ebreplay -q
	assert_equal "$(length t)" 12
	read -r held same other < <(releases "$EB_TMP/trace")
	assert [ "$held" -ge 3 ]
	assert_equal "$same $other" "$held 0"
	assert_equal "$(find "$B" -name '*.jsonl*' | wc -l)" 0
}
