#!/usr/bin/env bats
# covers: bin/ebreplay.c lib/drain lib/buffer
# ebreplay(1) against a private server.

# shellcheck disable=SC2016,SC2030,SC2031,SC2154  # bats: a test is a subshell, and sets $stderr; a $ of the inner shell

load ../support/helper
load ../support/buffer

setup_file() {
	redis_start_tcp
}

setup() {
	buffer_setup
}

# Prints the state that must not change when nothing may be moved.
state() {
	cat "$B"/*.jsonl "$B/.target" "$B/.roster" "$B/.lock" | cksum
	rcli info keyspace
}

# --- usage ---------------------------------------------------------------------------

@test "-V and --version print the version" {
	run -0 ebreplay -V
	assert_output --regexp '^ebreplay [0-9]+\.[0-9]+'
	run -0 ebreplay --version
	assert_output --regexp '^ebreplay '
}

@test "usage errors are 64, and nothing is moved" {
	buffered a 1 3
	local words before
	before=$(state)
	for words in -x a '--limit x' '--limit -1' '--rate x' '--wait x' '--maxlen x' '-t x' '-p 6379' '-u nonsense' '--nothing'; do
		eval "run --separate-stderr ebreplay $words"
		assert_equal "$words: $status" "$words: 64"
		assert_equal "$output" ""
		assert_regex "$stderr" 'see ebreplay --help'
	done
	assert_equal "$(state)" "$before"
}

@test "no place for a buffer is 78 and names -b" {
	unset EB_BUFFER_DIR XDG_STATE_HOME HOME
	run -78 ebreplay
	assert_output --partial '-b'
}

@test "a directory that others can write to is 78" {
	buffered a 1 1
	chmod 777 "$B"
	for o in '' --dry-run; do
		# shellcheck disable=SC2086  # two words
		run -78 ebreplay $o
	done
	chmod 700 "$B"
	assert_equal "$(lines | wc -l)" 1
}

# --- draining -------------------------------------------------------------------------

@test "an empty buffer, or none, is 0 without asking Redis" {
	down
	run -0 ebreplay
	assert_output ""
	run ! test -e "$B"
	mkdir -m 700 "$B"
	run -0 ebreplay
	assert_output ""
	run -0 bash -c 'ebreplay -j | jq -c "[.replayed, .left, .status]"'
	assert_output '[0,false,0]'
}

@test "all is drained in order, silently, and the segments are gone" {
	buffered a 1 1000
	down
	for n in 1 2 3; do
		ebpub -q --segment-size 1 b $n
	done
	up
	run -0 ebreplay
	assert_output ""
	assert_equal "$(payloads a | cksum)" "$(seq 1000 | cksum)"
	assert_equal "$(payloads b | xargs)" '1 2 3'
	assert_equal "$(find "$B" -name '*.jsonl' | wc -l)" 0
	run -0 ebreplay
	assert_equal "$(length a) $(length b)" '1000 3'
}

@test "Redis down: 75, everything is kept" {
	buffered a 1 3
	down
	run -75 ebreplay
	assert_equal "$(lines | wc -l)" 3
	run -75 bash -c 'ebreplay -j 2>/dev/null | jq -c "[.replayed, .left, .status], halt_error(75)" 2>/dev/null'
	assert_output '[0,true,75]'
}

@test "-v says what was done, -q nothing, -j one object" {
	buffered a 1 3
	run -0 --separate-stderr ebreplay -v
	assert_equal "$output" ""
	assert_regex "$stderr" 'ebreplay: 4 replayed'
	buffered a 4 5
	run -0 --separate-stderr ebreplay -j
	assert_equal "$stderr" ""
	assert_equal "$(jq -c '[.replayed, .found, .quarantined, .possible_duplicates, .held, .left, .status]' <<<"$output")" \
		'[3,0,0,0,0,false,0]'
	buffered a 6 7
	down
	run -75 ebreplay -q
	assert_output ""
}

@test "on a terminal a line shows how far it is, and what was done" {
	need script
	buffered a 1 30
	run script -qec "ebreplay --rate 60" /dev/null </dev/null
	assert_output --regexp '[0-9]+ of 30 events, [0-9]+/s, .* left'
	assert_output --partial '31 replayed'
}

@test "--limit: so many and no more, 75 while something is left" {
	buffered a 1 10
	rm -f "$B/.outage"
	run -75 ebreplay --limit 4
	assert_equal "$(payloads a | xargs)" '1 2 3 4'
	run -75 ebreplay --limit 4
	assert_equal "$(length a)" 8
	run -0 ebreplay --limit 4
	assert_equal "$(payloads a | xargs)" "$(seq 10 | xargs)"
}

@test "--rate: no faster than that" {
	buffered a 1 20
	local at=${EPOCHREALTIME/./} ms
	run -0 ebreplay --rate 20
	ms=$(((${EPOCHREALTIME/./} - at) / 1000))
	[ $ms -ge 700 ]
	[ $ms -lt 4000 ]
	assert_equal "$(length a)" 20
}

@test "--wait: goes on when Redis comes back in time, else 75" {
	buffered a 1 3
	down
	bg r ebreplay --wait 20
	sleep 0.3
	up
	bg_wait r 15
	assert_equal "$status $(length a)" '0 3'
	buffered a 4 4
	down
	local at=${EPOCHREALTIME/./} ms
	run -75 ebreplay --wait 0.5
	ms=$(((${EPOCHREALTIME/./} - at) / 1000))
	[ $ms -ge 450 ]
	[ $ms -lt 2500 ]
}

@test "--maxlen: the limit for lines that carry none" {
	buffered a 1 400
	run -0 ebreplay --maxlen 100
	[ "$(length a)" -lt 250 ]
	assert_equal "$(payloads a | tail -1)" 400
	down
	seq 400 | ebpub -q --maxlen 0 b
	up
	run -0 ebreplay --maxlen 100
	assert_equal "$(length b)" 400
}

@test "two at once: the second is 75 and silent, with -v it says so" {
	buffered a 1 3
	hold_replay
	run -75 ebreplay
	assert_output ""
	run -75 ebreplay -v
	assert_output --partial 'another replay'
	assert_equal "$(length a)" 0
	release_replay
	run -0 ebreplay
	assert_equal "$(length a)" 3
}

@test "SIGTERM in mid-work: 143, the next run goes on where it was, nothing twice" {
	buffered a 1 4000
	bg r ebreplay --rate 200
	wait_for '[ "$(length a)" -ge 40 ]'
	kill -TERM "${BG[r]}"
	bg_wait r 5
	assert_equal "$status" 143
	[ "$(length a)" -lt 4000 ]
	run -0 ebreplay
	assert_equal "$(payloads a | cksum)" "$(seq 4000 | cksum)"
}

@test "SIGINT while it waits: at once, 130" {
	buffered a 1 1
	down
	bg r env --default-signal=INT ebreplay --wait 30
	sleep 0.3
	kill -INT "${BG[r]}"
	bg_wait r 5
	assert_equal "$status" 130
}

@test "kill -9 in mid-work, again and again: each event once, in order" {
	local n=3000 kills=0 reach
	buffered a 1 $n
	while [ $kills -lt 6 ]; do
		reach=$(($(length a) + 300))
		bg r ebreplay --maxlen 0 --rate 4000
		wait_for "[ \"\$(length a)\" -ge $reach ] || ! kill -0 $BG_PID"
		kill -KILL "$BG_PID" 2>/dev/null || :
		bg_wait r
		if [ "$status" = 137 ]; then
			kills=$((kills + 1))
		else
			# The run ended before the signal: nothing was tested.
			assert_equal "$status" 0
			buffered a $((n + 1)) $((n + 3000))
			n=$((n + 3000))
		fi
	done
	run -0 ebreplay --maxlen 0
	assert_equal "$(payloads a | cksum)" "$(seq $n | cksum)"
}

@test "Redis goes away in mid-work: 75, and the next run goes on; no event twice" {
	redis_start_tcp --appendonly yes --appendfsync always
	buffered a 1 5000
	bg r ebreplay --rate 400
	wait_for '[ "$(length a)" -ge 300 ]'
	redis_kill
	bg_wait r 10
	assert_equal "$status" 75
	redis_restart
	run -0 ebreplay
	assert_equal "$(payloads a | cksum)" "$(seq 5000 | cksum)"
	redis_start_tcp
}

@test "stdout that cannot be written is 74" {
	buffered a 1 1
	for o in --dry-run '--dry-run -j' -j; do
		run -74 bash -c "ebreplay $o >/dev/full"
		assert_output --partial 'standard output'
	done
}

# --- system.redis_recovered --------------------------------------------------------------

@test "system.redis_recovered: once an outage, with the buffer as it was before" {
	down
	seq 5 | ebpub -q a
	seq 6 7 | ebpub -q b
	up
	run -0 ebreplay
	assert_equal "$(length system.redis_recovered)" 1
	payloads system.redis_recovered | jq -e '(.timestamp | test("Z$")) and .buffer_stats.total_events == 7'
	buffered a 8 8
	run -0 ebpub a 9	# drains for at most 0.2 s, which may drain nothing on a busy machine
	run -0 ebreplay
	assert_equal "$(length system.redis_recovered)" 2
	run -0 ebpub a 10
	run -0 ebreplay
	assert_equal "$(length system.redis_recovered)" 2
}

# recovered PATHS: prints these members of the event's payload.
recovered() { payloads system.redis_recovered | jq -c ".buffer_stats | [$1]"; }

@test "system.redis_recovered: a drain that stops at its limit counts the whole buffer" {
	buffered a 1 7
	run -75 ebreplay --limit 3
	assert_equal "$(lines | grep -c '"event_type":"a"')" 7
	assert_equal "$(lines | grep -c '"event_type":"system.redis_recovered"')" 1
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3 4 5 6 7'
	assert_equal "$(recovered .total_events,.file_count,.quarantined)" '[7,1,0]'
}

@test "system.redis_recovered: counts held events, bad lines, plain writers' lines and events that arrive meanwhile" {
	rcli set "$S:h" x >/dev/null
	run -1 ebpub -q h 1
	run -75 ebreplay
	buffered a 1 3
	echo nonsense >>"$(echo "$B"/buffer_*.jsonl)"
	plain p '{"n":1}' 2025-12-04T10:30:00Z >"$B/buffer_2025-12-04_10-30-00.jsonl"
	touch -d '-1 hour' "$B/buffer_2025-12-04_10-30-00.jsonl"
	run ebreplay
	assert_equal "$(length a) $(length p)" '3 1'
	assert_equal "$(recovered .total_events,.file_count,.held[0].events,.oldest_event)" '[6,2,1,"2025-12-04T10:30:00.000000Z"]'
}

@test "outage-event = no: none follows; one that may not be written is dropped, counted, and holds nothing" {
	buffered a 1 2
	[ -e "$B/.outage" ]
	EB_OUTAGE_EVENT=no run -0 ebreplay
	assert_equal "$(length a) $(length system.redis_recovered)" '2 0'
	[ ! -e "$B/.outage" ]
	buffered a 3 4
	rcli acl setuser default resetkeys "~$S:a" >/dev/null
	run -0 ebreplay
	assert_output --partial 'system.redis_recovered is dropped'
	rcli acl setuser default '~*' >/dev/null
	assert_equal "$(payloads a | xargs) $(length system.redis_recovered)" '1 2 3 4 0'
	run -0 ebstat -j
	assert_equal "$(jq -c '[.buffer.total_events, (.buffer.held | length), .counters.refused]' <<<"$output")" '[0,0,1]'
	# A publisher that drains does the same.
	down
	ebpub -q a 5
	up
	rcli acl setuser default resetkeys "~$S:a" >/dev/null
	run -0 ebpub -q a 6
	rcli acl setuser default '~*' >/dev/null
	assert_equal "$(payloads a | xargs)" '1 2 3 4 5 6'
	run -0 ebreplay
	assert_equal "$(ebstat -j | jq .buffer.total_events)" 0
}

# bats test_tags=nosanitize
@test "system.redis_recovered: none when Redis goes down again during the drain; once after a kill" {
	buffered a 1 3
	bg proxy python3 "$TOP/tests/support/proxy.py" "$EB_TMP/p" "$REDIS_SOCK" cut "$S:a"
	wait_for "test -S '$EB_TMP/p'"
	ln -sfn "$EB_TMP/p" "$EB_TMP/r"
	run -75 ebreplay
	assert_equal "$(lines | grep -c redis_recovered)" 0
	[ -e "$B/.outage" ]
	up
	need strace
	# Killed when the last segment is removed, and then before the event is appended.
	for n in 1 2 3 4; do
		run strace -qq -o /dev/null -e inject=unlinkat:signal=KILL:when=$n ebreplay
		compgen -G "$B/*.jsonl" || break
	done
	assert_equal "$(length a) $(length system.redis_recovered) $(find "$B" -maxdepth 1 -name '*.jsonl' | wc -l)" '3 0 0'
	[ -e "$B/.outage" ]
	run strace -qq -o /dev/null -e inject=write:signal=KILL:when=1 ebreplay
	assert_equal "$(length a) $(length system.redis_recovered)" '3 0'
	[ -e "$B/.outage" ]
	run -0 ebreplay
	assert_equal "$(length a) $(length system.redis_recovered)" '3 1'
	[ ! -e "$B/.outage" ]
}

# bats test_tags=nosanitize
@test "system.redis_recovered: counts what was drained before a cut connection or a SIGTERM" {
	buffered a 1 5
	buffered b 1 4
	bg proxy python3 "$TOP/tests/support/proxy.py" "$EB_TMP/p" "$REDIS_SOCK" cut "$S:b"
	wait_for "test -S '$EB_TMP/p'"
	ln -sfn "$EB_TMP/p" "$EB_TMP/r"
	run -75 ebreplay
	run -75 ebreplay
	up
	run -0 ebreplay
	assert_equal "$(length a) $(length b)" '5 4'
	assert_equal "$(recovered .total_events)" '[9]'
	need strace
	buffered a 6 45
	run strace -qq -o /dev/null -e inject=fdatasync:signal=TERM:when=2 ebreplay
	run -0 ebreplay
	assert_equal "$(length a) $(length system.redis_recovered)" '45 2'
	assert_equal "$(recovered .total_events | tail -n 1)" '[40]'
}

# bats test_tags=nosanitize
@test "system.redis_recovered: waits for disk space and then counts all; a second outage meanwhile counts as the same" {
	need strace
	buffered a 1 7
	run -0 strace -qq -o /dev/null -e trace=write -e inject=write:error=ENOSPC:when=1 ebreplay
	assert_output --partial 'system.redis_recovered will be appended by a later run'
	assert_equal "$(length a) $(length system.redis_recovered)" '7 0'
	buffered a 8 10
	run -0 ebreplay
	assert_equal "$(length a)" 10
	assert_equal "$(recovered .total_events | xargs)" '[10]'
	run -0 ebreplay
	assert_equal "$(length system.redis_recovered)" 1
}

# bats test_tags=nosanitize
@test "system.redis_recovered: when its state file stays, again, with the same event_id" {
	need strace
	local at
	buffered a 1 3
	at=$(strace -qq -e trace=unlinkat ebreplay 2>&1 | grep -n '"\.outage"' | head -n 1 | cut -d: -f1)
	assert_equal "$(length system.redis_recovered)" 1
	# The file cannot be removed.
	buffered a 4 6
	run strace -qq -o /dev/null -e trace=unlinkat -e inject=unlinkat:error=EIO:when="$at" ebreplay
	[ -e "$B/.outage" ]
	run -0 ebreplay
	run -0 ebreplay
	[ ! -e "$B/.outage" ]
	assert_equal "$(length a) $(length system.redis_recovered)" '6 3'
	assert_equal "$(event_ids system.redis_recovered | sort -u | wc -l)" 2
	# The file was never written, and the run is killed after it appended the event.
	buffered a 7 9
	: >"$B/.outage"
	run strace -qq -o /dev/null -e trace=unlinkat -e inject=unlinkat:signal=KILL:when="$at" ebreplay
	[ -e "$B/.outage" ]
	run -0 ebreplay
	assert_equal "$(length a) $(length system.redis_recovered)" '9 5'
	assert_equal "$(event_ids system.redis_recovered | sort -u | wc -l)" 3
	# It is not a regular file.
	buffered a 10 10
	rm "$B/.outage"
	mkdir "$B/.outage"
	run -0 ebreplay
	run -0 ebreplay
	assert_equal "$(length a) $(length system.redis_recovered)" '10 5'
	rmdir "$B/.outage"
}

@test "events that were buffered without an outage cause no system.redis_recovered" {
	rcli set "$S:a" x >/dev/null
	run -1 ebpub -q a 1
	rcli del "$S:a" >/dev/null
	run -0 ebreplay
	assert_equal "$(length a) $(length system.redis_recovered)" '1 0'
}

# --- held types --------------------------------------------------------------------------

@test "a key that is no stream: its type is held with 75, others go on; freed after DEL, in order" {
	rcli set "$S:a" x >/dev/null
	down
	for n in 1 2 3; do
		ebpub -q a $n
		ebpub -q b $n
	done
	up
	run -75 ebreplay
	assert_output --regexp "'a' is held: .*WRONGTYPE"
	assert_equal "$(payloads b | xargs)" '1 2 3'
	run -0 ebpub b 4
	assert_output --regexp '^[0-9]+-'
	run ebpub a 4
	assert_output --partial buffered
	assert_equal "$(ebstat -j | jq -c '.buffer.held[] | [.event_type, .events]')" '["a",4]'
	assert_equal "$(ebbuffer list -j | jq -r 'select(.held).event_type' | sort -u)" a
	rcli del "$S:a" >/dev/null
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3 4'
}

@test "no permission for one stream: held with 75 and named, others go on" {
	rcli acl setuser part reset on '>x' "~$S:open*" "~$S:system*" '+@all' >/dev/null
	down
	export EB_REDIS_URL="redis://part:x@127.0.0.1:$REDIS_PORT"
	redis_pause
	ebpub -q -t 0.2 closed 1
	ebpub -q -t 0.2 open 2
	redis_resume
	run -75 ebreplay
	assert_output --regexp "'closed' is held: .*NOPERM"
	assert_equal "$(payloads open)" 2
	rcli acl setuser part allkeys >/dev/null
	run -0 ebreplay
	assert_equal "$(payloads closed)" 1
}

@test "a group that reads nothing: nothing is pushed out, held with 75; --force passes" {
	export EB_MAXLEN=200
	rcli xgroup create "$S:a" g 0 mkstream >/dev/null
	buffered a 1 1000
	buffered b 1 10
	run -75 ebreplay
	assert_output --regexp "'a' is held: stream full.*'g'"
	[ "$(length a)" -ge 200 ]
	[ "$(length a)" -le 300 ]
	assert_equal "$(payloads a | head -1) $(length b)" '1 10'
	run -75 ebreplay
	run -0 ebreplay --force
	assert_equal "$(payloads a | tail -1)" 1000
	[ "$(length a)" -le 300 ]
}

@test "consumed alongside, all of more than the limit is delivered" {
	export EB_MAXLEN=200
	rcli xgroup create "$S:a" g 0 mkstream >/dev/null
	buffered a 1 1500
	local got=0 n
	: >"$EB_TMP/read"
	while [ "$got" -lt 1500 ]; do
		ebreplay -q || [ $? = 75 ]
		rcli --json xreadgroup group g c count 400 streams "$S:a" '>' >"$EB_TMP/batch"
		jq -r '.. | objects | .[] | .[] | .[1][3]' "$EB_TMP/batch" >>"$EB_TMP/read"
		jq -r '.. | objects | .[] | .[] | .[0]' "$EB_TMP/batch" | xargs -r -n 200 "$(redis_cli_program)" -s "$REDIS_SOCK" xack "$S:a" g >/dev/null
		n=$(wc -l <"$EB_TMP/read")
		[ "$n" -gt "$got" ]
		got=$n
	done
	run -0 ebreplay
	seq 1500 | cmp - "$EB_TMP/read"
}

@test "read and not acknowledged counts as needed" {
	export EB_MAXLEN=100
	rcli xgroup create "$S:a" g 0 mkstream >/dev/null
	buffered a 1 400
	run -75 ebreplay
	rcli xreadgroup group g c count 1000 streams "$S:a" '>' >/dev/null
	run -75 ebreplay
	assert_equal "$(payloads a | head -1)" 1
}

# --- --dry-run ----------------------------------------------------------------------------

@test "--dry-run says how many and where to, changes nothing, asks nobody" {
	buffered a 1 3
	down
	local before
	before=$(state)
	run -0 ebreplay --dry-run
	assert_output --regexp "^3 events in 1 segments would be replayed to unix://$EB_TMP/r"
	run -0 bash -c 'ebreplay --dry-run -j | jq -c "[.total_events, .file_count, .target]"'
	assert_output "[3,1,\"unix://$EB_TMP/r?db=0 quantum\"]"
	assert_equal "$(state)" "$before"
}

# --- segments that vanish -----------------------------------------------------------------------------

@test "a segment that vanishes with undelivered events: 74 and named; put back, it is replayed" {
	down
	for n in 1 2 3; do
		ebpub -q --segment-size 1 a $n
	done
	up
	local gone
	gone=$(basename "$(find "$B" -name '*.jsonl' | sort | sed -n 2p)")
	mv "$B/$gone" "$EB_TMP/"
	run -74 ebreplay
	assert_output --partial "${gone%.jsonl}"
	assert_equal "$(payloads a | xargs)" '1 3'
	run -74 ebreplay
	mv "$EB_TMP/$gone" "$B/"
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 3 2'
}

@test "the only segment vanishes: 74 also while a new event is buffered and drained" {
	buffered a 1 1
	rm "$B"/*.jsonl
	buffered a 2 2
	run -74 ebreplay
	run -74 ebreplay
	run -0 ebbuffer discard --yes
	run -0 ebreplay
}
