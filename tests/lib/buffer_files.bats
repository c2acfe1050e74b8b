#!/usr/bin/env bats
# covers: lib/buffer lib/drain
# Odd names and damaged state files in the buffer: no accepted event is lost, and no event is delivered wrongly.

# shellcheck disable=SC2016,SC2030,SC2031,SC2154  # bats: a test is a subshell; a $ of the inner shell

load ../support/helper
load ../support/buffer

setup_file() {
	redis_start
}

setup() {
	buffer_setup
}

made() {
	mkdir -m 700 "$B"
}

need_strace() {
	need strace
	strace -o /dev/null -e inject=getpid:signal=KILL:when=1 true 2>/dev/null || skip "strace cannot trace here"
}

segments() {
	find "$B" -maxdepth 1 -name '*.jsonl*' -printf '%f\n' | sort
}

# failing NAME CALL[:WHEN] ERROR COMMAND...: runs COMMAND with system call CALL failing with ERROR on this file of the buffer.
failing() {
	local when=
	case $2 in *:*) when=:when=${2#*:} ;; esac
	timeout 60 strace -qq -f -o /dev/null -P "$1" -P "$B/$1" -e "inject=${2%:*}:error=$3$when" "${@:4}"
}

OURS=buffer_2026-01-02_03-04-05_000001

# --- names -----------------------------------------------------------------------------------------

@test "names that only resemble ebpub's are a plain writer's; compressed or suspect ones of that kind are left alone" {
	local name n=0
	made
	for name in $OURS.own- $OURS.own-1a $OURS.own-! ${OURS}1 ${OURS}x.suspect buffer_x.claimed- buffer_x.claimed-00001a \
		buffer_x.claimed-! buffer_x.claimed-12345 buffer_x.suspect buffer_2026-01-02_03-04-05_00000x buffer_2026-01-02 \
		'buffer_a b'; do
		n=$((n + 1))
		plain a $n 2026-01-02T03:04:05Z >"$B/$name.jsonl"
	done
	plain b 1 2026-01-02T03:04:05Z | tee "$B/$OURS.abc.suspect.jsonl" | gzip >"$B/buffer_x.jsonl.gz"
	run -0 ebreplay
	assert_equal "$(payloads a | sort -n | xargs)" "$(seq $n | xargs)"
	assert_equal "$(length b)" 0
	assert_equal "$(segments | xargs)" "$OURS.abc.suspect.jsonl buffer_x.jsonl.gz"
	run -0 ebpub a 0
	assert_output --regexp '^[0-9]+-'
}

@test "the millionth segment of a second, in a day to come: the next borrows a second, order kept" {
	down
	ebpub -q a 1
	mv "$B"/*.jsonl "$B/buffer_2099-12-31_23-59-59_999999.jsonl"
	sed -i "s/^segment .*/segment buffer_2099-12-31_23-59-59_999999/; s/^inode .*/inode $(printf %020d 0)/" "$B/.lock"
	ebpub -q a 2
	assert_equal "$(segments | xargs)" 'buffer_2099-12-31_23-59-59_999999.jsonl buffer_2100-01-01_00-00-00_000001.jsonl'
	up
	rm -f "$B/.roster"
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2'
}

# --- the writers' hints ------------------------------------------------------------------------------

# In each case a new segment is begun, and all events arrive in order.
@test "hints that name no segment, another file, or a smaller size" {
	local case segment
	for case in 'sed -i "s/^segment .*/segment buffer_9999-01-01_00-00-00_000001.x.suspect/" "$B/.lock"' \
		'cp -p "$segment" "$B/.copy" && mv "$B/.copy" "$segment"' \
		'sed -i "s/^size .*/size 00000000000000999999/" "$B/.lock"' \
		'ln "$segment" "$EB_TMP/link"' \
		'mv "$segment" "$EB_TMP/moved" && mkfifo "$segment"' \
		'echo garbage >"$B/.lock"' \
		': >"$B/.lock"'; do
		rm -rf "$B" "$EB_TMP/link"
		redis_flush
		buffered a 1 2
		segment=$(echo "$B"/*.jsonl)
		eval "$case"
		down
		run -0 timeout 20 ebpub a 3
		assert_output buffered
		assert_equal "$(segments | wc -l)" 2
		rm -f "$EB_TMP/link"
		[ ! -p "$segment" ] || mv "$EB_TMP/moved" "$segment"
		up
		run timeout 20 ebreplay
		# A segment that is smaller than the hints say has shrunk.
		[ "$status" = "$([[ $case = *99999* && $case = *size* ]] && echo 74 || echo 0)" ] || fail "$case: $status $output"
		assert_equal "$(payloads a | xargs)" '1 2 3'
	done
}

# --- other state files ---------------------------------------------------------------------------------

@test "a directory in place of a state file: 74 and named where the file is needed, nothing is moved" {
	local name
	buffered a 1 2
	for name in .progress .replay .lock .target .roster; do
		mv "$B/$name" "$EB_TMP/"
		mkdir "$B/$name"
		run timeout 20 ebreplay
		[ "$status" = 74 ] || [ $name = .lock ] || [ $name = .roster ] || fail "$name: $status $output"
		down
		run timeout 20 ebpub a 9
		[ "$status" = 74 ] || [ $name = .progress ] || [ $name = .roster ] || [ $name = .replay ] || fail "ebpub, $name: $status $output"
		up
		rmdir "$B/$name"
		mv "$EB_TMP/$name" "$B/"
	done
	run timeout 20 ebreplay
	run -0 timeout 20 ebreplay
	assert_equal "$(payloads a | sort -un | xargs)" '1 2 9'
	assert_equal "$(event_ids a | sort | uniq -d)" ''
}

@test "a state file with two links, of a buffer that a backup tool linked, is used" {
	buffered a 1 2
	ln "$B/.lock" "$EB_TMP/link"
	down
	run -0 timeout 20 ebpub a 3
	up
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3'
}

@test "the target file: without its newline, empty, and another target while the buffer is empty" {
	buffered a 1 1
	truncate -s -1 "$B/.target"
	assert_equal "$(ebstat -j | jq -r .buffer.target)" "$(cat "$B/.target")"
	run -78 ebpub -p other a 2
	run -0 ebreplay
	# The buffer is empty, so it may get another target.
	printf 'elsewhere:1/0 quantum\n' >"$B/.target"
	buffered a 2 2
	run -0 ebreplay
	: >"$B/.target"
	buffered a 3 3
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3'
}

@test "the target file is removed while the buffer holds events: the next event binds the buffer to its target" {
	buffered a 1 1
	rm "$B/.target"
	buffered a 2 2
	down
	run -78 ebpub -p other a 3
	up
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2'
}

# bats test_tags=nosanitize
@test "the circuit breaker's file: another target, expired, invalid, not writable" {
	printf '1 %s\n' "unix:$EB_TMP/r" >"$EB_TMP/old"
	made
	printf '99999999999999 elsewhere\n' >"$B/.probe"
	run -0 ebpub a 1
	assert_output --regexp '^[0-9]+-'
	for text in '' nonsense 5 '5 ' "-5 unix:$EB_TMP/r"; do
		echo "$text" >"$B/.probe"
		run -0 ebpub a 1
		assert_output --regexp '^[0-9]+-'
	done
	# An expired entry of this target is removed by the process that gets a reply.
	down
	redis_pause
	up
	run -0 timeout 20 ebpub -t 0.2 a 1
	[ -s "$B/.probe" ] || fail 'no record'
	sed -i -E 's/^[0-9]+/1/' "$B/.probe"
	redis_resume
	run -0 timeout 20 ebpub a 1
	[ ! -s "$B/.probe" ] || fail "$(cat "$B/.probe")"
	run -0 ebreplay
	# An entry from before the last boot.
	printf '99999999999999 %s\n' "$(cut -d' ' -f1 <"$B/.target")" >"$B/.probe"
	run -0 timeout 20 ebpub a 1
	assert_output --regexp '^[0-9]+-'
	# Where the file cannot be written, each process tries the server itself.
	rm -f "$B/.probe"
	mkdir "$B/.probe"
	redis_pause
	run -0 timeout 20 ebpub -t 0.2 a 2
	run -0 timeout 20 ebpub -t 0.2 a 3
	assert_output buffered
	redis_resume
	run -0 timeout 20 ebreplay
	assert_equal "$(payloads a | sort -un | xargs)" '1 2 3'
}

# bats test_tags=nosanitize
@test "the circuit breaker's file cannot be truncated: buffered, or published, all the same" {
	need_strace
	made
	redis_pause
	run -0 failing .probe ftruncate EIO ebpub -t 0.2 a 1
	assert_output buffered
	redis_resume
	expired="1 $(cut -d' ' -f1 <"$B/.target")"
	echo "$expired" >"$B/.probe"
	run -0 failing .probe ftruncate EIO ebpub a 2
	assert_output --regexp '^[0-9]+-'
	echo "$expired" >"$B/.probe"
	buffered a 3 3
	run -0 failing .probe ftruncate EIO ebreplay
	assert_equal "$(payloads a | sort -un | xargs)" '1 2 3'
}

@test "a segment of another user is not appended to, a state file of another user is ignored" {
	local segment
	need_root
	buffered a 1 1
	segment=$(echo "$B"/*.jsonl)
	chown 65534 "$segment"
	buffered a 2 2
	assert_equal "$(segments | wc -l)" 2
	run -75 ebreplay
	assert_output --partial "'${segment##*/}': ignored, it belongs to another user"
	assert_equal "$(payloads a)" 2
	chown 0 "$segment"
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '2 1'
	chown 65534 "$B/.lock"
	down
	run -74 ebpub a 3
	assert_output --partial "open '$B/.lock': Invalid argument"
}

# --- the checkpoint's file -------------------------------------------------------------------------------

# Each slot is 64 KiB; the first line of a slot has its sequence number.
@test "a damaged checkpoint slot, in each part: the other slot is used, nothing is lost or doubled" {
	local how slot n=0
	for how in 'X' 'eventbus-progress 1 seq 00000000000000000099 len 9999999999 crc 00000000' \
		'eventbus-progress 1 seq 00000000000000000099 len 0000000010 crc 00000000' 'eventbus-progress 2'; do
		for slot in 0 1; do
			rm -rf "$B"
			redis_flush
			buffered a 1 60
			rm -f "$B/.outage"
			run -75 ebreplay --limit 20
			run -75 ebreplay --limit 20
			printf '%s' "$how" | dd of="$B/.progress" bs=1 seek=$((slot * 65536)) conv=notrunc status=none
			run -0 ebreplay
			assert_equal "$(payloads a | xargs)" "$(seq 60 | xargs)"
			n=$((n + 1))
		done
	done
	assert_equal $n 8
	# Both slots.
	buffered a 61 80
	rm -f "$B/.outage"
	run -75 ebreplay --limit 10
	for slot in 0 1; do
		printf X | dd of="$B/.progress" bs=1 seek=$((slot * 65536)) conv=notrunc status=none
	done
	run -0 ebreplay
	assert_output --partial "was lost"
	assert_equal "$(payloads a | xargs)" "$(seq 80 | xargs)"
}

@test "a FIFO in place of the checkpoint's file: events are searched for in the streams, and the FIFO is replaced" {
	buffered a 1 60
	rm -f "$B/.outage"
	run -75 ebreplay --limit 20
	rm "$B/.progress"
	mkfifo -m 600 "$B/.progress"
	run -0 --separate-stderr timeout 20 ebreplay -j
	assert_equal "$(jq -c '[.found, .replayed]' <<<"$output")" '[20,40]'
	[ -f "$B/.progress" ]
	assert_equal "$(payloads a | xargs)" "$(seq 60 | xargs)"
}

@test "the only checkpoint is damaged: events are searched for in the streams" {
	buffered a 1 60
	rm -f "$B/.outage"
	run -75 ebreplay --limit 20
	# As preallocated; the first checkpoint goes to the second slot.
	head -c 131072 /dev/zero | tr '\0' '\n' >"$B/.progress"
	printf X | dd of="$B/.progress" bs=1 seek=65536 conv=notrunc status=none
	run -0 --separate-stderr ebreplay -j
	assert_equal "$(jq -c '[.found, .replayed]' <<<"$output")" '[20,40]'
	assert_equal "$(payloads a | xargs)" "$(seq 60 | xargs)"
}

@test "a checkpoint of a later version: known lines are used, unknown ones ignored" {
	need python3
	buffered a 1 60
	rm -f "$B/.outage"
	run -75 ebreplay --limit 20
	python3 - "$B/.progress" <<'END'
import sys, zlib
slot = 65536
data = bytearray(open(sys.argv[1], "rb").read())
for at in (0, slot):
    head = data[at:at + 80]
    if not head.startswith(b"eventbus-progress 1 "):
        continue
    size = int(head.split()[5])
    text = data[at + 80:at + 80 + size] + b"spent a\nlater word 7\n"
    data[at + 80:at + 80 + len(text)] = text
    head = b"eventbus-progress 1 seq %s len %010d" % (head.split()[3], len(text))
    data[at:at + len(head) + 13] = head + b" crc %08x" % zlib.crc32(head[20:45] + text)
open(sys.argv[1], "wb").write(data)
END
	run -0 --separate-stderr ebreplay -j
	assert_equal "$(jq -c '[.found, .replayed]' <<<"$output")" '[0,40]'
	assert_equal "$(payloads a | xargs)" "$(seq 60 | xargs)"
}

# --- the manifest ----------------------------------------------------------------------------------------

@test "a manifest with odd lines: two vanished segments are named, and replayed when they return" {
	local gone
	down
	seq 4 | xargs -n 1 ebpub -q --segment-size 1 a
	rm -f "$B/.outage"
	run -0 ebbuffer compress
	up
	{
		printf '+\n\n+ .\n?what is this .\n+x\n'
		cat "$B/.roster"
	} >"$EB_TMP/roster"
	cat "$EB_TMP/roster" >"$B/.roster"
	mapfile -t gone < <(segments | sed -n 2,3p)
	assert_regex "${gone[1]}" '\.gz$'
	mv "$B/${gone[0]}" "$B/${gone[1]}" "$EB_TMP/"
	run -74 ebreplay
	assert_output --partial "${gone[0]%.jsonl.gz}"
	assert_output --partial "${gone[1]%.jsonl.gz}"
	assert_equal "$(payloads a | xargs)" '1 4'
	assert_equal "$(ebstat -j | jq '.buffer.vanished | length')" 2
	mv "$EB_TMP/${gone[0]}" "$EB_TMP/${gone[1]}" "$B/"
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 4 2 3'
	run -0 ebreplay
}

@test "the manifest is lost: existing segments are replayed, and none is reported as vanished" {
	buffered a 1 3
	rm "$B/.outage" "$B/.roster"
	run -0 ebreplay
	assert_output ''
	assert_equal "$(payloads a | xargs)" '1 2 3'
}

# bats test_tags=nosanitize
@test "returned segments that cannot be renamed or removed from the manifest: 74, they wait; then each once" {
	local call gone
	need_strace
	for call in renameat pwrite64; do
		rm -rf "$B"
		redis_flush
		down
		seq 4 | xargs -n 1 ebpub -q --segment-size 1 a
		rm -f "$B/.outage"
		up
		mapfile -t gone < <(segments | sed -n 2,3p)
		mv "$B/${gone[0]}" "$B/${gone[1]}" "$EB_TMP/"
		run -74 ebreplay
		mv "$EB_TMP/${gone[0]}" "$EB_TMP/${gone[1]}" "$B/"
		run -74 strace -qq -f -o /dev/null -e inject=$call:error=EIO:when=1 ebreplay
		assert_output --regexp "rename '$B/${gone[0]}'|write '$B/.roster'"
		assert_equal "$(payloads a | xargs)" '1 4'
		run -0 ebreplay
		assert_equal "$(payloads a | xargs)" '1 4 2 3'
		assert_equal "$(segments)" ''
	done
}

# --- the directory ---------------------------------------------------------------------------------------

@test "-b as people write it: relative, with slashes too many, made with its parents" {
	cd "$EB_TMP"
	for dir in here ./there// one//two/three/; do
		EB_REDIS_URL=unix:///none/none ebpub -q -b "$dir" a 1
		assert_equal "$(find "$dir" -maxdepth 1 -name '*.jsonl' | wc -l)" 1
		assert_equal "$(stat -c %a "$dir")" 700
		run -0 ebbuffer retarget -b "$dir"
		run -0 ebreplay -b "$dir"
	done
	assert_equal "$(length a)" 3
}

# bats test_tags=nosanitize
@test "root that cannot become the buffer's owner: 74, and nothing is written" {
	local call
	need_root
	need_strace
	made
	chown 65534:65534 "$B"
	for call in setgroups setresgid setresuid; do
		down
		run -74 strace -qq -f -o /dev/null -e "inject=$call:error=EPERM" ebpub a 1
		assert_output --partial "change to uid 65534"
		up
		run strace -qq -f -o /dev/null -e "inject=$call:error=EPERM" ebreplay
		assert_equal "$status" 74
	done
	assert_equal "$(ls -A "$B")" ''
}

# --- suspect, odd and torn ---------------------------------------------------------------------------------

# bats test_tags=nosanitize
@test "a suspect segment of bad lines, among files of all kinds" {
	need_strace
	down
	ebpub -q --segment-size 1 a 1
	FIRST=$(echo "$B"/*.jsonl)
	# The first is the segment that the writers' hints name.
	run -0 strace -qq -o /dev/null -e inject=fdatasync:error=EIO:when=3 ebpub --segment-size 1 a 2
	SUSPECT=$(find "$B" -name '*.suspect.jsonl')
	echo 'no event' >>"$SUSPECT"
	# A second suspect segment, which holds no event.
	echo 'no event either' >"$B/buffer_2026-01-02_03-04-05_000001.suspect.jsonl"
	plain a 3 2026-01-02T03:04:05Z >"$B/buffer_zz.jsonl"
	mkdir "$B/buffer_yy.jsonl"
	ln "$B/buffer_zz.jsonl" "$EB_TMP/zz"
	ln "$FIRST" "$EB_TMP/first"
	# Suspect, odd and torn files are not compressed.
	run -0 ebbuffer compress
	assert_equal "$(segments | grep -c suspect.jsonl.gz)" 0
	up
	run -1 ebreplay
	assert_output --partial "'buffer_yy.jsonl': ignored, it is not a regular file"
	assert_equal "$(payloads a | sort -n | xargs)" '1 2 3'
	rmdir "$B/buffer_yy.jsonl"
	run -0 ebreplay
	assert_equal "$(ebstat -j | jq .buffer.quarantined)" 2
}

# bats test_tags=nosanitize
@test "a segment whose fdatasync failed cannot be marked so: not safe, 74; gone meanwhile: accepted" {
	need_strace
	down
	ebpub -q a 1
	run -74 strace -qq -o /dev/null -e inject=fdatasync:error=EIO:when=1 -e inject=renameat:error=EIO:when=1 ebpub a 2
	assert_output --partial NOT
	run -74 strace -qq -o /dev/null -e inject=fdatasync:error=EIO:when=1 -e inject=flock:error=ENOLCK:when=2+ ebpub a 2
	run -74 strace -qq -o /dev/null -e inject=fdatasync:error=EIO -e inject=renameat:error=EIO:when=2 ebpub a 2
	ebpub -q a 4
	bg slow strace -qq -f -o /dev/null -e inject=fdatasync:error=EIO:delay_enter=1500000:when=1 ebpub a 3
	wait_for "grep -q '\"payload\":\"3\"' '$B'/*.jsonl"
	up
	run ebreplay
	bg_wait slow
	assert_equal "$status" 0
	run ebreplay
	run -0 ebreplay
	# It was delivered before its publisher knew: at worst it is published twice.
	payloads a | grep -qx 3
}

@test "a torn line of 20 MB, and one that quarantine cannot take: the segment is quarantined whole" {
	local stem
	buffered a 1 2
	rm -f "$B/.outage"
	stem=$(basename "$B"/*.jsonl .jsonl)
	truncate -s +20M "$B/$stem.jsonl"
	run -1 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2'
	assert_equal "$(find "$B/quarantine" -type f -printf '%f\n')" "$stem.bad-1.jsonl"
	rm -r "$B"
	buffered a 3 4
	rm -f "$B/.outage"
	stem=$(basename "$B"/*.jsonl .jsonl)
	printf '{"a piece' >>"$B/$stem.jsonl"
	mkdir "$B/quarantine/$stem.jsonl"
	run -1 ebreplay
	rmdir "$B/quarantine/$stem.jsonl"
	assert_equal "$(payloads a | xargs)" '1 2 3 4'
	assert_equal "$(find "$B/quarantine" -type f -printf '%f\n')" "$stem.bad-1.jsonl"
	run -0 ebreplay
}

# bats test_tags=nosanitize
@test "a very long last line without a newline: bounded memory, quarantined whole, the other events arrive" {
	buffered a 1 2
	rm -f "$B/.outage"
	truncate -s +600M "$(echo "$B"/*.jsonl)"
	run -1 timeout 100 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2'
	assert_equal "$(find "$B/quarantine" -type f -name '*.bad-1.jsonl' | wc -l)" 1
	run -0 ebreplay
}

# --- plain files out of order ----------------------------------------------------------------------------

@test "a plain file out of order by more than the window: reported, each line once; in parts too" {
	made
	awk 'BEGIN {
		for (i = 1; i <= 70000; i++)
			printf "{\"event_type\":\"a\",\"message\":{\"event_type\":\"a\",\"payload\":\"%d\"},\"buffered_at\":\"2026-01-02T%02d:%02d:%02d.%03dZ\"}\n",
				i, i < 69990 ? 5 : 3, i / 60000 % 60, i / 1000 % 60, i % 1000 }' >"$B/buffer_plain.jsonl"
	run timeout 60 ebreplay --maxlen 0 --limit 30000
	assert_equal "$status" 75
	run -0 timeout 60 ebreplay --maxlen 0
	assert_output --partial "lines are out of order by more than 65536 lines"
	assert_equal "$(length a)" 70000
	assert_equal "$(payloads a | sort -n | cksum)" "$(seq 70000 | cksum)"
}

@test "an unsorted plain file that grows after it was read: the new lines are read too" {
	made
	for i in 3 1 2; do
		plain a $i "2026-01-02T03:04:0${i}Z"
	done >"$B/buffer_plain.jsonl"
	run -75 ebreplay --limit 1
	plain a 4 2026-01-02T03:04:00Z >>"$(echo "$B"/buffer_plain.claimed-*.jsonl)"
	run -0 ebreplay --wait 5
	assert_equal "$(payloads a | xargs)" '1 2 3 4'
	assert_equal "$(segments)" ''
}

# --- adopting plain files ----------------------------------------------------------------------------------

# bats test_tags=nosanitize
@test "a plain file that cannot be adopted: 74 and named; one that vanished, or whose new name is taken: the next run's" {
	local error
	need_strace
	made
	plain a 1 2026-01-02T03:04:05Z >"$B/buffer_plain.jsonl"
	for error in EACCES EIO; do
		run -74 strace -qq -f -o /dev/null -e inject=renameat2:error=$error ebreplay
		assert_output --partial "adopt '$B/buffer_plain.jsonl'"
	done
	for error in ENOENT EEXIST; do
		run -75 strace -qq -f -o /dev/null -e inject=renameat2:error=$error ebreplay
	done
	assert_equal "$(segments)" buffer_plain.jsonl
	run -0 ebreplay
	assert_equal "$(payloads a)" 1
}

# bats test_tags=nosanitize
@test "a plain file adopted by a process with a fast clock does not settle until that time" {
	need_clock
	made
	plain a 1 2026-01-02T03:04:05Z >"$B/buffer_plain.claimed-000001.jsonl"
	run -0 env NO_FAKE_STAT=1 bash -c "$(declare -f clock_at); clock_at -2d ebreplay"
	assert_equal "$(payloads a)" 1
}

# bats test_tags=nosanitize
@test "a plain file written with a fast clock settles for no longer than others" {
	need_clock
	made
	plain a 1 2026-01-02T03:04:05Z >"$B/buffer_plain.jsonl"
	run -0 clock_at -2d ebreplay
	assert_equal "$(payloads a)" 1
}

@test "ten segments that vanished are all named" {
	local gone
	down
	seq 11 | xargs -n 1 ebpub -q --segment-size 1 a
	rm -f "$B/.outage"
	up
	mapfile -t gone < <(segments | head -10)
	(cd "$B" && rm "${gone[@]}")
	run -74 ebreplay
	assert_equal "$(grep -c 'has vanished' <<<"$output")" 10
	assert_equal "$(payloads a)" 11
}

@test "a stopped process holds the lock of an empty buffer: the publisher writes a segment of its own" {
	made
	(umask 077 && : >"$B/.lock")
	bg holder flock "$B/.lock" sleep 60
	wait_for "! flock -n '$B/.lock' true"
	down
	run -0 timeout 20 ebpub -t 0.2 a 1
	assert_output buffered
	assert_regex "$(segments)" '\.own-[0-9]+\.jsonl$'
	pkill -KILL -P "${BG[holder]}"
	wait_for "flock -n '$B/.lock' true"
	up
	run -0 ebreplay
	assert_equal "$(payloads a)" 1
}

# bats test_tags=nosanitize
@test "a stopped process holds the lock, and the publisher cannot write its own segment: not safe, 74, nothing left behind" {
	local fault said=0
	need_strace
	buffered a 1 1
	down
	bg holder flock "$B/.lock" sleep 60
	wait_for "! flock -n '$B/.lock' true"
	for fault in fdatasync:error=EIO:when=1 renameat2:error=EIO:when=1 write:error=ENOSPC:when=1 write:error=ENOSPC:when=2; do
		run timeout 20 strace -qq -f -o /dev/null -e inject=$fault ebpub -t 0.2 a 2
		case $status in
		74) said=$((said + 1)) ;;
		0) assert_output buffered ;;
		*) fail "$fault: $status $output" ;;
		esac
		assert_equal "$(find "$B" -name '.own-[0-9]*')" ''
	done
	[ $said -ge 3 ] || fail "only $said"
	assert_equal "$(segments | wc -l)" $((5 - said))
	pkill -KILL -P "${BG[holder]}"
	wait_for "flock -n '$B/.lock' true"
	up
	run -0 ebreplay
	assert_equal "$(payloads a | sort -u | xargs)" "1$([ $said = 4 ] || echo ' 2')"
}

# --- processes with equal IDs ------------------------------------------------------------------------------

need_pid_namespaces() {
	need unshare
	unshare --pid --fork --kill-child true 2>/dev/null || skip "needs PID namespaces"
}

# Containers that share a volume.
@test "six publishers with equal process IDs and without the lock: each event that was buffered arrives, once" {
	local loop pids=()
	need_pid_namespaces
	buffered a 0 0
	down
	bg holder flock "$B/.lock" sleep 60
	wait_for "! flock -n '$B/.lock' true"
	for loop in 1 2 3 4 5 6; do
		for n in 1 2 3 4 5 6 7 8; do
			unshare --pid --fork --kill-child sh -c "ebpub -t 0.05 a $loop$n; exit"
		done >"$EB_TMP/loop.$loop" 2>&1 3>&- 4>&- &
		pids+=($!)
	done
	wait "${pids[@]}"
	assert_equal "$(cat "$EB_TMP"/loop.* | sort | uniq -c | xargs)" '48 buffered'
	assert_equal "$(find "$B" -name '.own-[0-9]*')" ''
	pkill -KILL -P "${BG[holder]}"
	wait_for "flock -n '$B/.lock' true"
	up
	run -0 ebreplay
	assert_equal "$(payloads a | sort -n | uniq -c | awk '$1 == 1' | wc -l)" 49
	assert_equal "$(length a)" 49
}

@test "a temporary file of another process with the same ID is left alone" {
	local name
	need_pid_namespaces
	need jq
	made
	for name in .own-1 .own-2 .target.1 .target.2 .progress.1 .progress.2 .compressing; do
		echo theirs >"$B/$name"
		chmod 600 "$B/$name"
	done
	down
	run -0 unshare --pid --fork --kill-child ebpub a 1
	run -0 unshare --pid --fork --kill-child ebpub --segment-size 1 a 2
	bg holder flock "$B/.lock" sleep 60
	wait_for "! flock -n '$B/.lock' true"
	run -0 unshare --pid --fork --kill-child ebpub -t 0.1 a 3
	assert_output buffered
	pkill -KILL -P "${BG[holder]}"
	wait_for "flock -n '$B/.lock' true"
	run -0 unshare --pid --fork --kill-child ebbuffer compress
	up
	run -0 unshare --pid --fork --kill-child ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3'
	for name in .own-1 .own-2 .target.1 .target.2 .progress.1 .progress.2 .compressing; do
		assert_equal "$name $(cat "$B/$name")" "$name theirs"
	done
}

@test "temporary files that killed processes left are removed after an hour, of earlier versions too" {
	local n=18446744073709551615 left
	buffered a 1 1
	left=(.own-7 ".own-$n" .target.7 ".target.$n" .progress.7 ".progress.$n" .compressing ".compressing-$n")
	for name in "${left[@]}"; do
		echo left >"$B/$name"
	done
	run -0 ebreplay
	assert_equal "$(find "$B" \( -name '*.7' -o -name '*-7' -o -name "*$n" -o -name .compressing \) | wc -l)" 8
	buffered a 2 2
	touch -d '2 hours ago' "${left[@]/#/$B/}" "$B/.progress.x" "$B/.compressing-"
	run -0 ebreplay
	assert_equal "$(cd "$B" && find . -maxdepth 1 -mmin +60 | sort | xargs)" './.compressing- ./.progress.x'
}

# --- file systems that lack a call ------------------------------------------------------------------------

# without CALL:ERROR COMMAND...: runs COMMAND where the call fails.
without() {
	strace -qq -f -o /dev/null -e "inject=${1%:*}:error=${1#*:}" timeout 20 "${@:2}"
}

# bats test_tags=nosanitize
@test "no RENAME_NOREPLACE: plain files are adopted, own segments and retries appear, and no file is replaced" {
	local error next n=0
	need_strace
	for error in ENOSYS EINVAL EOPNOTSUPP; do
		redis_flush
		rm -rf "$B"
		buffered a 1 3
		plain a 4 2026-01-02T03:04:05Z >"$B/buffer_2026-01-02_03-04-05.jsonl"
		run -0 without renameat2:$error ebreplay
		assert_equal "$(payloads a | xargs)" '4 1 2 3'
		# The next number is taken: that file stays whole, and the plain one gets a later number.
		next=$(sed -n 's/^claims \([0-9]*\)$/\1/p' "$B/.progress" | sort -n | tail -n 1)
		plain a 5 2026-01-02T03:04:05Z >"$B/buffer_x.claimed-$((next + 1)).jsonl"
		plain a 6 2026-01-02T03:04:06Z >"$B/buffer_x.jsonl"
		run -0 without renameat2:$error ebreplay
		assert_equal "$(payloads a | sort | xargs)" '1 2 3 4 5 6'
		bg holder$error flock "$B/.lock" sleep 60
		wait_for "! flock -n '$B/.lock' true"
		down
		run -0 without renameat2:$error ebpub -t 0.1 a 7
		assert_output buffered
		pkill -KILL -P "${BG[holder$error]}"
		wait_for "flock -n '$B/.lock' true"
		run -0 ebbuffer discard --yes
		run -0 without renameat2:$error ebbuffer quarantine retry
		up
		run -0 without renameat2:$error ebreplay
		assert_equal "$(payloads a | sort | xargs)" '1 2 3 4 5 6 7'
		n=$((n + 1))
	done
	assert_equal $n 3
}

# bats test_tags=nosanitize
@test "a plain file that cannot be adopted does not stop the rest of the buffer: 74, named once, and a publisher is not affected" {
	need_strace
	buffered a 1 3
	plain a 4 2026-01-02T03:04:05Z >"$B/buffer_2026-01-02_03-04-05.jsonl"
	run -74 without renameat2:EACCES ebreplay
	assert_equal "$(grep -c "adopt '$B/buffer_2026-01-02_03-04-05.jsonl': Permission denied" <<<"$output")" 1
	assert_equal "$(payloads a | xargs)" '1 2 3'
	buffered a 5 6
	run -0 --separate-stderr without renameat2:EACCES ebpub a 7
	assert_equal "$stderr" ''
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3 5 6 4 7'
}

# bats test_tags=nosanitize
@test "a file system that cannot lock: said so, published directly where nothing waits, else buffered; each event once, in order" {
	local error n=0 began
	need_strace
	for error in ENOLCK ENOSYS EIO EOPNOTSUPP; do
		redis_flush
		rm -rf "$B"
		began=$SECONDS
		run -0 --separate-stderr without flock:$error ebpub a 1
		assert_output --regexp '^[0-9]+-'
		buffered a 2 3
		# Of type a events wait, which cannot be drained.
		run -0 --separate-stderr without flock:$error ebpub -J <<'END'
{"event_type":"a","payload":4}
{"event_type":"b","payload":1}
{"event_type":"a","payload":5}
END
		# shellcheck disable=SC2001  # a pattern
		assert_equal "$(sed 's/[0-9]*-[0-9]*/ID/' <<<"$output" | xargs)" 'buffered ID buffered'
		assert_equal "$(grep -c "cannot lock '$B/.lock'" <<<"$stderr") $(wc -l <<<"$stderr")" '1 1'
		run -0 --separate-stderr without flock:$error ebpub -q a 6
		assert_equal "$stderr" ''
		down
		run -0 --separate-stderr without flock:$error ebpub a 7
		assert_output buffered
		up
		run -74 without flock:$error ebreplay
		assert_output --partial "the file system cannot lock '$B/.replay'"
		run -2 without flock:$error ebhealth
		assert_output --partial "cannot lock '$B/.lock'"
		assert_equal "$(without flock:$error ebstat -j | jq .buffer.replaying)" false
		((SECONDS - began < 12)) || fail "$error: $((SECONDS - began)) s"
		run -0 ebreplay
		assert_equal "$(payloads a | xargs) $(payloads b)" '1 2 3 4 5 6 7 1'
		n=$((n + 1))
	done
	assert_equal $n 4
}

# bats test_tags=nosanitize
@test "a file system without flock: the circuit breaker still keeps a publisher from a server that timed out" {
	need_strace
	redis_pause
	run -0 without flock:ENOLCK ebpub -t 0.3 a 1
	SECONDS=0
	run -0 without flock:ENOLCK ebpub -v -t 3 a 2
	assert_output --partial 'not tried again'
	((SECONDS < 2)) || fail "$SECONDS s"
	redis_resume
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2'
}

# bats test_tags=nosanitize
@test "directories that cannot be synced: the whole file system is; a failed sync stays a failure" {
	local error
	need_strace
	for error in EINVAL ENOSYS EOPNOTSUPP; do
		rm -rf "$B"
		made
		down
		run -0 strace -qq -f -P "$B" -o "$EB_TMP/trace" -e trace=fsync,syncfs -e inject=fsync:error=$error ebpub a 1
		assert_output buffered
		[ "$(grep -c 'fsync.*INJECTED' "$EB_TMP/trace")" -ge 2 ] || fail "$(cat "$EB_TMP/trace")"
		assert_equal "$(grep -c 'syncfs(.*= 0' "$EB_TMP/trace")" "$(grep -c 'fsync.*INJECTED' "$EB_TMP/trace")"
		up
	done
	down
	run -74 strace -qq -f -P "$B" -o /dev/null -e inject=fsync:error=EINVAL -e inject=syncfs:error=EIO ebpub --segment-size 1 a 2
	run -74 strace -qq -f -P "$B" -o /dev/null -e inject=fsync:error=EIO ebpub --segment-size 1 a 2
	assert_output --partial 'NOT safe'
}

# bats test_tags=nosanitize
@test "a file system that does not tell its free space: no limit and no alarm" {
	need_strace
	down
	# All counts are 0.
	run -0 strace -qq -f -o /dev/null -e "inject=fstatfs:retval=0:poke_exit=@arg2=$(printf '00%.0s' {1..64})" ebpub --min-free 1 a 1
	assert_output buffered
	up
	run strace -qq -f -o /dev/null -e "inject=statfs:retval=0:poke_exit=@arg2=$(printf '00%.0s' {1..64})" ebhealth -c free=1
	refute_output --partial 'free on'
}

# --- files that vanish in between -----------------------------------------------------------------------------

@test "a segment that vanishes while the one before it is replayed: said, 74, the others arrive" {
	local second names
	down
	seq 30 | ebpub -q --segment-size 1 a
	seq 31 33 | ebpub -q --segment-size 1 a
	seq 34 36 | ebpub -q --segment-size 1 a
	rm -f "$B/.outage"
	up
	mapfile -t names < <(segments)
	assert_equal ${#names[@]} 3
	second=${names[1]}
	bg replay timeout 60 ebreplay --rate 10
	wait_for "[ \"\$(length a)\" -ge 1 ]"
	mv "$B/$second" "$EB_TMP/"
	bg_wait replay
	assert_equal "$status" 74
	grep -q "segment '${second%.jsonl}' has vanished" "$EB_TMP/replay.err"
	assert_equal "$(payloads a | xargs)" "$({ seq 30; seq 34 36; } | xargs)"
	# The segment returns.
	mv "$EB_TMP/$second" "$B/"
	run -0 ebreplay
	assert_equal "$(payloads a | tail -3 | xargs)" '31 32 33'
}
