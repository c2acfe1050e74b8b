#!/usr/bin/env bats
# covers: lib/drain lib/publish lib/buffer
# Order: a held type does not stop other types; jumping clocks and locks that are not released do not change the
# order within a type.

# shellcheck disable=SC2016,SC2030,SC2031,SC2154  # bats: a test is a subshell

load ../support/helper
load ../support/chaos

setup_file() {
	redis_start_tcp
}

setup() {
	need python3
	redis_show
	redis_resume || :
	redis_alive || redis_restart
	redis_flush
}

# Prints ebstat's held types, "TYPE EVENTS REASON" for each.
held() {
	ebstat -j | jq -r '.buffer.held[] | "\(.event_type) \(.events) \(.reason)"'
}

# Buffers 10 000 events of type fast, with one of type slow (p 1, n 1 to 1 000) before each tenth.
mixture() {
	awk 'BEGIN { for (i = 1; i <= 10000; i++) {
		if (i % 10 == 1) printf "{\"event_type\":\"slow\",\"payload\":{\"p\":1,\"n\":%d}}\n", ++k
		printf "{\"event_type\":\"fast\",\"payload\":{\"p\":2,\"n\":%d}}\n", i
	} }'
}

# Checks the behaviour that does not depend on why type slow is held; REASON is a pattern.
others_go_on() {
	ledger 2 1 10000
	assert_equal "$(rcli xlen quantum:stream:fast)" 10000
	check_streams fast
	run -0 held
	assert_output --regexp "^slow 1000 .*$1"
	# Published directly; an event of the held type is appended after the others.
	run -0 timeout 20 ebpub --maxlen 0 fast '{"p":2,"n":10001}'
	assert_output --regexp '^[0-9]+-[0-9]+$'
	ledger 2 10001 10001
	run timeout 20 ebpub --maxlen 20000 slow '{"p":1,"n":1001}'
	assert_line buffered
	run -75 timeout 20 ebreplay
	assert_output --regexp "'slow' is held: .*$1"
	run -0 held
	assert_output --regexp "^slow 1001 .*$1"
	run ebhealth
	assert_output --partial slow
	[ "$status" -ge 1 ] || fail "ebhealth: $status $output"
	check_streams fast
}

@test "a full stream whose group reads nothing is held; 10 000 events behind it drain; freed, it drains in order" {
	local i
	# Another client filled the stream beyond the default limit of 10 000.
	rcli xgroup create quantum:stream:slow g 0 mkstream >/dev/null
	for ((i = 1; i <= 10300; i++)); do
		echo "XADD quantum:stream:slow * n $i"
	done | rcli >/dev/null
	redis_hide
	mixture | timeout 60 ebpub -q -J
	redis_show
	run -75 timeout 60 ebreplay
	assert_output --regexp "'slow' is held: .*full"
	others_go_on full
	assert_equal "$(rcli xlen quantum:stream:slow)" 10300
	# After they were acknowledged, no group needs the old entries.
	run -0 bash -c 'timeout 60 ebsub -g g -e -q slow | wc -l'
	assert_output 10300
	run -0 timeout 60 ebreplay
	ledger 1 1 1001
	run timeout 60 ebsub -g g -e -q --payload slow
	assert_output "$(numbered 1 1 1001)"
	check_streams slow fast
	no_segments
}

@test "a key without permission is held; 10 000 events behind it drain; permitted, it drains in order" {
	export EB_REDIS_URL=redis://less:x@127.0.0.1:$REDIS_PORT
	redis_stop
	mixture | timeout 60 ebpub -q -J
	redis_restart
	rcli acl setuser less reset on '>x' '~quantum:stream:fast' '~quantum:stream:system.*' '+@all' >/dev/null
	run timeout 60 ebreplay
	[ "$status" = 75 ] || [ "$status" = 77 ] || fail "$status $output"
	assert_output --regexp "'slow' is held: .*(NOPERM|permission)"
	others_go_on 'NOPERM|permission'
	assert_equal "$(rcli exists quantum:stream:slow)" 0
	rcli acl setuser less '~*' >/dev/null
	run -0 timeout 60 ebreplay
	ledger 1 1 1001
	check_streams slow fast
	no_segments
}

@test "a key of the wrong type is held; the others drain; gone, it drains in order" {
	rcli set quantum:stream:slow x >/dev/null
	redis_hide
	mixture | timeout 60 ebpub -q -J
	redis_show
	run -75 timeout 60 ebreplay
	ledger 2 1 10000
	check_streams fast
	assert_equal "$(ebstat -j | jq -c '[.buffer.quarantined, .buffer.held[].event_type]')" '[0,"slow"]'
	rcli del quantum:stream:slow >/dev/null
	run -0 timeout 60 ebreplay
	ledger 1 1 1000
	check_streams slow fast
	no_segments
}

@test "three types held in turns, with kills in between: each in order" {
	local i round t
	redis_hide
	awk 'BEGIN { for (i = 1; i <= 3000; i++)
		printf "{\"event_type\":\"h%d\",\"payload\":{\"p\":%d,\"n\":%d}}\n", i % 3, i % 3, i }' | timeout 60 ebpub -q -J
	redis_show
	export EB_REDIS_URL=redis://less:x@127.0.0.1:$REDIS_PORT
	run -0 timeout 20 ebbuffer retarget
	for ((round = 0; round < 12; round++)); do
		t=$((RANDOM % 3))
		rcli acl setuser less reset on '>x' "~quantum:stream:h$t" '~quantum:stream:system.*' '+@all' >/dev/null
		[ $((round % 2)) = 0 ] || rcli acl setuser less "~quantum:stream:h$(((t + 1) % 3))" >/dev/null
		timeout -s KILL 0.0$((RANDOM % 4 + 1)) ebreplay --limit $((RANDOM % 400 + 1)) 2>/dev/null || :
		timeout 20 ebreplay --limit $((RANDOM % 400 + 1)) 2>/dev/null || :
	done
	rcli acl setuser less '~*' >/dev/null
	# A killed process holds its locks until it has exited.
	wait_for "flock -n '$EB_BUFFER_DIR/.replay' true"
	run -0 timeout 60 ebreplay
	for i in 0 1 2; do
		seq -f "$i %.0f" $((i == 0 ? 3 : i)) 3 3000 >>"$LEDGER"
	done
	check_streams h0 h1 h2
	no_segments
}

# --- clocks ---------------------------------------------------------------------------------

# bats test_tags=nosanitize
@test "a clock that jumps back an hour and forward: order kept, names sort, ages are not negative" {
	local off n=0
	need_clock
	redis_hide
	for off in +0 -1h -2h +0 +3h +0 -3d +2d -1h +0; do
		for _ in 1 2; do
			n=$((n + 1))
			run -0 clock_at "$off" ebpub --segment-size 600 clock "{\"p\":1,\"n\":$n}"
			assert_output buffered
		done
	done
	redis_show
	ledger 1 1 $n
	# Sorting by name and line, and sorting by buffered_at, both give the order of acceptance.
	cat "$EB_BUFFER_DIR"/*.jsonl >"$EB_TMP/all"
	assert_equal "$(jq -r '.message.payload | fromjson.n' "$EB_TMP/all" | paste -sd ' ')" "$(seq -s ' ' $n)"
	assert_equal "$(jq -r .buffered_at "$EB_TMP/all")" "$(jq -r .buffered_at "$EB_TMP/all" | sort)"
	[ "$(find "$EB_BUFFER_DIR" -name '*.jsonl' | wc -l)" -gt 5 ] || fail "one segment proves nothing"
	for off in -4d -1h +0 +4d; do
		run clock_at "$off" ebhealth -j
		refute_output --regexp ':-[0-9]'
		run clock_at "$off" ebstat -j
		refute_output --regexp ':-[0-9]'
		run clock_at "$off" ebstat
		refute_output --regexp ' -[0-9]+ ?(s|m|h|d)'
	done
	run -0 clock_at -1h ebreplay --limit 7 || assert_equal "$status" 75
	run -0 timeout 20 ebreplay
	check_streams clock
	no_segments
}

# bats test_tags=nosanitize
@test "clocks that jump while one-shots publish through an outage: order kept" {
	local n
	need_clock
	for ((n = 1; n <= 40; n++)); do
		case $((RANDOM % 8)) in
		0) redis_hide 2>/dev/null || : ;;
		1) redis_show ;;
		2) clock_at "$(printf %+ds $((RANDOM % 7200 - 3600)))" ebreplay 2>/dev/null || : ;;
		esac
		run -0 clock_at "$(printf %+ds $((RANDOM % 7200 - 3600)))" ebpub --maxlen 0 clock "{\"p\":1,\"n\":$n}"
	done
	redis_show
	ledger 1 1 40
	run -0 timeout 20 ebreplay
	check_streams clock
	no_segments
}

# --- a lock that is not released --------------------------------------------------------------

# Holds .lock in a stopped process.
hold_lock() {
	bg holder flock "$EB_BUFFER_DIR/.lock" sh -c 'echo held; exec sleep 300'
	wait_for "grep -q held '$EB_TMP/holder.out'"
	HOLDER=$BG_PID
}

# sleep has the last descriptor of the lock.
free_lock() {
	pkill -KILL -P "$HOLDER" || :
	kill -KILL "$HOLDER" 2>/dev/null || :
	wait_for "flock -n '$EB_BUFFER_DIR/.lock' true"
}

@test "the lock's holder is stopped: ebpub accepts in time, ebreplay says 75, order kept" {
	local n took
	redis_hide
	run -0 timeout 20 ebpub lock '{"p":1,"n":1}'
	assert_output buffered
	hold_lock
	kill -STOP "$HOLDER"
	for n in 2 3 4; do
		took=${EPOCHREALTIME/./}
		run -0 timeout 20 ebpub -t 0.4 lock "{\"p\":1,\"n\":$n}"
		assert_output buffered
		took=$((${EPOCHREALTIME/./} - took))
		[ $took -lt 2000000 ] || fail "event $n: $took us"
	done
	run -0 bash -c 'ls "$EB_BUFFER_DIR" | grep -c "\.own-"'
	assert_output 3
	redis_show
	run -75 timeout 20 ebreplay -t 0.4
	free_lock
	redis_hide
	for n in 5 6; do
		run -0 timeout 20 ebpub lock "{\"p\":1,\"n\":$n}"
		assert_output buffered
	done
	redis_show
	ledger 1 1 6
	run -0 timeout 20 ebreplay
	check_streams lock
	no_segments
}

# bats test_tags=nosanitize
@test "a publisher's own segments, each removed before the next, within one second: all events arrive" {
	need_clock
	redis_hide
	run -0 timeout 20 ebpub lock '{"p":1,"n":1}'
	hold_lock
	mkfifo "$EB_TMP/in"
	# With a stopped clock two segments differ only in their stamp: second and process are the same.
	bg pub clock_at '2035-01-01 00:00:00' bash -c 'echo $$ >"$1"; exec ebpub -t 0.2 lock' - "$EB_TMP/pid" <>"$EB_TMP/in"
	exec 8>"$EB_TMP/in"
	for n in 2 3 4; do
		echo "{\"p\":1,\"n\":$n}" >&8
		wait_for "[ \$(wc -l <'$EB_TMP/pub.out') = $((n - 1)) ]"
		# It does not notice that Redis is reachable meanwhile.
		kill -STOP "$(<"$EB_TMP/pid")"
		redis_show
		rm -f "$EB_BUFFER_DIR/.outage"	# prevents system.redis_recovered, which would need a second walk and another checkpoint
		run timeout 20 ebreplay -t 0.3
		redis_hide
		kill -CONT "$(<"$EB_TMP/pid")"
	done
	redis_show
	exec 8>&-
	free_lock
	assert_equal "$(sort -u "$EB_TMP/pub.out")" buffered
	ledger 1 1 4
	run -0 timeout 20 ebreplay
	check_streams lock
	no_segments
}

@test "the lock's holder is stopped under a stream of events: order kept" {
	redis_hide
	numbered 1 1 50 | timeout 20 ebpub -q lock
	hold_lock
	(
		numbered 1 51 100
		sleep 0.7
		numbered 1 101 150
		sleep 0.7
		free_lock
		numbered 1 151 200
	) | timeout 60 ebpub -t 0.3 lock >"$EB_TMP/answers"
	assert_equal "$(sort "$EB_TMP/answers" | uniq -c | tr -s ' ')" " 150 buffered"
	redis_show
	ledger 1 1 200
	run -0 timeout 20 ebreplay
	check_streams lock
	no_segments
}

# bats test_tags=nosanitize
@test "the lock's holder is stopped while the clock jumps back: order kept" {
	local n
	need_clock
	redis_hide
	run -0 timeout 20 ebpub lock '{"p":1,"n":1}'
	hold_lock
	for n in 2 3; do
		run -0 clock_at "-${n}h" ebpub -t 0.3 lock "{\"p\":1,\"n\":$n}"
	done
	free_lock
	run -0 clock_at -4h ebpub lock '{"p":1,"n":4}'
	redis_show
	ledger 1 1 4
	run -0 timeout 20 ebreplay
	check_streams lock
	no_segments
}

@test "another replay is running: 75, silent; an event goes behind what is there" {
	redis_hide
	run -0 timeout 20 ebpub lock '{"p":1,"n":1}'
	redis_show
	exec 8>>"$EB_BUFFER_DIR/.replay"
	flock 8
	run -75 timeout 20 ebreplay 8>&-
	assert_output ""
	run -0 timeout 20 ebpub lock '{"p":1,"n":2}' 8>&-
	assert_output buffered
	exec 8>&-
	ledger 1 1 2
	run -0 timeout 20 ebreplay
	check_streams lock
	no_segments
}
