#!/usr/bin/env bats
# covers: lib/handle
# ebsub --worker, and how ebsub stops with workers and with commands.

# shellcheck disable=SC2016,SC2030,SC2031,SC2086,SC2154  # bats: a test is a subshell; commands expand their own words; no key has spaces

load ../support/helper
load ../support/handle

setup_file() {
	redis_start
}

setup() {
	handle_setup
}

# --- workers -------------------------------------------------------------------------------------------------

@test "a worker: a line in, a line out; ok, retry, dead" {
	add t 1 3
	run ebsub -e --retry-base 20ms --worker t -- sh -c 'while read -r l; do
		echo "$l" >>"$LOG"
		case $l in
		*\"id\":\"1-0\"*) echo ok ;;
		*\"id\":\"2-0\"*) [ -e "$LOG.2" ] && echo ok || echo retry not yet; : >"$LOG.2" ;;
		*) echo dead no good ;;
		esac
	done'
	assert_equal "$status" 1
	assert_equal "$(jq -c '[.id, .payload, .deliveries]' "$LOG" | xargs)" "[1-0,1,1] [2-0,2,1] [3-0,3,1] [2-0,2,1]"
	assert_equal "$(pending t) $(dead id) $(dead attempts)" "0 3-0 1"
	assert_equal "$(dead status)" "dead no good"
}

@test "a worker that dies: its unanswered entries count a failed attempt; the entry that kills it is then tried alone" {
	add t 1 100
	run timeout 60 ebsub -e --claim-idle 10m --retry-base 500ms --retry-max 500ms --max-deliveries 3 --worker t -- sh -c 'while read -r l; do
		case $l in
		*\"id\":\"15-0\"*) kill -9 $$ ;;
		*) echo "$l" >>"$LOG"; sleep 0.02; echo ok ;;
		esac
	done'
	assert_equal "$status" 1
	assert_output --partial "the worker ended (signal 9)"
	assert_equal "$(pending t): $(dead id): $(dead attempts): $(dead status)" "0: 15-0: 3: worker: signal 9"
	assert_equal "$(jq .payload "$LOG" | sort -n | uniq -d | wc -l) $(jq .payload "$LOG" | wc -l)" "0 99"
	# Its first death failed at most 15 other entries, later ones none.
	jq 'select(.deliveries > 1).payload' "$LOG" >"$LOG.again"
	[ "$(sort -n "$LOG.again" | tail -1)" -le 31 ]
	[ "$(wc -l <"$LOG.again")" -le 15 ]
}

@test "a worker that hangs, or gives invalid or extra answers, is restarted" {
	add t 1 3
	run -0 ebsub -e --cmd-timeout 1s --retry-base 20ms --worker t -- sh -c '
		[ -e "$LOG.1" ] || { : >"$LOG.1"; read -r l; exec sleep 60; }
		[ -e "$LOG.2" ] || { : >"$LOG.2"; read -r l; echo fine; read -r l; }
		[ -e "$LOG.3" ] || { : >"$LOG.3"; read -r l; printf "%5000d" 0; read -r l; }
		while read -r l; do echo ok; done'
	assert_output --partial "the worker answered 'fine', not ok, retry or dead; restarting it"
	assert_equal "$(pending t) $(rcli exists $D:t)" "0 0"
}

# bats test_tags=nosanitize
@test "20 000 entries to be tried later: 10 000 wait, reading pauses, memory is bounded" {
	local now=0 last=
	need time
	rcli eval "for i = 1, 20000 do redis.call('XADD', KEYS[1], i .. '-0', 'payload', string.rep('x', 1000)) end" 1 $S:t
	bg sub time -q -f %M -o "$EB_TMP/rss" ebsub --retry-base 1h --retry-max 1h --worker t -- sed -u s/.*/retry/
	wait_for "[ \$(pending t) -ge 10000 ]" 60
	until [ "$now" = "$last" ]; do # for a second nothing more was read
		last=$now
		sleep 1
		now=$(pending t)
	done
	[ "$now" -lt 11500 ]
	kill "$(pgrep -P "${BG[sub]}" ebsub)"
	bg_wait sub
	assert [ "$(tail -1 "$EB_TMP/rss")" -lt 32768 ]
	assert_equal "$(rcli exists $D:t)" 0
}

# --- stopping ---------------------------------------------------------------------------------------------------------

@test "SIGTERM: what runs may finish and is acknowledged, the rest stays pending or unread" {
	add t 1 9
	bg sub ebsub -v -P 2 t -- sh -c 'echo "$EB_ID" >>"$LOG"; until [ -e "$LOG.go" ]; do sleep 0.05; done'
	wait_for "[ \$(wc -l <'$LOG') = 2 ]"
	kill "${BG[sub]}"
	sleep 0.3
	kill -0 "${BG[sub]}"
	touch "$LOG.go"
	bg_wait sub
	assert_equal "$status $(sort "$LOG" | xargs)" "0 1-0 2-0"
	grep -q "2 handled, 0 failed" "$EB_TMP/sub.err"
	run -0 ebsub -e t -- sh -c 'echo "$EB_ID $EB_DELIVERIES"'
	assert_equal "$(xargs <<<"$output")" "3-0 1 4-0 1 5-0 1 6-0 1 7-0 1 8-0 1 9-0 1"
}

@test "SIGTERM: a worker answers what it has, and then its input ends" {
	local n
	add t 1 200
	bg sub ebsub --worker t -- sh -c 'while read -r l; do echo >>"$LOG"; sleep 0.05; echo ok; done; echo end >>"$LOG"'
	wait_for "[ \$(wc -l <'$LOG') -ge 3 ]"
	kill "${BG[sub]}"
	bg_wait sub
	assert_equal "$status $(tail -1 "$LOG")" "0 end"
	n=$(($(wc -l <"$LOG") - 1))
	run -0 ebsub -e t -- sh -c 'echo "$EB_DELIVERIES"'
	assert_equal "$(wc -l <<<"$output") $(sort -u <<<"$output")" "$((200 - n)) 1"
}

@test "after --stop-timeout a command gets SIGTERM, then SIGKILL, and the attempt does not count" {
	local what
	add t 1 1
	for what in 'trap "echo told >>\"\$LOG\"; exit 1" TERM' 'trap "" TERM'; do
		: >"$LOG"
		bg sub ebsub --stop-timeout 200ms t -- sh -c "$what"'; echo $$ >>"$LOG"; while :; do sleep 0.05; done'
		wait_for "[ -s '$LOG' ]"
		kill "${BG[sub]}"
		bg_wait sub
		assert_equal "$status" 0
		run ! kill -0 "$(head -1 "$LOG")"
		assert_equal "$(counts t)" "1-0 1"
	done
	: >"$LOG"
	bg sub ebsub --stop-timeout 200ms --worker t -- sh -c 'read -r l; echo $$ >>"$LOG"; exec sleep 60'
	wait_for "[ -s '$LOG' ]"
	kill "${BG[sub]}"
	bg_wait sub
	assert_equal "$status $(counts t)" "0 1-0 1"
}

@test "a second SIGTERM ends it at once" {
	add t 1 1
	bg sub ebsub t -- sh -c 'echo $$ >"$LOG"; exec sleep 60'
	wait_for "[ -s '$LOG' ]"
	kill "${BG[sub]}"
	sleep 0.2
	kill "${BG[sub]}"
	bg_wait sub 5
	assert_equal "$status $(counts t)" "143 1-0 2"
	kill "$(cat "$LOG")" || :
}

@test "the reader of its stdout exits: 74, and events that fail because of it are not dead-lettered" {
	local cmd
	add t 1 2000
	# The command may be killed by SIGPIPE or ignore it.
	for cmd in 'seq 100000' 'trap "" PIPE; seq 100000 2>/dev/null'; do
		run --separate-stderr bash -c "ebsub --max-deliveries 1 t -- sh -c '$cmd' | head -1; exit \${PIPESTATUS[0]}"
		assert_equal "$status" 74
		assert_output 1
		assert_equal "$(rcli exists $D:t)" 0
	done
	need python3
	run -0 python3 -c "
import socket, subprocess
ours, theirs = socket.socketpair()
p = subprocess.Popen(['ebsub', 't', '--', 'sleep', '0.1'], stdout=theirs)
theirs.close()
ours.close()
print(p.wait(20))"
	assert_line 74
}
