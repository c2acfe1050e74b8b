#!/usr/bin/env bats
# kill -9 at random moments and before each system call.

# shellcheck disable=SC2030,SC2031,SC2154  # bats: a test is a subshell

load helper
load chaos

setup_file() {
	redis_start
}

setup() {
	need python3
	redis_show
	redis_alive || redis_restart
	redis_flush
}

# strace may be forbidden here.
need_strace() {
	need strace
	strace -o /dev/null -e inject=getpid:signal=KILL:when=1 true 2>/dev/null ||
		skip "strace cannot trace here"
}

# calls_of COMMAND...: runs it; CALLS are its system calls from the start of main on, "NAME ORDINAL" each.
calls_of() {
	timeout 60 strace -f -o "$EB_TMP/trace" "$@" || return
	mapfile -t CALLS < <(sed -nE 's/^[0-9]+ +([a-z_0-9]+)\((.*)/\1 \2/p' "$EB_TMP/trace" |
		awk '{ n[$1]++ } /SIGPIPE/ { main = 1 } main { print $1, n[$1] }')
	[ ${#CALLS[@]} -gt 20 ] || fail "${#CALLS[@]} system calls: $(cat "$EB_TMP/trace")"
}

# killed_at "NAME ORDINAL" COMMAND...: killed before that call; 137 unless it came through unharmed.
killed_at() {
	local name=${1% *} n=${1#* }
	shift
	timeout 60 strace -f -o /dev/null -e "inject=$name:signal=KILL:when=$n" "$@" 2>>"$EB_TMP/strace.err"
}

# A process that was killed holds its locks until it is gone.
replay_free() {
	wait_for "flock -n '$EB_BUFFER_DIR/.replay' true"
}

# --- ebreplay --------------------------------------------------------------------------

# An ebreplay killed after a random time. Whatever the machine's speed, about half of them are
# hit: the time adapts. Counts in KILLS.
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
	judge k0 k1 k2
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
	# A claimed file rests for a second first; killed before, about then, and after.
	for tries in 0.2 1.0$((RANDOM % 10)) 20; do
		timeout -s KILL $tries ebreplay --maxlen 0 --limit 100 2>/dev/null || :
	done
	for ((tries = 0; tries < 200 && KILLS < 20; tries++)); do
		[ $((tries % 5)) != 1 ] || timeout 20 ebreplay --compress || :
		replay_hit --limit $((RANDOM % 250 + 20))
		# Each drains a part itself.
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
	judge k
	no_segments
}

# replay_killed STEP: 30 events of two types in two segments, ebreplay killed before each STEPth system call.
replay_killed() {
	local i rc kills=0
	redis_hide
	awk 'BEGIN { for (i = 1; i <= 30; i++)
		printf "{\"event_type\":\"s%d\",\"payload\":{\"p\":%d,\"n\":%d}}\n", i % 2, i % 2, i }' >"$EB_TMP/events"
	head -20 "$EB_TMP/events" | timeout 20 ebpub -q -J --maxlen 0
	tail -10 "$EB_TMP/events" | timeout 20 ebpub -q -J --maxlen 0 --segment-size 1
	redis_show
	cp -a "$EB_BUFFER_DIR" "$EB_TMP/full"
	seq -f "0 %.0f" 2 2 30 >>"$LEDGER"
	seq -f "1 %.0f" 1 2 30 >>"$LEDGER"
	calls_of ebreplay
	for ((i = SEED % $1; i < ${#CALLS[@]}; i += $1)); do
		rm -rf "$EB_BUFFER_DIR"
		cp -a "$EB_TMP/full" "$EB_BUFFER_DIR"
		redis_flush
		rc=0
		killed_at "${CALLS[i]}" ebreplay || rc=$?
		[ $rc = 0 ] || [ $rc = 137 ] || fail "${CALLS[i]}: $rc $(cat "$EB_TMP/strace.err")"
		[ $rc = 0 ] || kills=$((kills + 1))
		# And once more, elsewhere, on its way.
		[ $((i % 3)) != 0 ] || killed_at "${CALLS[RANDOM % ${#CALLS[@]}]}" ebreplay || :
		status=0
		timeout 20 ebreplay 2>"$EB_TMP/again" || status=$?
		[ "$status" = 0 ] || fail "${CALLS[i]}: the run after it: $status $(cat "$EB_TMP/again")"
		judge s0 s1 >"$EB_TMP/judged" 2>&1 || fail "${CALLS[i]}: $(cat "$EB_TMP/judged")"
		no_segments
	done
	echo "# ebreplay: killed before $kills of ${#CALLS[@]} system calls" >&3
	[ $((kills * 2)) -gt $((${#CALLS[@]} / $1)) ]
	judge s0 s1
}

# bats test_tags=nosanitize
@test "ebreplay killed before each fifth system call: each event once and in order" {
	need_strace
	replay_killed 5
}

# bats test_tags=nosanitize,long
@test "ebreplay killed before each system call: each event once and in order" {
	need_strace
	replay_killed 1
}

# --- ebpub -----------------------------------------------------------------------------

# pub_killed: a one-shot is killed before each call; the one after it must succeed. What is
# accepted is there, what is killed at most once; the buffer stays readable.
pub_killed() {
	local i rc kills=0
	calls_of ebpub -q --maxlen 0 one '{"p":2,"n":1}'
	ledger 2 1 1
	for ((i = 0; i < ${#CALLS[@]}; i++)); do
		rc=0
		killed_at "${CALLS[i]}" ebpub -q --maxlen 0 one "{\"p\":1,\"n\":$((2 * i))}" || rc=$?
		if [ $rc = 137 ]; then
			echo "1 $((2 * i)) ?" >>"$LEDGER"
			kills=$((kills + 1))
		else
			[ $rc = 0 ] || fail "${CALLS[i]}: $rc $(cat "$EB_TMP/strace.err")"
			ledger 1 $((2 * i)) $((2 * i))
		fi
		timeout 20 ebpub -q --maxlen 0 one "{\"p\":1,\"n\":$((2 * i + 1))}" || fail "after ${CALLS[i]}: $?"
		ledger 1 $((2 * i + 1)) $((2 * i + 1))
	done
	echo "# ebpub: killed before $kills of ${#CALLS[@]} system calls" >&3
	[ $((kills * 2)) -gt ${#CALLS[@]} ]
}

# Every line is a whole event, but pieces that a killed writer left.
readable() {
	local left
	run timeout 20 ebreplay --check -j
	jq -e '.bad == .torn and .out_of_order == 0 and .vanished == 0 and .unreadable == 0' <<<"$output" ||
		fail "$output"
	left=$(cat "$EB_BUFFER_DIR"/*.jsonl | jq -R 'fromjson? | .event_type' | wc -l)
	[ "$left" -ge "$(grep -vc '?' "$LEDGER")" ] || fail "$left lines"
}

after_kills() {
	local rc=0
	redis_show
	timeout 20 ebreplay 2>"$EB_TMP/again" || rc=$?
	[ $rc = 0 ] || [ $rc = 1 ] || fail "ebreplay: $rc $(cat "$EB_TMP/again")"
	run -0 timeout 20 ebreplay
	judge one
	run find "$EB_BUFFER_DIR" -maxdepth 1 -name '*.jsonl'
	assert_output ""
}

# bats test_tags=nosanitize
@test "a one-shot killed before each system call while Redis is away: not accepted or durable, the next line whole" {
	need_strace
	redis_hide
	pub_killed
	readable
	after_kills
}

# bats test_tags=nosanitize
@test "a one-shot killed before each system call while Redis is there: at most once" {
	need_strace
	pub_killed
	after_kills
}

# bats test_tags=nosanitize
@test "a one-shot that makes the buffer killed before each system call: the next makes it whole" {
	local i rc kills=0
	need_strace
	redis_hide
	calls_of ebpub -q one '{"p":1,"n":1}'
	for ((i = 0; i < ${#CALLS[@]}; i++)); do
		rm -rf "$EB_BUFFER_DIR"
		rc=0
		killed_at "${CALLS[i]}" ebpub -q one '{"p":1,"n":1}' || rc=$?
		[ $rc = 0 ] || [ $rc = 137 ] || fail "${CALLS[i]}: $rc"
		[ $rc = 0 ] || kills=$((kills + 1))
		timeout 20 ebpub -q one '{"p":1,"n":2}' || fail "after ${CALLS[i]}: $?"
		run timeout 20 ebreplay --list -j
		jq -se 'map(select(.bad | not)) | length as $n | $n == 1 or $n == 2' <<<"$output" >/dev/null ||
			fail "${CALLS[i]}: $output"
	done
	echo "# ebpub: killed before $kills of ${#CALLS[@]} system calls" >&3
	[ $((kills * 2)) -gt ${#CALLS[@]} ]
}

# bats test_tags=nosanitize
@test "a drain by a one-shot killed before each fifth system call: each event once and in order" {
	local i rc kills=0
	need_strace
	redis_hide
	numbered 1 1 20 | timeout 20 ebpub -q --maxlen 0 one
	redis_show
	cp -a "$EB_BUFFER_DIR" "$EB_TMP/full"
	calls_of ebpub -q --maxlen 0 one '{"p":1,"n":21}'
	for ((i = SEED % 5; i < ${#CALLS[@]}; i += 5)); do
		rm -rf "$EB_BUFFER_DIR" "$LEDGER"
		cp -a "$EB_TMP/full" "$EB_BUFFER_DIR"
		redis_flush
		rc=0
		killed_at "${CALLS[i]}" ebpub -q --maxlen 0 one '{"p":1,"n":21}' || rc=$?
		[ $rc = 0 ] || [ $rc = 137 ] || fail "${CALLS[i]}: $rc"
		[ $rc = 0 ] || kills=$((kills + 1))
		ledger 1 1 20
		echo "1 21$([ $rc = 0 ] || echo " ?")" >>"$LEDGER"
		timeout 20 ebreplay 2>"$EB_TMP/again" || fail "${CALLS[i]}: the run after it: $? $(cat "$EB_TMP/again")"
		judge one >"$EB_TMP/judged" 2>&1 || fail "${CALLS[i]}: $(cat "$EB_TMP/judged")"
		no_segments
	done
	echo "# a draining ebpub: killed before $kills of ${#CALLS[@]} system calls" >&3
	[ $((kills * 10)) -gt ${#CALLS[@]} ]
}

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
	judge one
}
