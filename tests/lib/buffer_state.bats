#!/usr/bin/env bats
# covers: lib/buffer lib/drain
# State that was lost, copied, restored from a backup, or changed by hand: nothing is lost, doubled or hidden.

# shellcheck disable=SC2154  # bats

load ../support/helper
load ../support/buffer

setup_file() { redis_start; }
setup() { buffer_setup; }

need_strace() {
	need strace
	strace -o /dev/null true || skip "strace may not trace"
}

# half TYPE N: puts N events into the buffer and drains half of them.
half() {
	buffered "$1" 1 "$2"
	rm -f "$B/.outage"
	run -75 ebreplay --limit $(($2 / 2))
}

# result: drains, and prints how many events were found, replayed and counted as possible duplicates.
result() {
	ebreplay -j 2>"$EB_TMP/err" | jq -c '[.found, .replayed, .possible_duplicates]'
}

# --- segments that were put there by hand --------------------------------------------------------------

# behind: makes a buffer with a segment (t: 1 2 3) that its operator moved to $EB_TMP/away, drains t 4 behind it, and leaves
# an event of a held type.
behind() {
	rm -rf "$B" "$EB_TMP/away"
	redis_flush
	mkdir "$EB_TMP/away"
	buffered t 1 3
	mv "$B"/buffer_*.jsonl "$EB_TMP/away/"
	[ "$1" = known ] || rm -r "$B"
	rcli set "$S:z" x >/dev/null
	sleep 1.1
	buffered t 4 4
	buffered z 1 1
	rm -f "$B/.outage"
	run ebreplay
}

@test "a segment of another buffer, put behind the drained part: delivered, not removed as delivered" {
	behind unknown
	assert_equal "$status" 75
	mv "$EB_TMP"/away/* "$B/"
	assert_equal "$(result)" '[0,3,0]'
	assert_equal "$(payloads t | xargs)" '4 1 2 3'
	# also when the buffer was drained to its end
	behind unknown
	rcli del "$S:z" >/dev/null
	run -0 ebreplay
	mv "$EB_TMP"/away/* "$B/"
	assert_equal "$(result)" '[0,3,0]'
	assert_equal "$(payloads t | xargs)" '4 1 2 3'
}

@test "a segment of another buffer, put between a held type and the drained part; none when the manifest was lost" {
	rcli set "$S:z" x >/dev/null
	buffered z 1 1
	run -75 ebreplay
	down
	sleep 1.1
	seq 3 | EB_BUFFER_DIR=$EB_TMP/other ebpub -q t
	sleep 1.1
	EB_SEGMENT_SIZE=1 ebpub -q t 4
	rm -f "$B/.outage"
	up
	run -75 ebreplay
	assert_equal "$(payloads t)" 4
	cp "$EB_TMP"/other/buffer_*.jsonl "$B/"
	assert_equal "$(result)" '[0,3,0]'
	assert_equal "$(payloads t | xargs)" '4 1 2 3'
	# without the manifest the segments of the held type are not taken for such ones
	rm "$B/.roster"
	buffered t 5 5
	assert_equal "$(result | jq -c '.[0]')" 0
	assert_equal "$(find "$B" -maxdepth 1 -name '*.own-0.jsonl' | wc -l)" 0
	rcli del "$S:z" >/dev/null
	run -0 ebreplay
	assert_equal "$(payloads z)" 1
	assert_equal "$(payloads t | xargs)" '4 1 2 3 5'
}

@test "a delivered segment of a backup, put back: found in the stream" {
	buffered t 1 3
	cp "$B"/buffer_*.jsonl "$EB_TMP/"
	ebreplay -q
	sleep 1.1
	buffered t 4 4
	rm -f "$B/.outage"
	run -0 ebreplay
	mv "$EB_TMP"/buffer_*.jsonl "$B/"
	assert_equal "$(result)" '[3,0,0]'
	assert_equal "$(payloads t | xargs)" '1 2 3 4'
}

@test "a vanished segment that a discard forgot is put back: delivered; what was discarded stays in quarantine" {
	behind known
	assert_equal "$status" 74
	run -0 ebbuffer discard --yes
	run -0 ebreplay
	mv "$EB_TMP"/away/* "$B/"
	assert_equal "$(result)" '[0,3,0]'
	assert_equal "$(payloads t | xargs)" '4 1 2 3'
	assert_equal "$(rcli type "$S:z")" string
	assert_equal "$(ebbuffer quarantine list -q | wc -l)" 1
	assert_equal "$(find "$B" -maxdepth 1 -name 'buffer_*' | wc -l)" 0
}

@test "files of the quarantine that are moved into the buffer: their lines are not removed as delivered" {
	buffered t 1 3
	run -0 ebbuffer discard --yes
	mv "$B"/quarantine/*.jsonl "$B/"
	rm -f "$B/.outage"
	run -1 ebreplay
	assert_equal "$(ebbuffer quarantine list -q | wc -l)" 3
}

@test "a vanished segment that is put back before a discard is discarded with the others" {
	behind known
	mv "$EB_TMP"/away/* "$B/"
	run -0 ebbuffer discard --yes
	run -0 ebreplay
	assert_equal "$(payloads t | xargs)" 4
	run -0 ebbuffer quarantine retry
	rcli del "$S:z" >/dev/null
	run -0 ebreplay
	assert_equal "$(payloads t | sort | xargs)" '1 2 3 4'
	assert_equal "$(payloads z)" 1
}

@test "a vanished segment that is put back while a replay runs: not removed as delivered" {
	local pid
	buffered t 1 3
	mkdir "$EB_TMP/away"
	mv "$B"/buffer_*.jsonl "$EB_TMP/away/"
	sleep 1.1
	# the event of the outage makes a second walk
	buffered t 4 33
	ebreplay --rate 20 2>/dev/null &
	pid=$!
	until [ "$(length t)" -gt 0 ]; do sleep 0.02; done
	mv "$EB_TMP"/away/* "$B/"
	wait "$pid" || assert_equal "$?" 75
	run -0 ebreplay
	assert_equal "$(payloads t | xargs)" "$(seq 4 33 | xargs) 1 2 3"
}

# --- lost state ----------------------------------------------------------------------------------------

@test "a lost checkpoint is noticed after the next publisher made another" {
	local lose
	for lose in 'rm .progress' 'truncate -s 0 .progress' 'rm .progress .lock .roster .replay' 'rm .progress .lock .target .replay .roster .counters'; do
		rm -rf "$B"
		redis_flush
		half t 600
		(cd "$B" && eval "$lose")
		down
		ebpub -q --segment-size 1 t 0
		rm -f "$B/.outage"
		up
		assert_equal "$(result)" '[300,301,0]' || fail "$lose"
		grep -q "progress' was lost" "$EB_TMP/err"
		assert_equal "$(payloads t | xargs)" "$(seq 600 | xargs) 0" || fail "$lose"
	done
}

@test "the blank checkpoint of an earlier version beside our segments is a lost one" {
	half t 60
	head -c 131072 /dev/zero | tr '\0' '\n' >"$B/.progress"
	assert_equal "$(result)" '[30,30,0]'
	# Only plain writers' files: none was begun.
	plain p 1 2026-01-02T03:04:05Z >"$B/buffer_2026-01-02_03-04-05.jsonl"
	head -c 131072 /dev/zero | tr '\0' '\n' >"$B/.progress"
	assert_equal "$(result)" '[0,1,0]'
	run -0 cat "$EB_TMP/err"
	assert_output ''
}

# bats test_tags=nosanitize
@test "a publisher that makes the checkpoint file does not replace one that a drain has made" {
	need_strace
	half t 6
	cp "$B/.progress" "$EB_TMP/recorded"
	rm "$B/.progress"
	down
	strace -f -qq -o /dev/null -e trace=renameat2 -e inject=renameat2:delay_enter=1500000:when=1 \
		ebpub -q --segment-size 1 t 0 &
	wait_for "ls -A '$B' | grep -q '^[.]progress[.]'"
	cp "$EB_TMP/recorded" "$B/.progress"
	wait $!
	cmp "$B/.progress" "$EB_TMP/recorded"
	[ "$(find "$B" -name '.progress*' | wc -l)" = 1 ]
}

# --- copies and backups ---------------------------------------------------------------------------------

@test "segments copied without the dot files are looked up" {
	local how
	for how in plain own; do
		rm -rf "$B" "$EB_TMP/other"
		redis_flush
		half t 20
		mkdir -m 700 "$EB_TMP/other"
		cp "$B"/*.jsonl "$EB_TMP/other/"
		[ $how = plain ] || EB_REDIS_URL=unix:///nowhere EB_BUFFER_DIR=$EB_TMP/other ebpub -q t 21
		rm -f "$EB_TMP/other/.outage" "$EB_TMP/other/.target"
		EB_BUFFER_DIR=$EB_TMP/other run -0 ebreplay -j
		assert_equal "$(payloads t | head -n 20 | xargs)" "$(seq 20 | xargs)"
		assert_equal "$(length t)" "$([ $how = plain ] && echo 20 || echo 21)"
	done
}

# restore HOW: puts the saved buffer in the place of the present one.
restore() {
	case $1 in
	over) cp -a "$EB_TMP/backup/." "$B" ;;
	tar) tar cf - -C "$EB_TMP/backup" . | tar xf - -C "$B" ;;
	anew) rm -rf "$B" && cp -a "$EB_TMP/backup" "$B" ;;
	checkpoint) cp "$EB_TMP/backup/.progress" "$B/.progress" ;;
	moved) mv "$B" "$B.old" && cp -a "$EB_TMP/backup" "$B" ;;
	esac
}

@test "a buffer restored from before a drain, in several ways: what was delivered since is found" {
	local how before
	for how in over tar anew moved checkpoint; do
		for before in 0 4; do
			rm -rf "$B" "$B.old" "$EB_TMP/backup"
			redis_flush
			buffered t 1 20
			rm -f "$B/.outage"
			[ $before = 0 ] || run -75 ebreplay --limit $before
			cp -a "$B" "$EB_TMP/backup"
			run -75 ebreplay --limit 10
			restore $how
			assert_equal "$(result)" "[10,$((10 - before)),0]" || fail "$how $before"
			grep -q 'was copied or restored from a backup' "$EB_TMP/err"
			assert_equal "$(payloads t | xargs)" "$(seq 20 | xargs)" || fail "$how $before"
			run ! compgen -G "$B/*.jsonl"
			# The next one is an ordinary drain.
			buffered t 21 22
			rm -f "$B/.outage"
			assert_equal "$(result)" '[0,2,0]'
			run -0 cat "$EB_TMP/err"
			assert_output ''
		done
	done
}

@test "a restored buffer is found to be one after an interrupted look, and after a discard" {
	buffered t 1 20
	rm -f "$B/.outage"
	cp -a "$B" "$EB_TMP/backup"
	run -75 ebreplay --limit 10
	restore over
	run -75 ebreplay --limit 4
	assert_output --partial 'was copied or restored from a backup'
	assert_equal "$(result)" '[0,6,0]'
	assert_equal "$(payloads t | xargs)" "$(seq 20 | xargs)"
	rm -rf "$B"
	redis_flush
	cp -a "$EB_TMP/backup" "$B"
	run -0 ebreplay
	restore over
	run -0 ebbuffer discard --yes
	run -0 ebbuffer quarantine retry
	assert_equal "$(result)" '[20,0,0]'
	assert_equal "$(length t)" 20
}

@test "a restored buffer whose stream was trimmed: what cannot be known is sent and counted" {
	buffered t 1 20
	rm -f "$B/.outage"
	cp -a "$B" "$EB_TMP/backup"
	run -75 ebreplay --limit 10
	rcli xtrim "$S:t" maxlen 5 >/dev/null
	restore over
	assert_equal "$(result)" '[5,15,15]'
	assert_equal "$(ebstat -j | jq .buffer.possible_duplicates)" 15
}

# bats test_tags=nosanitize
@test "no look-up in the ordinary life of a buffer: renamed, drained in parts, by publishers and by ebreplay" {
	need_strace
	half t 8
	mv "$B" "$B.1"
	mv "$B.1" "$B"
	assert_equal "$(result)" '[0,4,0]'
	buffered t 9 12
	ebpub -q t 13
	buffered t 14 16
	hold_replay
	ebpub -q t 17
	release_replay
	strace -f -qq -s 4096 -o "$EB_TMP/trace" -e trace=sendto,write ebreplay -q
	run ! grep -qi 'xrange' "$EB_TMP/trace"
	run -0 cat "$EB_TMP/err"
	assert_output ''
	assert_equal "$(payloads t | xargs)" "$(seq 17 | xargs)"
}

# bats test_tags=nosanitize
@test "a drain that is killed before its first checkpoint leaves the buffer at home" {
	need_strace
	half t 8
	run strace -f -qq -o /dev/null -e trace=utimensat -e inject=utimensat:signal=KILL:when=1 ebreplay
	run strace -f -qq -o /dev/null -e trace=fdatasync -e inject=fdatasync:signal=KILL:when=1 ebreplay
	run strace -f -qq -o /dev/null -e trace=pwrite64 -e inject=pwrite64:signal=KILL:when=1 ebreplay
	run strace -f -qq -o /dev/null -e trace=pwrite64 -e inject=pwrite64:error=EIO:when=1 ebreplay
	result
	run ! grep -q restored "$EB_TMP/err"
	assert_equal "$(payloads t | xargs)" "$(seq 8 | xargs)"
}

# --- commands that are killed ---------------------------------------------------------------------------

# bats test_tags=nosanitize
@test "a discard that is killed at any of its calls: no segment counts as vanished" {
	need_strace
	local n call
	for call in unlinkat fdatasync pwrite64; do
		for n in 1 2 3 6; do
			rm -rf "$B"
			down
			seq 5 | xargs -n 1 ebpub -q --segment-size 1 t
			rm -f "$B/.outage"
			up
			run strace -f -qq -o /dev/null -e trace=$call -e inject=$call:signal=KILL:when=$n ebbuffer discard --yes
			run ebreplay -q
			[ "$status" = 0 ] || fail "$call $n: $status $output"
			assert_equal "$(ebstat -j | jq -c .buffer.vanished)" '[]' || fail "$call $n"
			assert_equal "$(ebstat -j | jq -c .buffer.total_events)" 0
		done
	done
}

# bats test_tags=nosanitize
@test "fdatasync fails after a drain has removed, delivered or compressed the segment: the second copy is looked up" {
	need_strace
	local how
	for how in drained kept compressed; do
		rm -rf "$B"
		redis_flush
		[ $how != kept ] || { rcli set "$S:x" 1 >/dev/null && buffered x 0 0; }
		buffered t 1 2
		rm -f "$B/.outage"
		down
		strace -f -qq -o /dev/null -e trace=fdatasync \
			-e inject=fdatasync:error=EIO:delay_enter=1500000:when=1 ebpub -q t 3 &
		wait_for "cat '$B'/*.jsonl | jq -r .message.payload | grep -qx 3"
		up
		case $how in
		drained) run -0 ebreplay ;;
		kept) run -75 ebreplay ;;
		compressed)
			down
			ebpub -q --segment-size 1 t 4
			run -0 ebbuffer compress
			;;
		esac
		wait $!
		up
		rm -f "$B/.outage"
		ebreplay -q || :
		assert_equal "$(payloads t | sort | xargs)" "$([ $how = compressed ] && echo 1 2 3 4 || echo 1 2 3)"
	done
}

# --- segments that were changed by hand ------------------------------------------------------------------

# shrunk N M: fails unless ebreplay, ebhealth and ebstat say that a segment shrank from N to M bytes; ends the alarm.
shrunk() {
	run -74 ebreplay
	assert_output --regexp "segment 'buffer_[^']*' shrank from $1 to $2 bytes: put it back as it was, or drain the rest and run ebbuffer discard"
	run -2 ebhealth
	assert_output --regexp "CRITICAL - segment buffer_[^ ]* shrank from $1 to $2 bytes"
	run -74 ebstat
	assert_output --regexp "shrunk +buffer_[^ ]*, from $1 to $2 bytes"
	assert_equal "$(ebstat -j | jq -c '.buffer.shrunk | map([.from, .to])')" "[[$1,$2]]"
	assert_equal "$(ebstat -j | jq -c .buffer.vanished)" '[]'
	run -0 ebbuffer discard --yes
	run -0 ebreplay
	run ebhealth -w quarantine=100
	assert_output --partial OK
}

@test "a segment that was emptied: 74 and CRITICAL until a discard, also after more events and after its removal" {
	local n more
	for more in none same new; do
		rm -rf "$B"
		redis_flush
		buffered t 1 3
		rm -f "$B/.outage"
		n=$(cat "$B"/*.jsonl | wc -c)
		: >"$(echo "$B"/*.jsonl)"
		down
		[ $more != same ] || ebpub -q t 4
		[ $more != new ] || ebpub -q --segment-size 1 t 4
		rm -f "$B/.outage"
		run ebhealth
		assert_output --regexp "segment buffer_[^ ]* shrank from $n to 0 bytes"
		up
		run -74 ebreplay
		assert_equal "$(payloads t | xargs)" "$([ $more = none ] || echo 4)"
		shrunk "$n" 0
	done
}

@test "a closed segment, one of a publisher without the lock, and a plain writer's that shrank" {
	local n file
	down
	seq 3 | xargs -n 1 ebpub -q --segment-size 1 t
	rm -f "$B/.outage"
	up
	file=$(find "$B" -name '*.jsonl' | sort | sed -n 2p)
	n=$(stat -c %s "$file")
	truncate -s 10 "$file"
	run -74 ebreplay
	assert_equal "$(payloads t | xargs)" '1 3'
	shrunk "$n" 10

	bg holder flock "$B/.lock" sleep 60
	wait_for "! flock -n '$B/.lock' true"
	down
	ebpub -q -t 0.2 t 5
	rm -f "$B/.outage"
	up
	pkill -KILL -P "${BG[holder]}" || :
	wait_for "flock -n '$B/.lock' true"
	file=$(echo "$B"/*.own-*.jsonl)
	n=$(stat -c %s "$file")
	: >"$file"
	shrunk "$n" 0

	rcli set "$S:p" 1 >/dev/null
	for i in 1 2 3; do plain p $i "2025-12-04T10:30:0${i}Z"; done >"$B/buffer_2025-12-04_10-30-00.jsonl"
	run -75 ebreplay
	file=$(echo "$B"/*.claimed-*.jsonl)
	n=$(stat -c %s "$file")
	sed -i '$d' "$file"
	rcli del "$S:p" >/dev/null
	run -74 ebreplay
	assert_output --partial "shrank from $n to $((n * 2 / 3)) bytes"
	assert_equal "$(payloads p | xargs)" '1 2'
}

@test "a segment that shrank and is put back as it was: what it had lost is delivered, and the alarm ends" {
	local when file
	for when in before after; do
		rm -rf "$B"
		redis_flush
		buffered t 1 6
		rm -f "$B/.outage"
		file=$(echo "$B"/*.jsonl)
		run -75 ebreplay --limit 2
		cp "$file" "$EB_TMP/saved"
		sed -i 4d "$file"
		[ $when = before ] || run -74 ebreplay
		[ $when = before ] || assert_equal "$(payloads t | xargs)" '1 2 3 5 6'
		(umask 077 && cat "$EB_TMP/saved" >"$file")
		run -0 ebreplay
		assert_equal "$(payloads t | sort | xargs)" '1 2 3 4 5 6'
		assert_equal "$(ebstat -j | jq -c '[.buffer.shrunk, .buffer.vanished]')" '[[],[]]'
	done
}

# edit HOW FILE
edit() {
	case $1 in
	first) sed -i 1d "$2" ;;
	delivered) sed -i 1,5d "$2" ;;
	inserted) sed -i '2i {"a note"}' "$2" ;;
	swapped) sed -i '1{h;d};10{G}' "$2" ;;
	inplace) sed 2d "$2" >"$EB_TMP/edited" && cat "$EB_TMP/edited" >"$2" ;;
	longer) sed -i '1s/"crc"/"more":1,"crc"/' "$2" ;;
	esac
}

@test "a segment that was edited between two drains: nothing is skipped or doubled, nothing overtakes" {
	local how
	for how in first delivered inserted swapped inplace longer; do
		rm -rf "$B"
		redis_flush
		buffered t 10 19
		rm -f "$B/.outage"
		run -75 ebreplay --limit 5
		edit $how "$(echo "$B"/*.jsonl)"
		ebpub -q t 20 || [[ $? = @(1|74) ]]
		run ebreplay
		[ "$status" = 0 ] || [ "$status" = 74 ] || [[ $how = @(longer|inserted) ]] || fail "$how: $status $output"
		assert_equal "$(payloads t | sort | xargs)" "$(seq 10 20 | xargs)" || fail "$how"
		[ $how = swapped ] || assert_equal "$(payloads t | uniq | xargs)" "$(seq 10 20 | xargs)" || fail "$how"
		assert_equal "$(payloads t | tail -n 1)" 20
	done
}

@test "an edited segment that is drained in parts, or discarded: its lines stay in doubt" {
	local how
	for how in parts discard; do
		rm -rf "$B"
		redis_flush
		buffered t 10 29
		rm -f "$B/.outage"
		run -75 ebreplay --limit 10
		edit first "$(echo "$B"/*.jsonl)"
		if [ $how = parts ]; then
			run -74 ebreplay --limit 4
			assert_output --partial 'was changed by hand: looking up'
		else
			run -0 ebbuffer discard --yes
			run -0 ebbuffer quarantine retry
		fi
		run ebreplay
		assert_equal "$(payloads t | xargs)" "$(seq 10 29 | xargs)"
		assert_equal "$(ebstat -j | jq .buffer.possible_duplicates)" 0
	done
}

@test "a segment edited before the position of a held type: its events are looked up too" {
	rcli set "$S:h" 1 >/dev/null
	down
	seq 10 12 | ebpub -q t
	seq 20 25 | ebpub -q h
	seq 13 15 | ebpub -q t
	rm -f "$B/.outage"
	up
	run -75 ebreplay
	sed -i 3d "$B"/*.jsonl
	rcli del "$S:h" >/dev/null
	ebpub -q t 16 || [ $? = 74 ]
	run ebreplay
	assert_equal "$(payloads h | xargs)" "$(seq 20 25 | xargs)"
	assert_equal "$(payloads t | xargs)" "$(seq 10 16 | xargs)"
}

@test "a plain writer's file edited after its adoption: what cannot be known is counted" {
	local file
	mkdir -p "$B"
	chmod 700 "$B"
	for i in 1 2 3 4 5 6; do plain p $i "2025-12-04T10:30:0${i}Z"; done >"$B/buffer_2025-12-04_10-30-00.jsonl"
	run -75 ebreplay --limit 3
	sed -i 1d "$B"/*.claimed-*.jsonl
	run -74 ebreplay
	assert_equal "$(payloads p | sort -u | xargs)" '1 2 3 4 5 6'
	[ "$(length p)" -le $((6 + $(ebstat -j | jq .buffer.possible_duplicates))) ]
}

@test "no false alarm: drains in parts beside publishers, small segments, compressed ones, held types" {
	local i
	rcli set "$S:h" 1 >/dev/null
	for i in 1 2 3; do
		down
		seq 40 | ebpub -q --segment-size 2K t
		seq 3 | ebpub -q h
		rm -f "$B/.outage"
		[ $i != 2 ] || ebbuffer compress -q
		up
		run -75 ebreplay --limit 15
		refute_output --partial segment
		ebpub -q --segment-size 1 t 0
	done
	rcli del "$S:h" >/dev/null
	run -0 ebreplay
	assert_output ''
	assert_equal "$(ebstat -j | jq -c '[.buffer.shrunk, .buffer.vanished]')" '[[],[]]'
	assert_equal "$(payloads t | xargs)" "$(for i in 1 2 3; do seq 40; echo 0; done | xargs)"
}
