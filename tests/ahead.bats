#!/usr/bin/env bats
# What a replay records before it is known whether it is sent, and what it takes away while the server is busy.

# shellcheck disable=SC2030,SC2031,SC2154  # bats: a test is a subshell

load helper
load buffer

setup_file() {
	redis_start
}

setup() {
	buffer_setup
	need strace
	strace -f -o /dev/null true 2>/dev/null || skip "strace cannot trace here"
}

# events FROM TO: of the type t.
events() {
	seq "$1" "$2" | sed 's/.*/{"event_type":"t","event_id":"e&","payload":&}/'
}

# keep OPTION...: stdin into the buffer.
keep() {
	down
	ebpub -q -J "$@"
	up
}

# harmed INJECTION COMMAND...
harmed() {
	local what=$1
	shift
	strace -f -o /dev/null -e "inject=$what" "$@" 2>"$EB_TMP/err" || :
}

added() {
	rcli xinfo stream quantum:stream:t | grep -A 1 -x entries-added | tail -1
}

# Killed as the second batch begins, while Redis has all of the first: two batches may have been sent.
# bats test_tags=nosanitize
@test "an event given twice, in two of three batches that are looked up: both are there, though room is scarce" {
	local i
	for ((i = 0; i < 2400; i++)); do
		printf '{"event_type":"t","event_id":"e%d","payload":%d,"correlation_id":"c","timestamp":"2026-01-02T03:04:05Z"}\n' \
			$((i == 1500 ? 0 : i)) $((i == 1500 ? 0 : i))
	done | keep
	harmed sendto:signal=KILL:when=38 ebreplay
	i=$(rcli xlen quantum:stream:t)
	[ "$i" -ge 1000 ] && [ "$i" -lt 2000 ] || fail "$i entries"
	# The next run adds 200 at a time.
	run -0 ebreplay --rate 2000
	assert_equal "$(rcli xrange quantum:stream:t - + | grep -cx e0)" 2
	assert_equal "$(rcli xlen quantum:stream:t)" 2400
}

# bats test_tags=nosanitize
@test "a short stream does not push out what would be looked for after a kill" {
	events 1 3000 | keep --maxlen 1000
	harmed sendto:signal=KILL:when=64 ebreplay
	run -0 ebreplay -j
	assert_equal "$(jq .possible_duplicates <<<"$output")" 0
	assert_equal "$(added)" 3000
}

# bats test_tags=nosanitize
@test "a segment that cannot be unlinked while the server is busy: what was answered is recorded" {
	events 1 300 | keep
	events 301 4000 | keep --segment-size 1
	harmed unlinkat:error=EIO:when=2+ ebreplay
	assert grep -q "remove '.*Input/output error" "$EB_TMP/err"
	assert [ "$(added)" -ge 1000 ]
	run -0 ebreplay -j
	assert_equal "$(jq .found <<<"$output")" 0
	assert_equal "$(added)" 4000
}

# bats test_tags=nosanitize
@test "a held type that was only read ahead of is still held, and says why" {
	{ events 1 5 && events 6 8 | sed 's/"t"/"u"/'; } | keep
	rcli mset quantum:stream:t x quantum:stream:u x
	run -75 ebreplay
	rcli del quantum:stream:t
	run -75 ebreplay --limit 1
	run timeout 0.35 ebreplay --rate 10
	run ebstat -j
	assert_equal "$(jq -r '.buffer.held[] | select(.event_type == "u") | .reason' <<<"$output" | cut -c 1-23)" "XINFO STREAM: WRONGTYPE"
}

# The record of 1000 types with long names would need a larger file.
# bats test_tags=nosanitize
@test "many types that wait need no room on a full disk" {
	local i
	need_root
	mkdir "$EB_TMP/t"
	mount -t tmpfs -o size=12m,mode=700 none "$EB_TMP/t" 2>/dev/null || skip "tmpfs cannot be mounted here"
	export EB_BUFFER_DIR=$EB_TMP/t/b
	for ((i = 0; i < 4000; i++)); do
		printf '{"event_type":"type-%04d-%090d","payload":%d}\n' $((i % 1000)) 0 "$i"
	done | keep --min-free 0
	dd if=/dev/zero of="$EB_TMP/t/fill" bs=4k 2>/dev/null || :
	run ebreplay
	umount -l "$EB_TMP/t"
	assert_equal "$status" 0
}
