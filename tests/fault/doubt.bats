#!/usr/bin/env bats
# covers: lib/drain lib/publish lib/redis
# Events in doubt: XADDs that were sent and not answered. Cuts at each byte are in fault/every.bats.

# shellcheck disable=SC2030,SC2031,SC2154  # bats: a test is a subshell

load ../support/helper
load ../support/chaos

setup_file() {
	redis_start_tcp
}

setup() {
	need python3
	redis_resume || :
	redis_alive || redis_restart
	redis_flush
}

teardown() {
	exec 7>&-
	eb_teardown
}

# Prints how many events ebreplay -j found in their streams.
count_found() {
	[[ $1 =~ \"found\":([0-9]+) ]] || fail "no count: $1"
	FOUND=$((FOUND + BASH_REMATCH[1]))
}

# bats test_tags=nosanitize
@test "two equal events, executed and not recorded: both are found, each for itself" {
	local out
	need strace
	redis_pause
	for _ in 1 2; do
		run -0 timeout 20 ebpub -t 0.2 --maxlen 0 --event-id same --correlation-id same --timestamp 2026-01-02T03:04:05Z \
			cut '{"p":1,"n":1}'
	done
	redis_resume
	rm -f "$EB_BUFFER_DIR/.probe" "$EB_BUFFER_DIR/.outage"
	strace -f -o /dev/null -e inject=pwrite64:signal=KILL:when=2 ebreplay 2>/dev/null || :
	[ "$(rcli xlen quantum:stream:cut)" = 2 ] || skip "strace cannot trace here"
	out=$(ebreplay -j)
	assert_equal "$(jq -c '[.found, .replayed]' <<<"$out")" '[2,0]'
	assert_equal "$(rcli xlen quantum:stream:cut)" 2
}

# --- late execution -----------------------------------------------------------------------

# late_round N WHEN: sends event N to a stopped server, so that it is buffered in doubt; the server continues
# WHEN (before, after) the replay starts.
late_round() {
	local n=$1
	rm -rf "$EB_BUFFER_DIR" "$EB_TMP/feed" "$EB_TMP/feed.out"
	mkfifo "$EB_TMP/feed"
	exec 7<>"$EB_TMP/feed"	# opens both ends, because opening one would block
	# shellcheck disable=SC2217  # its stdin is the command's
	bg feed timeout 60 ebpub -t 0.5 --maxlen 0 late <"$EB_TMP/feed" 7>&-
	echo "{\"p\":1,\"n\":$((2 * n - 1))}" >&7
	wait_for "grep -qE '^[0-9]+-[0-9]+$' '$EB_TMP/feed.out'"
	redis_pause
	echo "{\"p\":1,\"n\":$((2 * n))}" >&7
	wait_for "grep -qx buffered '$EB_TMP/feed.out'"
	kill -KILL "$BG_PID" || :
	exec 7>&-
	ledger 1 $((2 * n - 1)) $((2 * n))
	grep -q '"doubt":{' "$EB_BUFFER_DIR"/*.jsonl || fail "no doubt in the buffer"
	if [ "$2" = before ]; then
		redis_resume
		run -0 --separate-stderr timeout 20 ebreplay -j -t 5
	else
		bg replay timeout 20 ebreplay -j -t 5
		sleep 0.0$((RANDOM % 10))
		redis_resume
		bg_wait replay
		output=$(cat "$EB_TMP/replay.out")
		[ "$status" = 0 ] || fail "round $n: $status $output $(cat "$EB_TMP/replay.err")"
	fi
	count_found "$output"
	local have
	have=$(rcli xlen quantum:stream:late)
	[ "$have" = $((2 * n)) ] || fail "seed $SEED: round $n, $2: $have entries: $output"
}

late_rounds() {
	local n
	FOUND=0
	for ((n = 1; n <= 10; n++)); do
		late_round $n "$([ $((n % 2)) = 0 ] && echo before || echo after)"
	done
	echo "# 10 rounds, $FOUND found executed" >&3
	check_streams late
	no_segments
}

@test "a stopped server executes late, just before or after the replay starts: once" {
	late_rounds
}

@test "the same over TCP" {
	export EB_REDIS_URL=redis://127.0.0.1:$REDIS_PORT
	late_rounds
}

@test "the same without permission for CLIENT KILL" {
	rcli acl setuser less reset on '>x' '~*' '+@all' '-client|kill' >/dev/null
	export EB_REDIS_URL=redis://less:x@127.0.0.1:$REDIS_PORT
	late_rounds
}

@test "the same without permission for CLIENT and INFO" {
	rcli acl setuser less reset on '>x' '~*' '+@all' '-client' '-info' >/dev/null
	export EB_REDIS_URL=redis://less:x@127.0.0.1:$REDIS_PORT
	late_rounds
}

# --- events in doubt and other faults --------------------------------------------------------

# A replay of three events was executed, and its replies were lost.
unanswered() {
	export EB_REDIS_URL=unix://$EB_TMP/r
	numbered 1 1 3 | timeout 20 ebpub -q --maxlen 0 cut
	bg peer python3 "$TOP/tests/support/peer.py" "$EB_TMP/peer" "$REDIS_SOCK" unanswered XADD
	wait_for "test -S '$EB_TMP/peer'"
	ln -s "$EB_TMP/peer" "$EB_TMP/r"
	run -75 timeout 20 ebreplay
	assert_equal "$(rcli xlen quantum:stream:cut)" 3
	ln -sfn "$REDIS_SOCK" "$EB_TMP/r"
}

# kills: prints how many CLIENT KILL the server has executed.
kills() {
	rcli info commandstats | tr -d '\r' | sed -n 's/^cmdstat_client|kill:calls=\([0-9]*\),.*/\1/p'
}

@test "in doubt: the connection that sent it is killed before the look-up" {
	unanswered
	rcli config resetstat >/dev/null
	run -0 timeout 20 ebreplay -q
	assert_equal "$(kills)" 1
}

@test "in doubt, and the server was restarted: the connection that sent it is gone, and no other is killed" {
	unanswered
	redis_restart
	run -0 timeout 20 ebreplay -q
	assert_equal "$(kills)" ''
	run -0 ebstat -j
	assert_equal "$(jq .buffer.total_events <<<"$output")" 0
}

# bats test_tags=nosanitize
@test "in doubt, not to be looked up, and the drain is killed behind their XADD: counted as possible duplicates" {
	need strace
	unanswered
	rcli acl setuser default -xrange >/dev/null
	run -137 timeout 20 strace -qq -o /dev/null -e inject=unlinkat:signal=KILL:when=1 ebreplay -q
	rcli acl setuser default +xrange >/dev/null
	assert_equal "$(rcli xlen quantum:stream:cut)" 6
	run -0 bash -c "ebstat -j | jq .buffer.possible_duplicates"
	assert_output 3
	run -0 ebreplay
	run -0 bash -c "ebstat -j | jq .buffer.possible_duplicates"
	assert_output 3
}

@test "in doubt, then not permitted, then permitted again: found, once, and no duplicate counted" {
	unanswered
	rcli acl setuser default resetkeys '~other' >/dev/null
	run -75 --separate-stderr timeout 20 ebreplay -j
	rcli acl setuser default '~*' >/dev/null
	assert_regex "$stderr" "'cut' is held: .*NOPERM"
	# The search failed, and the event was not added.
	assert_equal "$(jq .possible_duplicates <<<"$output")" 0
	run -0 timeout 20 ebreplay -j
	assert_equal "$(jq -c '[.found > 2, .possible_duplicates]' <<<"$output")" '[true,0]'
	ledger 1 1 3
	check_streams cut
	assert_equal "$(ebstat -j | jq .buffer.possible_duplicates)" 0
	no_segments
}

@test "in doubt, and the next run dies with a plain writer's file just claimed: found, once" {
	unanswered
	jq -nc '{event_type: "cut", buffered_at: "2025-12-04T10:30:00", message: {event_type: "cut", payload: "{\"p\":2,\"n\":1}"}}' \
		>"$EB_BUFFER_DIR/buffer_2025-12-04_10-30-00.jsonl"
	# The adopted file settles for a second before it is read.
	bg replay timeout 20 ebreplay
	wait_for "ls '$EB_BUFFER_DIR' | grep -q claimed && ! flock -n '$EB_BUFFER_DIR/.replay' true"
	wait_for "grep -aq '^claims 1' '$EB_BUFFER_DIR/.progress'"
	pkill -KILL -P "${BG[replay]}"
	bg_wait replay
	run -0 --separate-stderr timeout 20 ebreplay -j
	assert_equal "$(jq -c '[.found > 2, .possible_duplicates]' <<<"$output")" '[true,0]'
	ledger 1 1 3
	ledger 2 1 1
	check_streams cut
	no_segments
}

@test "XADD answered with what is no ID: in doubt, looked up, once" {
	bg peer python3 "$TOP/tests/support/peer.py" "$EB_TMP/peer" "$REDIS_SOCK" other XADD
	wait_for "test -S '$EB_TMP/peer'"
	ln -s "$EB_TMP/peer" "$EB_TMP/r"
	export EB_REDIS_URL=unix://$EB_TMP/r
	run -0 timeout 20 ebpub --maxlen 0 cut '{"p":1,"n":1}'
	assert_output buffered
	grep -q '"doubt":' "$EB_BUFFER_DIR"/*.jsonl
	# A replay finds it; system.redis_recovered is answered in the same way.
	run timeout 20 ebreplay
	[ "$status" = 0 ] || [ "$status" = 75 ] || fail "$status $output"
	ln -sfn "$REDIS_SOCK" "$EB_TMP/r"
	run -0 timeout 20 ebreplay
	assert_equal "$(rcli xlen quantum:stream:cut)" 1
	assert_equal "$(rcli xlen quantum:stream:system.redis_recovered)" 1
	ledger 1 1 1
	check_streams cut
}
