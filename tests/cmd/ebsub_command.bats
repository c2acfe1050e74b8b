#!/usr/bin/env bats
# covers: lib/handle lib/consume
# ebsub -- COMMAND: the command's input and environment, and the meaning of its exit status.

# shellcheck disable=SC2016,SC2030,SC2031,SC2086,SC2154  # bats: a test is a subshell; commands expand their own words; no key has spaces

load ../support/helper
load ../support/handle

setup_file() {
	redis_start_tcp
}

setup() {
	handle_setup
}

# --- input and environment ---------------------------------------------------------------------------

@test "the payload on stdin byte for byte: NUL, no newline added, 10 MB, nothing" {
	local f
	printf 'a\0b\n\0' >"$EB_TMP/1"
	printf 'no newline' >"$EB_TMP/2"
	head -c 10000000 /dev/urandom >"$EB_TMP/3"
	: >"$EB_TMP/4"
	for f in 1 2 3 4; do
		rcli -x xadd $S:t "$f-0" payload <"$EB_TMP/$f"
	done
	run -0 ebsub -e t -- sh -c 'exec cat >"$LOG.$EB_ID"'
	for f in 1 2 3 4; do
		cmp "$EB_TMP/$f" "$LOG.$f-0"
	done
	assert_equal "$(pending t)" 0
}

@test "a payload that the command does not read is no failure" {
	head -c 1000000 /dev/zero | rcli -x xadd $S:t '*' payload
	run -0 ebsub -e t -- true
	assert_equal "$(pending t)" 0
}

# facts: prints the event's members from the command's environment.
facts() {
	ebsub -e "$1" -- sh -c 'env | grep -E "^EB_(EVENT_TYPE|EVENT_ID|ID|STREAM|TRACE_ID|CORRELATION_ID|TIMESTAMP|SOURCE|DELIVERIES)=" | sort'
}

@test "the event's members in the environment; missing ones are unset, even if inherited" {
	export EB_TRACE_ID=before EB_SOURCE=before EB_EVENT_TYPE=before EB_DELIVERIES=before
	rcli xadd $S:t 1-0 event_type t payload '"x"' trace_id tr correlation_id co timestamp 2025-12-04T10:30:00Z source "a b=c" event_id ev
	run -0 facts t
	assert_output "EB_CORRELATION_ID=co
EB_DELIVERIES=1
EB_EVENT_ID=ev
EB_EVENT_TYPE=t
EB_ID=1-0
EB_SOURCE=a b=c
EB_STREAM=$S:t
EB_TIMESTAMP=2025-12-04T10:30:00Z
EB_TRACE_ID=tr"
	rcli xadd $S:flat 2-0 a b c d
	run -0 facts flat
	assert_output "EB_DELIVERIES=1
EB_EVENT_TYPE=flat
EB_ID=2-0
EB_STREAM=$S:flat"
}

@test "its environment has no password, and everything else of ebsub's" {
	rcli acl setuser bob on '>sesame' '~*' '&*' '+@all' >/dev/null
	add t 1 4
	export EB_REDIS_PASSWORD=sesame REDISCLI_AUTH=sesame OTHER=other
	run -0 ebsub -n 1 -u "redis://bob@127.0.0.1:$REDIS_PORT" t -- env
	refute_output --partial sesame
	assert_line OTHER=other
	unset EB_REDIS_PASSWORD REDISCLI_AUTH
	EB_REDIS_URL="redis://bob:sesame@127.0.0.1:$REDIS_PORT" run -0 ebsub -n 1 t -- env
	refute_output --partial sesame
	assert_line "EB_REDIS_URL=redis://bob@127.0.0.1:$REDIS_PORT"
	EB_REDIS_URL="unix://bob:sesame@$REDIS_SOCK?db=0" run -0 ebsub -n 1 t -- env
	refute_output --partial sesame
	assert_line "EB_REDIS_URL=unix://bob@$REDIS_SOCK?db=0"
	# The same for a worker.
	EB_REDIS_URL="redis://bob:sesame@127.0.0.1:$REDIS_PORT" run -0 ebsub -n 1 --worker t -- sh -c 'env >"$LOG"; exec sed -u s/.*/ok/'
	run ! grep sesame "$LOG"
	grep -qx "EB_REDIS_URL=redis://bob@127.0.0.1:$REDIS_PORT" "$LOG"
	rcli acl deluser bob >/dev/null
}

# clean COMMAND...: runs COMMAND without bats' descriptors beyond 0, 1 and 2.
clean() {
	need python3
	python3 -c 'import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)' "$@"
}

# bats test_tags=nosanitize
@test "ebsub's umask, default signals, descriptors 0, 1 and 2, a process group of its own" {
	add t 1 1
	umask 027
	run -0 clean ebsub -e t -- sh -c 'umask; grep SigIgn /proc/self/status
		read -r _ _ _ _ group _ </proc/$$/stat; [ $group = $$ ] && echo own'
	umask 022
	assert_line -n 0 0027
	# Signals 32 and 33 belong to the C library.
	assert_equal $((0x$(sed -n 's/^SigIgn:\t//p' <<<"$output") & 0x7fffffff)) \
		$((0x$(clean sed -n 's/^SigIgn:\t//p' /proc/self/status) & 0x7fffffff))
	assert_line own
	# Descriptor 3 is the directory that ls reads.
	add t 2 2
	run -0 clean ebsub -e t -- ls /proc/self/fd
	assert_equal "$(xargs <<<"$output")" "0 1 2 3"
	add t 3 3
	run -0 clean ebsub -e --worker t -- sh -c 'ls /proc/self/fd >"$LOG"; exec sed -u s/.*/ok/'
	assert_equal "$(xargs <"$LOG")" "0 1 2 3"
}

@test "its stdout and stderr are ebsub's" {
	add t 1 2
	run --separate-stderr -0 ebsub -e t -- sh -c 'echo out $EB_ID; echo err $EB_ID >&2'
	assert_output "out 1-0
out 2-0"
	assert_equal "$stderr" "err 1-0
err 2-0"
}

# --- exit status -----------------------------------------------------------------------------------------

@test "65 and --max-deliveries: set aside with provenance, its fields untouched, 1" {
	rcli xadd $S:t 1-0 event_type t payload x odd '' dead_id mine >/dev/null
	add t 2 2
	run ebsub -e --max-deliveries 2 --retry-base 20ms t -- sh -c 'echo "because $EB_ID" >&2; [ $EB_ID = 1-0 ] && exit 65; kill -9 $$'
	assert_equal "$status" 1
	assert_equal "$(pending t)" 0
	assert_equal "$(rcli xrange $D:t - + | sed -n '2,9p' | tr '\n' ,)" "event_type,t,payload,x,odd,,dead_id,mine,"
	assert_equal "$(dead attempts): $(dead status)" "1 2: exit 65 signal 9"
	assert_equal "$(dead stream) $(dead group)" "$S:t $S:t $G:t $G:t"
	assert_equal "$(rcli xrange $D:t - + | grep '^because' | xargs)" "because 1-0 because 2-0"
}

@test "a command that hangs gets SIGTERM, then SIGKILL: a failed attempt, without busy waiting" {
	local busy
	add t 1 1
	bg sub ebsub -e --cmd-timeout 200ms --max-deliveries 1 t -- sh -c 'trap "" TERM; echo >>"$LOG"; while :; do sleep 0.1; done'
	wait_for "[ -s '$LOG' ]"
	sleep 0.5
	busy=$(ticks sub)
	sleep 2
	busy=$(($(ticks sub) - busy))
	bg_wait sub
	assert_equal "$status $(dead status)" "1 timeout"
	[ "$busy" -lt 30 ] || fail "it was busy for $busy ticks of 200"
}

@test "after a command that got SIGTERM, ebsub waits for the retry without busy waiting" {
	local busy
	add t 1 1
	bg sub ebsub --cmd-timeout 200ms --retry-base 60s t -- sleep 100
	sleep 6 # longer than SIGTERM has until SIGKILL follows
	busy=$(ticks sub)
	sleep 2
	busy=$(($(ticks sub) - busy))
	[ "$busy" -lt 30 ] || fail "it was busy for $busy ticks of 200"
}

@test "126 and 127 end ebsub with 78, and no attempt is counted" {
	local cmd
	touch "$EB_TMP/plain"
	add t 1 5
	for cmd in nosuch ./nosuch "$EB_TMP/plain"; do
		run timeout 20 ebsub t -- "$cmd"
		assert_equal "$cmd: $status" "$cmd: 78"
		assert_output --partial "run '$cmd'"
	done
	assert_equal "$(rcli xinfo groups $S:t)" ""
	run timeout 20 ebsub t -- "$EB_TMP"
	assert_equal "$status" 78
	for cmd in nosuch "$EB_TMP/plain"; do
		run timeout 20 ebsub -P 2 t -- sh -c "$cmd"
		assert_equal "$status" 78
		assert_output --partial "run 'sh': exit 12"
		run timeout 20 ebsub --worker t -- sh -c "$cmd"
		assert_equal "$status" 78
	done
	assert_equal "$(counts t | tr ' ' '\n' | grep -v -- -0 | sort -u)" 1
	assert_equal "$(rcli exists $D:t)" 0
	run -0 ebsub -e t -- sh -c 'echo $EB_ID $EB_DELIVERIES'
	assert_equal "$(xargs <<<"$output")" "1-0 1 2-0 1 3-0 1 4-0 1 5-0 1"
}

@test "75 is no failure until --retry-for is over" {
	add t 1 1
	run ebsub -e --retry-for 1s --retry-base 50ms --retry-max 50ms --max-deliveries 2 t -- sh -c 'echo $EB_DELIVERIES >>"$LOG"; exit 75'
	assert_equal "$status" 1
	[ "$(grep -cx 1 "$LOG")" -ge 3 ]
	assert_equal "$(uniq "$LOG" | xargs) $(grep -cx 2 "$LOG")" "1 2 1"
	assert_equal "$(dead attempts): $(dead status)" "2: exit 75"
}

@test "pauses grow up to --retry-max; others are handled meanwhile" {
	add t 1 5
	run -0 ebsub -e --retry-base 400ms --retry-max 800ms t -- sh -c 'echo "$EB_ID $(date +%s%3N)" >>"$LOG"; [ $EB_ID != 1-0 ] || [ $EB_DELIVERIES = 4 ]'
	assert_equal "$(cut -d' ' -f1 "$LOG" | xargs)" "1-0 2-0 3-0 4-0 5-0 1-0 1-0 1-0"
	# With jitter a pause is at least half as long.
	awk '$1 == "1-0" { if (n++ && $2 - last < least[n]) exit 1; last = $2 } BEGIN { least[2] = 200; least[3] = least[4] = 400 }' "$LOG"
}

@test "--ordered: retries hold up what is behind them" {
	local jobs
	for jobs in 1 3; do
		redis_flush
		: >"$LOG"
		add t 1 4
		run -0 ebsub -e --ordered -P $jobs --retry-base 20ms t -- \
			sh -c 'echo "$EB_ID" >>"$LOG"; [ $EB_ID != 2-0 ] || [ $EB_DELIVERIES = 3 ]'
		assert_equal "$(xargs <"$LOG")" "1-0 2-0 2-0 2-0 3-0 4-0"
	done
}

@test "-n counts what is handled or set aside, and no more is taken; -W ends it; -e does" {
	add t 1 9
	run ebsub -n 3 --max-deliveries 1 t -- sh -c '[ $EB_ID != 2-0 ]'
	assert_equal "$status" 1
	assert_equal "$(pending t) $(rcli xlen $D:t) $(rcli xinfo groups $S:t | grep -A 1 last-delivered | tail -1)" "0 1 3-0"
	# Under valgrind the start alone takes longer.
	run -0 ebsub -W "${EB_SANITIZE:+3}0.3" t -- sh -c 'echo "$EB_ID"'
	assert_equal "$(xargs <<<"$output")" "4-0 5-0 6-0 7-0 8-0 9-0"
	run -124 ebsub -W 0.3 t -- true
	run -124 ebsub -e -n 1 t -- true
	run -0 ebsub -e t -- true
}

@test "one command at a time for two types: neither starves the other" {
	add a 1 30
	add b 1 30
	bg sub ebsub a b -- sh -c 'echo "$EB_EVENT_TYPE" >>"$LOG"; sleep 0.02'
	wait_for "[ \$(wc -l <'$LOG') = 60 ]"
	grep -qx b <(head -10 "$LOG")
	grep -qx a <(head -10 "$LOG")
	# The same when one type has no entry.
	rcli xadd $S:b '*' payload 1
	wait_for "[ \$(wc -l <'$LOG') = 61 ]"
	rcli xadd $S:a '*' payload 1
	wait_for "[ \$(wc -l <'$LOG') = 62 ]"
}

# reads: prints how many XREADGROUP the server has executed.
reads() {
	rcli info commandstats | tr -d '\r' | sed -n 's/^cmdstat_xreadgroup:calls=\([0-9]*\),.*/\1/p'
}

@test "fifty types, nearly as many commands as types: an idle ebsub reads each ten times a second at most" {
	local n types=()
	for ((n = 1; n <= 50; n++)); do
		types+=("t$n")
	done
	# ends blocked reads to the ms, as a busy server does
	rcli config resetstat >/dev/null
	rcli config set hz 500 >/dev/null
	bg sub ebsub -P 49 "${types[@]}" -- true
	wait_for "[ \$(reads) -gt 200 ]"
	n=$(reads)
	sleep 2
	n=$(($(reads) - n))
	rcli config set hz 10 >/dev/null
	[ "$n" -lt 1100 ] || fail "$n reads in 2 s"
}

@test "an entry trimmed while it waits, runs, or is another consumer's: lost, reported once, counted" {
	add t 1 3
	bg sub ebsub -ev --retry-base 1s t -- sh -c 'echo >>"$LOG"; false'
	wait_for "[ \$(wc -l <'$LOG') = 3 ]"
	rcli xtrim $S:t maxlen 0
	bg_wait sub
	assert_equal "$status" 1
	assert_equal "$(grep -c 'is lost' "$EB_TMP/sub.err")" 3
	grep -q '0 handled, 3 failed attempts, 0 postponed, 0 dead letters, 3 lost' "$EB_TMP/sub.err"
	assert_equal "$(pending t) $(rcli exists $D:t)" "0 0"
	# Runs long enough for a lease renewal to detect it.
	add t 11 11
	: >"$LOG"
	bg sub ebsub -ev --claim-idle 300ms t -- sh -c 'echo >>"$LOG"; until [ -e "$LOG.go" ]; do sleep 0.05; done; false'
	wait_for "[ -s '$LOG' ]"
	rcli xtrim $S:t maxlen 0
	wait_for "[ \$(pending t) = 0 ]"
	touch "$LOG.go"
	bg_wait sub
	assert_equal "$status" 1
	assert_equal "$(grep -c 'is lost' "$EB_TMP/sub.err")" 1
	add t 21 22
	rcli xreadgroup group $G:t other count 2 streams $S:t '>' >/dev/null
	rcli xdel $S:t 21-0
	run ebsub -ev --claim-idle 1ms t -- true
	assert_equal "$status" 1
	assert_output --partial "'t' 21-0 is lost"
	assert_output --partial "1 handled, 0 failed attempts, 0 postponed, 0 dead letters, 1 lost, 1 taken over"
	assert_equal "$(pending t)" 0
}
