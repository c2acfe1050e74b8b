#!/usr/bin/env bats
# covers: lib/buffer lib/drain lib/publish
# Full, failing and read-only disks, process limits, unreadable files: accepted events are delivered once and in order, others are
# reported, and no line is torn.
#
# bats file_tags=nosanitize

# shellcheck disable=SC2016,SC2030,SC2031,SC2154  # bats: a test is a subshell, and sets $stderr; a $ of the inner shell

load ../support/helper
load ../support/buffer

setup_file() {
	redis_start
}

setup() {
	buffer_setup
}

# disk OPTIONS: mounts a new file system at $DISK and puts the buffer on it.
disk() {
	need_root
	undisk
	DISK=$EB_TMP/disk B=$EB_TMP/disk/buffer
	export EB_BUFFER_DIR=$B
	mkdir -p "$DISK"
	mount -t tmpfs -o "mode=755,$1" none "$DISK" 2>/dev/null || skip "cannot mount tmpfs"
}

undisk() {
	local d
	for d in "$EB_TMP/image" "$EB_TMP/disk"; do
		while mountpoint -q "$d"; do
			umount "$d" || umount -l "$d"
		done
	done
}

teardown() {
	exec 8>&-
	eb_teardown
	undisk
}

# With payloads of this length some lines span two pages, so that a write may be short.
long() {
	seq -f "{\"n\":%.0f,\"x\":\"$(printf '%01500d' 0)\"}" "$1" "$2"
}

# publish TYPE FROM TO: publishes with one ebpub; adds accepted events to $EB_TMP/accepted and counts the others in REFUSED.
publish() {
	local n=$2 answer
	status=0
	REFUSED=0
	long "$2" "$3" | timeout 30 ebpub --segment-size 20K "$1" >"$EB_TMP/answers" 2>"$EB_TMP/err" || status=$?
	while read -r answer; do
		case $answer in
		buffered | [0-9]*-*) echo "$n" >>"$EB_TMP/accepted" ;;
		*) REFUSED=$((REFUSED + 1)) ;;
		esac
		n=$((n + 1))
	done <"$EB_TMP/answers"
	((n == $3 + 1)) || fail "answers: $n of $3: $(cat "$EB_TMP/err")"
	if [ $REFUSED = 0 ]; then
		[ $status = 0 ] || fail "$status, and all accepted: $(cat "$EB_TMP/err")"
	else
		[ $status = 74 ] || fail "$status, and $REFUSED not accepted: $(cat "$EB_TMP/err")"
		grep -q 'NOT safe' "$EB_TMP/err" || fail "$(cat "$EB_TMP/err")"
	fi
}

# Checks that each line of ebpub's segments is a complete event.
whole() {
	local f
	for f in "$B"/*.jsonl; do
		[ -s "$f" ] || continue
		jq -e .message.payload "$f" >/dev/null || fail "$f: $(cat "$f")"
		[ -z "$(tail -c 1 "$f")" ] || fail "$f: torn"
	done
}

numbers() { payloads "$1" | grep -o '"n":[0-9]*' | tr -dc '0-9\n'; }

# once TYPE: checks that accepted events are in the stream, once and in order. Events reported as not safe may be there too.
once() {
	numbers "$1" >"$EB_TMP/got"
	assert_equal "$(sort "$EB_TMP/got" | uniq -d)" ""
	grep -xF -f "$EB_TMP/accepted" "$EB_TMP/got" | cmp - "$EB_TMP/accepted" ||
		fail "stream: $(xargs <"$EB_TMP/got"), accepted: $(xargs <"$EB_TMP/accepted")"
}

# Tries one size of disk: events are buffered or refused, and draining needs no free space.
step() {
	local n
	: >"$EB_TMP/accepted"
	redis_flush
	down
	for n in 1 5 9; do
		publish a $n $((n + 3))
		[ $REFUSED = 0 ] || grep -q 'No space' "$EB_TMP/err" || fail "$(cat "$EB_TMP/err")"
	done
	[ ! -d "$B" ] || whole
	REFUSED=$((12 - $(wc -l <"$EB_TMP/accepted")))
	[ $REFUSED != 12 ] || NONE=$((NONE + 1))
	[ $REFUSED = 0 ] || [ $REFUSED = 12 ] || SOME=$((SOME + 1))
	[ $REFUSED != 0 ] || ALL=$((ALL + 1))
	up
	run -0 --separate-stderr timeout 20 ebpub b 1
	assert_output --regexp '^[0-9]+-'
	run timeout 20 ebreplay
	[ "$status" = 0 ] || fail "ebreplay: $status $output"
	once a
	publish a 13 14
	[ $REFUSED = 0 ] || fail "Redis is up: $(cat "$EB_TMP/err")"
	once a
	[ -z "$(find "$B" -name '*.jsonl' 2>/dev/null)" ] || fail "left: $(ls -la "$B")"
}

# steps WHAT SIZE...: tries a disk of each size; no event fits on some, a part on some, all on others.
steps() {
	local n what=$1
	NONE=0 SOME=0 ALL=0
	shift
	for n; do
		disk "${what/N/$n}"
		step
	done
	echo "# $# sizes: nothing fits in $NONE, a part in $SOME, all in $ALL" >&3
	((NONE > 0 && SOME + ALL > 0 && ALL > 0))
}

@test "disks of few pages: accepted or 74, no torn line; Redis up 0; draining needs no room" {
	steps size=Nk 4 64 128 {140..176..4} 184 192
	((SOME > 1))
}

@test "disks of few inodes: the same" {
	steps size=4M,nr_inodes=N {2..15}
}

# fill: uses up all bytes and inodes of the disk.
fill() {
	local i
	dd if=/dev/zero of="$DISK/filler" bs=4k 2>/dev/null || :
	for ((i = 0; i < 60; i++)); do
		: 2>/dev/null >"$DISK/filler.$i" || return 0
	done
	fail "the disk does not fill"
}

@test "a full disk with bad lines: the segment moves whole, status 1, the rest drains; ebhealth says so" {
	disk size=2M,nr_inodes=40
	buffered a 1 3
	echo garbage >>"$(find "$B" -name '*.jsonl')"
	down
	seq 4 6 | ebpub -q a
	seq 7 9 | ebpub -q --segment-size 1 a
	printf torn >>"$(find "$B" -name '*.jsonl' | sort | tail -1)"
	fill
	run -74 --separate-stderr ebpub a "\"$(printf '%05000d' 0)\""
	assert_regex "$stderr" 'NOT safe.*No space'
	run -2 ebhealth -t 0.5 -j
	assert_output --partial '"free"'
	up
	run -1 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3 4 5 6 7 8 9'
	assert_equal "$(find "$B" -maxdepth 1 -name '*.jsonl' | wc -l) $(find "$B/quarantine" -name '*.bad-1.jsonl' | wc -l)" '0 2'
	assert_equal "$(ebstat -j | jq .buffer.quarantined)" 2
	run -0 ebreplay
	run -0 ebpub a 10
}

@test "the checkpoint's file cannot grow: nothing is lost or doubled, and draining goes on with space" {
	local i name
	disk size=2M,nr_inodes=40
	name=$(printf 'x%.0s' {1..180})
	down
	for ((i = 0; i < 300; i++)); do
		echo "{\"event_type\":\"$name$i\",\"payload\":$i}"
	done | ebpub -q -J
	seq 5 | ebpub -q a
	up
	for ((i = 0; i < 300; i++)); do
		echo "set $S:$name$i x"
	done | rcli >/dev/null
	fill
	run timeout 60 ebreplay
	[ "$status" != 0 ] || fail "all is held, and $output"
	rm "$DISK"/filler*
	run -75 timeout 60 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3 4 5'
	redis_flush
	run -0 timeout 60 ebreplay
	for ((i = 0; i < 300; i += 60)); do
		assert_equal "$(payloads "$name$i")" $i
	done
	assert_equal "$(rcli dbsize)" 300
}

# --- a disk that loses written data -------------------------------------------------------------

# Makes a sparse XFS image in a tmpfs, whose free blocks may find no room there. (On ext4, Linux 6.18, fdatasync may report
# success for such a block, and the next fdatasync the failure.)
image() {
	need_root
	need mkfs.xfs fstrim
	disk size=400M
	truncate -s 300M "$DISK/new"
	mkfs.xfs -q "$DISK/new"
	cp --sparse=never "$DISK/new" "$DISK/image"
	rm "$DISK/new"
	mkdir "$EB_TMP/image"
	mount -o loop "$DISK/image" "$EB_TMP/image" 2>/dev/null || skip "cannot mount an image: no loop devices here"
	fstrim "$EB_TMP/image" 2>/dev/null || skip "cannot give up blocks of an image here"
	B=$EB_TMP/image/buffer
	export EB_BUFFER_DIR=$B
}

@test "fdatasync fails on a loop file without room, then there is room again: each event once" {
	local n
	image
	down
	for n in 1 2 3; do
		publish a $n $n
	done
	dd if=/dev/zero of="$DISK/filler" bs=64k 2>/dev/null || :
	BAD=0
	for ((n = 4; n < 16; n++)); do
		publish a $n $n
		[ $REFUSED = 0 ] || BAD=$((BAD + 1))
	done
	rm "$DISK/filler"
	for ((n = 16; n < 20; n++)); do
		publish a $n $n
	done
	echo "# $BAD of 12 events not safe, $(find "$B" -name '*.suspect.jsonl' | wc -l) segments suspect" >&3
	((BAD > 0))
	# The first event that failed, too, before an event is accepted elsewhere.
	[[ $(find "$B" -name '*.jsonl' | sort | head -1) = *.suspect.jsonl ]] || fail "$(ls "$B")"
	run -2 ebhealth -t 0.5
	assert_output --partial 'could not be synced'
	# Drops the page cache, so that reads come from the disk.
	umount "$EB_TMP/image"
	mount -o loop "$DISK/image" "$EB_TMP/image"
	up
	run timeout 30 ebreplay
	[ "$status" -le 1 ] || fail "$status $output"
	once a
}

# --- limits and permissions -----------------------------------------------------------------------

# check_status STATUS EVENT: 0 adds EVENT to the accepted, 74 must name the path, 127 is the dynamic loader without a descriptor.
check_status() {
	case $1 in
	0 | 1) echo "$2" >>"$EB_TMP/accepted" ;;
	74) grep -q "$3" "$EB_TMP/err" || fail "$2: 74, and: $(cat "$EB_TMP/err")" ;;
	127) ;;
	*) fail "$2: $1 $(cat "$EB_TMP/err")" ;;
	esac
}

# through COMMAND...: runs COMMAND; status in rc, stderr in $EB_TMP/err through a pipe, because a file limit may apply to it.
through() {
	rc=0
	{ timeout 20 "$@" 2>&1 >/dev/null || echo "rc $?"; } | cat >"$EB_TMP/err"
	! grep -q '^rc ' "$EB_TMP/err" || rc=$(sed -n 's/^rc //p' "$EB_TMP/err")
}

# under N COMMAND...: runs ebpub under a limit, with Redis unreachable, then reachable.
under() {
	local n=$1 rc torn=
	shift
	down
	through "$@" ebpub -q a "{\"n\":$n}"
	check_status "$rc" "$n" "$NAMED"
	through "$@" ebpub -q a "{\"n\":$((n + 1))}"
	check_status "$rc" $((n + 1)) "$NAMED"
	[ ! -d "$B" ] || torn=$(find "$B" -name '*.jsonl' -size +0 -exec sh -c 'tail -c 1 "$1" | grep -q .' - {} \; -print)
	[ -z "$torn" ] || fail "torn: $torn"
	up
	through "$@" ebreplay
	case $rc in 0 | 1 | 74 | 75 | 127) ;; *) fail "ebreplay: $rc $(cat "$EB_TMP/err")" ;; esac
	for c in ebstat 'ebhealth -t 1' 'ebsub -e -W 0.1 nothing'; do
		# shellcheck disable=SC2086  # some words
		through "$@" $c
		# ebsub may end with 124 too.
		((rc < 128 && (rc != 124 || ${#c} > 20))) || fail "$c: $rc $(cat "$EB_TMP/err")"
	done
	through "$@" ebpub -q a "{\"n\":$((n + 2))}"
	check_status "$rc" $((n + 2)) "$NAMED"
}

after_limits() {
	run timeout 20 ebreplay
	[ "$status" = 0 ] || fail "ebreplay: $status $output"
	once a
	echo "# $(wc -l <"$EB_TMP/accepted") events accepted" >&3
}

@test "files may not grow (EFBIG): each size, accepted or 74, no torn line, each event once" {
	local size n=0
	need prlimit
	NAMED='File too large'
	: >"$EB_TMP/accepted"
	for size in 0 100 512 600 1000 4096 100000 131072 200000; do
		under $((n += 3)) prlimit --fsize=$size
	done
	after_limits
}

@test "few descriptors (EMFILE): each number from 3 on, accepted or 74, each event once" {
	local most n=0
	need prlimit
	NAMED='Too many open files'
	: >"$EB_TMP/accepted"
	for most in {3..14}; do
		under $((n += 3)) prlimit --nofile="$most:$most"
	done
	after_limits
}

@test "a file system that is read only (EROFS): 74 with the path, nothing moves; Redis up and nothing buffered 0" {
	disk size=2M
	mkdir -m 700 "$B"
	mount -o remount,ro "$DISK"
	run -0 ebpub b 1
	mount -o remount,rw "$DISK"
	buffered a 1 3
	mount -o remount,ro "$DISK"
	down
	run -74 ebpub a 9
	assert_output --partial "$B"
	assert_output --partial 'Read-only'
	up
	# The buffered events cannot be drained, so no event of their type may be published directly.
	run -74 ebpub a 9
	run -0 ebpub --unordered b 1
	# Other types are published directly.
	run -0 --separate-stderr ebpub b 2
	assert_output --regexp '^[0-9]+-[0-9]+$'
	assert_regex "$stderr" 'Read-only.*not buffered'
	run -74 bash -c 'printf "%s\n" "{\"event_type\":\"b\",\"payload\":3}" "{\"event_type\":\"a\",\"payload\":9}" "{\"event_type\":\"b\",\"payload\":4}" | ebpub -J'
	assert_equal "$(payloads b | xargs)" '1 1 2 3 4'
	run ebreplay
	[ "$status" = 74 ] || [ "$status" = 75 ] || fail "$status $output"
	assert_output --partial 'Read-only'
	run -0 ebstat
	run -2 ebhealth
	mount -o remount,rw "$DISK"
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3'
}

# Commands run by root act as the owner, who lacks permissions here.
@test "no permission (EACCES): 74 with the path, nothing moves, and it goes on when permitted" {
	need_root
	DISK=$(mktemp -d)
	B=$DISK/buffer
	export EB_BUFFER_DIR=$B
	chmod 755 "$DISK"
	mkdir -m 700 "$B"
	chown nobody "$B"
	buffered a 1 1
	chmod 500 "$B"
	buffered a 2 2
	down
	run -74 ebpub --segment-size 1 a 3
	assert_output --partial "$B"
	assert_output --partial 'Permission denied'
	run ebhealth -t 0.5
	assert_output --partial '2 events'
	chmod 000 "$B"
	run -74 ebpub a 3
	assert_output --partial 'Permission denied'
	chmod 700 "$B"
	chown -R root "$B"
	up
	run -0 ebreplay
	rm -rf "$DISK"
	assert_equal "$(payloads a | xargs)" '1 2'
}

@test "no quota left (EDQUOT), at each call that may say so: accepted or 74, each event once" {
	local call n=0 at
	need strace
	strace -o /dev/null true 2>/dev/null || skip "strace may not trace here"
	NAMED='quota'
	: >"$EB_TMP/accepted"
	# A shared library (127) or the config file (78) may be the file that is not opened.
	for call in openat write pwrite64 mkdir fsync fdatasync; do
		for at in 1+ 2+ 3+ 1; do
			# Existing bytes of a file can always be overwritten.
			[ $call != pwrite64 ] || at=${at%+}
			down
			rc=0
			timeout 20 strace -qq -o /dev/null -e "inject=$call:error=EDQUOT:when=$at" ebpub -q a "{\"n\":$((n += 1))}" 2>"$EB_TMP/err" || rc=$?
			[ $rc = 74 ] || [ $rc = 0 ] || [ $rc = 127 ] || [ "$call $rc" = 'openat 78' ] || fail "$call $at: $rc $(cat "$EB_TMP/err")"
			[ $rc != 0 ] || echo $n >>"$EB_TMP/accepted"
			up
			rc=0
			timeout 20 strace -qq -o /dev/null -e "inject=$call:error=EDQUOT:when=$at" ebreplay 2>"$EB_TMP/err" || rc=$?
			case $rc in 0 | 74 | 75 | 78 | 127) ;; *) fail "ebreplay: $call $at: $rc $(cat "$EB_TMP/err")" ;; esac
		done
	done
	after_limits
}

# --- files that cannot be read ----------------------------------------------------------------------------------

need_strace() {
	need strace
	strace -o /dev/null true 2>/dev/null || skip "strace may not trace here"
}

@test "a segment that cannot be read (EIO), at each opening and each read, its end torn: nothing lost or doubled, the rest goes on" {
	local call at last faults=0
	need_strace
	down
	seq 2 | xargs -n 1 ebpub -q --segment-size 1 a
	last=$(find "$B" -name 'buffer_*' | sort | tail -1)
	printf '{"event_type":"a","mess' >>"$last"
	rm -f "$B/.outage"
	up
	cp -a "$B" "$EB_TMP/full"
	for call in openat read pread64; do
		for at in 1 2 3 4 5 6; do
			rm -rf "$B"
			redis_flush
			cp -a "$EB_TMP/full" "$B"
			sed -i "s/^inode .*/inode $(printf %020d 0)/" "$B/.lock"
			rc=0
			timeout 20 strace -qq -f -o "$EB_TMP/trace" -P "$last" -P "${last##*/}" -e "inject=$call:error=EIO:when=$at" \
				ebreplay 2>"$EB_TMP/err" || rc=$?
			grep -q INJECTED "$EB_TMP/trace" || break
			faults=$((faults + 1))
			[ $rc != 0 ] || fail "$call $at: 0"
			grep -q 'Input/output error\|quarantine' "$EB_TMP/err" || fail "$call $at: $rc $(cat "$EB_TMP/err")"
			timeout 20 ebreplay 2>"$EB_TMP/err" || [ $? = 1 ] || fail "$call $at, again: $(cat "$EB_TMP/err")"
			[ "$(payloads a | xargs)" = '1 2' ] || fail "$call $at: $(payloads a | xargs)"
			[ "$(ebstat -j | jq .buffer.quarantined)" = 1 ] || fail "$call $at: $(ls -R "$B/quarantine")"
		done
	done
	echo "# $faults failures" >&3
	[ $faults -ge 4 ]
}

@test "a buffer with a limit that cannot be listed: not safe, 74, and why" {
	need_strace
	down
	run -74 strace -qq -f -o /dev/null -P "$B" -P . -e inject=getdents64:error=EIO ebpub --buffer-max 1M a 1
	assert_output --partial 'list buffer: Input/output error'
	up
	run -0 ebreplay
	assert_equal "$(length a 2>/dev/null)" 0
}

@test "a torn piece that quarantine cannot make durable: its segment goes there whole, each event once" {
	need_strace
	buffered a 1 2
	rm -f "$B/.outage"
	printf '{"event_type":"a","mess' >>"$(echo "$B"/*.jsonl)"
	run strace -qq -f -o /dev/null -P "$B/quarantine" -e inject=fsync:error=EIO:when=1 ebreplay
	[ "$status" = 1 ] || [ "$status" = 74 ] || fail "$status $output"
	run ebreplay
	assert_equal "$(payloads a | xargs)" '1 2'
	grep -rqF '{"event_type' "$B/quarantine"
	run -0 ebreplay
}

@test "no checkpoint yet, and no space for one: 74, nothing is sent; then each once" {
	need_strace
	buffered a 1 3
	rm -f "$B/.outage" "$B/.progress"
	run -74 strace -qq -f -o /dev/null -e inject=fsync:error=ENOSPC ebreplay
	assert_output --partial 'No space left'
	assert_equal "$(length a)" 0
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3'
}

@test "Redis out of memory, and the disk fails when the hold is stored: not 0, all is kept; then each once" {
	need_strace
	buffered a 1 3
	rm -f "$B/.outage"
	rcli config set maxmemory 1 >/dev/null
	run strace -qq -f -o /dev/null -P "$B/.progress" -e inject=fdatasync:error=EIO:when=2 ebreplay
	rcli config set maxmemory 0 >/dev/null
	[ "$status" = 74 ] || [ "$status" = 75 ] || fail "$status $output"
	assert_equal "$(ebstat -j | jq .buffer.total_events)" 3
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3'
}

@test "fdatasync fails, and the second segment cannot be marked either: not safe, 74; what was accepted arrives once" {
	local at said=0
	need_strace
	down
	ebpub -q a 1
	for at in 2 3 4; do
		run strace -qq -f -o /dev/null -e inject=fdatasync:error=EIO -e inject=renameat:error=EIO:when=$at ebpub a 2
		[ "$status" = 74 ] || fail "$status $output"
		said=$((said + 1))
	done
	ebpub -q a 3
	up
	run ebreplay
	run ebreplay
	payloads a | grep -qx 1
	payloads a | grep -qx 3
}
