#!/usr/bin/env bats
# covers: lib/redis lib/report
# ebgroup retire and reap under load: large groups, active consumers, kills at any point, and servers without scripts.

# shellcheck disable=SC2016,SC2030,SC2031,SC2154  # bats: a test is a subshell; conditions are shell

load ../support/helper
load ../support/chaos

setup_file() {
	redis_start_tcp
}

setup() {
	need jq python3
	redis_alive || redis_restart
	redis_flush
	rcli acl setuser default +@all >/dev/null
	URL=$EB_REDIS_URL
}

K=quantum:stream:t
G=quantum:group:eventbus:t

# dead CONSUMERS EACH DELIVERIES [PREFIX]: makes consumers PREFIX1 ... with EACH pending entries, delivered DELIVERIES times.
dead() {
	rcli eval "
		for c = 1, $1 do
			for i = 1, $2 do redis.call('XADD', KEYS[1], '*', 'n', i) end
			if c == 1 then pcall(redis.call, 'XGROUP', 'CREATE', KEYS[1], ARGV[1], '0') end
			local ids = {}
			for _, e in ipairs(redis.call('XREADGROUP', 'GROUP', ARGV[1], '${4-worker }' .. c, 'COUNT', $2, 'STREAMS', KEYS[1], '>')[1][2]) do
				redis.call('XCLAIM', KEYS[1], ARGV[1], '${4-worker }' .. c, 0, e[1], 'RETRYCOUNT', $3, 'IDLE', 7200000, 'JUSTID')
			end
		end" 1 "$K" "$G" >/dev/null
}

# Prints XPENDING's summary: COUNT LOWEST HIGHEST CONSUMER N ...
summary() {
	rcli xpending "$K" "$G" | xargs
}

pending_count() {
	rcli xpending "$K" "$G" | head -1
}

consumers() {
	rcli xinfo consumers "$K" "$G" | sed -n '/^name$/{n;p}' | sort | xargs
}

# Prints the pending IDs that are in the stream, each once.
held() {
	ebgroup pending t -j | jq -r .id
}

stream_ids() {
	rcli xrange "$K" - + | grep -xE '[0-9]+-[0-9]+'
}

# Makes a user with all rights but these and sets EB_REDIS_URL to it.
as_user_without() {
	rcli acl setuser less reset on '>x' '~*' '+@all' "$@" >/dev/null
	EB_REDIS_URL=redis://less:x@127.0.0.1:$REDIS_PORT
}

@test "36 000 pending entries of 40 dead consumers: moved with count 1 and their idle time, no consumer left" {
	dead 40 900 7
	assert_equal "$(pending_count)" 36000
	rcli config resetstat
	run -0 --separate-stderr ebgroup reap --yes --idle 0 t
	# At most a thousand in each call.
	(($(rcli info commandstats | sed -nE 's/^cmdstat_eval:calls=([0-9]+).*/\1/p') >= 36))
	assert_equal "$stderr" ""
	assert_equal "$(grep -cE '^t +worker [0-9]+ +900 .* 900 +0  deleted$' <<<"$output")" 40
	assert_equal "$(consumers)" eb-retired
	assert_equal "$(pending_count)" 36000
	diff <(held) <(stream_ids)
	run -0 --separate-stderr bash -c 'ebgroup pending -j t | jq -s -c "[([.[].deliveries] | unique), ([.[].idle_ms] | min > 7200000 - 1)]"'
	assert_equal "$output" '[[1],true]'
	# The consumer that claimed them is not idle for long enough, and is left alone while it holds them.
	run -0 ebgroup reap --yes --idle 0 t
	assert_output ""
	# Claims them as an ebsub would; then the last consumer may be deleted.
	rcli eval "for _, e in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 36000)) do redis.call('XACK', KEYS[1], ARGV[1], e[1]) end" \
		1 "$K" "$G" >/dev/null
	run -0 ebgroup reap --yes --idle 0 t
	assert_equal "$(consumers)" ""
}

fill() {
	rcli eval "for i = 1, $1 do redis.call('XADD', KEYS[1], '*', 'n', i) end redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0')" \
		1 "$K" "$G" >/dev/null
}

# --- counts ----------------------------------------------------------------------------

counts() {
	ebgroup pending -j t | jq -c '[.consumer, .deliveries, .attempts]' | sort -u | xargs
}

@test "the delivery count becomes 1 from a foreign consumer to an ebsub consumer, else it stays" {
	dead 1 3 7 foreign
	ebgroup retire --yes -q t foreign1
	assert_equal "$(counts)" '[eb-retired,1,0]'
	redis_flush
	dead 1 3 4 eb-host-
	ebgroup retire --yes -q t eb-host-1
	assert_equal "$(counts)" '[eb-retired,4,3]'
	ebgroup retire --yes -q --to worker t eb-retired
	assert_equal "$(counts)" '[worker,4,null]'
	ebgroup retire --yes -q --to other t worker
	assert_equal "$(counts)" '[other,4,null]'
}

# Prints ID, count and second of delivery of each pending entry.
times() {
	ebgroup pending -j t | jq -r '[.id, .deliveries, (.delivered_at[0:19] + "Z" | fromdate)] | @tsv'
}

@test "each entry keeps its own time" {
	local i
	fill 40
	rcli xreadgroup group "$G" one count 40 streams "$K" '>' >/dev/null
	for i in $(stream_ids | sed -n '3~7p;4~7p;5~7p'); do
		echo "XCLAIM $K $G one 0 $i TIME 1$((600000 + RANDOM))000000 JUSTID"
	done | rcli >/dev/null
	times >"$EB_TMP/before"
	[ "$(cut -f3 "$EB_TMP/before" | sort -u | wc -l)" -gt 8 ]
	run -0 ebgroup retire --yes -q t one
	assert_equal "$(consumers)" eb-retired
	# Allows for the time between reading the server's clock and reading the entries.
	run -0 awk 'NR == FNR { was[$1] = $3; next } !($1 in was) || $2 != 1 || was[$1] - $3 > 30 || $3 - was[$1] > 30' \
		"$EB_TMP/before" <(times)
	assert_output ""
	assert_equal "$(times | wc -l)" 40
}

@test "entries that were deleted from the stream are counted as lost and do not stop a retire" {
	dead 3 5 2
	rcli xtrim "$K" maxlen 7 >/dev/null
	run -0 --separate-stderr ebgroup reap --yes -j --idle 0 t
	assert_equal "$(jq -s -c 'map([.consumer, .pending, .moved, .lost, .deleted])' <<<"$output")" \
		'[["worker 1",5,0,5,true],["worker 2",5,2,3,true],["worker 3",5,5,0,true]]'
	assert_equal "$stderr" "ebgroup: 't': 8 pending entries lost: trimmed or deleted from the stream"
	assert_equal "$(consumers)" eb-retired
	diff <(held) <(stream_ids)
}

# --- active consumers ---------------------------------------------------------------------

# Reaps until the crowd has ended; counts in REAPS. Every consumer is idle for at least 0 ms.
reap_beside_crowd() {
	local rc
	REAPS=0
	bg crowd python3 "$TOP/tests/fault/crowd.py" read "$REDIS_SOCK" "$K" "$G" "$EB_TMP/acked" 60
	while kill -0 "${BG[crowd]}" 2>/dev/null; do
		rc=0
		timeout 30 ebgroup reap --yes -q --idle 0 t 2>>"$EB_TMP/reap.err" || rc=$?
		REAPS=$((REAPS + 1))
		[ $rc = 0 ] || { cat "$EB_TMP/reap.err"; fail "reap: $rc"; }
	done
	bg_wait crowd 90
	assert_equal "$status: $(<"$EB_TMP/crowd.err")" "0: "
}

judge_crowd() {
	run timeout 60 python3 "$TOP/tests/fault/crowd.py" check "$REDIS_SOCK" "$K" "$G" "$EB_TMP/acked"
	echo "# $REAPS runs beside it: ${lines[0]}" >&3
	assert_success
}

@test "six consumers start, read, acknowledge, claim and die during reaps: every entry is pending or acknowledged" {
	fill 8000
	reap_beside_crowd
	[ "$REAPS" -ge 3 ] || fail "only $REAPS runs"
	judge_crowd
	run -0 ebgroup reap --yes -q --idle 0 t
	assert_equal "$(consumers)" eb-retired
	judge_crowd
}

@test "two reaps at once, each to another consumer: every entry is pending or acknowledged" {
	fill 6000
	bg other bash -c 'while [ ! -e "$1" ]; do ebgroup reap --yes -q --idle 0 --to third t || exit; done' - "$EB_TMP/over"
	reap_beside_crowd
	touch "$EB_TMP/over"
	bg_wait other
	assert_equal "$status: $(<"$EB_TMP/other.err")" "0: "
	judge_crowd
}

@test "a consumer that is not idle for long enough, or became active again, is left alone" {
	dead 2 3 1
	run -0 ebgroup reap --yes --idle 1h t
	assert_output ""
	assert_equal "$(consumers)" 'worker 1 worker 2'
	wait_for "ebgroup consumers -j --idle 0.3 t | grep -q 'worker 2'"
	rcli xreadgroup group "$G" 'worker 1' count 1 streams "$K" 0 >/dev/null
	run -0 ebgroup reap --yes -j --idle 0.3 t
	assert_equal "$(jq -r .consumer <<<"$output")" 'worker 2'
	assert_equal "$(consumers)" 'eb-retired worker 1'
}

# The consumer is idle when it is listed, and not when the script runs.
@test "the script checks again whether the consumers are idle" {
	dead 2 3 1
	wait_for "ebgroup consumers -j --idle 1 t | grep -q 'worker 2'"
	bg late python3 "$TOP/tests/support/proxy.py" "$EB_TMP/p" "$REDIS_SOCK" late 0.4
	wait_for "test -S '$EB_TMP/p'"
	# Each request waits for the reply of the one before, and each reply is this late.
	bg reap ebgroup -u "unix://$EB_TMP/p" reap --yes -j --idle 1 t
	wait_for "rcli client list | grep -q 'cmd=xinfo|consumers'"
	rcli xreadgroup group "$G" 'worker 1' count 1 streams "$K" 0 >/dev/null
	bg_wait reap
	assert_equal "$status: $(jq -s -c 'map([.consumer, .moved, .deleted, .result])' <"$EB_TMP/reap.out")" \
		'0: [["worker 1",0,false,"kept: in use again"],["worker 2",3,true,"deleted"]]'
	assert_equal "$(consumers)" 'eb-retired worker 1'
}

@test "a consumer that is deleted while it blocks in a read gets later entries under its name" {
	rcli xgroup create "$K" "$G" 0 mkstream
	rcli xgroup createconsumer "$K" "$G" patient
	bg reader "$(redis_cli_program)" -s "$REDIS_SOCK" xreadgroup group "$G" patient block 0 streams "$K" '>'
	wait_for "rcli client list | grep -q cmd=xreadgroup"
	run -0 ebgroup reap --yes -q --idle 0 t
	assert_equal "$(consumers)" ""
	rcli xadd "$K" '*' n 1
	bg_wait reader
	assert_equal "$(consumers)" patient
	assert_equal "$(pending_count)" 1
}

# --- killed ------------------------------------------------------------------------------------

@test "reap killed again and again: 36 000 entries are pending throughout, and the last run ends it" {
	local kills=0 tries rc most=30
	dead 40 900 7
	for ((tries = 0; tries < 200 && kills < 30; tries++)); do
		rc=0
		timeout -s KILL 0.0"$(printf %02d $((RANDOM % most + 2)))" ebgroup reap --yes --idle 0 t >/dev/null || rc=$?
		case $rc in
		137) kills=$((kills + 1)); [ $most -gt 90 ] || most=$((most + 2)) ;;
		0)
			[ $most -lt 5 ] || most=$((most - 3))
			# It completed: start again with the full group.
			rcli xgroup delconsumer "$K" "$G" eb-retired >/dev/null
			redis_flush
			dead 40 900 7
			;;
		*) fail "reap: $rc" ;;
		esac
		assert_equal "$(pending_count)" 36000
	done
	echo "# seed $SEED: $kills kills in $tries runs" >&3
	[ $kills -ge 10 ] || fail "only $kills kills"
	run -0 ebgroup reap --yes -q --idle 0 t
	assert_equal "$(consumers)" eb-retired
	diff <(held) <(stream_ids)
}

# killed_before CALL N: runs a reap that is killed before its Nth CALL; the status is in RC.
killed_before() {
	redis_flush
	dead 3 40 7
	RC=0
	# A subshell keeps the message "Killed" out of the output.
	(strace -f -o "$EB_TMP/trace" -e "trace=$1" -e "inject=$1:signal=KILL:when=$2" ebgroup reap --yes --idle 0 t >/dev/null 2>&1) \
		2>/dev/null || RC=$?
	diff <(held) <(stream_ids) || fail "killed before $1 $2: $(summary)"
	run -0 ebgroup reap --yes -q --idle 0 t
	assert_equal "$(consumers)" eb-retired
	diff <(held) <(stream_ids) || fail "after the kill before $1 $2: $(summary)"
}

# bats test_tags=nosanitize
@test "reap killed before each of its calls: what was pending is, and the next run ends it" {
	local call n kills=0
	need strace
	strace -o /dev/null -e inject=getpid:signal=KILL:when=1 true 2>/dev/null || skip "strace cannot trace here"
	for call in connect sendto recvfrom poll write close; do
		for ((n = 1, RC = 137; RC != 0; n++)); do
			killed_before $call $n
			[ $RC = 0 ] || kills=$((kills + 1))
		done
	done
	echo "# $kills kills" >&3
	[ $kills -gt 10 ] || fail "only $kills kills"
}

@test "Redis killed while a large group is reaped: nothing is lost, run again it goes on" {
	redis_start_tcp --appendonly yes --appendfsync always
	dead 40 900 7
	bg reap ebgroup reap --yes -q --idle 0 t
	wait_for 'rcli xinfo consumers "$K" "$G" | grep -q eb-retired' 5 || :
	redis_kill
	bg_wait reap
	case $status in 0 | 69) ;; *) fail "reap: $status $(<"$EB_TMP/reap.err")" ;; esac
	redis_restart
	assert_equal "$(pending_count)" 36000
	run -0 ebgroup reap --yes -q --idle 0 t
	assert_equal "$(consumers)" eb-retired
	diff <(held) <(stream_ids)
	redis_start_tcp
}

# --- refusals ----------------------------------------------------------------------------------

@test "no permission for EVAL: nothing is deleted, the right is named, 77; a server without EVAL: 1" {
	dead 2 3 1
	rcli xgroup createconsumer "$K" "$G" empty >/dev/null
	as_user_without -eval
	run -77 --separate-stderr ebgroup reap --yes -j --idle 0 t
	assert_equal "$(jq -s -c 'map([.consumer, .moved, .deleted])' <<<"$output")" \
		'[["empty",0,false],["worker 1",0,false],["worker 2",0,false]]'
	assert_equal "${#stderr_lines[@]}" 1
	assert_regex "$stderr" "^ebgroup: 't': consumers are not deleted without the right to use EVAL: NOPERM "
	assert_equal "$(consumers)" 'empty worker 1 worker 2'
	assert_equal "$(pending_count)" 6
	EB_REDIS_URL=$URL
	redis_start_tcp --rename-command EVAL ''
	rcli xadd "$K" 1-0 a b
	rcli xgroup create "$K" "$G" 0
	rcli xreadgroup group "$G" full streams "$K" '>'
	run -1 ebgroup reap --yes --idle 0 t
	assert_line --partial "without the right to use EVAL: ERR unknown command"
	assert_equal "$(consumers)" full
	redis_start_tcp
}

@test "no permission for a command in the script: 77, the command named, nothing lost" {
	dead 2 3 1
	local before command
	before=$(held)
	for command in xclaim xpending 'xgroup|delconsumer' 'xinfo|consumers'; do
		as_user_without "-$command"
		run -77 ebgroup reap --yes --idle 0 t
		EB_REDIS_URL=$URL
		assert_equal "$(held)" "$before"
	done
}

@test "a consumer that reads again just before it is deleted: its entries are moved" {
	fill 5
	rcli xgroup createconsumer "$K" "$G" empty >/dev/null
	bg proxy python3 "$TOP/tests/support/proxy.py" "$EB_TMP/p" "$REDIS_SOCK" once \
		"EVAL=$(redis_cli_program) -s '$REDIS_SOCK' xreadgroup group '$G' empty count 3 streams '$K' '>'"
	wait_for "test -S '$EB_TMP/p'"
	run -0 --separate-stderr ebgroup reap --yes -j --idle 0 -u "unix://$EB_TMP/p" t
	assert_equal "$stderr" ""
	assert_equal "$(jq -c '[.consumer, .pending, .moved, .lost, .deleted]' <<<"$output")" '["empty",0,3,0,true]'
	assert_equal "$(consumers)" eb-retired
	assert_equal "$(counts)" '[eb-retired,1,0]'
	diff <(held) <(stream_ids | head -3)
}
