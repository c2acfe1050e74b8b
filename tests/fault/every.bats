#!/usr/bin/env bats
# covers: lib/buffer lib/drain lib/publish lib/consume lib/handle lib/redis
# A fault at every system call and a cut of the connection at every byte (tests/fault/*.py). These tests run a sample by a seed
# that is printed (EB_SAMPLE=2 makes all samples twice as large); the tests tagged long run all cases. A line `WRONG SCENE: FAULT: ...` is repeated alone by
#
#     tests/fault/every.py --scenes SCENE --only 'FAULT'
#     tests/fault/cuts.py --exchanges EXCHANGE --only 'CUT'

# shellcheck disable=SC2154  # bats: a test is a subshell

load ../support/helper
load ../support/chaos

setup() {
	need python3
	FAULTS=$TOP/tests/fault
}

# Skips the test where strace is missing or forbidden.
need_strace() {
	need strace
	strace -o /dev/null -e inject=getpid:signal=KILL:when=1 true 2>/dev/null ||
		skip "strace cannot trace here"
}

# loop PROGRAM ARGUMENT...: runs PROGRAM, prints its counts, fails with the errors it found.
loop() {
	local program=$1 rc=0
	shift
	python3 "$FAULTS/$program" --seed "$SEED" "$@" >"$EB_TMP/loop" 2>&1 3>&- 4>&- || rc=$?
	grep -v '^WRONG' "$EB_TMP/loop" | sed 's/^/# /' >&3
	[ $rc = 0 ] || fail "seed $SEED: $(cat "$EB_TMP/loop")"
	grep -q " 0 wrong" "$EB_TMP/loop"
}

# --- faults at every call: kill, SIGTERM, each errno, permanent failure, out of memory ------------------------------

# bats test_tags=nosanitize
@test "ebpub of one event, a fault at a quarter of its calls: durable or not accepted, never half a line" {
	need_strace
	loop every.py --sample 1/4 --scenes direct,fresh,filled,segment,behind
}

# bats test_tags=nosanitize
@test "ebpub of one event without the lock, with limits, beside a held type, faults at some calls: durable or not accepted" {
	need_strace
	loop every.py --sample 1/24 --scenes own,limits,pass
}

# bats test_tags=nosanitize
@test "20 events from standard input, a fault at a sixth of the calls: each answer is true" {
	need_strace
	loop every.py --sample 1/6 --scenes stream,away
}

# bats test_tags=nosanitize
@test "ebpub of one event that drains the buffer, a fault at a twelfth of its calls: each event once and in order" {
	need_strace
	loop every.py --sample 1/12 --scenes drain
}

# bats test_tags=nosanitize
@test "a replay of three batches, a fault at a fifth of its calls: each event once and in order" {
	need_strace
	loop every.py --sample 1/5 --scenes three
}

# bats test_tags=nosanitize
@test "a replay that records ahead of what it sends, a fault at some calls: each event once and in order" {
	need_strace
	loop every.py --sample 1/16,flow=1/60,large=1/60 --scenes sure,flow,large
}

# bats test_tags=nosanitize
@test "a replay that resumes, of all kinds of files, of an adopted file, a fault at some calls: each event once and in order" {
	need_strace
	loop every.py --sample 1/16,adopt=1/200 --scenes resume,mixed,adopt
}

# bats test_tags=nosanitize
@test "a replay with a held type, a full stream, bad or unsorted lines, a fault at some calls: each event once and in order" {
	need_strace
	loop every.py --sample 1/40 --scenes unsorted,held,freed,full,kept,keep,bad,whole
}

# bats test_tags=nosanitize
@test "commands that only read, a fault at some calls: nothing is changed; quarantine retry: each event comes back once" {
	need_strace
	loop every.py --sample 1/32,retry=1/10 --scenes list,check,stat,aside,retry
}

# bats test_tags=nosanitize
@test "compress, discard and retarget, a fault at an eighth of their calls: nothing lost, the next run completes it" {
	need_strace
	loop every.py --sample 1/8 --scenes compress,discard,retarget
}

# bats test_tags=nosanitize
@test "set-aside, a fault at a tenth of its calls: each event is in quarantine or is sent, never both" {
	need_strace
	loop every.py --sample 1/10 --scenes setaside
}

# bats test_tags=nosanitize
@test "dead letters re-driven, by a script and under WATCH, a fault at some calls: each once and in order" {
	need_strace
	loop every.py --sample 1/6 --scenes redrive,watched
}

# bats test_tags=nosanitize
@test "ebsub, a fault at a quarter of its calls: acknowledged entries were written, the others are redelivered" {
	need_strace
	loop every.py --sample 1/4 --scenes subscribe
}

# bats test_tags=nosanitize
@test "ebsub with a command, a fault at some of its calls: acknowledged entries were handled, the others are redelivered" {
	need_strace
	loop every.py --sample 1/30 --scenes handle
}

# bats test_tags=nosanitize,long
@test "every command, a fault at every call" {
	need_strace
	loop every.py --scenes direct,fresh,filled,segment,behind,drain,stream,away,three,flow,large,sure,resume,mixed,compress,discard,setaside,retarget,subscribe
}

# bats test_tags=nosanitize,long
@test "every command, a fault at every call: held, full, bad, unsorted, limited, quarantined, read only" {
	need_strace
	loop every.py --scenes own,limits,pass,unsorted,held,freed,full,kept,keep,bad,whole,retry,aside,list,check,stat
}

# bats test_tags=nosanitize,long
@test "dead letters re-driven, and ebsub with a command, a fault at every call" {
	need_strace
	loop every.py --scenes redrive,watched,handle
}

# 12 at a time, because each run waits for a second.
# bats test_tags=nosanitize,long
@test "a replay that adopts a plain writer's file, a fault at every call" {
	need_strace
	loop every.py --jobs 12 --scenes adopt
}

# --- a cut at every byte: end of file, reset, hang, late delivery; fewer under the sanitizers ------------------------

@test "one event, its connection cut at an eighth of the bytes in both directions: once, in doubt exactly when fully sent" {
	loop cuts.py --sample "1/${EB_SANITIZE:+3}8" --exchanges one
}

@test "a replay of three events, new or in doubt, cut at some bytes in both directions: each once and in order" {
	loop cuts.py --sample "1/${EB_SANITIZE:+2}60" --exchanges batch,doubt
}

@test "60 events from standard input, cut at some bytes in both directions: each once and in order" {
	loop cuts.py --sample "1/${EB_SANITIZE:+3}900" --exchanges feed
}

@test "dead letters re-driven, by a script and under WATCH, cut at some bytes in both directions: each once and in order" {
	loop cuts.py --sample "1/${EB_SANITIZE:+2}60" --exchanges dead,watch
}

@test "ebsub cut at some bytes in both directions: acknowledged entries were printed, the others are redelivered" {
	loop cuts.py --sample "1/${EB_SANITIZE:+2}40" --exchanges read
}

# bats test_tags=long
@test "every exchange cut at every byte" {
	loop cuts.py --sample 1,feed=1/20
}

# --- the checker itself --------------------------------------------------------------------------------------------------

@test "the checker finds events that are lost, doubled, out of order, unknown or torn, and files left behind" {
	python3 "$FAULTS/selftest.py"
}
