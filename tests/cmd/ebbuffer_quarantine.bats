#!/usr/bin/env bats
# covers: lib/buffer lib/report
# ebbuffer quarantine list, retry and drop, and how lines get into quarantine.

# shellcheck disable=SC2030,SC2031,SC2154  # bats: a test is a subshell

load ../support/helper
load ../support/buffer

setup_file() {
	redis_start
}

setup() {
	buffer_setup
}

Q=quarantine

files() { find "$B/$Q" -type f -printf '%f\n' | sort; }

# Puts three discarded events and one torn line into quarantine.
four_aside() {
	buffered a 1 3
	printf '{"event_type":"a","mess' >>"$(echo "$B"/*.jsonl)"
	run -0 ebbuffer discard --yes
	assert_equal "$(cat "$B/$Q"/* | wc -l)" 4
}

@test "list: each line with its reason, type, id and place; -j the same for programs" {
	four_aside
	run -0 ebbuffer quarantine list
	assert_equal "${#lines[@]}" 5
	assert_line --index 0 --regexp '^QUARANTINED AT +TYPE +EVENT ID +BYTES +REASON$'
	assert_line --index 1 --regexp '^20[0-9-]+T[0-9:.]+Z  a +[0-9a-f-]{36} +[0-9]+  discarded by hand .*\(buffer_.*\.jsonl at 0\)$'
	assert_line --index 4 --regexp '  -  .*  discarded by hand'
	run -0 ebbuffer quarantine list -q
	assert_equal "${#lines[@]}" 4
	run -0 ebbuffer quarantine list -j
	assert_equal "$(jq -c 'keys' <<<"$output" | sort -u)" \
		'["bytes","event_id","event_type","file","offset","quarantined_at","reason","segment"]'
	assert_equal "$(jq -c .event_type <<<"$output" | xargs)" 'a a a null'
	assert_equal "$(jq .offset <<<"$output" | head -1)" 0
}

@test "list: nothing there, and no buffer at all" {
	run -0 ebbuffer quarantine list -j
	assert_output ""
	mkdir -m 700 "$B"
	run -0 ebbuffer quarantine list -j
	assert_output ""
}

@test "retry: events come back into the buffer behind what is there, with their ids; the rest stays, status 1" {
	local ids
	buffered a 1 3
	ids=$(jq -r .message.event_id "$B"/*.jsonl)
	printf '{"event_type":"a","mess' >>"$(echo "$B"/*.jsonl)"
	run -0 ebbuffer discard --yes
	buffered a 4 4
	run -1 ebbuffer quarantine retry -v
	assert_line "ebbuffer: 3 events returned to the buffer"
	assert_line "ebbuffer: 1 line kept in '$B/$Q': not an event"
	assert_equal "$(ebstat -j | jq -c '[.buffer.total_events, .buffer.quarantined]')" '[4,1]'
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '4 1 2 3'
	assert_equal "$(event_ids a | tail -3)" "$ids"
	assert_equal "$(find "$B/$Q" -name '*retrying' | wc -l)" 0
	# The torn line is unchanged.
	assert_equal "$(jq -r .line "$B/$Q"/*)" '{"event_type":"a","mess'
	run -1 ebbuffer quarantine retry
	run -0 ebreplay
	assert_equal "$(length a)" 4
}

@test "retry: events that were too large for Redis are delivered after its limit is raised" {
	rcli config set proto-max-bulk-len 1mb >/dev/null
	head -c 2000000 /dev/zero | tr '\0' 1 | sed 's/^/"/; s/$/"/' >"$EB_TMP/big"
	run -1 --separate-stderr ebpub -v big - <"$EB_TMP/big"
	assert_output refused
	run -0 ebbuffer quarantine list -j
	assert_equal "$(jq -r '"\(.file) \(.event_type)"' <<<"$output")" 'refused.jsonl big'
	rcli config set proto-max-bulk-len 512mb >/dev/null
	run -0 ebbuffer quarantine retry
	assert_equal "$(ebstat -j | jq -c '[.buffer.total_events, .buffer.quarantined]')" '[1,0]'
	run -0 ebreplay
	assert_equal "$(values big 3 | cksum)" "$(printf '%s\n' "$(<"$EB_TMP/big")" | cksum)"
}

@test "retry: only the files named; a name that is none is said" {
	local words
	four_aside
	sleep 1.1
	buffered b 1 1
	run -0 ebbuffer discard --yes
	assert_equal "$(files | wc -l)" 2
	run -0 ebbuffer quarantine retry "$(files | tail -1)"
	assert_equal "$(jq -r .event_type "$B"/*.jsonl)" b
	assert_equal "$(files | wc -l)" 1
	run -64 ebbuffer quarantine retry no.jsonl
	assert_output --partial "'no.jsonl': no such file in '$B/quarantine'"
	run -64 ebbuffer quarantine drop --yes ../.lock
	for words in list retry 'drop --yes'; do
		eval "run -64 ebbuffer -b '$EB_TMP/none' quarantine $words no.jsonl"
		assert_output --partial "'no.jsonl': no such file in '$EB_TMP/none/quarantine'"
		eval "run -0 ebbuffer -b '$EB_TMP/none' quarantine $words"
	done
	[ ! -e "$EB_TMP/none" ]
}

@test "retry and drop: a file that is named twice" {
	four_aside
	run -1 ebbuffer quarantine retry "$(files)" "$(files)"
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3'
	run -0 ebbuffer quarantine drop --yes "$(files)" "$(files)"
	assert_equal "$(files)" ''
}

@test "retry: a plain writer's event keeps the id that it was given" {
	mkdir -m 700 "$B"
	plain p '{"x":1}' 2025-12-04T10:30:00Z >"$B/buffer_other.jsonl"
	sleep 1.1
	run ebbuffer list -j
	run -0 ebbuffer discard --yes
	run -0 ebbuffer quarantine retry
	run -0 ebreplay
	assert_equal "$(payloads p)" '{"x":1}'
	assert_equal "$(event_ids p | wc -l)" 1
}

@test "retry: events that an interrupted drain had sent are searched for first" {
	buffered a 1 3
	# A run is killed after its batch was executed, before it stored the replies.
	need strace
	strace -f -o /dev/null -e inject=unlinkat:signal=KILL:when=2 ebreplay 2>/dev/null || :
	[ "$(length a)" = 3 ] || skip "strace cannot trace here"
	cp -a "$B" "$EB_TMP/cut"
	grep -q ^going "$B/.progress"
	run -0 ebbuffer discard --yes
	run ebbuffer quarantine retry
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3'
}

# bats test_tags=nosanitize
@test "retry killed before each system call, and run again: each event once" {
	local calls c name n kills=0
	need strace
	strace -o /dev/null -e inject=getpid:signal=KILL:when=1 true 2>/dev/null || skip "strace cannot trace here"
	four_aside
	cp -a "$B" "$EB_TMP/full"
	strace -f -o "$EB_TMP/trace" ebbuffer quarantine retry || :
	mapfile -t calls < <(sed -nE 's/^[0-9]+ +([a-z_0-9]+)\((.*)/\1 \2/p' "$EB_TMP/trace" |
		awk '{ n[$1]++ } /SIGPIPE/ { main = 1 } main { print $1, n[$1] }')
	for c in "${calls[@]}"; do
		name=${c% *} n=${c#* }
		rm -rf "$B"
		cp -a "$EB_TMP/full" "$B"
		redis_flush
		status=0
		strace -f -o /dev/null -e "inject=$name:signal=KILL:when=$n" ebbuffer quarantine retry 2>/dev/null || status=$?
		[ $status = 1 ] || kills=$((kills + 1))
		# Some of them are delivered between the runs.
		[ $((n % 2)) = 0 ] || ebreplay 2>/dev/null || fail "$c: ebreplay: $?"
		status=0
		ebbuffer quarantine retry 2>/dev/null || status=$?
		[ $status = 1 ] || fail "$c: retry again: $status"
		ebreplay 2>/dev/null || fail "$c: ebreplay: $?"
		assert_equal "$(payloads a | xargs)" '1 2 3'
		assert_equal "$(cat "$B/$Q"/* | wc -l)" 1
	done
	echo "# killed before $kills of ${#calls[@]} system calls" >&3
	[ $kills -gt 50 ]
}

@test "drop: wants --yes; deletes, and says how much" {
	four_aside
	run -64 ebbuffer quarantine drop
	assert_output --partial 'confirm with --yes'
	assert_equal "$(cat "$B/$Q"/* | wc -l)" 4
	run -0 ebbuffer quarantine drop -v --yes
	assert_output "ebbuffer: 4 lines deleted from '$B/$Q'"
	assert_equal "$(files)" ""
	run -0 ebhealth
}

@test "a file that is no record of ours is left alone by retry" {
	four_aside
	echo 'some words' >>"$(echo "$B/$Q"/*.jsonl)"
	run -1 ebbuffer quarantine retry
	assert_output --partial '5 lines'
	assert_equal "$(cat "$B/$Q"/* | wc -l)" 5
	assert_equal "$(ebbuffer quarantine list -j | jq -r .reason | tail -1)" 'not a quarantine record'
}

@test "another replay is running: 75" {
	four_aside
	hold_replay
	run -75 ebbuffer quarantine retry
	run -75 ebbuffer quarantine drop --yes
	run -0 ebbuffer quarantine list
	release_replay
}

# bats test_tags=novalgrind
@test "two publishers refused at once: both are kept" {
	local pids=()
	rcli config set proto-max-bulk-len 1mb >/dev/null
	head -c 1100000 /dev/zero | tr '\0' 1 | sed 's/^/"/; s/$/"/' >"$EB_TMP/big"
	for _ in 1 2 3 4 5 6 7 8; do
		ebpub -q big - <"$EB_TMP/big" 2>/dev/null 3>&- 4>&- &
		pids+=($!)
	done
	wait "${pids[@]}" || :
	rcli config set proto-max-bulk-len 512mb >/dev/null
	assert_equal "$(ebbuffer quarantine list -j | jq -r .event_id | sort -u | wc -l)" 8
}

# --- every kind of quarantined line ----------------------------------------------------------------

# A plain writer's bad lines: bytes that are not text, JSON that is not an object, an object that is not an event.
@test "list: a line that is not text is printed unchanged; retry leaves all such lines" {
	mkdir -m 700 "$B"
	printf 'a\377b\n\n[1]\n{"event_type":"a"}\n' >"$B/buffer_other.jsonl"
	plain a 1 2025-12-04T10:30:00Z >>"$B/buffer_other.jsonl"
	run -1 ebreplay
	assert_equal "$(payloads a)" 1
	run -0 ebbuffer quarantine list -j
	assert_equal "$(jq -c '[.event_type, .event_id, .bytes]' <<<"$output")" '[null,null,3]
[null,null,3]
[null,null,18]'
	cp -a "$B/$Q" "$EB_TMP/was"
	run -1 ebbuffer quarantine retry -v
	assert_output --partial '3 lines kept in '
	diff -r "$B/$Q" "$EB_TMP/was"
	run -0 ebbuffer quarantine drop -v --yes
	assert_output --partial '3 lines deleted'
}

# quarantine/ cannot take the lines of a segment: its file name is taken.
moved_whole() {
	buffered a 1 2
	STEM=$(basename "$B"/*.jsonl .jsonl)
	printf 'no event\n\nnor this\n' >>"$B/$STEM.jsonl"
	buffered a 3 3
	mkfifo "$B/$Q/$STEM.jsonl"
	run -1 ebreplay
	assert_output --partial 'the whole segment will be quarantined'
	assert_equal "$(payloads a | xargs)" '1 2 3'
	rm "$B/$Q/$STEM.jsonl"
	assert_equal "$(files)" "$STEM.bad-2.jsonl"
}

@test "a segment that went there whole: its bad lines are listed, retry leaves it, drop counts them" {
	moved_whole
	assert_equal "$(ebstat -j | jq .buffer.quarantined)" 2
	run -0 ebbuffer quarantine list -j
	assert_equal "$(jq -c '[.file, .segment, .event_type, .bytes]' <<<"$output")" \
		"[\"$STEM.bad-2.jsonl\",\"$STEM\",null,8]
[\"$STEM.bad-2.jsonl\",\"$STEM\",null,8]"
	assert_equal "$(jq -r .reason <<<"$output" | sort -u | wc -l)" 1
	run -0 ebbuffer quarantine list -q
	assert_line --index 0 --regexp "^-  .*\\($STEM.bad-2.jsonl at [0-9]+\\)$"
	run -1 ebbuffer quarantine retry -v
	assert_equal "$(files)" "$STEM.bad-2.jsonl"
	assert_equal "$(ebstat -j | jq .buffer.total_events)" 0
	run -0 ebbuffer quarantine drop -v --yes
	assert_output --partial '2 lines deleted'
}

@test "a compressed segment that was cut: listed as damaged, retry leaves it, drop takes it" {
	down
	seq 1000 | ebpub -q --segment-size 64K a
	seq 1001 2000 | ebpub -q --segment-size 64K a
	run -0 ebbuffer compress
	up
	truncate -s 4000 "$(find "$B" -name '*.gz' | sort | head -1)"
	run -1 ebreplay
	assert_regex "$(files)" '^buffer_.*\.bad-1\.jsonl\.gz$'
	run -0 ebbuffer quarantine list -j
	assert_equal "$(jq -r .reason <<<"$output")" 'damaged: cannot be read to its end'
	run -1 ebbuffer quarantine retry
	run -0 ebbuffer quarantine drop --yes
	assert_equal "$(files)" ''
}

# Files of other programs in quarantine/.
@test "records that are none of ours: each is shown as such, and its file is left alone" {
	local n=0 event good
	buffered a 1 1
	event=$(jq -c tojson "$B"/*.jsonl)
	run -0 ebbuffer discard --yes
	rm "$B/$Q"/*
	good='"quarantined_at":"2026-01-02T03:04:05.000000Z","reason":"r","segment":"s","offset":7'
	while read -r record; do
		n=$((n + 1))
		printf '%s\n' "$record" >"$B/$Q/f$n.jsonl"
	done <<END
5
{$good}
{$good,"line":5}
{$good,"line":$event,"line":$event}
{$good,"line_base64":5}
{$good,"line_base64":"??"}
{"reason":"r","segment":"","line":$event}
{"reason":"r","segment":"../x","line":$event}
{"reason":"r","segment":".x","line":$event}
{"reason":"r","segment":"a/x","line":$event}
{"reason":"","segment":"s","line":$event}
{"reason":5,"segment":"s","line":$event}
{"segment":"s","line":$event}
END
	assert_equal "$n" 13
	run -0 ebbuffer quarantine list -j
	assert_equal "$(jq -r .reason <<<"$output" | sort | uniq -c | xargs)" '13 not a quarantine record'
	run -1 ebbuffer quarantine retry
	assert_equal "$(files | wc -l)" 13
	# An invalid time does not make the whole record invalid.
	printf '{%s,"line":%s}\n' "${good/2026-01-02/yesterday }" "$event" >"$B/$Q/good.jsonl"
	run -0 ebbuffer quarantine list -j good.jsonl
	assert_equal "$(jq -c '[.event_type, .quarantined_at, .segment, .offset]' <<<"$output")" '["a",null,"s",7]'
	sed -i 's/"yesterday [^"]*"/5/' "$B/$Q/good.jsonl"
	run -0 ebbuffer quarantine list -j good.jsonl
	assert_equal "$(jq -c '[.event_type, .quarantined_at]' <<<"$output")" '["a",null]'
	run -0 ebbuffer quarantine retry good.jsonl
	run -0 ebreplay
	assert_equal "$(payloads a)" 1
}

@test "a line with one invalid member is listed without an event, and stays" {
	mkdir -m 700 "$B" "$B/$Q"
	jq -nc '
		def record: {quarantined_at: "2026-01-02T03:04:05.000000Z", reason: "r", segment: "s", offset: 7, line: tojson};
		def event(t): {event_type: t, message: {event_type: t, payload: "1", event_id: "i"}, buffered_at: "2026-01-02T03:04:05Z"};
		(event("a b"), (event("a") | del(.message.event_id))) | record' >"$B/$Q/s.jsonl"
	run -0 ebbuffer quarantine list -j
	assert_equal "$(jq -c '[.event_type, .event_id, .reason]' <<<"$output" | sort -u)" '[null,null,"r"]'
	run -1 ebbuffer quarantine retry -v
	assert_output --partial '2 lines kept in '
	assert_equal "$(files)" s.jsonl
}

@test "files of others in quarantine: not counted, not in the way" {
	four_aside
	echo 'read me' >"$B/$Q/README"
	echo x >"$B/$Q/.hidden"
	echo x >"$B/$Q/a.bad-x"
	echo x >"$B/$Q/x"
	assert_equal "$(ebstat -j | jq .buffer.quarantined)" 4
	run -64 ebbuffer quarantine list .hidden
	run -0 ebbuffer quarantine list -j
	assert_equal "$(jq -r .file <<<"$output" | grep -v jsonl | xargs)" 'README a.bad-x x'
	for how in -v -q -j; do
		status=0
		ebbuffer quarantine list $how >/dev/full 2>"$EB_TMP/err" || status=$?
		assert_equal $status 74
	done
	run -1 ebbuffer quarantine retry "$(files | grep jsonl)"
	assert_equal "$(ebstat -j | jq -c '[.buffer.total_events, .buffer.quarantined]')" '[3,1]'
}

@test "an unreadable quarantine is reported, 74, and nothing is done" {
	four_aside
	mkdir "$B/$Q/zz.jsonl"
	run -74 ebbuffer quarantine list
	assert_output --partial zz.jsonl
	run -74 ebbuffer quarantine drop --yes zz.jsonl
	run -74 ebbuffer quarantine retry zz.jsonl
	rmdir "$B/$Q/zz.jsonl"
	mv "$B/$Q" "$EB_TMP/aside"
	run -74 ebbuffer quarantine retry some.jsonl
	run -74 ebbuffer quarantine list some.jsonl
	run -74 ebbuffer quarantine drop --yes some.jsonl
	run -0 ebbuffer quarantine retry
	: >"$B/$Q"
	run -74 ebbuffer quarantine list
	run -74 ebbuffer quarantine retry
}

@test "a file that another process is appending to is neither retried nor dropped: 74" {
	four_aside
	bg holder flock "$B/$Q/$(files)" sleep 60
	wait_for "! flock -n '$B/$Q/$(files)' true"
	run -74 ebbuffer quarantine retry
	assert_output --partial "rename '$B/quarantine/"
	run -74 ebbuffer quarantine drop --yes
	assert_output --partial "remove '$B/quarantine/"
	assert_equal "$(cat "$B/$Q"/* | wc -l)" 4
	pkill -KILL -P "${BG[holder]}"
}

@test "retry of 1 200 events: all come back, in order" {
	down
	seq 1200 | ebpub -q --maxlen 0 a
	up
	run -0 ebbuffer discard --yes
	run -0 ebbuffer quarantine retry -v
	assert_output --partial '1200 events returned'
	run -0 ebreplay
	assert_equal "$(payloads a | cksum)" "$(seq 1200 | cksum)"
}

# The file of a retry that was killed before it removed the file: named for the segment that has its events.
unfinished() {
	local own
	own=$(echo "$B"/*.own-*.jsonl)
	own=${own##*-}
	mv "$EB_TMP/whole" "$B/$Q/$(files).${own%.jsonl}.retrying"
}

# Then lines and files of all kinds are added.
@test "retry completes an interrupted one, with a plain writer's file and a bad line present" {
	four_aside
	cp "$B/$Q/$(files)" "$EB_TMP/whole"
	run -1 ebbuffer quarantine retry
	unfinished
	echo garbage >>"$(echo "$B"/*.jsonl)"
	plain a 9 2025-12-04T10:30:00Z >"$B/buffer_other.jsonl"
	mkdir "$B/buffer_2026-01-02_03-04-05_000001.jsonl"
	run -1 ebbuffer quarantine retry
	rmdir "$B/buffer_2026-01-02_03-04-05_000001.jsonl"
	run -1 ebreplay
	assert_equal "$(payloads a | xargs)" '9 1 2 3'
}

@test "retry completes an interrupted one whose events were delivered meanwhile: found in the stream, once" {
	four_aside
	cp "$B/$Q/$(files)" "$EB_TMP/whole"
	run -1 ebbuffer quarantine retry
	unfinished
	run -0 ebreplay
	run -1 ebbuffer quarantine retry
	run -0 ebreplay -j
	assert_equal "$(jq -c '[.found, .replayed, .possible_duplicates]' <<<"$output")" '[3,0,0]'
	assert_equal "$(payloads a | xargs)" '1 2 3'
}

# bats test_tags=nosanitize
@test "retry completes an interrupted one in the second of the first run: no line is taken for delivered or bad" {
	local at='2035-01-01 00:00:00'
	need_clock
	four_aside
	rm -f "$B/.outage"
	cp "$B/$Q/$(files)" "$EB_TMP/whole"
	run -1 clock_at "$at" ebbuffer quarantine retry
	unfinished
	run -0 ebreplay
	run -1 clock_at "$at" ebbuffer quarantine retry
	run -0 ebreplay -j
	assert_equal "$(jq -c '[.found, .replayed, .quarantined]' <<<"$output")" '[3,0,0]'
	assert_equal "$(payloads a | xargs)" '1 2 3'
}

@test "retry completes an interrupted one of a file without events: its lines are in their old file, once" {
	buffered a 1 1
	echo garbage >>"$(echo "$B"/*.jsonl)"
	run -1 ebreplay
	mv "$B/$Q/$(files)" "$B/$Q/$(files).retrying"
	run -1 ebbuffer quarantine retry
	assert_regex "$(files)" '^buffer_[^.]*\.jsonl$'
	assert_equal "$(jq -r .line "$B/$Q"/*)" garbage
}

@test "retry of events in doubt: searched for, once" {
	leave_in_doubt
	rm -f "$B/.probe" "$B/.outage"
	run -0 ebbuffer discard --yes
	run -0 ebbuffer quarantine retry
	grep -q '"doubt":' "$B"/*.jsonl
	run -0 ebreplay -j
	assert_equal "$(jq -c '[.found, .replayed]' <<<"$output")" '[1,0]'
	assert_equal "$(payloads a | xargs)" '1 2'
}

# --- how lines get into quarantine --------------------------------------------------------------------

# bad N: makes a buffer with an event and N bad lines of half a KiB.
bad() {
	buffered a 1 1
	SEGMENT=$(echo "$B"/*.jsonl)
	awk -v n="$1" 'BEGIN { for (i = 1; i <= n; i++) printf "%0*d\n", 500 + i % 97, i }' >>"$SEGMENT"
}

@test "1 000 bad lines that are there already, in whatever order, are not added again" {
	bad 1000
	cp -a "$B" "$EB_TMP/full"
	run -1 ebreplay
	assert_equal "$(cat "$B/$Q"/* | wc -l)" 1000
	# As after a kill before the checkpoint was stored.
	tac "$B/$Q/$(files)" >"$EB_TMP/reversed"
	rm -rf "$B"
	cp -a "$EB_TMP/full" "$B"
	mv "$EB_TMP/reversed" "$B/$Q/$(basename "$SEGMENT")"
	redis_flush
	run -1 ebreplay
	assert_equal "$(cat "$B/$Q"/* | wc -l)" 1000
	assert_equal "$(jq -r .line "$B/$Q"/* | sort -u | wc -l)" 1000
}

@test "a torn line at the end of a quarantine file of a dead writer: the next line is complete" {
	bad 1
	cp -a "$B" "$EB_TMP/full"
	printf '{"quarantined_at":"2026' >"$B/$Q/$(basename "$SEGMENT")"
	run -1 ebreplay
	assert_equal "$(jq -r .line "$B/$Q"/* | wc -c)" 502
}

@test "bad lines of 40 files: more than are kept open at once" {
	local i
	mkdir -m 700 "$B"
	for i in $(seq 40); do
		printf 'bad %d\n%s\nworse %d\n' "$i" "$(plain a "$i" 2025-12-04T10:30:00Z)" "$i" >"$B/buffer_f$i.jsonl"
	done
	run -1 ebreplay
	assert_equal "$(jq -r .line "$B/$Q"/* | sort -u | wc -l)" 80
	assert_equal "$(length a)" 40
}

# --- quarantine that cannot be written -----------------------------------------------------------------------

# failing FILE CALL[:WHEN] ERROR COMMAND...: runs COMMAND with system call CALL failing with ERROR on this file of the buffer.
failing() {
	local when=
	case $2 in *:*) when=:when=${2#*:} ;; esac
	timeout 60 strace -qq -f -o /dev/null -P "$B${1:+/$1}" -e "inject=${2%:*}:error=$3$when" "${@:4}"
}

need_strace() {
	need strace
	strace -o /dev/null -e inject=getpid:signal=KILL:when=1 true 2>/dev/null || skip "strace cannot trace here"
}

# bats test_tags=nosanitize
@test "the quarantine cannot be made durable, its file not written, not cut: 74, the buffer is as it was; then each line once" {
	local fault name where call error
	need_strace
	bad 3
	cp -a "$B" "$EB_TMP/full"
	name=$Q/$(basename "$SEGMENT")
	for fault in "- fsync EIO" "$Q fsync EIO" "$name fdatasync EIO" "$name write ENOSPC" "$name ftruncate EIO" "$name write,ftruncate EIO"; do
		rm -rf "$B"
		redis_flush
		cp -a "$EB_TMP/full" "$B"
		read -r where call error <<<"$fault"
		case $where:$call in
		-:fsync)	# its directory is new
			rm -r "${B:?}/$Q"
			run failing '' "$call" "$error" ebreplay ;;
		*:ftruncate)	# a torn line of a killed process is left
			printf '{"quarantined_at":"2026' >"$B/$name"
			run failing "$where" "$call" "$error" ebreplay ;;
		*) run failing "$where" "$call" "$error" ebreplay ;;
		esac
		[ "$status" = 74 ] || [ "$status" = 1 ] || fail "$fault: $status $output"
		[ "$status" = 1 ] || ebreplay || [ $? = 1 ]
		assert_equal "$(length a)" 1
		# Each bad line is in quarantine: in a record, or in its whole segment.
		assert_equal "$(ebstat -j | jq .buffer.quarantined)" 3 || fail "$fault"
	done
}

# bats test_tags=nosanitize
@test "bad lines of 20 files, and that of the first cannot be made durable: 74; then each once" {
	local i first
	need_strace
	down
	for i in $(seq 20); do
		ebpub -q --segment-size 1 a "$i"
	done
	rm -f "$B/.outage"
	up
	for i in "$B"/*.jsonl; do
		echo "bad $i" >>"$i"
	done
	first=$(find "$B" -maxdepth 1 -name '*.jsonl' -printf '%f\n' | sort | head -1)
	run -74 failing "$Q/$first" fdatasync EIO ebreplay
	assert_output --partial "write '$B/$Q/$first'"
	run -1 ebreplay
	assert_equal "$(length a)" 20
	# Each bad line is in quarantine: in a record, or in its whole segment.
	assert_equal "$(grep -rho 'bad /[^"]*' "$B/$Q" | sort -u | wc -l)" 20
}

@test "a bad line of a segment with 8 000 lines already in quarantine: only it is added" {
	rcli set "$S:z" x >/dev/null
	down
	ebpub -q z 1
	rm -f "$B/.outage"
	up
	SEGMENT=$(echo "$B"/*.jsonl)
	seq -f 'bad %.0f' 8000 >>"$SEGMENT"
	run ebreplay
	assert_equal "$(cat "$B/$Q"/* | wc -l)" 8000
	echo 'bad 8001' >>"$SEGMENT"
	run ebreplay
	rcli del "$S:z" >/dev/null
	run -0 ebreplay
	assert_equal "$(length z)" 1
	assert_equal "$(jq -r .line "$B/$Q"/* | sort -u | wc -l)" 8001
	assert_equal "$(cat "$B/$Q"/* | wc -l)" 8001
}

# larger BYTES: makes the server refuse events larger than BYTES. big N SIZE: prints such a payload.
larger() { rcli config set proto-max-bulk-len "$1" >/dev/null; }
big() { printf '"%s%0*d"' "$1" "$2" 0; }

@test "events too large for Redis in a file out of order: each is kept with its place, once" {
	local i
	mkdir -m 700 "$B"
	for i in 3 1 2; do
		plain p "$(big $i 1100000)" "2026-01-02T03:04:0${i}Z" 2>/dev/null || jq -nc --rawfile p <(big $i 1100000) --arg at "2026-01-02T03:04:0${i}Z" \
			'{event_type: "p", message: {event_type: "p", payload: $p, timestamp: $at, source: "s"}, buffered_at: $at}'
	done >"$B/buffer_plain.jsonl"
	larger 1mb
	run -1 timeout 60 ebreplay --wait 30
	larger 512mb
	assert_equal "$(ebbuffer quarantine list -j | jq .offset | sort -n | uniq | wc -l)" 3
	assert_equal "$(jq -r .line "$B/$Q"/* | jq -r '.message.payload[1:2]' | sort | xargs)" '1 2 3'
	assert_equal "$(length p)" 0
	# They are put back in order.
	run -0 timeout 60 ebbuffer quarantine retry
	run -0 timeout 60 ebreplay
	assert_equal "$(payloads p | cut -c2 | xargs)" '1 2 3'
}

@test "an event too large for Redis, of a type that was held, comes to a bad line from behind it: both are kept" {
	rcli set "$S:z" x >/dev/null
	down
	big 1 1100000 | ebpub -q z -
	rm -f "$B/.outage"
	up
	echo bad >>"$(echo "$B"/*.jsonl)"
	run ebreplay
	assert_equal "$(ebbuffer quarantine list -j | wc -l)" 1
	rcli del "$S:z" >/dev/null
	larger 1mb
	run -1 timeout 60 ebreplay --wait 30
	larger 512mb
	assert_equal "$(ebbuffer quarantine list -j | jq -r .event_type | sort | xargs)" 'null z'
}

# bats test_tags=nosanitize
@test "an event too large for Redis, and the quarantine does not take it: buffered or not safe, never dropped" {
	local how
	need_strace
	big 1 1100000 >"$EB_TMP/big"
	for how in folder file sync; do
		rm -rf "$B"
		redis_flush
		mkdir -m 700 "$B"
		larger 1mb
		case $how in
		folder)
			: >"$B/$Q"
			run timeout 20 ebpub big - <"$EB_TMP/big" ;;
		file)
			mkdir -m 700 "$B/$Q" "$B/$Q/refused.jsonl"
			run timeout 20 ebpub big - <"$EB_TMP/big" ;;
		sync)
			mkdir -m 700 "$B/$Q"
			: >"$B/$Q/refused.jsonl"
			run failing "$Q/refused.jsonl" fdatasync EIO ebpub big - <"$EB_TMP/big" ;;
		esac
		larger 512mb
		assert_line buffered || fail "$how: $status $output"
		[ "$status" != 0 ] || fail "$how"
		[ $how = sync ] || rm -r "${B:?}/$Q"
		run timeout 20 ebreplay
		assert_equal "$(length big)" 1
	done
}

# bats test_tags=nosanitize
@test "a damaged segment that cannot be moved into quarantine: 74, it stays; then it goes there, each event once" {
	local call
	need_strace
	for call in renameat fsync; do
		rm -rf "$B"
		redis_flush
		down
		seq 500 | ebpub -q --segment-size 1 a
		ebpub -q --segment-size 1 a 501
		rm -f "$B/.outage"
		run -0 ebbuffer compress
		up
		SEGMENT=$(echo "$B"/*.gz)
		truncate -s -20 "$SEGMENT"
		run -74 failing "$Q" $call EIO ebreplay
		assert_output --partial "move '$SEGMENT' into quarantine" || fail "$call"
		run ebreplay
		assert_equal "$(find "$B/$Q" -name '*.bad-*.gz' | wc -l)" 1
		assert_equal "$(payloads a | sort | uniq -d)" ''
		payloads a | tail -1 | grep -qx 501
	done
}

@test "a quarantine file that is replaced during the wait for its lock: the line is in the new file" {
	bad 1
	: >"$B/$Q/$(basename "$SEGMENT")"
	bg holder flock "$B/$Q/$(basename "$SEGMENT")" sleep 60
	wait_for "! flock -n '$B/$Q/$(basename "$SEGMENT")' true"
	bg replay timeout 20 ebreplay
	wait_for "ls -l /proc/\$(pgrep -P ${BG[replay]})/fd | grep -q '$B/$Q/.*jsonl'"
	mv "$B/$Q/$(basename "$SEGMENT")" "$EB_TMP/taken"
	: >"$B/$Q/$(basename "$SEGMENT")"
	pkill -KILL -P "${BG[holder]}"
	bg_wait replay
	assert_equal "$status" 1
	# On a busy machine the wait may have timed out: then its whole segment is in quarantine.
	grep -rq 0001 "$B/$Q"
	[ ! -s "$EB_TMP/taken" ]
}

# bats test_tags=nosanitize
@test "retry of 1 200 events into a buffer that takes none: 74, they stay; then each once" {
	need_strace
	buffered a 1 1200
	rm -f "$B/.outage"
	run -0 ebbuffer discard --yes
	run -74 strace -qq -f -o /dev/null -e inject=fdatasync:error=EIO ebbuffer quarantine retry
	assert_equal "$(cat "$B/$Q"/* | wc -l)" 1200
	run -0 ebbuffer quarantine retry
	run ebreplay
	assert_equal "$(event_ids a | sort | uniq -d)" ''
	assert_equal "$(payloads a | sort -nu | cksum)" "$(seq 1200 | cksum)"
}

# bats test_tags=nosanitize
@test "retry: what is no event cannot be written back durably: 74, and nothing is lost" {
	need_strace
	four_aside
	run -74 failing "$Q" fsync:2+ EIO ebbuffer quarantine retry
	run ebbuffer quarantine retry
	run -0 ebreplay
	assert_equal "$(payloads a | sort -u | xargs)" '1 2 3'
	assert_equal "$(event_ids a | sort | uniq -d)" ''
	assert_equal "$(cat "$B/$Q"/* | wc -l)" 1
}
