#!/usr/bin/env bats
# covers: lib/buffer lib/drain lib/publish lib/consume lib/handle lib/redis
# Harm at every call and a cut at every byte (tests/fault/*.py). What runs here is a sample, by a seed that is printed; all of it
# is what the tests tagged long do. A case that failed is run again alone by the two words behind WRONG:
#
#     tests/fault/every.py --scenes SCENE --only 'HARM'
#     tests/fault/cuts.py --exchanges EXCHANGE --only 'CUT'

# shellcheck disable=SC2154  # bats: a test is a subshell

load ../support/helper
load ../support/chaos

setup() {
	need python3
	FAULTS=$TOP/tests/fault
}

# strace may be forbidden here.
need_strace() {
	need strace
	strace -o /dev/null -e inject=getpid:signal=KILL:when=1 true 2>/dev/null ||
		skip "strace cannot trace here"
}

# loop PROGRAM ARGUMENT...: prints the counts, fails with what was wrong.
loop() {
	local program=$1 rc=0
	shift
	python3 "$FAULTS/$program" --seed "$SEED" "$@" >"$EB_TMP/loop" 2>&1 3>&- 4>&- || rc=$?
	grep -v '^WRONG' "$EB_TMP/loop" | sed 's/^/# /' >&3
	[ $rc = 0 ] || fail "seed $SEED: $(cat "$EB_TMP/loop")"
	grep -q " 0 wrong" "$EB_TMP/loop"
}

# --- harm at every call: killed, terminated, failed with each errno, failed for good, out of memory -----------------

# bats test_tags=nosanitize
@test "a one-shot harmed at half of its calls: not accepted or durable, never half a line" {
	need_strace
	loop every.py --sample 1/2 --scenes direct,fresh,filled,segment,behind
}

# bats test_tags=nosanitize
@test "a one-shot without the lock, with limits, beside a held type: harmed at some calls, durable or not accepted" {
	need_strace
	loop every.py --sample 1/12 --scenes own,limits,pass
}

# bats test_tags=nosanitize
@test "20 events from standard input, harmed at a third of the calls: each answer is true" {
	need_strace
	loop every.py --sample 1/3 --scenes stream,away
}

# bats test_tags=nosanitize
@test "a one-shot that drains the buffer, harmed at a sixth of its calls: each event once and in order" {
	need_strace
	loop every.py --sample 1/6 --scenes drain
}

# bats test_tags=nosanitize
@test "a replay of three batches harmed at half of its calls: each event once and in order" {
	need_strace
	loop every.py --sample 1/2 --scenes three
}

# bats test_tags=nosanitize
@test "a replay that records ahead of what it sends, harmed at some calls: each event once and in order" {
	need_strace
	loop every.py --sample 1/8,flow=1/30,large=1/30 --scenes sure,flow,large
}

# bats test_tags=nosanitize
@test "a replay that goes on, of all kinds of files, with a claim: harmed at some calls, each event once and in order" {
	need_strace
	loop every.py --sample 1/8,claim=1/100 --scenes resume,mixed,claim
}

# bats test_tags=nosanitize
@test "a replay of what is held, full, bad or out of order: harmed at some calls, each event once and in order" {
	need_strace
	loop every.py --sample 1/20 --scenes unsorted,held,freed,full,kept,keep,bad,whole
}

# bats test_tags=nosanitize
@test "those who look harmed at some calls: nothing is changed; retry: each event comes back once" {
	need_strace
	loop every.py --sample 1/16,retry=1/5 --scenes list,check,stat,aside,retry
}

# bats test_tags=nosanitize
@test "--compress, --discard and --retarget harmed at a quarter of their calls: nothing lost, done by the next run" {
	need_strace
	loop every.py --sample 1/4 --scenes compress,discard,retarget
}

# bats test_tags=nosanitize
@test "dead letters re-driven, by a script and under WATCH, harmed at some calls: each once and in order" {
	need_strace
	loop every.py --sample 1/3 --scenes redrive,watched
}

# bats test_tags=nosanitize
@test "ebsub harmed at half of its calls: what is acknowledged was written, the rest comes again" {
	need_strace
	loop every.py --sample 1/2 --scenes subscribe
}

# bats test_tags=nosanitize
@test "ebsub with a command harmed at some of its calls: what is acknowledged was handled, the rest comes again" {
	need_strace
	loop every.py --sample 1/15 --scenes handle
}

# bats test_tags=nosanitize,long
@test "every command harmed at every call" {
	need_strace
	loop every.py --scenes direct,fresh,filled,segment,behind,drain,stream,away,three,flow,large,sure,resume,mixed,compress,discard,retarget,subscribe
}

# bats test_tags=nosanitize,long
@test "every command harmed at every call: what is held, full, bad, out of order, limited, set aside, or looked at" {
	need_strace
	loop every.py --scenes own,limits,pass,unsorted,held,freed,full,kept,keep,bad,whole,retry,aside,list,check,stat
}

# bats test_tags=nosanitize,long
@test "dead letters re-driven, and ebsub with a command, harmed at every call" {
	need_strace
	loop every.py --scenes redrive,watched,handle
}

# Each run waits for a second, so many at a time.
# bats test_tags=nosanitize,long
@test "a replay that claims a plain writer's file, harmed at every call" {
	need_strace
	loop every.py --jobs 12 --scenes claim
}

# --- a cut at every byte: end of file, reset, hang, late delivery; fewer under the sanitizers ------------------------------------------------------

@test "one event, its connection cut at a quarter of the bytes in both directions: once, in doubt exactly when it is" {
	loop cuts.py --sample "1/${EB_SANITIZE:+3}4" --exchanges one
}

@test "a replay of three events, new or in doubt, cut at some bytes in both directions: each once and in order" {
	loop cuts.py --sample "1/${EB_SANITIZE:+2}30" --exchanges batch,doubt
}

@test "60 events from standard input, cut at some bytes in both directions: each once and in order" {
	loop cuts.py --sample "1/${EB_SANITIZE:+3}800" --exchanges feed
}

@test "dead letters re-driven, by a script and under WATCH, cut at some bytes in both directions: each once and in order" {
	loop cuts.py --sample "1/${EB_SANITIZE:+2}60" --exchanges dead,watch
}

@test "ebsub cut at some bytes in both directions: what is acknowledged was printed, the rest comes again" {
	loop cuts.py --sample "1/${EB_SANITIZE:+2}40" --exchanges read
}

# bats test_tags=long
@test "every exchange cut at every byte" {
	loop cuts.py --sample 1,feed=1/20
}

# --- the checker can fail -----------------------------------------------------------------------------------------------

@test "the checker sees what is lost, doubled, out of order, strange, torn and left behind" {
	python3 "$FAULTS/selftest.py"
}
