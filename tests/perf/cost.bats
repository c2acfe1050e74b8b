#!/usr/bin/env bats
# covers: lib/publish lib/drain lib/consume lib/buffer
# The cost of each path in system calls, fdatasyncs and instructions per event. The bounds are a quarter above the measured
# values, so that a slower path fails; with another compiler or C library raise them with care.

# bats file_tags=nosanitize

# shellcheck disable=SC2154  # bats

load ../support/helper

# Prints why nothing can be counted here. In setup_file bats counts a skip as a failure.
why_not() {
	local c
	for c in strace valgrind python3; do
		command -v "$c" >/dev/null || { echo "needs $c" && return; }
	done
	[ "${EB_BUILD:-$TOP/build}" -ef "$TOP/build" ] || { echo "needs the build in build/" && return; }
	strace -o /dev/null true 2>/dev/null || echo "strace cannot trace here"
}

setup_file() {
	[ -n "$(why_not)" ] || "$TOP/scripts/bench" -j -n 20000 -r 1 cost 3>&- 4>&- >"$BATS_FILE_TMPDIR/cost"
}

setup() {
	local why
	why=$(why_not)
	[ -z "$why" ] || skip "$why"
}

# cost PATH MEMBER: prints a count per event, or of the whole process.
cost() {
	jq -r --arg path "$1" "select(.path == \$path).$2" "$BATS_FILE_TMPDIR/cost"
}

# most PATH MEMBER N
most() {
	local n
	n=$(cost "$1" "$2")
	echo "# $1: $n $2" >&3
	jq -ne "$n <= $3" >/dev/null || fail "$1: $n $2, more than $3"
}

# least PATH MEMBER N
least() {
	jq -ne "$(cost "$1" "$2") >= $3" >/dev/null || fail "$1: $(cost "$1" "$2") $2, less than $3"
}

@test "instructions per event" {
	most 'ebpub, stream' instructions 8500
	most 'ebpub, Redis away' instructions 13500
	most ebreplay instructions 15000
	most 'ebsub, JSON' instructions 17000
	most 'ebsub, --payload' instructions 10500
	most ebstat instructions 300
}

@test "fewer instructions than a bare hiredis loop" {
	most 'ebpub, stream' instructions "$(cost 'bare XADD, 500' instructions)"
	most 'ebsub, --payload' instructions "$(cost 'bare XREADGROUP, XACK, 500' instructions)"
}

# How often a process waits for the server varies, so these bounds are wide.
@test "system calls per event" {
	most 'ebpub, stream' system_calls 0.05
	most 'ebpub, Redis away' system_calls 0.02
	most ebreplay system_calls 0.13
	most 'ebsub, JSON' system_calls 0.06
	most 'ebsub, --payload' system_calls 0.06
	most 'ebpub, one event, whole' system_calls 120
	most 'ebpub, one event, Redis away, whole' system_calls 200
}

@test "fdatasyncs per event" {
	least 'ebpub, one event, Redis away, whole' fdatasyncs 1
	most 'ebpub, one event, Redis away, whole' fdatasyncs 3
	least ebreplay fdatasyncs 0.001
	most ebreplay fdatasyncs 0.004
	most 'ebpub, one event, whole' fdatasyncs 0
}

@test "a stream into the buffer is synced once for each append of at most 4096 events" {
	local syncs
	export EB_REDIS_URL=unix://$EB_TMP/none
	seq 20000 | strace -f -c -o "$EB_TMP/calls" ebpub -q t
	syncs=$(awk '$NF == "fdatasync" { print $4 }' "$EB_TMP/calls")
	[ "$syncs" -ge 5 ] && [ "$syncs" -le 12 ] || fail "$(cat "$EB_TMP/calls")"
	assert_equal "$(cat "$EB_BUFFER_DIR"/*.jsonl | wc -l)" 20000
}

@test "a process with one event: its instructions besides loading" {
	local loaded
	loaded=$(cost 'ebpub -V' instructions)
	most 'ebpub, one event, whole' instructions $((loaded + 90000))
	most 'ebpub, one event, Redis away, whole' instructions $((loaded + 260000))
}
