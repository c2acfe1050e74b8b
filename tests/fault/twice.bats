#!/usr/bin/env bats
# covers: lib/drain lib/buffer
# An event_id that is used twice on purpose is published twice, also when one of the two is in doubt: the search compares whole
# events, not only event_ids. Equal lines that are all in doubt are in tests/lib/drain.bats.

# shellcheck disable=SC2016,SC2030,SC2031,SC2154  # bats: a test is a subshell

load ../support/helper
load ../support/buffer

setup_file() {
	redis_start
}

setup() {
	need python3
	buffer_setup
}

teardown() {
	exec 8>&-
	eb_teardown
}

# through NAME MODE WORD: makes new connections go through peer.py; `up` ends that.
through() {
	bg "$1" python3 "$TOP/tests/support/peer.py" "$EB_TMP/$1.sock" "$REDIS_SOCK" "$2" "$3"
	wait_for "test -S '$EB_TMP/$1.sock'"
	ln -sfn "$EB_TMP/$1.sock" "$EB_TMP/r"
}

# Replays, without the system.redis_recovered event.
replay_found() {
	release_replay
	rm -f "$B/.outage"
	run -0 ebreplay -j
	assert_equal "$(jq -c '[.found, .replayed, .possible_duplicates]' <<<"$output")" "$1"
}

# given PAYLOAD: prints the event with event_id X of type a, for ebpub -J.
given() {
	echo "{\"event_type\":\"a\",\"event_id\":\"X\",\"payload\":\"$1\"}"
}

@test "one accepted while another publisher was connected, whose equal event is cut off: both" {
	through peer cut never
	feed pub ebpub -q --maxlen 0 -J
	echo '{"event_type":"a","event_id":"Y","payload":"first"}' >&8
	wait_for '[ "$(length a)" = 1 ]'
	up
	given other | ebpub -q -J
	hold_replay
	given never >&8
	wait_for "grep -q '\"doubt\":' '$B'/*.jsonl"
	kill -KILL "${BG[pub]}"
	replay_found '[0,1,0]'
	assert_equal "$(payloads a | xargs)" 'first other never'
}

@test "two publishers in doubt, only the second's was executed: both, each once" {
	hold_replay
	through cut cut one
	given one | ebpub -q -J
	through unanswered unanswered two
	given two | ebpub -q --unordered -J
	up
	assert_equal "$(grep -c '"doubt":' "$B"/*.jsonl)" 2
	replay_found '[1,1,0]'
	assert_equal "$(payloads a | xargs)" 'two one'
}

@test "two equal events, one accepted, one after the point where a replay was interrupted, twice: both" {
	down
	ebpub -q a '"first"'
	through cut cut XADD
	run -75 ebreplay
	up
	equal X 1 | ebpub -q --unordered -J
	assert_equal "$(length a)" 1
	down
	equal X 1 | ebpub -q -J
	through again cut XADD
	run -75 ebreplay
	up
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 first 1'
}

@test "two equal events, one accepted and one buffered during a replay that is interrupted at it: both" {
	buffered a 1 1
	buffered b 1 40
	through cut cut XX
	bg replay timeout 60 ebreplay --rate 20
	wait_for '[ "$(length a)" = 1 ]'
	up
	equal XX 2 | ebpub -q --unordered -J
	assert_equal "$(length a)" 2
	down
	equal XX 2 | ebpub -q -J
	bg_wait replay
	assert_equal "$status" 75
	up
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 2'
}

@test "two equal events after a held type at which a replay was interrupted, one accepted, twice: both" {
	buffered h 1 1
	buffered a 1 1
	through cut cut XADD
	run -75 ebreplay
	rcli set "$S:h" 'no stream' >/dev/null
	up
	run -75 ebreplay
	assert_output --partial "'h' is held"
	equal X 2 | ebpub -q -J
	assert_equal "$(payloads a | xargs)" '1 2'
	down
	equal X 2 | ebpub -q -J
	through again cut XADD
	run -75 ebreplay
	up
	rcli del "$S:h" >/dev/null
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 2'
	assert_equal "$(payloads h | xargs)" 1
}

# bats test_tags=nosanitize
@test "one in a segment whose fdatasync failed for another event, one accepted later: both" {
	need strace
	strace -f -o /dev/null true 2>/dev/null || skip "strace cannot trace here"
	down
	given one | ebpub -q -J
	strace -f -o /dev/null -e inject=fdatasync:error=EIO:when=1 ebpub -q a '"another"'
	[ "$(find "$B" -name '*.suspect.jsonl' | wc -l)" = 1 ] || fail "$(ls "$B")"
	given two | ebpub -q -J
	up
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" 'one another two'
}

@test "one that an interrupted quarantine retry was putting back, one in the buffer: both" {
	local aside
	down
	given one | ebpub -q -J
	up
	run -0 ebbuffer discard --yes
	aside=$(echo "$B"/quarantine/*)
	mv "$aside" "$aside.retrying"
	down
	given two | ebpub -q -J
	up
	run -0 ebbuffer quarantine retry
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" 'two one'
}

@test "every byte of an event in doubt is compared as it was sent: found, once" {
	local all
	all=$(for n in {0..255}; do printf '\\x%02x' "$n"; done)
	all=$(printf '%b' "${all#\\x00}" | base64 -w 0)
	hold_replay
	through unanswered unanswered XADD
	printf '{"event_type":"a","trace_id":%s,"correlation_id":%s,"source":%s,"payload":%s}\n' \
		'"\u0000\u001f\"\\\/é\ud83d\ude00\uffff"' '" c\r\n\t"' '"\u007f€"' '{ "a" : "\u00e9\\u0000\ud83d", "b":1.10 }' | ebpub -q --unordered -J
	printf '{"event_type":"b","payload_base64":"%s"}\n' "$all" | ebpub -q --unordered -J
	printf '{"event_type":"c","payload_text":"a\\u0000b\\n"}\n' | ebpub -q --unordered -J
	up
	assert_equal "$(grep -c '"doubt":' "$B"/*.jsonl)" 3
	replay_found '[3,0,0]'
	assert_equal "$(length a) $(length b) $(length c)" '1 1 1'
}
