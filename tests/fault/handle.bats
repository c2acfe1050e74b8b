#!/usr/bin/env bats
# covers: lib/handle lib/consume
# ebsub -- COMMAND under faults: commands that fail, kills of ebsub, server outages, entries of other consumers.
#
# A failed run of handling.py prints its seed and keeps its folder.

# shellcheck disable=SC2016,SC2030,SC2031,SC2086,SC2154  # bats: a test is a subshell; commands expand their own words; no key has spaces

load ../support/helper
load ../support/handle

setup_file() {
	redis_start --appendonly yes
}

setup() {
	handle_setup
}

handling() {
	need python3
	run python3 "$TOP/tests/fault/handling.py" ${EB_SEED:+--seed "$EB_SEED"} "$@" 3>&- 4>&-
	printf '# %s\n' "${lines[@]}" >&3
	assert_success
	assert_line --regexp ' found=0$'
}

# --- everything at once ---------------------------------------------------------------------------

@test "commands fail, die and hang, ebsub is killed twenty times: handled or dead, not both; attempts are right" {
	handling --events 150
}

@test "the same with two readers, four commands each, and Redis killed" {
	handling --events 150 --jobs 4 --readers 2 --kills 8 --restarts 2
}

@test "the same with workers" {
	handling --events 150 --worker --kills 4 --restarts 1
}

# bats test_tags=long,nosanitize
@test "10 000 events through commands" {
	handling --events 10000
}

# bats test_tags=long,nosanitize
@test "10 000 events through two readers, four commands each, and Redis killed" {
	handling --events 10000 --jobs 4 --readers 2 --restarts 5
}

# bats test_tags=long,nosanitize
@test "10 000 events through a worker" {
	handling --events 10000 --worker
}

# bats test_tags=long,nosanitize
@test "10 000 events through two readers, four workers each, and Redis killed" {
	handling --events 10000 --worker --jobs 4 --readers 2 --restarts 5
}

# --- counting attempts ----------------------------------------------------------------------------

@test "ten kills before a command begins leave every count as it is" {
	local i
	add t 1 9
	proxy hold RETRYCOUNT
	for ((i = 1; i <= 10; i++)); do
		bg sub ebsub -u "$PROXY" -t 60 -P 3 t -- false
		wait_for "[ \$(wc -l <'$EB_TMP/proxy.out') = $i ]"
		kill -KILL "${BG[sub]}"
		bg_wait sub
		assert_equal "$(counts t)" "$(printf '%s-0 1\n' 1 2 3)"
	done
	run -0 ebsub -e t -- sh -c 'echo $EB_DELIVERIES'
	assert_equal "$output" "$(printf '1\n%.0s' {1..9})"
}

@test "a kill of ebsub while a command runs counts; the last one is the end" {
	local i
	add t 1 1
	for i in 1 2 3; do
		bg sub ebsub --max-deliveries 3 t -- sh -c 'echo $$ >"$LOG.pid"; echo $EB_DELIVERIES >>"$LOG"; exec sleep 60'
		wait_for "[ \$(wc -l <'$LOG') = $i ]"
		assert_equal "$(counts t)" "1-0 $((i + 1))"
		kill -KILL "${BG[sub]}"
		bg_wait sub
		kill -KILL "$(cat "$LOG.pid")"
	done
	assert_equal "$(xargs <"$LOG")" "1 2 3"
	run ebsub -e --max-deliveries 3 t -- true
	assert_equal "$status" 1
	assert_equal "$(pending t) $(rcli xlen $D:t)" "0 1"
	assert_equal "$(rcli xrange $D:t - + | grep -A 1 -E 'dead_(attempts|status)' | grep -v -- -- | xargs)" \
		"dead_attempts 3 dead_status ebsub ended during the attempt"
}

# foreign N: makes N entries, pending for an hour with 40 foreign consumers, delivered seven times.
foreign() {
	rcli eval "
		local n = tonumber(ARGV[1])
		redis.call('XGROUP', 'CREATE', KEYS[1], KEYS[2], 0, 'MKSTREAM')
		for i = 1, n do redis.call('XADD', KEYS[1], i .. '-0', 'payload', i) end
		for i = 1, 40 do
			local r = redis.call('XREADGROUP', 'GROUP', KEYS[2], 'worker-' .. i, 'COUNT', n / 40, 'STREAMS', KEYS[1], '>')
			for _, e in ipairs(r[1][2]) do
				redis.call('XCLAIM', KEYS[1], KEYS[2], 'worker-' .. i, 0, e[1], 'IDLE', 3600000, 'RETRYCOUNT', 7, 'JUSTID')
			end
		end" 2 $S:t $G:t "$1" >/dev/null
	assert_equal "$(pending t) $(counts t | cut -d' ' -f2 | sort -u)" "$1 7"
}

# all_handled N: checks that $LOG has the payloads 1 to N once each, and that no entry is pending or dead.
all_handled() {
	diff <(sort -n "$LOG") <(seq "$1")
	assert_equal "$(pending t) $(rcli exists $D:t)" "0 0"
}

@test "pending entries of foreign consumers with high counts are handled, by commands and by a worker" {
	foreign 200
	run -0 ebsub -e -P 4 t -- sh -c 'read -r n; echo "$n" >>"$LOG"; [ $EB_DELIVERIES = 1 ]'
	all_handled 200
	: >"$LOG"
	redis_flush
	foreign 2000
	run -0 ebsub -ev --worker t -- sh -c 'tee "$LOG.json" | sed -u s/.*/ok/'
	assert_output --partial "2000 handled, 0 failed attempts, 0 postponed, 0 dead letters, 0 lost, 2000 taken over from others"
	assert_equal "$(jq .deliveries "$LOG.json" | sort -u)" 1
	jq .payload "$LOG.json" >"$LOG"
	all_handled 2000
}

# bats test_tags=long,nosanitize
@test "36 000 pending entries of 40 foreign consumers are handled by one ebsub" {
	foreign 36000
	run -0 ebsub -e -P 2 t -- sh -c 'read -r n; echo "$n" >>"$LOG"'
	all_handled 36000
}

@test "leases: slow events are not claimed by another ebsub, each handled once" {
	local idle=2 n=8
	add t 1 $n
	bg one ebsub --claim-idle ${idle}s -W 4 t -- sh -c 'read -r n; echo "$n" >>"$LOG"; sleep 1'
	bg two ebsub --claim-idle ${idle}s -W 4 t -- sh -c 'read -r n; echo "$n" >>"$LOG"; sleep 1'
	bg_wait one
	bg_wait two
	all_handled $n
}

@test "leases: entries that wait in a worker's input are not claimed either" {
	add t 1 16
	bg one ebsub --claim-idle 1s -W 4 --worker t -- sh -c 'while read -r l; do sleep 0.8; echo "$l" >>"$LOG.json"; echo ok; done'
	wait_for "[ \$(pending t) -ge 2 ]"
	bg two ebsub --claim-idle 1s -W 4 --worker t -- sh -c 'while read -r l; do sleep 0.8; echo "$l" >>"$LOG.json"; echo ok; done'
	bg_wait one
	bg_wait two
	jq .payload "$LOG.json" >"$LOG"
	all_handled 16
}

# An own entry that was idle for long may be claimed by any consumer until ebsub renews it.
@test "old pending entries of its own that another ebsub wants to claim: handled once" {
	foreign 40
	rcli eval "for i = 1, 40 do redis.call('XCLAIM', KEYS[1], KEYS[2], 'eb-one', 0, i .. '-0', 'IDLE', 7200000, 'RETRYCOUNT', 1, 'JUSTID') end" \
		2 $S:t $G:t >/dev/null
	proxy hold RETRYCOUNT
	bg one ebsub -u "$PROXY" -C eb-one -e -t 60 -P 4 --claim-idle 1h t -- sh -c 'read -r n; echo "$n" >>"$LOG"'
	wait_for "grep -q held '$EB_TMP/proxy.out'"
	bg two ebsub -C eb-two -e -P 4 --claim-idle 1h t -- sh -c 'read -r n; echo "$n" >>"$LOG"; until [ -e "$LOG.go" ]; do sleep 0.05; done'
	wait_for "[ \$(wc -l <'$LOG') = 4 ]"
	touch "$EB_TMP/p.go"
	wait_for "[ \$(wc -l <'$LOG') -ge 8 ]"
	touch "$LOG.go"
	bg_wait one
	bg_wait two
	all_handled 40
}

# bats test_tags=long
@test "leases: twenty events of half of --claim-idle each, one at a time, with other ebsub that claim" {
	add t 1 20
	for i in 1 2 3; do
		bg "$i" ebsub --claim-idle 2s -W 6 t -- sh -c 'read -r n; echo "$n" >>"$LOG"; sleep 1'
	done
	bg_wait 1
	bg_wait 2
	bg_wait 3
	all_handled 20
}

# --- server outages ------------------------------------------------------------------------------------

@test "Redis killed while commands run: acknowledged when it is back, none is handled twice" {
	add t 1 4
	bg sub ebsub -e -t 20 -P 2 t -- sh -c 'echo "$EB_ID $EB_DELIVERIES" >>"$LOG"; until [ -e "$LOG.go" ]; do sleep 0.05; done'
	wait_for "[ \$(wc -l <'$LOG') = 2 ]"
	redis_kill
	touch "$LOG.go"
	wait_for "grep -q 'trying again' '$EB_TMP/sub.err'"
	redis_restart
	bg_wait sub
	assert_equal "$status" 0
	assert_equal "$(sort "$LOG" | xargs)" "1-0 1 2-0 1 3-0 1 4-0 1"
	assert_equal "$(pending t)" 0
}

@test "Redis stopped while a command runs: the same" {
	add t 1 3
	bg sub ebsub -e -t 0.5 t -- sh -c 'echo "$EB_ID $EB_DELIVERIES" >>"$LOG"; until [ -e "$LOG.go" ]; do sleep 0.05; done'
	wait_for "[ -s '$LOG' ]"
	redis_pause
	touch "$LOG.go"
	wait_for "grep -q 'trying again' '$EB_TMP/sub.err'"
	redis_resume
	bg_wait sub
	assert_equal "$(sort "$LOG" | xargs)" "1-0 1 2-0 1 3-0 1"
	assert_equal "$(pending t)" 0
}

@test "Redis killed with XACKs unanswered: they are sent again" {
	add t 1 4
	bg sub ebsub -e -t 20 -P 4 t -- sh -c 'echo "$EB_ID $EB_DELIVERIES" >>"$LOG"; until [ -e "$LOG.go" ]; do sleep 0.05; done; echo >>"$LOG.gone"'
	wait_for "[ \$(wc -l <'$LOG') = 4 ]"
	redis_pause
	touch "$LOG.go"
	wait_for "[ \$(wc -l <'$LOG.gone') = 4 ] && [ -z \"\$(pgrep -P ${BG[sub]})\" ]"
	sleep 0.2
	redis_kill
	redis_restart
	bg_wait sub
	assert_equal "$status $(sort "$LOG" | xargs) $(pending t)" "0 1-0 1 2-0 1 3-0 1 4-0 1 0"
}

@test "a connection lost while all commands are busy: -e goes on when it is back" {
	add t 1 2
	bg sub ebsub -e -t 0.5 t -- sh -c 'echo "$EB_ID" >>"$LOG"; until [ -e "$LOG.go" ]; do sleep 0.05; done'
	wait_for "[ -s '$LOG' ]"
	rcli client kill type normal skipme yes >/dev/null
	wait_for "grep -q 'trying again' '$EB_TMP/sub.err'"
	wait_for "[ \$(rcli client list type normal | wc -l) = 3 ]"
	sleep 1
	touch "$LOG.go"
	bg_wait sub
	assert_equal "$status" 0
	assert_equal "$(xargs <"$LOG") $(pending t)" "1-0 2-0 0"
}

@test "a connection lost with the reply to a claim of another consumer's entries: -e handles them" {
	add t 1 3
	rcli xgroup create $S:t $G:t 0 >/dev/null
	rcli xreadgroup group $G:t eb-gone-1 streams $S:t '>' >/dev/null
	sleep 0.6
	proxy mute JUSTID
	run -0 ebsub -u "$PROXY" -e --claim-idle 500ms -P 5 t -- sh -c 'echo "$EB_ID $EB_DELIVERIES" >>"$LOG"'
	assert_output --partial "trying again"
	assert_equal "$(sort "$LOG" | xargs) $(pending t)" "1-0 1 2-0 1 3-0 1 0"
}

@test "an outage longer than --claim-idle: a running event is acknowledged when no other ebsub claimed it" {
	local busy
	add t 1 1
	bg one ebsub -t 20 --claim-idle 1s t -- sh -c 'echo "one $EB_DELIVERIES" >>"$LOG"; until [ -e "$LOG.go" ]; do sleep 0.05; done'
	wait_for "[ -s '$LOG' ]"
	bg two ebsub -t 20 --claim-idle 1s t -- sh -c 'echo "two $EB_DELIVERIES" >>"$LOG"'
	wait_for "[ \$(rcli client list | grep -c cmd=xreadgroup) -ge 1 ]"
	redis_pause
	sleep 1.5
	busy=$(ticks one)
	sleep 1.5
	busy=$(($(ticks one) - busy))
	redis_resume
	sleep 3
	touch "$LOG.go"
	wait_for "[ \$(pending t) = 0 ]"
	assert_equal "$(cat "$LOG")" "one 1"
	[ "$busy" -lt 40 ] || fail "it was busy for $busy ticks of 150 while it waited"
}

@test "an outage longer than --claim-idle, after which the command fails: retried, not lost" {
	add t 1 1
	bg sub ebsub -t 20 -e -P 2 --claim-idle 1s --retry-base 100ms t -- \
		sh -c 'echo $EB_DELIVERIES >>"$LOG"; [ $EB_DELIVERIES = 2 ] || { until [ -e "$LOG.go" ]; do sleep 0.05; done; false; }'
	wait_for "[ -s '$LOG' ]"
	redis_pause
	sleep 2
	redis_resume
	sleep 1.2
	touch "$LOG.go"
	bg_wait sub
	assert_equal "$status $(xargs <"$LOG") $(pending t)" "0 1 2 0"
}

@test "connections lost before an entry is pending in a group that was created again: it is handled" {
	add t 1 1
	proxy once "FORCE=$(redis_cli_program) -s '$REDIS_SOCK' client kill type normal"
	bg sub ebsub -u "$PROXY" --retry-base 2s t -- sh -c 'echo "$EB_ID $EB_DELIVERIES" >>"$LOG"; [ -e "$LOG.go" ]'
	wait_for "[ -s '$LOG' ]"
	touch "$LOG.go"
	# at once: the connections that are closed may be this one
	rcli eval "redis.call('XGROUP', 'DESTROY', KEYS[1], KEYS[2]) redis.call('XADD', KEYS[1], '2-0', 'event_type', 't', 'payload', '2')" \
		2 $S:t $G:t >/dev/null || :
	wait_for "[ \$(wc -l <'$LOG') = 3 ]" 10
	kill "${BG[sub]}"
	bg_wait sub
	assert_equal "$(sort "$LOG" | xargs) $(pending t)" "1-0 1 1-0 2 2-0 1 0"
	grep -q 'trying again' "$EB_TMP/sub.err"
}

@test "the group destroyed, the stream deleted, FLUSHALL: ebsub goes on" {
	add t 1 2
	bg sub ebsub t -- sh -c 'read -r n; echo "$n" >>"$LOG"'
	wait_for "[ \$(wc -l <'$LOG') = 2 ]"
	rcli xgroup destroy $S:t $G:t
	wait_for "grep -q 'had vanished' '$EB_TMP/sub.err'"
	add t 3 3
	wait_for "[ \$(wc -l <'$LOG') = 3 ]"
	rcli del $S:t
	wait_for "[ \$(grep -c 'had vanished' '$EB_TMP/sub.err') = 2 ]"
	add t 4 4
	wait_for "[ \$(wc -l <'$LOG') = 4 ]"
	rcli flushall
	wait_for "[ \$(grep -c 'had vanished' '$EB_TMP/sub.err') = 3 ]"
	add t 5 6
	wait_for "[ \$(wc -l <'$LOG') = 6 ]"
	wait_for "[ \$(pending t) = 0 ]"
	assert_equal "$(xargs <"$LOG")" "1 2 3 4 5 6"
}

@test "the group destroyed while entries wait for a retry: each lost entry is reported" {
	add t 1 3
	bg sub ebsub --retry-base 500ms t -- sh -c 'echo "$EB_ID" >>"$LOG"; [ -e "$LOG.go" ]'
	wait_for "[ \$(wc -l <'$LOG') -ge 3 ]"
	rcli xgroup destroy $S:t $G:t
	touch "$LOG.go"
	: >"$LOG"
	wait_for "[ \$((\$(sort -u '$LOG' | wc -l) + \$(grep -c 'is lost' '$EB_TMP/sub.err'))) -ge 3 ]" 10
}
