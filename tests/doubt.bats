#!/usr/bin/env bats
# What nobody can know without looking: an XADD that was sent and not answered.

# shellcheck disable=SC2030,SC2031,SC2154  # bats: a test is a subshell

load helper
load chaos

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

# --- cut at each byte --------------------------------------------------------------------

proxy_start() {
	mkdir -p "$EB_TMP/cut"
	bg cut python3 "$TOP/tests/cut.py" "$EB_TMP/cut" "$REDIS_SOCK"
	wait_for "test -s '$EB_TMP/cut/port'"
	EB_REDIS_URL=redis://127.0.0.1:$(cat "$EB_TMP/cut/port")
}

# What ebreplay -j found in its streams already.
count_found() {
	[[ $1 =~ \"found\":([0-9]+) ]] || fail "no count: $1"
	FOUND=$((FOUND + BASH_REMATCH[1]))
}

# cut_at WAY MODE BYTE: one event through a cut, a replay, and the event is there once.
# Fails with 2 when the exchange has no such byte.
cut_at() {
	local rc=0 out n
	CUTS=$((CUTS + 1))
	rm -rf "$EB_BUFFER_DIR" "$EB_TMP/cut/log"
	echo "$@" >"$EB_TMP/cut/plan"
	out=$(timeout 20 ebpub -t "$WAIT" --maxlen 0 cut "{\"p\":1,\"n\":$CUTS}" 2>"$EB_TMP/cut/err") || rc=$?
	[ $rc = 0 ] || fail "$*: ebpub: $rc $out $(cat "$EB_TMP/cut/err")"
	wait_for "test -s '$EB_TMP/cut/log'"
	if [ "$out" = buffered ]; then
		BUFFERED=$((BUFFERED + 1))
		[[ $(<"$(echo "$EB_BUFFER_DIR"/*.jsonl)") != *'"doubt":{'* ]] || DOUBTED=$((DOUBTED + 1))
	fi
	rc=0
	# A server that had a piece of a request may need a moment; nothing else takes two runs.
	out=$(timeout 20 ebreplay -j -t 3 2>&1) || rc=$?
	[ $rc = 0 ] || fail "$*: ebreplay: $rc $out"
	count_found "$out"
	echo "1 $CUTS" >>"$LEDGER"
	n=$(rcli xlen quantum:stream:cut)
	[ "$n" = "$CUTS" ] || fail "$*: $n entries after $CUTS events: $out"
	[[ $(<"$EB_TMP/cut/log") == *cut* ]] || return 2
}

# cut_all WAY MODE STEP: every STEPth byte, from 0 until there is none.
cut_all() {
	local at rc=0
	for ((at = 0; at < 2000; at += $3)); do
		cut_at "$1" "$2" $at || rc=$?
		[ $rc = 0 ] || break
	done
	[ $rc = 2 ] || fail "$1 $2: ended with $rc at byte $at"
	echo "# $1 $2: bytes 0 to $((at - 1)), step $3: $CUTS cuts, $BUFFERED buffered, $DOUBTED in doubt, $FOUND found" >&3
	judge cut
}

cuts() {
	CUTS=0 BUFFERED=0 DOUBTED=0 FOUND=0 WAIT=${WAIT:-1}
	proxy_start
	cut_all "$@"
	[ "$BUFFERED" -gt 0 ]
}

@test "request cut by an end of file at each seventh byte: once" {
	cuts request fin 7
}

@test "request cut by a reset at each seventh byte: once" {
	cuts request rst 7
}

@test "request stops and hangs: once" {
	WAIT=0.1 cuts request hang 23
}

@test "request whose rest arrives during the replay: once" {
	WAIT=0.1 cuts request late 17
}

@test "reply cut by an end of file at each byte: once, and found" {
	cuts reply fin 1
	[ "$FOUND" = "$BUFFERED" ]
}

@test "reply cut by a reset at each byte: once, and found" {
	cuts reply rst 1
	[ "$FOUND" = "$BUFFERED" ]
}

@test "reply stops and hangs at each byte: once, and found" {
	WAIT=0.1 cuts reply hang 1
	[ "$FOUND" = "$BUFFERED" ]
}

# bats test_tags=long
@test "request cut in all manners at each byte: once" {
	local mode
	proxy_start
	WAIT=0.1 CUTS=0 BUFFERED=0 DOUBTED=0 FOUND=0
	for mode in fin rst late hang; do
		cut_all request $mode 1
	done
}

# batch_cut_at WAY MODE BYTE: three events are replayed through a cut; replayed again, each is there once.
batch_cut_at() {
	local rc=0 out n
	CUTS=$((CUTS + 1))
	rm -rf "$EB_BUFFER_DIR"
	cp -a "$EB_TMP/three" "$EB_BUFFER_DIR"
	rm -f "$EB_TMP/cut/log"
	redis_flush
	echo "$@" >"$EB_TMP/cut/plan"
	timeout 20 ebreplay -q -t "$WAIT" 2>"$EB_TMP/cut/err" || rc=$?
	wait_for "test -s '$EB_TMP/cut/log'"
	if [[ $(<"$EB_TMP/cut/log") == *cut* ]]; then
		# What was cut right behind the last byte may have been complete.
		[ $rc = 75 ] || [ $rc = 0 ] || fail "$*: ebreplay: $rc $(cat "$EB_TMP/cut/err")"
	else
		[ $rc = 0 ] || fail "$*: ebreplay, not cut: $rc $(cat "$EB_TMP/cut/err")"
	fi
	rc=0
	out=$(timeout 20 ebreplay -j -t 3 2>&1) || rc=$?
	[ $rc = 0 ] || fail "$*: the second run: $rc $out"
	n=$(rcli xlen quantum:stream:cut)
	[ "$n" = 3 ] || fail "$*: $n entries: $out"
	[ "$(rcli xrange quantum:stream:cut - + | grep -o '"n":[0-9]*' | tr -dc 0-9)" = 123 ] || fail "$*: order"
	count_found "$out"
	[[ $(<"$EB_TMP/cut/log") == *cut* ]] || return 2
}

@test "a replay of three events cut in the request and in the reply: each once and in order" {
	local way mode at step rc
	CUTS=0 FOUND=0 WAIT=0.1
	proxy_start
	redis_pause
	numbered 1 1 3 | timeout 20 ebpub -q -t 0.1 --maxlen 0 cut
	redis_resume
	rm -f "$EB_BUFFER_DIR/.probe"
	cp -a "$EB_BUFFER_DIR" "$EB_TMP/three"
	for way in 'request fin 127' 'request rst 131' 'request late 167' 'reply fin 7' 'reply rst 9' 'reply hang 17'; do
		read -r way mode step <<<"$way"
		rc=0
		for ((at = 0; at < 4000; at += step)); do
			batch_cut_at "$way" "$mode" $at || rc=$?
			[ $rc = 0 ] || break
		done
		[ $rc = 2 ] || fail "$way $mode: ended with $rc at byte $at"
	done
	echo "# $CUTS cuts of a batch, $FOUND found" >&3
	[ $FOUND -gt 0 ]
}

@test "a stream of 60 events cut anywhere, in both directions: each once and in order" {
	local i way mode n=0 out rc=0
	FOUND=0
	proxy_start
	for ((i = 0; i < 24; i++)); do
		read -r way mode <<<"$(shuf -n 1 --random-source=<(seq $((SEED + i)) 99999) -e 'request fin' \
			'request rst' 'request late' 'reply fin' 'reply rst' 'reply hang')"
		echo "$way $mode $((RANDOM % (${#way} > 5 ? 19000 : 1200)))" >"$EB_TMP/cut/plan"
		rc=0
		numbered 1 $((n + 1)) $((n + 60)) | timeout 30 ebpub -t 0.15 --maxlen 0 feed >"$EB_TMP/answers" || rc=$?
		[ $rc = 0 ] || fail "seed $SEED: round $i: ebpub: $rc"
		assert_equal "$(grep -cE '^(buffered|[0-9]+-[0-9]+)$' "$EB_TMP/answers")" 60
		ledger 1 $((n + 1)) $((n + 60))
		n=$((n + 60))
		out=$(timeout 20 ebreplay -j -t 3)
		count_found "$out"
		rm -f "$EB_BUFFER_DIR/.probe"
	done
	echo "# seed $SEED: 24 cuts of streams, $FOUND found" >&3
	judge feed
	no_segments
}

# bats test_tags=nosanitize
@test "two events of one identity, executed and not recorded: both are found, each for itself" {
	local out
	need strace
	redis_pause
	for _ in 1 2; do
		run -0 timeout 20 ebpub -t 0.2 --maxlen 0 --event-id same cut '{"p":1,"n":1}'
	done
	redis_resume
	rm -f "$EB_BUFFER_DIR/.probe" "$EB_BUFFER_DIR/.outage"
	strace -f -o /dev/null -e inject=pwrite64:signal=KILL:when=2 ebreplay 2>/dev/null || :
	[ "$(rcli xlen quantum:stream:cut)" = 2 ] || skip "strace cannot trace here"
	out=$(ebreplay -j)
	assert_equal "$(jq -c '[.found, .replayed]' <<<"$out")" '[2,0]'
	assert_equal "$(rcli xlen quantum:stream:cut)" 2
}

# --- executed late ------------------------------------------------------------------------

# late_round N WHEN: event N is sent to a server that is stopped, and buffered; the server goes on
# WHEN (before, after) the replay starts.
late_round() {
	local n=$1
	rm -rf "$EB_BUFFER_DIR" "$EB_TMP/feed" "$EB_TMP/feed.out"
	mkfifo "$EB_TMP/feed"
	exec 7<>"$EB_TMP/feed"	# opening one end alone would wait for the other
	# shellcheck disable=SC2217  # its stdin is the command's
	bg feed timeout 60 ebpub -t 0.15 --maxlen 0 late <"$EB_TMP/feed" 7>&-
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
	judge late
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

# --- held meanwhile -------------------------------------------------------------------------

@test "in doubt, then not permitted, then permitted again: found, once, and no duplicate counted" {
	proxy_start
	redis_pause
	numbered 1 1 3 | timeout 20 ebpub -q -t 0.1 --maxlen 0 cut
	redis_resume
	rm -f "$EB_BUFFER_DIR/.probe"
	echo reply fin 0 >"$EB_TMP/cut/plan"
	run -75 timeout 20 ebreplay
	assert_equal "$(rcli xlen quantum:stream:cut)" 3
	rcli acl setuser default resetkeys '~other' >/dev/null
	run -75 --separate-stderr timeout 20 ebreplay -j
	rcli acl setuser default '~*' >/dev/null
	assert_regex "$stderr" "'cut' is held: .*NOPERM"
	# It could not be looked for, and was not added either.
	assert_equal "$(jq .possible_duplicates <<<"$output")" 0
	run -0 timeout 20 ebreplay -j
	assert_equal "$(jq -c '[.found > 2, .possible_duplicates]' <<<"$output")" '[true,0]'
	ledger 1 1 3
	judge cut
	assert_equal "$(ebstat -j | jq .buffer.possible_duplicates)" 0
	no_segments
}
