#!/usr/bin/env bats
# covers: lib/redis lib/drain lib/publish
# Error replies to single commands (from peer.py), and the fate of events in doubt.

# shellcheck disable=SC2030,SC2031,SC2154  # bats: a test is a subshell

load ../support/helper
load ../support/buffer
load ../support/chaos

setup_file() {
	redis_start
}

setup() {
	need python3
	buffer_setup
	export EB_MAXLEN=0
}

# Descriptor 8 is the standard input of a feed (buffer.bash).
teardown() {
	exec 8>&-
	eb_teardown
}

# through MODE ARGUMENT...: puts a peer.py of that mode in Redis' place; `up` ends that.
through() {
	bg peer python3 "$TOP/tests/support/peer.py" "$EB_TMP/peer" "$REDIS_SOCK" "$@"
	wait_for "test -S '$EB_TMP/peer'"
	ln -sfn "$EB_TMP/peer" "$EB_TMP/r"
}

straight() {
	kill -KILL "${BG[peer]}"
	rm -f "$EB_TMP/peer"
	up
}

# given TYPE FROM TO: prints the payloads {"p":1,"n":N}, one a line.
given() {
	numbered 1 "$2" "$3"
	ledger 1 "$2" "$3"
}

# in_doubt ID...: publishes an event that is answered, and for each ID one that the server executes after its publisher has exited.
in_doubt() {
	local id had n=$#
	feed pub ebpub -q -t 0.3 -J
	had=$(length a)
	echo '{"event_type":"a","event_id":"first","payload":0}' >&8
	wait_for "[ \"\$(length a)\" = $((had + 1)) ]"
	redis_pause
	for id; do
		echo "{\"event_type\":\"a\",\"event_id\":\"$id\",\"payload\":\"$id\"}" >&8
	done
	wait_for "[ \$(cat '$B'/*.jsonl | grep -c '\"doubt\":') = $n ]"
	kill -KILL "${BG[pub]}"
	exec 8>&-
	redis_resume
	wait_for "[ \"\$(length a)\" = $((had + 1 + n)) ]"
	rm -rf "$B/.probe" "$B/.outage" "$EB_TMP/pub.in"
}

# --- a refused command: no event is lost or doubled ----------------------------------------------------

REFUSALS='LOADING is loading
READONLY is a replica
NOAUTH Authentication required.
MOVED 1 127.0.0.1:1
WRONGTYPE is of another kind
NOPERM is not permitted
ERR is something else'

@test "ebreplay, refused at each kind of command: all is kept, then each once and in order" {
	local command text n=0
	while read -r text; do
		for command in XADD XINFO XRANGE; do
			rm -rf "$B"
			redis_flush
			in_doubt X
			down
			echo '{"event_type":"a","event_id":"Y","payload":"Y"}' | ebpub -q -J
			rm -f "$B/.outage"
			through refuse $command "$text"
			run timeout 20 ebreplay
			# An event that cannot be searched for is added as a possible duplicate; a stream without XINFO is filled without measuring.
			case $command:$text:$status in
			*:75 | *:77 | *:78) ;;
			XRANGE:*:0 | XINFO:NOPERM*:0) ;;
			*) fail "$command: $text: $status $output" ;;
			esac
			straight
			[ "$status" = 0 ] || assert_equal "$(length a)" 2
			run -0 timeout 20 ebreplay
			[ $command = XRANGE ] || assert_equal "$(event_ids a | xargs)" 'first X Y'
			assert_equal "$(event_ids a | sort -u | xargs)" 'X Y first'
			n=$((n + 1))
		done
	done <<<"$REFUSALS"
	echo "# $n refusals" >&3
}

@test "ebpub, refused at XADD and at XINFO: buffered, or past it, and each once" {
	local command text
	while read -r text; do
		for command in XADD XINFO; do
			rm -rf "$B" "$LEDGER"
			redis_flush
			through refuse $command "$text"
			given a 1 3 >"$EB_TMP/events"
			run timeout 20 ebpub a <"$EB_TMP/events"
			straight
			[ $command = XADD ] || assert_equal "$status" 0
			[ $command = XINFO ] || assert_equal "$(length a)" 0
			run -0 timeout 20 ebreplay
			check_streams a
		done
	done <<<"$REFUSALS"
}

@test "an event larger than Redis takes, and no buffer: not safe, 74; the next is published" {
	through refuse BIG 'ERR Protocol error: invalid bulk length'
	run -74 --separate-stderr bash -c 'printf "%s\n" 1 "\"BIG\"" 2 | timeout 20 ebpub --no-buffer a'
	assert_equal "$(payloads a | xargs)" '1 2'
	straight
}

@test "an event larger than Redis takes, drained by a publisher: into quarantine, 1, the others go on" {
	buffered a 1 1
	down
	ebpub -q a '"BIG"'
	up
	buffered a 2 2
	through refuse BIG 'ERR Protocol error: invalid bulk length'
	run -1 timeout 20 ebpub a 3
	straight
	assert_equal "$(payloads a | xargs)" '1 2 3'
	assert_equal "$(ebbuffer quarantine list -j | jq -r .event_type)" a
}

# --- one refused and the next accepted: the order is lost, and reported ---------------------------------

@test "ebreplay, one event of a type refused and the next added: reported, 1, each once" {
	buffered a 1 5
	buffered b 1 2
	rm -f "$B/.outage"
	through refuse-once XADD 'OOM no room'
	run timeout 20 ebreplay
	[ "$status" = 75 ] || [ "$status" = 1 ] || fail "$status $output"
	assert_output --partial "'a': Redis accepted an event after it refused an earlier one: they are out of order"
	straight
	assert_equal "$(payloads a | xargs)" '2 3 4 5'
	held=$(ebbuffer list -j | jq -r .event_type | xargs)
	assert_equal "$held" a
	run -0 timeout 20 ebreplay
	assert_equal "$(payloads a | xargs) / $(payloads b | xargs)" '2 3 4 5 1 / 1 2'
}

@test "events added after a refused one are skipped until their segment is removed, also with a held type" {
	buffered a 1 3
	down
	ebpub -q --segment-size 1 z 1
	ebpub -q --segment-size 1 b 1
	rm -f "$B/.outage"
	up
	rcli set "$S:z" x >/dev/null
	through refuse-once XADD 'ERR no such thing'
	run timeout 20 ebreplay
	straight
	assert_equal "$(payloads a | xargs)" '2 3'
	run -75 timeout 20 ebreplay
	assert_equal "$(payloads a | xargs)" '2 3 1'
	assert_equal "$(ebstat -j | jq .buffer.total_events)" 1
	rcli del "$S:z" >/dev/null
	run -0 timeout 20 ebreplay
	assert_equal "$(payloads a | xargs) / $(payloads z) $(payloads b)" '2 3 1 / 1 1'
}

@test "the same in separate segments: added events are skipped, the refused one follows" {
	down
	seq 4 | xargs -n 1 ebpub -q --segment-size 1 a
	rm -f "$B/.outage"
	through refuse-once XADD 'ERR no such thing'
	run timeout 20 ebreplay
	straight
	assert_equal "$(payloads a | xargs)" '2 3 4'
	assert_equal "$(ebstat -j | jq .buffer.total_events)" 1
	run -0 timeout 20 ebreplay
	assert_equal "$(payloads a | xargs)" '2 3 4 1'
	no_segments
}

@test "ebpub, one refused and the next added, streaming and draining: reported, 1, each once" {
	through refuse-once XADD 'OOM no room'
	seq 5 >"$EB_TMP/events"
	run -1 timeout 20 ebpub a <"$EB_TMP/events"
	assert_output --partial "'a': Redis accepted event 2 after it refused an earlier one: they are out of order"
	straight
	rm -f "$B/.outage"
	run -0 timeout 20 ebreplay
	assert_equal "$(payloads a | xargs)" '2 3 4 5 1'
	buffered c 1 3
	rm -f "$B/.outage"
	through refuse-once XADD 'OOM no room'
	run -1 timeout 20 ebpub d 1
	assert_output --partial "2 events of the buffer were taken after earlier ones of their types were refused"
	straight
	run -0 timeout 20 ebreplay
	assert_equal "$(payloads c | xargs) / $(payloads d | xargs)" '2 3 1 / 1'
}

# --- an address that led to a replica -------------------------------------------------------------------

@test "READONLY from a replica: reconnects once by the name, which now leads elsewhere: published, in order" {
	numbered 1 1 40 | sed 's/.*/{"event_type":"a","payload":&}/; p; s/"a"/"b"/; s/"p":1/"p":2/' >"$EB_TMP/events"
	ledger 1 1 40
	ledger 2 1 40
	through refuse-first XADD 'READONLY You cannot write against a read only replica.'
	run -0 timeout 20 ebpub -J <"$EB_TMP/events"
	refute_output --partial buffered
	assert_equal "${#lines[@]}" 80
	straight
	check_streams a b
}

@test "a replica behind the name, again and again: buffered, then each once" {
	through refuse XADD 'READONLY You cannot write against a read only replica.'
	feed pub timeout 30 ebpub -t 2 a
	given a 1 3 >&8
	wait_for "[ \$(grep -c buffered '$EB_TMP/pub.out') = 3 ]"
	sleep 0.6
	given a 4 6 >&8
	exec 8>&-
	bg_wait pub
	straight
	run -0 timeout 20 ebreplay
	check_streams a
}

# --- events in doubt ----------------------------------------------------------------------------------

# settled FOUND REPLAYED DOUBLES: replays, and checks these counts of ebreplay -j.
settled() {
	run -0 --separate-stderr timeout 20 ebreplay -j
	assert_equal "$(jq -c '[.found, .replayed, .possible_duplicates]' <<<"$output")" "[$1,$2,$3]"
}

@test "in doubt, and other clients' entries after it: found" {
	in_doubt X Y
	rcli xadd "$S:a" '*' some thing >/dev/null
	rcli xadd "$S:a" '*' event_type a event_id Z >/dev/null
	settled 2 0 0
}

@test "in doubt, and the checkpoint is lost too: found" {
	in_doubt X Y
	: >"$B/.progress"
	settled 2 0 0
	assert_equal "$(event_ids a | xargs)" 'first X Y'
}

@test "in doubt, and its entry was deleted, trimmed, or gone with its stream: added, a possible duplicate" {
	local gone last
	for gone in "xdel $S:a LAST" "xtrim $S:a maxlen 0" "xtrim $S:a maxlen 1" "del $S:a"; do
		rm -rf "$B"
		redis_flush
		in_doubt X Y
		last=$(rcli --json xrange "$S:a" - + | jq -r '.[1][0]')
		[ "${gone##* }" != 1 ] || rcli xadd "$S:a" '*' event_id Z >/dev/null
		eval "rcli ${gone/LAST/$last}" >/dev/null
		run -0 --separate-stderr timeout 20 ebreplay -j
		[ "$(jq .possible_duplicates <<<"$output")" -ge 1 ] || fail "$gone: $output"
		assert_equal "$(event_ids a | grep -c '^[XY]$')" 2
	done
}

# without_last KEY: makes the stream as if its last entry had never been added. Builds it anew, because in Redis 8 XSETID cannot
# lower the maximal deleted ID.
without_last() {
	rcli eval "local all = redis.call('XRANGE', KEYS[1], '-', '+')
		redis.call('DEL', KEYS[1])
		for i = 1, #all - 1 do
			redis.call('XADD', KEYS[1], all[i][1], unpack(all[i][2]))
		end" 1 "$1" >/dev/null
}

@test "in doubt and not executed, nothing was deleted: added, and no duplicate" {
	in_doubt X
	without_last "$S:a"
	settled 0 1 0
	assert_equal "$(event_ids a | xargs)" 'first X'
}

@test "in doubt and not executed, in a stream that was trimmed below: added, and no duplicate; beyond it, a possible one" {
	local case
	for case in 'maxlen 1' 'maxlen 2 behind' 'maxlen 1 behind'; do
		rm -rf "$B"
		redis_flush
		for _ in 1 2 3; do
			rcli xadd "$S:a" '*' some thing >/dev/null
		done
		in_doubt X
		without_last "$S:a"
		[ "$case" = 'maxlen 1' ] || rcli xadd "$S:a" '*' some thing >/dev/null
		eval "rcli xtrim $S:a ${case% behind}" >/dev/null
		run -0 --separate-stderr timeout 20 ebreplay -j
		[ "$(jq .possible_duplicates <<<"$output")" = "$([ "$case" = 'maxlen 1 behind' ] && echo 1 || echo 0)" ] ||
			fail "$case: $output"
		assert_equal "$(event_ids a | grep -c X)" 1
	done
}

@test "an event_id used twice, the second in doubt and not executed: the entry added for the first does not match it" {
	in_doubt X
	rcli xdel "$S:a" "$(rcli --json xrange "$S:a" - + | jq -r '.[1][0]')" >/dev/null
	plain a '"older"' 2025-12-04T10:30:00Z | sed 's/"trace_id"/"event_id":"X","trace_id"/' >"$B/buffer_plain.jsonl"
	# One event a batch: the second is searched for after the first was added.
	run -0 --separate-stderr timeout 20 ebreplay -j --rate 5
	assert_equal "$(jq -c '[.found, .replayed]' <<<"$output")" '[0,2]'
	assert_equal "$(event_ids a | xargs)" 'first X X'
	assert_equal "$(payloads a | tail -2 | xargs)" 'older X'
}

@test "the same event_id in doubt in two types: each is found in its own stream" {
	feed pub ebpub -q -t 0.3 -J
	printf '{"event_type":"%s","event_id":"first","payload":0}\n' a b >&8
	wait_for "[ \"\$(length b)\" = 1 ]"
	redis_pause
	printf '{"event_type":"%s","event_id":"X","payload":1}\n' a b a >&8
	wait_for "[ \$(cat '$B'/*.jsonl | grep -c '\"doubt\":') = 3 ]"
	kill -KILL "${BG[pub]}"
	exec 8>&-
	redis_resume
	wait_for "[ \"\$(length a)\" = 3 ]"
	rm -f "$B/.probe" "$B/.outage"
	run -0 --separate-stderr timeout 20 ebreplay -j --rate 5
	assert_equal "$(jq -c '[.found, .replayed]' <<<"$output")" '[3,0]'
	assert_equal "$(length a) $(length b)" '3 2'
}

@test "in doubt on two servers, one after the other: nothing is lost" {
	in_doubt X
	redis_kill
	redis_restart
	rcli acl setuser default on nopass '~*' '&*' +@all >/dev/null
	feed pub ebpub -q -t 0.3 --unordered -J
	echo '{"event_type":"a","event_id":"second","payload":0}' >&8
	wait_for "[ \"\$(length a)\" = 1 ]"
	redis_pause
	echo '{"event_type":"a","event_id":"Y","payload":1}' >&8
	wait_for "[ \$(cat '$B'/*.jsonl | grep -c '\"doubt\":') = 2 ]"
	kill -KILL "${BG[pub]}"
	exec 8>&-
	redis_resume
	wait_for "[ \"\$(length a)\" = 2 ]"
	rm -f "$B/.probe" "$B/.outage"
	run -0 --separate-stderr timeout 20 ebreplay -j
	assert_equal "$(jq -c '[.found, .replayed]' <<<"$output")" '[1,1]'
	assert_equal "$(event_ids a | sort | xargs)" 'X Y second'
}

@test "in doubt and not there, and XINFO is not permitted: added, a possible duplicate" {
	in_doubt X
	rcli xdel "$S:a" "$(rcli --json xrange "$S:a" - + | jq -r '.[1][0]')" >/dev/null
	rcli acl setuser default -xinfo >/dev/null
	settled 0 1 1
	assert_equal "$(event_ids a | xargs)" 'first X'
}

@test "in doubt, and a publisher drains it: found, its own event goes behind" {
	in_doubt X
	run -0 timeout 20 ebpub a 2
	assert_output --regexp '^[0-9]+-[0-9]+$'
	assert_equal "$(payloads a | xargs)" '0 X 2'
	no_segments
}

@test "in doubt and deleted again, with an equal earlier entry: the earlier entry does not match" {
	in_doubt X
	# Another client published the same event before the next one in doubt.
	equal Y 1 | ebpub -q --unordered -J
	feed pub ebpub -q -t 0.3 --unordered -J
	echo '{"event_type":"a","event_id":"second","payload":0}' >&8
	wait_for "[ \"\$(length a)\" = 4 ]"
	redis_pause
	equal Y 1 >&8
	wait_for "[ \$(grep -h '\"doubt\":' '$B'/*.jsonl | grep -c '\"Y\"') = 1 ]"
	kill -KILL "${BG[pub]}"
	exec 8>&-
	redis_resume
	wait_for "[ \"\$(length a)\" = 5 ]"
	rcli xdel "$S:a" "$(rcli --json xrange "$S:a" - + | jq -r '.[4][0]')" >/dev/null
	rcli xadd "$S:a" '*' event_type a event_id '' >/dev/null
	rm -rf "$B/.probe" "$B/.outage"
	settled 1 1 1
	assert_equal "$(event_ids a | xargs)" 'first X Y second null Y'
}

@test "in doubt and deleted, with a different entry of the same event_id: no match; the other one in doubt is found" {
	in_doubt X Y
	rcli xdel "$S:a" "$(rcli --json xrange "$S:a" - + | jq -r '.[1][0]')" >/dev/null
	rcli xadd "$S:a" '*' event_type a payload other trace_id '' correlation_id c timestamp t source s event_id X >/dev/null
	settled 1 1 1
	assert_equal "$(event_ids a | xargs)" 'first Y X X'
	assert_equal "$(payloads a | tail -1)" '"X"'
}

@test "in doubt and executed, behind one of its type that is refused: found, and not looked for again" {
	down
	ebpub -q a '"older"'
	up
	feed pub ebpub -q -t 0.3 --unordered -J
	echo '{"event_type":"a","event_id":"first","payload":0}' >&8
	wait_for "[ \"\$(length a)\" = 1 ]"
	redis_pause
	echo '{"event_type":"a","event_id":"X","payload":"X"}' >&8
	wait_for "grep -q '\"doubt\":' '$B'/*.jsonl"
	kill -KILL "${BG[pub]}"
	exec 8>&-
	redis_resume
	wait_for "[ \"\$(length a)\" = 2 ]"
	rm -rf "$B/.probe" "$B/.outage"
	through refuse-once XADD 'ERR no such thing'
	run timeout 20 ebreplay
	straight
	assert_equal "$(event_ids a | xargs)" 'first X'
	# The entry was read and deleted.
	rcli xtrim "$S:a" maxlen 0 >/dev/null
	run -0 timeout 20 ebreplay
	assert_equal "$(payloads a)" '"older"'
}

@test "in doubt with an invalid bound: searched from the beginning of the stream, found" {
	local f
	in_doubt X
	f=$(echo "$B"/*.jsonl)
	python3 -c 'import re, sys, zlib
line = re.sub(rb"(?<=\"after\":\")[^\"]*", lambda m: b"nowhere".ljust(len(m[0]), b"!"), open(sys.argv[1], "rb").read())
line = line[:line.rindex(b",\"crc\"")]
open(sys.argv[1], "wb").write(line + b",\"crc\":\"%08x\"}\n" % zlib.crc32(line))' "$f"
	grep -q '"after":"nowhere!*"' "$f"
	settled 1 0 0
	assert_equal "$(event_ids a | xargs)" 'first X'
}

# --- full streams -------------------------------------------------------------------------------------

# full: makes a stream of 300 entries, beyond its limit of 10, that one group has read and another needs.
full() {
	local i
	for i in $(seq 300); do
		echo "xadd $S:a * filler $i"
	done | rcli >/dev/null
	rcli xgroup create "$S:a" fast '$' >/dev/null
	rcli xgroup create "$S:a" slow 0 >/dev/null
	down
	seq 3 | ebpub -q --maxlen 10 a
	rm -f "$B/.outage"
	up
}

@test "a full stream of two groups: the one that needs its entries is named; when it has gone, all goes on" {
	full
	run -75 ebreplay
	assert_output --partial "stream full: 300 entries, limit 10, and group 'slow' still needs those from 0-1 (0 pending)"
	rcli xgroup destroy "$S:a" slow >/dev/null
	run -0 ebreplay
	assert_equal "$(payloads a | tail -3 | xargs)" '1 2 3'
	[ "$(length a)" -lt 120 ]
}

@test "a full stream, and groups may not be looked at, or nothing trimmed: held with 75, and named" {
	local what
	full
	rcli xgroup destroy "$S:a" slow >/dev/null
	for what in xtrim 'xinfo|groups'; do
		rcli acl setuser default "-$what" >/dev/null
		run -75 ebreplay
		assert_output --partial "'a' is held: "
		assert_output --partial NOPERM
		rcli acl setuser default "+$what" >/dev/null
		assert_equal "$(length a)" 300
	done
	run -0 ebreplay
	assert_equal "$(payloads a | tail -3 | xargs)" '1 2 3'
}

@test "lines with and without a limit by turns, read by a group: in order, nothing is pushed out" {
	local i
	rcli xgroup create "$S:a" g 0 mkstream >/dev/null
	down
	for i in 1 2 3 4 5 6; do
		ebpub -q --maxlen $((i % 3 * 100)) a $i
	done
	up
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3 4 5 6'
}

@test "a limit smaller than a node of the stream, no group: nothing is trimmed or reported as trimmed" {
	down
	seq 30 | ebpub -q --maxlen 10 a
	rm -f "$B/.outage"
	up
	run -0 --separate-stderr ebreplay -j --rate 1000000
	assert_equal "$(jq -c '[.replayed, .trimmed]' <<<"$output")" '[30,0]'
	assert_equal "$(length a)" 30
}

@test "a large limit, and a group: room is measured repeatedly, all events arrive" {
	rcli xgroup create "$S:a" g 0 mkstream >/dev/null
	down
	seq 2500 | ebpub -q --maxlen 20000 a
	rm -f "$B/.outage"
	up
	run -0 ebreplay
	assert_equal "$(payloads a | cksum)" "$(seq 2500 | cksum)"
}

# --- full streams that cannot be trimmed ----------------------------------------------------------------------

# unneeded: sets trim = acked for type a and adds 300 entries, its limit, all read and all but one acknowledged.
unneeded() {
	unset EB_MAXLEN
	mkdir -p "$XDG_CONFIG_HOME/eventbus"
	printf '%s\n' '[a]' 'trim = acked' 'maxlen = 100' 'maxlen-hard = 300' >"$XDG_CONFIG_HOME/eventbus/config"
	rm -rf "$B"
	redis_flush
	seq 299 | sed "s/.*/xadd $S:a * filler &/" | rcli >/dev/null
	rcli xgroup create "$S:a" g '$' >/dev/null
	rcli xadd "$S:a" '*' filler 300 >/dev/null
	rcli xreadgroup group g c streams "$S:a" '>' >/dev/null
}

@test "a full stream of unneeded entries, XTRIM or XLEN refused as LOADING: published all the same" {
	local command
	for command in XTRIM XLEN; do
		unneeded
		[ $command = XTRIM ] || rcli acl setuser default -xinfo >/dev/null
		through refuse $command 'LOADING is loading'
		run -0 timeout 20 ebpub a 1
		straight
		rcli acl setuser default +@all >/dev/null
		assert_output --regexp '^[0-9]+-[0-9]+$'
		assert_equal "$(length a)" 301
	done
}

@test "a full stream of unneeded entries, XTRIM refused: held and reported, 1; then trimmed, and the event arrives" {
	unneeded
	through refuse XTRIM 'ERR no such thing'
	run timeout 20 ebpub a 1
	straight
	assert_line buffered
	assert_line "ebpub: 'a' is held: XTRIM: ERR no such thing"
	assert_equal "$status" 1
	run -0 timeout 20 ebreplay
	assert_equal "$(payloads a | tail -1)" 1
	[ "$(length a)" -lt 300 ]
}

@test "a full stream of unneeded entries, connection cut while it is measured: buffered, then once" {
	local command
	for command in GROUPS XPENDING XTRIM; do
		unneeded
		through cut $command
		run -0 timeout 20 ebpub a 1
		straight
		assert_line buffered
		assert_equal "$(length a)" 300
		run -0 timeout 20 ebreplay
		assert_equal "$(payloads a | tail -1)" 1
	done
}

@test "a replay into a full stream, and the server is not ready to trim: 75, all is kept, then trimmed" {
	full
	rcli xgroup destroy "$S:a" slow >/dev/null
	through refuse XTRIM 'LOADING is loading'
	run -75 timeout 20 ebreplay
	straight
	assert_equal "$(length a) $(ebstat -j | jq .buffer.total_events)" '300 3'
	run -0 timeout 20 ebreplay
	assert_equal "$(payloads a | tail -3 | xargs)" '1 2 3'
}

@test "XLEN not permitted: trimmed entries are not counted, all events are drained" {
	down
	seq 300 | ebpub -q --maxlen 10 a
	rm -f "$B/.outage"
	up
	rcli acl setuser default -xlen >/dev/null
	run -0 --separate-stderr ebreplay -j --rate 1000000
	assert_equal "$(jq -c '[.replayed, .trimmed]' <<<"$output")" '[300,0]'
	[ "$(length a 2>/dev/null || :)" != 300 ]
}

# --- refused by the server and by the buffer --------------------------------------------------------------------

@test "types of the wrong kind, refused in one stream of events, and no room in the buffer: each not safe, 74; the others go on" {
	local type
	for type in a b bb; do
		rcli set "$S:$type" x >/dev/null
	done
	for type in a bb b a ok; do
		printf '{"event_type":"%s","payload":1}\n' $type
	done >"$EB_TMP/events"
	run -74 --separate-stderr timeout 20 ebpub --buffer-max 1 -J <"$EB_TMP/events"
	assert_equal "$(grep -c '^unsafe$' <<<"$output")" 4
	assert_regex "${lines[4]}" '^[0-9]+-[0-9]+$'
	# shellcheck disable=SC2154
	assert_equal "$(grep -c 'NOT safe' <<<"$stderr")" 4
	assert_equal "$(length ok)" 1
}

@test "streams that were replaced under a stream of events, and no room in the buffer: not safe, 74, each of them named" {
	feed pub timeout 30 ebpub --buffer-max 1 -J
	printf '{"event_type":"%s","payload":1}\n' a b bb >&8
	wait_for "[ \"\$(wc -l <'$EB_TMP/pub.out')\" = 3 ]"
	for type in a b bb; do
		rcli set "$S:$type" x >/dev/null
	done
	printf '{"event_type":"%s","payload":2}\n' a b bb ok >&8
	exec 8>&-
	bg_wait pub
	assert_equal "$status" 74
	assert_equal "$(grep -c '^unsafe$' "$EB_TMP/pub.out")" 3
	assert_equal "$(grep -c 'NOT safe' "$EB_TMP/pub.err")" 3
	assert_equal "$(length ok)" 1
}

@test "a type refused once is not asked for again by the same publisher: without a buffer its next event is not safe at once" {
	local policy
	unset EB_MAXLEN
	mkdir -p "$XDG_CONFIG_HOME/eventbus"
	for policy in length acked; do
		printf '%s\n' '[a]' "trim = $policy" >"$XDG_CONFIG_HOME/eventbus/config"
		rcli set "$S:a" x >/dev/null
		feed pub timeout 30 ebpub --no-buffer a
		echo 1 >&8
		wait_for "grep -q unsafe '$EB_TMP/pub.out'"
		rcli config resetstat >/dev/null
		echo 2 >&8
		wait_for "[ \$(grep -c unsafe '$EB_TMP/pub.out') = 2 ]"
		exec 8>&-
		bg_wait pub
		assert_equal "$status" 74
		assert_equal "$(grep -c 'NOT safe' "$EB_TMP/pub.err")" 2
		run rcli info commandstats
		refute_output --partial cmdstat_xadd
		rm "$EB_TMP/pub.in"
	done
}

@test "a replica behind the name, in the midst of a stream of events: those refused are asked for under its name, or buffered" {
	through refuse-first '"two"' 'READONLY You cannot write against a read only replica.'
	printf '"%s"\n' one two three >"$EB_TMP/events"
	run timeout 20 ebpub -t 5 a <"$EB_TMP/events"
	straight
	refute_output --partial buffered
	assert_equal "$(event_ids a | sort -u | wc -l) $(length a)" '3 3'
	redis_flush
	through refuse '"two"' 'READONLY You cannot write against a read only replica.'
	feed pub timeout 30 ebpub a
	echo '"one"' >&8
	wait_for "[ \"\$(wc -l <'$EB_TMP/pub.out')\" = 1 ]"
	down
	echo '"two"' >&8
	wait_for "grep -q buffered '$EB_TMP/pub.out'"
	exec 8>&-
	bg_wait pub
	straight
	run -0 timeout 20 ebreplay
	assert_equal "$(payloads a | xargs)" 'one two'
}

@test "a stream of events, each answered with what is no ID: buffered when it is seen, each once" {
	through other XADD
	feed pub timeout 30 ebpub -t 5 a
	given a 1 3 >&8
	wait_for "[ \$(grep -c buffered '$EB_TMP/pub.out') = 3 ]"
	exec 8>&-
	bg_wait pub
	straight
	run -0 timeout 20 ebreplay
	check_streams a
}

@test "a buffer drained by a publisher, answered with what is no ID: its own event goes behind, each once" {
	down
	given a 1 3 | ebpub -q a
	rm -f "$B/.outage"
	through other XADD
	run -0 timeout 20 ebpub a '{"p":1,"n":4}'
	assert_line buffered
	ledger 1 4 4
	straight
	run -0 timeout 20 ebreplay
	check_streams a
}
