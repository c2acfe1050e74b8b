#!/usr/bin/env bats
# covers: lib/buffer lib/drain
# Damaged lines, a replaced buffer, missing descriptors, a hostile environment, locks that are never released, wrong clocks:
# no wrong event is delivered, no command hangs, and the status reports the error.

# shellcheck disable=SC2016,SC2030,SC2031,SC2154  # bats: a test is a subshell, and sets $stderr; a $ of the inner shell

load ../support/helper
load ../support/buffer

setup_file() {
	redis_start
}

setup() {
	buffer_setup
}

teardown() {
	exec 8>&-
	eb_teardown
}

# --- damage -----------------------------------------------------------------------------------

# Makes a segment of good lines with a line with one flipped bit between each two; $EB_TMP/lines is their number.
flipped() {
	python3 - "$1" "$2" "$EB_TMP/lines" <<'END_OF_PYTHON'
import sys
path, step, count = sys.argv[1], int(sys.argv[2]), 0
lines = open(path, "rb").read().splitlines(keepends=True)
good, line = lines[0], lines[1]
with open(path, "wb") as f:
    for bit in range(0, 8 * (len(line) - 1), step):
        bad = bytearray(line)
        bad[bit // 8] ^= 1 << bit % 8
        f.write(bad + good)
        count += 1
open(sys.argv[3], "w").write(str(count))
END_OF_PYTHON
}

flips() {
	local n
	need python3
	down
	ebpub -q --event-id GOOD --trace-id t a '{"the":"good","one":[1,2,3]}'
	ebpub -q --event-id EVIL --trace-id t a '{"the":"evil","one":[1,2,3]}'
	up
	rcli del "$S:a" >/dev/null
	ebbuffer list -j | jq -cS '[.event_id, .payload, .trace_id, .timestamp, .source]' >"$EB_TMP/right"
	flipped "$(find "$B" -name '*.jsonl')" "$1"
	n=$(cat "$EB_TMP/lines")
	rm -f "$B/.outage"
	run -1 timeout 120 ebreplay -q
	assert_equal "$(event_ids a | grep -cx GOOD)" "$n"
	# A flipped line was delivered unchanged or is in quarantine.
	rcli --json xrange "$S:a" - + | jq -cS '.[][1] | [.[13], .[3], .[5], .[9], .[11]]' | sort -u >"$EB_TMP/got"
	assert_equal "$(grep -vc '"GOOD"' "$EB_TMP/got")" "$(grep -c '"EVIL","{\\"the\\":\\"evil\\",\\"one\\":\[1,2,3\]}","t"' "$EB_TMP/got")"
	echo "# $n flips: $(($(length a) - n)) harmless, $(ebstat -j | jq .buffer.quarantined) in quarantine" >&3
	run -0 ebreplay
}

@test "a bit flipped in each byte of a line: never delivered wrong, else in quarantine, the rest goes on" {
	flips 9
}

# bats test_tags=long
@test "each bit of a line flipped" {
	flips 1
}

@test "a tail torn at each byte: the rest is delivered, the piece never" {
	local size n=0 file
	buffered a 1 2
	file=$(find "$B" -name '*.jsonl')
	size=$(tail -1 "$file" | wc -c)
	cp -a "$B" "$EB_TMP/two"
	for ((n = 2; n < size; n += 23)); do
		rm -rf "$B"
		cp -a "$EB_TMP/two" "$B"
		rm -f "$B/.outage"
		truncate -s -$n "$file"
		redis_flush
		if ((n % 2)); then
			down
			ebpub -q a 3
			rm -f "$B/.outage"
			up
		fi
		timeout 20 ebreplay -q && fail "$n: 0" || [ $? = 74 ] || fail "$n: $?"
		assert_equal "$n $(payloads a | xargs)" "$n 1$( ((n % 2)) && echo ' 3' || :)"
	done
}

# --- the directory -------------------------------------------------------------------------------

@test "the buffer is replaced under a stream of events: both buffers hold what was accepted into them" {
	local n
	down
	feed stream timeout 30 ebpub a
	for n in 1 2 3; do echo $n >&8; done
	wait_for "[ \$(grep -cx buffered '$EB_TMP/stream.out') = 3 ]"
	mv "$B" "$EB_TMP/old"
	mkdir -m 700 "$B"
	for n in 4 5 6; do echo $n >&8; done
	exec 8>&-
	bg_wait stream
	assert_equal "$status $(grep -cx buffered "$EB_TMP/stream.out")" '0 6'
	up
	run -0 ebreplay -b "$EB_TMP/old"
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3 4 5 6'
}

@test "a buffer that is a symlink works; a dangling one, a FIFO, a device and an endless path are refused at once" {
	mkdir -m 700 "$EB_TMP/real"
	ln -s real "$B"
	buffered a 1 1
	[ -n "$(find "$EB_TMP/real" -name '*.jsonl')" ]
	run -0 ebreplay
	rm -r "$B"
	down
	ln -s nowhere "$B"
	run -74 timeout 10 ebpub a 2
	assert_output --partial "$B"
	rm "$B"
	mkfifo "$B"
	run -78 timeout 10 ebpub a 2
	run -78 timeout 10 ebreplay
	run -2 timeout 10 ebhealth -t 0.5
	run timeout 10 ebstat
	[ "$status" = 78 ] || [ "$status" = 74 ]
	run -78 timeout 10 ebpub -b /dev/null a 2
	run -74 timeout 10 ebpub -b "/$(printf 'x%.0s' {1..5000})" a 2
	run -74 timeout 10 ebpub -b "/tmp/$(printf 'x%.0s' {1..300})" a 2
	assert_output --partial 'too long'
}

@test "a hard link to a segment, as cp -al makes it: the events are drained in order, the link is left alone" {
	local file
	buffered a 1 2
	file=$(find "$B" -name '*.jsonl')
	ln "$file" "$EB_TMP/second"
	down
	run -0 ebpub a 3
	assert_equal "$(wc -l <"$EB_TMP/second")" 2
	up
	run -0 ebpub -q a 4
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3 4'
	assert_equal "$(wc -l <"$EB_TMP/second")" 2
	run -0 ebhealth
}

# --- descriptors ---------------------------------------------------------------------------------

# Runs commands with some of descriptors 0, 1, 2 closed; files that they open must not get these numbers.
without() {
	local how=$1
	shift
	case $how in *0*) exec 0<&- ;; esac
	case $how in *1*) exec 1>&- ;; esac
	case $how in *2*) exec 2>&- ;; esac
	exec 3>&- 4>&- timeout 20 "$@"
}

@test "descriptors 0, 1 and 2 closed in all ways: no hang, no crash, no stray line in any file" {
	local how c rc n=0
	buffered a 1 2
	for how in none 0 1 2 01 02 12 012; do
		for c in 'ebpub -v a' 'ebpub a 5' 'ebpub a {' 'ebbuffer list' 'ebreplay -v' 'ebstat -v' 'ebhealth -t 1' \
			'ebsub -e -W 0.2 a' 'ebpub' 'ebsub'; do
			[ "$c" != 'ebpub a 5' ] || down
			rc=0
			# shellcheck disable=SC2086  # some words
			(without $how $c) </dev/null >/dev/null 2>&1 || rc=$?
			((rc < 128)) && { ((rc != 124)) || [[ $c = ebsub* ]]; } || fail "$how: $c: $rc"
			up
			n=$((n + 1))
		done
	done
	down
	ebpub -q a 6
	run grep -rlE --exclude=.counters '^(eb[a-z]+:|usage:|buffered|refused|OK|WARNING|CRITICAL)' "$B"
	assert_output ""
	lines | jq -e .crc >/dev/null
	up
	run -0 ebreplay
	echo "# $n runs" >&3
}

@test "a reader that takes one line, and a full output: no crash, no hang, a status" {
	local c rc
	down
	seq 3000 | ebpub -q a
	for c in 'ebbuffer list' 'ebbuffer list -j' 'ebbuffer check' 'ebstat -v' 'ebhealth -t 0.5 -j'; do
		# shellcheck disable=SC2086  # some words
		run timeout 20 bash -c 'set -o pipefail; "$@" 2>&1 | head -1' - $c
		((status != 124 && status != 141 && status < 128)) || fail "$c: $status"
		rc=0
		# shellcheck disable=SC2086  # some words
		timeout 20 $c >/dev/full 2>"$EB_TMP/err" || rc=$?
		[ $rc = 74 ] || [ "$rc ${c%% *}" = '3 ebhealth' ] || fail "$c >/dev/full: $rc"
	done
}

# --- the environment ----------------------------------------------------------------------------------

@test "a hostile environment: usage or configuration, never a crash or a hang" {
	local v value c rc long
	long=$(printf 'x%.0s' {1..100000})
	for v in EB_REDIS_URL EB_BUFFER_DIR EB_PREFIX EB_SERVICE EB_TIMEOUT EB_MAXLEN EB_REDIS_PASSWORD \
		EB_REDIS_PASSWORD_FILE REDISCLI_AUTH XDG_STATE_HOME XDG_CONFIG_HOME HOME TZ LC_ALL LANG STATE_DIRECTORY; do
		for value in '' $'\xff\xfe\n' '../../../..' '%s%n%s' "$long"; do
			for c in 'ebpub a 1' 'ebstat' 'ebreplay'; do
				rc=0
				# shellcheck disable=SC2086  # some words
				(cd "$EB_TMP" && exec env "$v=$value" timeout 20 $c) >/dev/null 2>&1 </dev/null || rc=$?
				case $rc in 0 | 1 | 64 | 69 | 74 | 75 | 77 | 78) ;; *) fail "$v=${value:0:20} $c: $rc" ;; esac
			done
		done
	done
}

@test "language and time zone change neither output nor order" {
	buffered a 1 2
	ebbuffer list -j >"$EB_TMP/list"
	for v in LC_ALL=de_DE.UTF-8 LC_ALL=tr_TR.UTF-8 LC_ALL=nonsense TZ=Europe/Berlin TZ=America/New_York TZ=nonsense TZ=:/dev/zero; do
		env "$v" ebbuffer list -j | cmp - "$EB_TMP/list"
		env "$v" ebpub -q --no-buffer b 1.5
	done
	assert_equal "$(payloads b | sort -u)" 1.5
}

# --- locks that are never released -------------------------------------------------------------------

# held FILE COMMAND...: runs COMMAND, for at most 5 s, while a stopped process holds FILE's lock; status in rc.
held() {
	local file=$1 took=${EPOCHREALTIME/./}
	shift
	rc=0
	timeout 20 "$@" >"$EB_TMP/held" 2>&1 || rc=$?
	took=$((${EPOCHREALTIME/./} - took))
	((took < 10000000)) || fail "$file held: $*: $took us"
}

@test "a stopped process holds .lock, .replay, .probe or .counters: each command in bounded time, nothing lost" {
	local file n=0
	for file in .lock .replay .probe .counters; do
		redis_flush
		rm -rf "$B"
		buffered a 1 2
		: >>"$B/$file"
		chmod 600 "$B/$file"
		bg holder flock "$B/$file" sleep 300
		wait_for "! flock -n '$B/$file' true && pkill -STOP -P $BG_PID"
		down
		held $file ebpub -t 0.3 a 3
		assert_equal "$file $rc $(cat "$EB_TMP/held")" "$file 0 buffered"
		up
		held $file ebstat -t 0.3
		assert_equal "$file $rc" "$file 0"
		[ $file != .lock ] || grep -qE "^locked +by process ${BG[holder]} \\(flock\\)" "$EB_TMP/held" || fail "$(cat "$EB_TMP/held")"
		held $file ebhealth -t 0.3
		((rc < 3)) || fail "$file: ebhealth: $rc $(cat "$EB_TMP/held")"
		[ $file != .lock ] || grep -q "process ${BG[holder]} (flock) holds the writers' lock" "$EB_TMP/held" || fail "$(cat "$EB_TMP/held")"
		held $file ebsub -t 0.3 -e -W 0.2 b
		held $file ebpub -t 0.3 b 1
		assert_equal "$file $rc" "$file 0"
		held $file ebreplay -t 0.3
		case $file in
		.lock | .replay) assert_equal "$file $rc" "$file 75" ;;
		*) assert_equal "$file $rc" "$file 0" ;;
		esac
		pkill -KILL -P "${BG[holder]}"
		wait_for "flock -n '$B/$file' true"
		run -0 timeout 20 ebreplay
		assert_equal "$file $(payloads a | xargs)" "$file 1 2 3"
		assert_equal "$file $(payloads b | xargs)" "$file 1"
		n=$((n + 1))
	done
	assert_equal $n 4
}

@test "ten replays at once: one drains, the others are 75, each event once" {
	local i pids=() rc drained=0
	down
	seq 3000 | ebpub -q a
	up
	for i in 1 2 3 4 5 6 7 8 9 10; do
		timeout 60 ebreplay 2>/dev/null 3>&- 4>&- &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		rc=0
		wait "$i" || rc=$?
		[ $rc = 0 ] && drained=$((drained + 1)) || [ $rc = 75 ] || fail "$rc"
	done
	[ $drained -ge 1 ]
	run -0 ebreplay
	assert_equal "$(payloads a | cksum)" "$(seq 3000 | cksum)"
}

# --- clocks ------------------------------------------------------------------------------------------

# bats test_tags=nosanitize
@test "ages: never negative, the same in each time zone and over the change to winter time" {
	local at age tz since
	need_clock
	down
	# 02:30 in Berlin comes twice on that day.
	since=$(($(date -u -d '2025-10-26 00:30:00' +%s) - $(date +%s)))
	clock_at "$since" ebpub -q a 1
	up
	for tz in UTC Europe/Berlin America/New_York; do
		age=$(TZ=$tz clock_at "$((since + 3600))" ebhealth -j |
			jq '.problems[] | select(.what == "age") | .value')
		((age > 3590000 && age < 3700000)) || fail "$tz: $age"
	done
	for at in -1h -3650d +1h +3650d; do
		run clock_at $at ebhealth -j
		refute_output --regexp '":-[0-9]'
		run clock_at $at ebstat
		refute_output --regexp ' -[0-9]+ ?(s|m|h|d)'
	done
}

# The writers' hints are not synced and may be lost in a power cut; a machine without a hardware clock boots in the past.
# bats test_tags=nosanitize
@test "the hints are lost and the clock steps back: later events are delivered too" {
	need_clock
	buffered a 1 2
	run -0 ebreplay
	rm "$B/.lock"
	down
	run -0 clock_at -1h ebpub a 3
	assert_output buffered
	up
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3'
}
