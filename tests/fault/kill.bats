#!/usr/bin/env bats
# covers: lib/buffer lib/drain
# kill -9 at random moments. Kills at each system call are in fault/every.bats.

# shellcheck disable=SC2030,SC2031,SC2154  # bats: a test is a subshell

load ../support/helper
load ../support/chaos

setup_file() {
	redis_start
}

setup() {
	need python3
	redis_show
	redis_alive || redis_restart
	redis_flush
}

# A killed process holds its locks until it has exited.
replay_free() {
	wait_for "flock -n '$EB_BUFFER_DIR/.replay' true"
}

# --- ebreplay --------------------------------------------------------------------------

# Kills an ebreplay after a random time. The range of times adapts to the machine's speed, so that about
# half of the runs are hit. Counts them in KILLS.
replay_hit() {
	local rc=0
	timeout -s KILL 0.0"$(printf %02d $((RANDOM % MOST + 2)))" ebreplay --maxlen 0 "$@" 2>/dev/null || rc=$?
	if [ $rc = 137 ]; then
		KILLS=$((KILLS + 1))
		[ $MOST -gt 50 ] || MOST=$((MOST + 2))
	else
		[ $MOST -lt 5 ] || MOST=$((MOST - 3))
	fi
}

@test "ebreplay killed at 30 random moments of 20 000 events: each once and in order" {
	local tries KILLS=0 MOST=20
	redis_hide
	awk 'BEGIN { for (i = 1; i <= 20000; i++)
		printf "{\"event_type\":\"k%d\",\"payload\":{\"p\":%d,\"n\":%d}}\n", i % 3, i % 3, i }' |
		timeout 60 ebpub -q -J --maxlen 0 --segment-size 300K
	redis_show
	for tries in 0 1 2; do
		seq -f "$tries %.0f" $((tries == 0 ? 3 : tries)) 3 20000 >>"$LEDGER"
	done
	for ((tries = 0; tries < 300 && KILLS < 30; tries++)); do
		[ -n "$(find "$EB_BUFFER_DIR" -maxdepth 1 -name '*.jsonl')" ] || break
		replay_hit --limit $((RANDOM % 700 + 50))
	done
	echo "# seed $SEED: $KILLS kills in $tries runs, then $(cat "$EB_BUFFER_DIR"/*.jsonl 2>/dev/null | wc -l) lines left in the segments" >&3
	replay_free
	run timeout 60 ebreplay -v
	assert_success
	[ $KILLS -ge 20 ] || fail "only $KILLS kills"
	check_streams k0 k1 k2
	no_segments
}

@test "ebreplay killed among compressed segments, a plain writer's file and new events: each once and in order" {
	local tries n=6000 KILLS=0 MOST=20
	redis_hide
	numbered 1 1 6000 | timeout 60 ebpub -q --maxlen 0 --segment-size 200K k
	awk 'BEGIN { for (i = 1; i <= 3000; i++) printf "{\"event_type\":\"k\",\"message\":{\"event_type\":\"k\",\"payload\":\"{\\\"p\\\":2,\\\"n\\\":%d}\",\"trace_id\":null,\"timestamp\":\"2025-12-04T10:30:00Z\",\"source\":\"s\"},\"buffered_at\":\"2025-12-04T10:%02d:%02d.%03d\"}\n", i, i / 600, i / 10 % 60, i % 10 }' \
		>"$EB_BUFFER_DIR/buffer_2025-12-04_10-30-00.jsonl"
	ledger 2 1 3000
	redis_show
	# An adopted file settles for a second; the kills come before, about then, and after.
	for tries in 0.2 1.0$((RANDOM % 10)) 20; do
		timeout -s KILL $tries ebreplay --maxlen 0 --limit 100 2>/dev/null || :
	done
	for ((tries = 0; tries < 200 && KILLS < 20; tries++)); do
		[ $((tries % 5)) != 1 ] || timeout 20 ebbuffer compress || :
		replay_hit --limit $((RANDOM % 250 + 20))
		# Each publisher drains a part itself.
		[ $((tries % 16)) = 15 ] || continue
		n=$((n + 1))
		shot k 1 $n
	done
	ledger 1 1 6000
	replay_free
	run timeout 60 ebreplay -v --maxlen 0
	assert_success
	echo "# seed $SEED: $KILLS kills in $tries runs" >&3
	[ $KILLS -ge 5 ] || fail "only $KILLS kills"
	check_streams k
	no_segments
}

# --- ebpub -----------------------------------------------------------------------------

@test "a stream of events killed again and again while Redis is away: what was answered is there" {
	local i rc
	redis_hide
	for ((i = 0; i < 12; i++)); do
		rc=0
		numbered "$i" 1 20000 | timeout -s KILL 0.0$((RANDOM % 9 + 1)) \
			ebpub --maxlen 0 --segment-size 200K one >"$EB_TMP/answers" || rc=$?
		rc=$(grep -cx buffered "$EB_TMP/answers" || :)
		[ "$rc" = 0 ] || ledger $i 1 "$rc"
		seq -f "$i %.0f ?" $((rc + 1)) 20000 >>"$LEDGER"
	done
	run -0 timeout 20 ebpub --maxlen 0 one '{"p":99,"n":1}'
	ledger 99 1 1
	redis_show
	rc=0
	timeout 60 ebreplay 2>/dev/null || rc=$?
	[ $rc = 0 ] || [ $rc = 1 ] || fail "ebreplay: $rc"
	check_streams one
}
