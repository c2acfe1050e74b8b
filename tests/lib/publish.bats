#!/usr/bin/env bats
# covers: lib/publish lib/drain lib/buffer
# A publisher when Redis and the buffer fail in turns: which events are sent, buffered, or reported as not safe.

# shellcheck disable=SC2030,SC2031,SC2154  # bats: a test is a subshell

load ../support/helper
load ../support/buffer

setup_file() {
	redis_start
}

setup() {
	buffer_setup
}

# Descriptor 8 is the standard input of a feed (buffer.bash).
teardown() {
	exec 8>&-
	eb_teardown
}

through() {	# MODE ARGUMENT...: see peer.py; `straight` takes it away
	need python3
	bg peer python3 "$TOP/tests/support/peer.py" "$EB_TMP/peer" "$REDIS_SOCK" "$@"
	wait_for "test -S '$EB_TMP/peer'"
	ln -sfn "$EB_TMP/peer" "$EB_TMP/r"
}

straight() {
	kill -KILL "${BG[peer]}"
	rm -f "$EB_TMP/peer"
	up
}

# answered N: waits until the feed has N answers.
answered() {
	wait_for "[ \$(wc -l <'$EB_TMP/pub.out') = $1 ]"
}

@test "40 types by turns beside a held one: each goes directly, the held one waits" {
	local i
	rcli set "$S:held" x >/dev/null
	buffered held 1 1
	run -75 ebreplay
	for i in 1 2; do
		seq -f "{\"event_type\":\"t%.0f\",\"payload\":$i}" 40
	done >"$EB_TMP/events"
	echo '{"event_type":"held","payload":2}' >>"$EB_TMP/events"
	run -1 --separate-stderr ebpub -J <"$EB_TMP/events"
	assert_equal "$(grep -c buffered <<<"$output")" 1
	assert_equal "${lines[-1]}" buffered
	assert_equal "$(payloads t1 | xargs) $(payloads t40 | xargs)" '1 2 1 2'
	rcli del "$S:held" >/dev/null
	run -0 ebreplay
	assert_equal "$(payloads held | xargs)" '1 2'
}

@test "two types in one feed, one not permitted: its events are buffered, in order, the other's are published" {
	rcli acl setuser default resetkeys "~$S:b" >/dev/null
	run -77 --separate-stderr ebpub -J <<'END'
{"event_type":"a","payload":1}
{"event_type":"b","payload":1}
{"event_type":"a","payload":2}
{"event_type":"b","payload":2}
END
	assert_equal "${lines[0]} ${lines[2]}" 'buffered buffered'
	assert_regex "${lines[1]}" '^[0-9]+-[0-9]+$'
	rcli acl setuser default '~*' >/dev/null
	run -0 ebreplay
	assert_equal "$(payloads a | xargs) $(payloads b | xargs)" '1 2 1 2'
}

@test "a feed that is refused for a while: buffered, then drained, then directly, in order" {
	through refuse-once XADD 'OOM no room'
	feed pub timeout 30 ebpub a
	echo 1 >&8
	answered 1
	assert_equal "$(cat "$EB_TMP/pub.out")" buffered
	# The server is not tried again at once.
	sleep 0.6
	echo 2 >&8
	answered 2
	exec 8>&-
	bg_wait pub
	straight
	run -0 timeout 20 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2'
}

@test "a stream of events answered with what is no ID: all in doubt, each once" {
	through other XADD
	seq 60 | timeout 30 ebpub --maxlen 0 a >"$EB_TMP/answers"
	assert_equal "$(sort -u "$EB_TMP/answers")" buffered
	straight
	rm -f "$B/.outage"
	run -0 timeout 20 ebreplay
	assert_equal "$(payloads a | xargs)" "$(seq 60 | xargs)"
}

@test "a reply that is no ID, then IDs and the end of the connection: none counts, each event once" {
	through mixed XADD
	seq 3 >"$EB_TMP/in"
	timeout 30 ebpub a <"$EB_TMP/in" >"$EB_TMP/answers"
	assert_equal "$(sort -u "$EB_TMP/answers")" buffered
	straight
	rm -f "$B/.outage"
	run -0 timeout 20 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3'
}

@test "IDs that do not grow are no acceptance: each event is looked up, and once in its stream" {
	local mode
	for mode in same lower; do
		rcli del "$S:a" "$S:b" >/dev/null
		through $mode XADD
		seq 5 >"$EB_TMP/in"
		timeout 30 ebpub -v a <"$EB_TMP/in" >"$EB_TMP/answers" 2>"$EB_TMP/err"
		assert_equal "$(grep -c buffered "$EB_TMP/answers")" 4
		assert_regex "$(cat "$EB_TMP/err")" 'does not follow the last one'
		buffered b 1 5
		run timeout 20 ebreplay # looks them up over another connection
		straight
		rm -f "$B/.outage"
		run -0 timeout 20 ebreplay
		assert_equal "$(payloads a | xargs) $(payloads b | xargs)" '1 2 3 4 5 1 2 3 4 5'
		assert_equal "$(ebstat -j | jq .buffer.possible_duplicates)" 0
		kill -KILL "${BG[peer]}" || :
		rm -f "$EB_TMP/peer"
	done
}

@test "a stream that is made anew under a running ebpub, with lower IDs: nothing is lost or twice" {
	rcli xadd "$S:a" 99999999999999-1 payload 0 >/dev/null
	feed pub ebpub a
	echo 1 >&8
	wait_for "[ -s '$EB_TMP/pub.out' ]"
	rcli del "$S:a" >/dev/null
	seq 2 4 >&8
	wait_for "[ \"\$(wc -l <'$EB_TMP/pub.out')\" = 4 ]"
	exec 8>&-
	bg_wait pub
	rm -f "$B/.outage"
	run timeout 20 ebreplay
	assert_equal "$(payloads a | xargs)" '2 3 4'
}

@test "a reply without an end, as a line or as a string: the commands end in time and in little memory" {
	local mode c
	need time
	for mode in endless-line endless-bulk; do
		through $mode XADD
		run timeout 20 time -q -f %M -o "$EB_TMP/rss" ebpub -t 2 a 1
		assert_equal "$status $output" '0 buffered'
		assert [ "$(tail -n 1 "$EB_TMP/rss")" -lt 60000 ]
		kill -KILL "${BG[peer]}" || :
		rm -f "$EB_TMP/peer"
		through $mode INFO
		for c in 'ebpub a 1' 'ebreplay' 'ebstat' 'ebhealth' 'ebgroup list' 'ebsub -e a' 'ebdead redrive a'; do
			# shellcheck disable=SC2086  # words
			run timeout 20 time -q -f '%M %e' -o "$EB_TMP/rss" ${c/ / -t 2 }
			assert [ "$status" != 124 ]
			assert [ "$(tail -n 1 "$EB_TMP/rss" | cut -d ' ' -f 1)" -lt 60000 ]
		done
		kill -KILL "${BG[peer]}" || :
		rm -f "$EB_TMP/peer"
		up
		run -0 ebreplay
	done
}

@test "1 event that is not answered, and 3 000 lines that are none: each has its answer, in order" {
	feed pub timeout 30 ebpub -t 100 --maxlen 0 a
	echo 0 >&8
	answered 1
	redis_pause
	echo 1 >&8
	seq -f 'no json %.0f' 3000 >&8
	echo 2 >&8
	redis_resume
	exec 8>&-
	bg_wait pub
	assert_equal "$status" 65
	assert_equal "$(grep -c refused "$EB_TMP/pub.out")" 3000
	assert_equal "$(sed -n '1p; 2p; $p' "$EB_TMP/pub.out" | grep -cE '^[0-9]+-[0-9]+$')" 3
	assert_equal "$(payloads a | xargs)" '0 1 2'
}

@test "large events among small ones: published in order, and through the buffer" {
	awk 'BEGIN { for (i = 1; i <= 300; i++) printf "{\"n\":%d,\"x\":\"%0*d\"}\n", i, i % 7 ? 9000 : 40000, 0 }' >"$EB_TMP/events"
	run -0 timeout 30 ebpub --maxlen 0 a <"$EB_TMP/events"
	assert_equal "$(payloads a | cksum)" "$(cksum <"$EB_TMP/events")"
	down
	timeout 30 ebpub -q --maxlen 0 b <"$EB_TMP/events"
	up
	run -0 timeout 30 ebreplay
	assert_equal "$(payloads b | cksum)" "$(cksum <"$EB_TMP/events")"
}

# --- a full buffer -----------------------------------------------------------------------------------

@test "a buffer at its limit, Redis there: it is drained whole, then published directly, in order" {
	down
	seq 3000 | ebpub -q --maxlen 0 a
	rm -f "$B/.outage"
	up
	run -0 --separate-stderr timeout 30 ebpub -J --maxlen 0 --buffer-max 1K <<'END'
{"event_type":"a","payload":3001}
{"event_type":"b","payload":1}
{"event_type":"a","payload":3002}
END
	assert_equal "${#lines[@]}" 3
	refute_output --partial buffered
	assert_equal "$(payloads a | cksum)" "$(seq 3002 | cksum)"
	assert_equal "$(payloads b)" 1
}

@test "a buffer that can take four of five events: those, in order; the fifth is not safe, 74" {
	down
	run -74 --separate-stderr timeout 30 ebpub --buffer-max 1450 a < <(seq 5)
	assert_equal "$(grep -c buffered <<<"$output")" 4
	assert_regex "$stderr" 'event 5 is NOT safe'
	up
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3 4'
}

@test "a buffer that got another target during a stream of events: 78, and none of them is reported as safe" {
	down
	feed pub timeout 30 ebpub a
	echo 1 >&8
	answered 1
	ebbuffer retarget -u unix:///none/none
	printf '%s\n' 2 3 >&8
	exec 8>&-
	bg_wait pub
	assert_equal "$(grep -c buffered "$EB_TMP/pub.out")" 1
	[ "$status" = 74 ] || [ "$status" = 78 ] || fail "$status"
	assert_equal "$(lines | wc -l)" 1
}

@test "a buffer at its limit that another is draining: not safe, 74, and the other types are published" {
	buffered a 1 3
	hold_replay
	run -74 --separate-stderr timeout 30 ebpub -J --buffer-max 1K <<'END'
{"event_type":"a","payload":4}
{"event_type":"b","payload":1}
{"event_type":"a","payload":5}
{"event_type":"b","payload":2}
END
	assert_equal "$(payloads b | xargs)" '1 2'
	release_replay
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3'
}

@test "a publisher that drains reports a vanished segment too: 74, its event is published" {
	down
	seq 3 | xargs -n 1 ebpub -q --segment-size 1 a
	rm -f "$B/.outage"
	up
	rm "$(find "$B" -name '*.jsonl' | sort | sed -n 2p)"
	run -74 ebpub -v a 4
	assert_output --partial vanished
	assert_equal "$(payloads a | xargs)" '1 3 4'
}

@test "a publisher whose type is held in the buffer says why, for each reason" {
	local text
	while read -r want text; do
		rm -rf "$B"
		redis_flush
		buffered a 1 1
		rm -f "$B/.outage"
		through refuse XADD "$text"
		run timeout 20 ebpub a 2
		[ "$status" = "$want" ] || fail "$text: $status $output"
		assert_output --partial buffered
		straight
		run -0 timeout 20 ebreplay
		assert_equal "$(payloads a | xargs)" '1 2'
	done <<'END'
77 NOPERM not permitted
1 WRONGTYPE of another kind
1 ERR The stream has exhausted its IDs
1 ERR something else
0 OOM no room
END
}

@test "2 000 events of 10 KB: published in order, and all buffered when Redis is lost in the midst" {
	local long
	long=$(printf '%010000d' 0)
	seq -f "{\"n\":%.0f,\"x\":\"$long\"}" 2000 >"$EB_TMP/events"
	timeout 60 ebpub -q --maxlen 0 a <"$EB_TMP/events"
	payloads a | cmp - "$EB_TMP/events"
	redis_flush
	bg pub bash -c "timeout 100 ebpub --maxlen 0 a <'$EB_TMP/events'"
	wait_for "[ -s '$EB_TMP/pub.out' ]"
	rcli client kill type normal skipme yes >/dev/null
	bg_wait pub 100
	assert_equal "$status" 0
	run -0 timeout 60 ebreplay --wait 10
	payloads a | cmp - "$EB_TMP/events"
}

@test "a server that stops answering, and no buffer: not safe, 74, in time" {
	feed pub timeout 30 ebpub -t 0.3 --no-buffer a
	echo 1 >&8
	wait_for "[ -s '$EB_TMP/pub.out' ]"
	redis_pause
	echo 2 >&8
	wait_for "grep -q unsafe '$EB_TMP/pub.out'"
	exec 8>&-
	bg_wait pub
	assert_equal "$status" 74
	grep -q 'event 2 is NOT safe' "$EB_TMP/pub.err"
	[ ! -e "$B" ]
}
