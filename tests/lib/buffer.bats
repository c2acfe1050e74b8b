#!/usr/bin/env bats
# covers: lib/buffer
# The disk buffer: its segments, plain writers' files, damaged and odd files, failing disks.

# shellcheck disable=SC2016,SC2030,SC2031,SC2154  # bats: a test is a subshell, and sets $stderr; a $ of the inner shell

load ../support/helper
load ../support/buffer

setup_file() {
	redis_start
}

setup() {
	buffer_setup
}

# Makes a plain writer's directory and file.
plain_dir() {
	mkdir "$B"
	chmod 700 "$B"
	PLAIN=$B/buffer_2025-12-04_10-30-00.jsonl
}

# Prints the path of the only segment.
segment() {
	find "$B" -maxdepth 1 -name '*.jsonl'
}

# replayed TYPE PAYLOADS N: checks the stream's payloads, that N lines are in quarantine, and that no segment is left.
replayed() {
	assert_equal "$(payloads "$1" | xargs)" "$2"
	assert_equal "$(ebstat -j | jq .buffer.quarantined)" "$3"
	assert_equal "$(find "$B" -maxdepth 1 -name '*.jsonl' | wc -l)" 0
}

# --- our own files ------------------------------------------------------------------

@test "a line has the documented members, in order, and its crc" {
	down
	ebpub -q --trace-id t ai.x '{"a":1}'
	assert_equal "$(lines | jq -c '[keys_unsorted, (.message | keys_unsorted)]')" \
		'[["event_type","message","buffered_at","crc"],["event_type","payload","trace_id","correlation_id","timestamp","source","event_id"]]'
	assert_equal "$(lines | jq -r '[.event_type, .message.event_type, .message.payload, .message.trace_id] | join(" ")')" 'ai.x ai.x {"a":1} t'
	assert_regex "$(lines | jq -r .buffered_at)" '^[0-9-]{10}T[0-9:]{8}\.[0-9]{6}Z$'
	need python3
	lines | python3 -c 'import sys, zlib
l = sys.stdin.buffer.readline().rstrip(b"\n")
at = l.rindex(b",\"crc\"")
assert l[at:] == b",\"crc\":\"%08x\"}" % zlib.crc32(l[:at]), l'
}

@test "maxlen stands in the line only when it is not the default" {
	down
	ebpub -q --maxlen 7 a 1
	ebpub -q --maxlen 10000 a 2
	assert_equal "$(lines | jq -c .maxlen | xargs)" '7 null'
}

# bats test_tags=nosanitize
@test "names are those of the page, and sort in order of age even when the clock steps back" {
	need_clock
	down
	ebpub -q --segment-size 1 a 1
	clock_at -2h ebpub -q --segment-size 1 a 2
	ebpub -q --segment-size 1 a 3
	run ! grep -vE '^buffer_[0-9]{4}-[0-9]{2}-[0-9]{2}_[0-9]{2}-[0-9]{2}-[0-9]{2}_[0-9]{6}\.jsonl$' <(cd "$B" && printf '%s\n' *.jsonl)
	assert_equal "$(lines | jq -r .message.payload | xargs)" '1 2 3'
	assert_equal "$(lines | jq -r .buffered_at)" "$(lines | jq -r .buffered_at | sort -u)"
	up
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3'
}

@test "a state file that is lost loses no event" {
	for f in .lock .progress .roster .counters .outage .target; do
		buffered a 1 3
		rm -f "$B/$f"
		run -0 ebreplay
		assert_equal "$f $(payloads a | xargs)" "$f 1 2 3"
		redis_flush
	done
}

@test "a state file full of garbage loses no event" {
	for f in .lock .progress .roster .counters .outage .probe; do
		buffered a 1 3
		head -c 3000 /dev/urandom >"$B/$f"
		chmod 600 "$B/$f"
		run ebreplay
		assert_equal "$f $(payloads a | xargs)" "$f 1 2 3"
		redis_flush
		rm -rf "$B"
	done
}

@test "an impossible stamp in a state file is ignored: the next line's time is the clock's" {
	down
	ebpub -q a 1
	echo 9223372036854775807 >"$B/.own-stamp"
	ebpub -q a 2
	rm "$B/.own-stamp"
	sed 's/^stamp .*/stamp 09223372036854775807/' "$B/.lock" >"$EB_TMP/lock"
	cat "$EB_TMP/lock" >"$B/.lock"
	ebpub -q a 3
	lines | jq -r .buffered_at | sort -c
	assert_equal "$(lines | jq '.buffered_at[:19] + "Z" | fromdate | . > now - 600' | xargs)" 'true true true'
}

@test "losing .progress in mid-drain duplicates events rather than losing them" {
	buffered a 1 6
	rm -f "$B/.outage"
	run -75 ebreplay --limit 3
	rm "$B/.progress"
	run -0 ebreplay
	assert_equal "$(payloads a | sort -u | xargs)" '1 2 3 4 5 6'
}

@test "the counter in a name is never used twice, also after the buffer was empty" {
	for n in 1 2 3; do
		buffered a $n $n
		(cd "$B" && printf '%s\n' *.jsonl) >>"$EB_TMP/names"
		ebreplay -q
	done
	assert_equal "$(sort -u "$EB_TMP/names" | wc -l)" 3
	assert_equal "$(payloads a | xargs)" '1 2 3'
}

# --- damage ------------------------------------------------------------------------------

@test "a torn tail: the next line is whole, the piece is quarantined with its reason, status 1" {
	buffered a 1 2
	printf '{"event_type":"a","mess' >>"$(segment)"
	buffered a 3 3
	run -1 ebreplay
	assert_output --partial 'put into quarantine'
	replayed a '1 2 3' 1
	assert_equal "$(jq -r .line "$B"/quarantine/*.jsonl)" '{"event_type":"a","mess'
	assert_regex "$(jq -r .reason "$B"/quarantine/*.jsonl)" torn
	run -0 ebreplay
}

@test "a torn tail without later lines: quarantined too, 1; one that was cut off by hand: 74" {
	buffered a 1 1
	printf '{"event_type":"a","mess' >>"$(segment)"
	rm -f "$B/.outage"
	run -1 ebreplay
	replayed a 1 1
	buffered a 2 3
	truncate -s -5 "$(segment)"
	rm -f "$B/.outage"
	run -74 ebreplay
	replayed a '1 2' 2
}

@test "half a line of a running writer is not damage; the complete line is replayed" {
	local line
	buffered a 1 2
	rm -f "$B/.outage"
	line=$(tail -1 "$(segment)")
	# The writer holds the lock and has written half of a line.
	bg writer flock "$B/.lock" sleep 60
	wait_for "! flock -n '$B/.lock' true"
	printf %s "${line:0:100}" >>"$(segment)"
	run -75 ebreplay -t 0.3
	assert_equal "$(payloads a | xargs)" '1 2'
	assert_equal "$(ebstat -j | jq .buffer.quarantined)" 0
	printf '%s\n' "${line:100}" >>"$(segment)"
	pkill -KILL -P "${BG[writer]}"
	wait_for "flock -n '$B/.lock' true"
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 2'
}

@test "a flipped bit: quarantined, the rest goes on" {
	buffered a 1 3
	local at
	at=$(grep -abo '"payload":"2"' "$(segment)" | cut -d: -f1)
	printf 7 | dd of="$(segment)" bs=1 seek=$((at + 11)) conv=notrunc status=none
	run -1 ebreplay
	assert_output --partial 'crc differs'
	replayed a '1 3' 1
	assert_equal "$(jq -r '.line | fromjson.message.payload' "$B"/quarantine/*.jsonl)" 7
}

@test "a damaged newline: both lines go to quarantine, neither is delivered" {
	buffered a 1 4
	local at
	at=$(head -2 "$(segment)" | wc -c)
	printf x | dd of="$(segment)" bs=1 seek=$((at - 1)) conv=notrunc status=none
	run -1 ebreplay
	replayed a '1 4' 1
	assert_equal "$(jq -r .line "$B"/quarantine/*.jsonl | grep -o '"payload":"[23]"' | wc -l)" 2
}

@test "a block of NULs in the middle: quarantined, the rest goes on" {
	buffered a 1 30
	dd if=/dev/zero of="$(segment)" bs=1 seek=700 count=2048 conv=notrunc status=none
	run -1 ebreplay
	assert_equal "$(payloads a | head -1) $(payloads a | tail -1)" '1 30'
	assert_equal "$(payloads a)" "$(payloads a | sort -n)"
	[ "$(length a)" -ge 20 ]
	[ "$(ebstat -j | jq .buffer.quarantined)" -ge 1 ]
}

@test "bytes that are not UTF-8 are kept as base64" {
	buffered a 1 1
	printf '\xff\xfe\n' >>"$(segment)"
	run -1 ebreplay
	replayed a 1 1
	assert_equal "$(jq -r .line_base64 "$B"/quarantine/*.jsonl)" '//4='
}

@test "what is no event is quarantined with a reason of its own" {
	plain_dir
	{
		plain a 1 2025-12-04T10:30:00Z
		echo '[]'
		echo '{"event_type":"a","buffered_at":"2025-12-04T10:30:00Z"}'
		echo '{"event_type":"a","message":{"payload":"1"}}'
		echo '{"event_type":"a","message":{},"buffered_at":"2025-12-04T10:30:00Z"}'
		plain 'a b' 1 2025-12-04T10:30:00Z
		plain a 2 2025-12-04T10:30:01Z
	} >"$PLAIN"
	run -1 ebreplay
	replayed a '1 2' 5
	assert_equal "$(jq -r .reason "$B"/quarantine/*.jsonl | sort -u | wc -l)" 5
}

@test "a line is quarantined once, also when the run is cut off and run again" {
	buffered a 1 3
	echo garbage >>"$(segment)"
	buffered a 4 400
	for n in 1 2 3; do
		ebreplay -q --limit 10 || :
	done
	ebreplay -q || :
	assert_equal "$(ebstat -j | jq .buffer.quarantined)" 1
	assert_equal "$(payloads a | cksum)" "$(seq 400 | cksum)"
}

@test "no room for the quarantine: the segment goes there whole" {
	buffered a 1 3
	echo garbage >>"$(segment)"
	rmdir "$B/quarantine"
	: >"$B/quarantine"
	run ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3'
	rm "$B/quarantine"
	run ebreplay
	assert_equal "$(ebstat -j | jq .buffer.quarantined)" 1
	assert_equal "$(length a)" 3
}

# --- odd files ------------------------------------------------------------------------------

@test "a symlink, a FIFO and a directory named buffer_*.jsonl are reported and ignored; no command hangs" {
	buffered a 1 1
	mkfifo "$B/buffer_2020-01-01_00-00-00_000001.jsonl"
	ln -s /etc/hostname "$B/buffer_link.jsonl"
	mkdir "$B/buffer_dir.jsonl"
	run timeout 10 ebreplay
	[ "$status" = 0 ] || [ "$status" = 1 ]
	for f in buffer_2020-01-01_00-00-00_000001 buffer_link buffer_dir; do
		assert_output --partial "$f.jsonl"
	done
	assert_equal "$(payloads a)" 1
	for c in 'ebpub a 2' 'ebbuffer list' 'ebbuffer check' 'ebreplay --dry-run' ebstat; do
		# shellcheck disable=SC2086  # some words
		run timeout 10 $c
		[ "$status" != 124 ]
	done
	assert_equal "$(find "$B" -maxdepth 1 -name '*.jsonl' | wc -l)" 3
	assert_equal "$(ebstat -j | jq .buffer.odd_files)" 3
}

@test "state files that are symlinks or FIFOs are not followed; no command hangs" {
	need_root
	: >"$EB_TMP/victim"
	for f in .lock .target .roster .progress .counters .probe .outage .replay; do
		rm -rf "$B"
		mkdir "$B"
		chmod 700 "$B"
		ln -s "$EB_TMP/victim" "$B/$f"
		down
		run timeout 10 ebpub a 1
		[ "$status" = 0 ] || [ "$status" = 74 ] || fail "$f: $status $output"
		up
		run timeout 10 ebreplay
		[ "$status" != 124 ]
		rm -f "$B/$f"
		mkfifo -m 600 "$B/$f"
		down
		run timeout 10 ebpub a 1
		[ "$status" != 124 ] || fail "$f: a FIFO hangs ebpub"
	done
	assert_equal "$(cat "$EB_TMP/victim")" ""
}

@test "other files in the directory are left alone" {
	buffered a 1 1
	echo keep >"$B/notes.txt"
	echo keep >"$B/.hidden.jsonl"
	mkdir "$B/sub"
	run -0 ebreplay
	assert_equal "$(cat "$B/notes.txt" "$B/.hidden.jsonl" | xargs)" 'keep keep'
	[ -d "$B/sub" ]
}

# --- plain writers -----------------------------------------------------------------------------

@test "a plain writer's lines: fraction or none, Z, offset or nothing, null members" {
	plain_dir
	{
		plain a 1 2025-12-04T10:30:00
		plain a 2 2025-12-04T10:30:00.5
		plain a 3 2025-12-04T12:30:01+02:00
		plain a 4 2025-12-04T10:30:01.000001Z
		plain a 5 '2025-12-04 10:30:02.123456'
	} >"$PLAIN"
	assert_equal "$(ebbuffer list -j | jq -r .buffered_at | tail -3 | head -1)" 2025-12-04T10:30:01.000000Z
	run -0 ebreplay
	replayed a '1 2 3 4 5' 0
	assert_equal "$(values a 5 | sort -u)" ""
	assert_equal "$(values a 11 | sort -u)" s
	assert_equal "$(event_ids a | sort -u | wc -l)" 5
}

@test "what Python's json.dumps writes, NaN too, is carried as it is" {
	need python3
	plain_dir
	python3 - >"$PLAIN" <<-'END'
		import json
		for i, p in enumerate([{"x": float("nan"), "y": float("inf")}, {"é": "ü€😀", "n": 9007199254740993}]):
		    t = "2025-12-04T10:30:0%d.123456" % i
		    print(json.dumps({"event_type": "a", "message": {"event_type": "a", "payload": json.dumps(p), "trace_id": None,
		        "timestamp": t, "source": "ai_engine"}, "buffered_at": t}))
	END
	run -0 ebreplay
	assert_equal "$(payloads a)" "$(printf '%s\n' '{"x": NaN, "y": Infinity}' '{"\u00e9": "\u00fc\u20ac\ud83d\ude00", "n": 9007199254740993}')"
}

@test "several files that overlap in time, one unsorted: merged by buffered_at, with ours" {
	plain_dir
	for n in 1 4 7; do plain a $n 2025-12-04T10:30:0${n}Z; done >"$B/buffer_x.jsonl"
	for n in 8 2 5; do plain a $n 2025-12-04T10:30:0${n}Z; done >"$B/buffer_y.jsonl"
	for n in 3 6 9; do plain a $n 2025-12-04T10:30:0${n}Z; done >"$PLAIN"
	buffered a 10 12
	run -0 ebreplay
	replayed a '1 2 3 4 5 6 7 8 9 10 11 12' 0
}

@test "a line without event_id gets the same one in every run and every copy" {
	plain_dir
	for n in 1 2 3; do plain a $n 2025-12-04T10:30:0${n}Z; done >"$PLAIN"
	cp -a "$B" "$EB_TMP/copy"
	run -0 ebreplay
	event_ids a >"$EB_TMP/ids"
	redis_flush
	assert_equal "$(ebbuffer list -b "$EB_TMP/copy" -j | jq -c .derived | sort -u)" true
	run -0 ebreplay -b "$EB_TMP/copy"
	event_ids a | cmp - "$EB_TMP/ids"
	assert_equal "$(sort -u "$EB_TMP/ids" | wc -l)" 3
}

@test "a plain writer's last line without its end waits, or is replayed when whole" {
	plain_dir
	plain a 1 2025-12-04T10:30:01Z >"$PLAIN"
	plain a 2 2025-12-04T10:30:02Z | tr -d '\n' >>"$PLAIN"
	run ebreplay
	assert_equal "$(payloads a | xargs)" '1 2'
}

@test "a plain writer that opens its file for each event loses none while ebreplay runs" {
	need python3
	plain_dir
	cat >"$EB_TMP/writer.py" <<-'END'
		import datetime, json, sys, time
		for n in range(1, 401):
		    t = datetime.datetime.utcnow().isoformat()
		    with open(sys.argv[1], "a") as f:
		        f.write(json.dumps({"event_type": "a", "message": {"event_type": "a", "payload": str(n), "trace_id": None,
		            "timestamp": t, "source": "w"}, "buffered_at": t}) + "\n")
		    time.sleep(0.008)
	END
	bg writer python3 -W ignore "$EB_TMP/writer.py" "$PLAIN"
	while kill -0 "${BG[writer]}" 2>/dev/null; do
		ebreplay -q || [ $? = 75 ]
	done
	bg_wait writer
	assert_equal "$status" 0
	run -0 ebreplay
	assert_equal "$(payloads a | cksum)" "$(seq 400 | cksum)"
}

@test "a plain writer's file settles for a second before it is read" {
	local took=${EPOCHREALTIME/./}
	mkdir -m 700 "$B"
	plain p 1 2025-12-04T10:30:00Z >"$B/buffer_other.jsonl"
	run -0 ebreplay
	assert_equal "$(payloads p)" 1
	[ $((${EPOCHREALTIME/./} - took)) -ge 900000 ]
}

@test "ebpub beside a plain writer's file: nothing is lost, and ours are not appended to it" {
	plain_dir
	plain a 1 2025-12-04T10:30:01Z >"$PLAIN"
	down
	run -0 ebpub a 2
	assert_output buffered
	assert_equal "$(wc -l <"$PLAIN")" 1
	up
	run ebpub a 3
	run -0 ebreplay
	replayed a '1 2 3' 0
}

@test "an unsorted file that is drained in parts: each line once" {
	plain_dir
	for n in $(seq 59 -1 10); do plain a "$n" "2025-12-04T10:30:${n}Z"; done >"$PLAIN"
	local n
	for n in 1 2 3 4 5; do
		ebreplay -q --limit 9 || [ $? = 75 ]
	done
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" "$(seq 10 59 | xargs)"
}

@test "an empty plain file goes away" {
	plain_dir
	: >"$PLAIN"
	run -0 ebreplay
	assert_equal "$(segment)" ""
}

# --- the writers' lock ---------------------------------------------------------------------------

@test "a stopped writer holds the lock: other publishers write segments of their own" {
	buffered a 1 1
	down
	bg holder flock "$B/.lock" sleep 60
	wait_for "! flock -n '$B/.lock' true"
	run -0 ebpub -t 0.2 a 2
	assert_output buffered
	assert_equal "$(find "$B" -name '*.own-*.jsonl' | wc -l)" 1
	pkill -KILL -P "${BG[holder]}"
	wait_for "flock -n '$B/.lock' true"
	run -0 ebpub a 3
	up
	run -0 ebreplay
	replayed a '1 2 3' 0
}

# --- a disk that fails ----------------------------------------------------------------

# bats test_tags=nosanitize
@test "fdatasync fails: the event goes into another segment, and once into the stream" {
	need strace
	strace -o /dev/null true || skip "strace may not trace"
	down
	ebpub -q ai.x 1
	run -0 strace -qq -o /dev/null -e inject=fdatasync:error=EIO:when=1 ebpub ai.x 2
	assert_output buffered
	assert_equal "$(find "$B" -name '*.suspect.jsonl' | wc -l)" 1
	ebpub -q ai.x 3
	assert_equal "$(lines | jq -r .message.payload | xargs)" "1 2 2 3"
	run -2 ebhealth -t 0.5
	assert_output --partial "could not be synced"
	up
	run -0 ebreplay
	replayed ai.x "1 2 3" 0
}

# bats test_tags=nosanitize
@test "fdatasync fails again and again: the event is reported as not safe" {
	need strace
	strace -o /dev/null true || skip "strace may not trace"
	down
	run -74 strace -qq -o /dev/null -e inject=fdatasync:error=EIO ebpub ai.x '{"lost":true}'
	assert_output --partial "NOT safe"
	ebpub -q ai.x 2
	up
	run ebreplay
	assert_equal "$(payloads ai.x | tail -1)" 2
}

# --- compressed segments that are damaged ------------------------------------------------

compressed() {
	local n
	down
	for n in 1 2 3; do
		seq $((n * 1000 - 999)) $((n * 1000)) | ebpub -q --segment-size 64K ai.x
	done
	run -0 ebbuffer compress
	GZ=$(find "$B" -name '*.gz' | sort | head -1)
	up
}

@test "a compressed segment that was cut: what can be decoded goes, the file into quarantine, whole" {
	compressed
	truncate -s $(($(stat -c %s "$GZ") / 2)) "$GZ"
	run -1 ebreplay
	assert_output --partial damaged
	[ "$(length ai.x)" -gt 2000 ] || fail "$(length ai.x)"
	assert_equal "$(find "$B/quarantine" -name '*.bad-1.jsonl.gz' | wc -l)" 1
	run -0 ebreplay
}

@test "a compressed segment that is empty or has flipped bytes stops no replay" {
	compressed
	truncate -s 0 "$GZ"
	run -1 ebreplay
	assert_equal "$(length ai.x)" 2000
	run -0 ebreplay
	compressed
	printf XXXXXXXX | dd of="$GZ" bs=1 seek=5000 conv=notrunc status=none
	run -1 ebreplay
	assert_equal "$(payloads ai.x | tail -1)" 3000
	run -0 ebpub -v ai.x 1
	refute_output --partial buffered
}

# --- plain writers' names, and many of them ------------------------------------------------

@test "plain files with long names, blanks and newlines in them are adopted without a problem" {
	local n
	plain_dir
	for n in "$(printf 'x%.0s' {1..228})" "$(printf 'x%.0s' {1..242})" $'a b\nc'; do
		plain ai.x "${#n}" 2025-12-04T10:30:00Z >"$B/buffer_$n.jsonl"
	done
	run -0 ebreplay
	assert_equal "$(payloads ai.x | sort -n | xargs)" "5 228 242"
	run -0 ebreplay
	assert_output ""
}

@test "more plain files than descriptors" {
	local i
	plain_dir
	for i in {1..150}; do
		plain ai.x "$i" "2025-12-04T10:$((i / 60 + 10)):$((i % 60 / 10))$((i % 10))Z" >"$B/buffer_w$i.jsonl"
	done
	ulimit -n 40
	run -0 ebreplay
	assert_equal "$(payloads ai.x | xargs)" "$(seq 150 | xargs)"
}

# --- one event_id used twice -------------------------------------------------------------------

# bats test_tags=nosanitize
@test "an event_id used twice is published twice, also by interrupted runs that continue with smaller batches" {
	need strace
	strace -o /dev/null true || skip "strace may not trace"
	down
	ebpub -q --event-id X ai.x '"L1"'
	seq 2 50 | ebpub -q ai.x
	ebpub -q --event-id X ai.x '"L2"'
	up
	run strace -o /dev/null -e inject=sendto:signal=KILL:when=4 ebreplay
	run -0 ebreplay --rate 100
	assert_equal "$(payloads ai.x | xargs)" "L1 $(seq 2 50 | xargs) L2"
}

# --- lost state files -----------------------------------------------------------------------------

@test "lost checkpoint: events in the stream are found, not added again" {
	buffered ai.x 1 100
	rm -f "$B/.outage"
	run -75 ebreplay --limit 50
	rm "$B/.progress"
	run -0 ebreplay
	assert_output --partial ".progress' was lost"
	assert_equal "$(payloads ai.x | xargs)" "$(seq 100 | xargs)"
	buffered ai.x 101 103
	run -0 ebreplay
	refute_output --partial lost
}

@test "a torn line of the manifest is not reported as a problem" {
	buffered ai.x 1 3
	truncate -s -5 "$B/.roster"
	down
	seq 4 6 | ebpub -q --segment-size 1 ai.x
	up
	run -0 ebreplay
	run -0 ebreplay
	run ebhealth
	refute_output --partial vanished
}

@test "a plain file that grows between two runs, out of order: each line once" {
	local i
	plain_dir
	for i in {10..20}; do
		plain ai.x "$i" "2025-12-04T10:30:${i}Z"
	done >"$PLAIN"
	run -75 ebreplay --limit 5
	plain ai.x 8 2025-12-04T10:30:08Z >>"$(segment)"
	run -0 ebreplay
	assert_equal "$(payloads ai.x | sort -n | xargs)" "8 $(seq 10 20 | xargs)"
}

@test "discarded events stay discarded, also with the remains of an interrupted compression" {
	down
	seq 800 | ebpub -q --segment-size 64K ai.x
	rm "$B/.outage"
	gzip -k "$(find "$B" -name '*.jsonl' | sort | head -1)"
	up
	run -0 ebbuffer discard --yes
	run -0 ebreplay
	assert_equal "$(length ai.x)" 0
	assert_equal "$(cat "$B"/quarantine/* | wc -l)" 800
}

# bats test_tags=nosanitize
@test "a segment that becomes suspect is not replayed before its lines are in another segment" {
	need strace
	strace -o /dev/null true || skip "strace may not trace"
	down
	ebpub -q ai.x 1
	# The second lock is held from the rename to the second append.
	bg slow strace -qq -o /dev/null -e inject=fdatasync:error=EIO:when=1 \
		-e inject=renameat,rename:delay_exit=700000:when=1 ebpub ai.x 2
	wait_for "ls '$B' | grep -q suspect"
	up
	run ebreplay --wait 5
	bg_wait slow
	run -0 ebreplay
	assert_equal "$(payloads ai.x | xargs)" "1 2"
}

# --- network file systems -------------------------------------------------------------------------------------------

# bats test_tags=nosanitize
@test "a buffer on a network file system, or on tmpfs, is said to be so with -v, and works" {
	local magic
	need strace
	strace -o /dev/null -e inject=fstatfs:poke_exit=@arg2=00 true 2>/dev/null || skip "strace cannot change memory here"
	down
	# The first member of struct statfs, little-endian: NFS, SMB, CIFS, SMB2; tmpfs.
	for magic in 69690000 7b510000 424d53ff 424d53fe 94190201; do
		run -0 strace -qq -f -o /dev/null -e "inject=fstatfs:poke_exit=@arg2=${magic}00000000" ebpub -v a 1
		assert_line --regexp "^ebpub: buffer '$B' is on $([ $magic = 94190201 ] && echo 'tmpfs: .* reboot' || echo 'a network file system, .*')"
		assert_line buffered
	done
}

@test "a buffer that is a link, moved to another disk during a stream of events: both hold the accepted events" {
	local other
	other=$(mktemp -d /dev/shm/buffer.XXXXXX 2>/dev/null) || skip "no /dev/shm"
	mkdir -m 700 "$EB_TMP/here"
	ln -s here "$B"
	down
	feed pub timeout 30 ebpub a
	seq 3 >&8
	wait_for "[ \$(grep -cx buffered '$EB_TMP/pub.out') = 3 ]"
	ln -sfn "$other" "$B"
	seq 4 6 >&8
	wait_for "[ \$(grep -cx buffered '$EB_TMP/pub.out') = 6 ]"
	exec 8>&-
	bg_wait pub
	up
	run -0 ebreplay -b "$EB_TMP/here"
	run -0 ebreplay
	rm -rf "$other"
	assert_equal "$(payloads a | xargs)" '1 2 3 4 5 6'
}
