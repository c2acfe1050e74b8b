#!/usr/bin/env bats
# covers: lib/publish lib/drain
# Recovery from outages: Redis is killed, stopped, hidden or emptied while many publish; after its return every
# accepted event is in its stream once and in order.

# shellcheck disable=SC2030,SC2031,SC2154  # bats: a test is a subshell

load ../support/helper
load ../support/chaos

setup_file() {
	redis_start --appendonly yes --appendfsync always
}

setup() {
	need python3
	redis_show
	redis_resume || :
	redis_alive || redis_restart
	redis_flush
}

# Publishes four rounds of 200 streamed and 50 single events, with pauses in the stream.
publisher() {
	local p=$1 type=$2 round n from rc
	for round in 0 1 2 3; do
		from=$((round * 250 + 1))
		rc=0
		for ((n = from; n < from + 200; n += 20)); do
			numbered "$p" $n $((n + 19))
			sleep 0.1
		done | timeout 60 ebpub -t 0.3 --maxlen 0 "$type" >"$EB_TMP/pub$p.$round" 2>>"$EB_TMP/pub$p.err" || rc=$?
		[ $rc = 0 ] || echo "publisher $p, round $round: $rc" >>"$EB_TMP/bad"
		grep -vE '^([0-9]+-[0-9]+|buffered)$' "$EB_TMP/pub$p.$round" >>"$EB_TMP/bad" || :
		[ "$(wc -l <"$EB_TMP/pub$p.$round")" = 200 ] || echo "publisher $p: answers missing" >>"$EB_TMP/bad"
		ledger "$p" $from $((from + 199))
		for ((n = from + 200; n < from + 250; n++)); do
			shot "$type" "$p" $n -t 0.3 || echo "publisher $p, event $n: $?" >>"$EB_TMP/bad"
		done
	done
}

# Replays every half second until the file $EB_TMP/over exists.
replayer() {
	local rc
	while [ ! -e "$EB_TMP/over" ]; do
		rc=0
		grep -hs '"doubt":{' "$EB_BUFFER_DIR"/*.jsonl >>"$EB_TMP/doubts" || :
		timeout 60 ebreplay -j -t 1 >>"$EB_TMP/replays" 2>>"$EB_TMP/replay.err" || rc=$?
		echo $rc >>"$EB_TMP/replay.rc"
		sleep 0.5
	done
}

@test "8 publishers, Redis killed again and again, a replay each half second: each event once and in order" {
	local p kills=0 doubts found pids=()
	replayer 3>&- 4>&- &
	local replayer=$!
	for p in 1 2 3 4 5 6 7 8; do
		publisher $p t$((p % 2)) 3>&- 4>&- &
		pids+=($!)
	done
	# Kills the server while it is stopped with requests in its socket, or just after it continued;
	# then kills it while it runs. The first time all publish directly, so events are in doubt.
	while kill -0 "${pids[@]}" 2>/dev/null; do
		sleep 0.$((RANDOM % 5 + 4))
		if ((kills % 3 == 0)); then
			redis_pause
			sleep 0.6
			((RANDOM % 2)) || { redis_resume && sleep 0.0$((RANDOM % 10)); }
		fi
		redis_kill
		kills=$((kills + 1))
		sleep 0.$((RANDOM % 4))
		redis_restart
		[ $kills -lt 12 ] || break
	done
	# Waits without a limit: each of their commands has a limit of its own.
	wait "${pids[@]}"
	touch "$EB_TMP/over"
	wait $replayer
	run -0 timeout 60 ebreplay -j --wait 30
	echo "$output" >>"$EB_TMP/replays"
	found=$(jq -s 'map(.found) | add' "$EB_TMP/replays")
	doubts=$(sort -u "$EB_TMP/doubts" | grep -c . || :)
	echo "# seed $SEED: $kills kills, $found found in doubt, $doubts lines in doubt, $(check_streams t0 t1)" >&3
	[ ! -s "$EB_TMP/bad" ] || fail "seed $SEED: $(cat "$EB_TMP/bad" "$EB_TMP"/*.err)"
	[ "$(wc -l <"$LEDGER")" = 8000 ] || fail "accepted: $(wc -l <"$LEDGER")"
	[ $kills -ge 3 ] || fail "$kills kills"
	[ $((found + doubts)) -gt 0 ] || fail "no batch was in doubt: this proves nothing"
	check_streams t0 t1
	no_segments
	# Allowed statuses: all drained; events left; refused or cut off.
	run grep -vxE '0|75' "$EB_TMP/replay.rc"
	assert_output ""
}

@test "1 000 one-shots against a stopped server: one connection each 5 s, nothing lost or doubled" {
	local before after took most
	before=$(rcli info stats | tr -d '\r' | sed -n 's/^total_connections_received://p')
	redis_pause
	took=$SECONDS
	export -f shot
	export EB_TMP LEDGER
	run -0 bash -c 'seq 1000 | xargs -P 16 -I N bash -c "shot one N 1 -t 0.2"'
	took=$((SECONDS - took + 1))
	redis_resume
	after=$(rcli info stats | tr -d '\r' | sed -n 's/^total_connections_received://p')
	# One connection is that of the query itself.
	most=$((took / 5 + 1))
	echo "# $((after - before - 1)) connections in $took s" >&3
	[ $((after - before - 1)) -le $most ] || fail "$((after - before - 1)) connections in $took s"
	run -0 timeout 60 ebreplay
	[ "$(wc -l <"$LEDGER")" = 1000 ]
	check_streams one
	[ "$(rcli xlen quantum:stream:one)" = 1000 ]
	no_segments
}

@test "ebreplay right after a restart connects although the circuit breaker is open" {
	redis_pause
	run -0 timeout 20 ebpub -t 0.3 one '{"p":1,"n":1}'
	assert_output buffered
	redis_resume
	# A publisher does not try again for 5 s.
	run -0 timeout 20 ebpub -t 0.3 one '{"p":1,"n":2}'
	assert_output buffered
	ledger 1 1 2
	run -0 timeout 20 ebreplay
	check_streams one
	no_segments
}

@test "16 publishers at once while Redis comes and goes under two replays" {
	local p pids=() i rounds=0
	for p in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
		(for ((i = 1; i <= 25; i++)); do shot mixed $p $i || echo "$p $i: $?" >>"$EB_TMP/bad"; done) 3>&- 4>&- &
		pids+=($!)
	done
	for i in 1 2; do
		(while [ ! -e "$EB_TMP/over" ]; do
			rc=0
			timeout 60 ebreplay 2>>"$EB_TMP/replay.err" || rc=$?
			echo $rc >>"$EB_TMP/replay.rc"
		done) 3>&- 4>&- &
		pids+=($!)
	done
	while kill -0 "${pids[@]:0:16}" 2>/dev/null; do
		redis_hide
		sleep 0.$((RANDOM % 10 + 5))
		redis_show
		sleep 0.0$((RANDOM % 10))
		rounds=$((rounds + 1))
		[ $rounds -lt 200 ] || break
	done
	wait "${pids[@]:0:16}"
	touch "$EB_TMP/over"
	wait "${pids[@]:16}"
	run -0 timeout 60 ebreplay --wait 10
	[ ! -e "$EB_TMP/bad" ] || fail "$(cat "$EB_TMP/bad" "$EB_TMP/shots.err")"
	[ "$(wc -l <"$LEDGER")" = 400 ]
	check_streams mixed
	no_segments
	run grep -vxE '0|75' "$EB_TMP/replay.rc"
	assert_output ""
}

# --- Redis loses its data ----------------------------------------------------------------

# Makes 300 directly published events, 300 replayed ones, and 100 in the buffer.
before_forgetting() {
	numbered 1 1 300 | ebpub -q --maxlen 0 gone
	redis_hide
	numbered 1 301 600 | ebpub -q --maxlen 0 gone
	redis_show
	run -0 timeout 20 ebreplay
	redis_hide
	numbered 1 601 700 | ebpub -q --maxlen 0 gone
	redis_show
	[ "$(rcli xlen quantum:stream:gone)" = 600 ]
	ledger 1 601 700
}

@test "FLUSHALL with a filled buffer: confirmed events are not added again, the others arrive" {
	before_forgetting
	redis_flush
	run -0 timeout 20 ebreplay
	check_streams gone
	no_segments
}

@test "DEL of the stream with a filled buffer: confirmed events are not added again, the others arrive" {
	before_forgetting
	rcli del quantum:stream:gone
	run -0 timeout 20 ebreplay
	check_streams gone
	no_segments
}

@test "Redis restarted without its data: confirmed events are not added again, the others arrive" {
	before_forgetting
	redis_kill
	rm -rf "$REDIS_DIR"/appendonlydir
	redis_restart
	[ "$(rcli dbsize)" = 0 ]
	run -0 timeout 20 ebreplay
	check_streams gone
	no_segments
}

@test "the data goes between two parts of a replay: the second part alone arrives" {
	before_forgetting
	run -75 timeout 20 ebreplay --limit 40
	[ "$(rcli xlen quantum:stream:gone)" = 640 ]
	redis_flush
	: >"$LEDGER"
	ledger 1 641 700
	run -0 timeout 20 ebreplay
	check_streams gone
	no_segments
}
