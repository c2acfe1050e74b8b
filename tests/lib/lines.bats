#!/usr/bin/env bats
# covers: lib/base
load ../support/helper
export PROBE

@test "records with and without an end" {
	run "$PROBE/probe" lines n 100 < <(printf 'a\n\nbc')
	assert_output '1 1 [a]
2 0 []
3 2 [bc]'
	run "$PROBE/probe" lines n 100 < <(printf 'a\n')
	assert_output '1 1 [a]'
	run "$PROBE/probe" lines n 100 </dev/null
	assert_output ''
	run "$PROBE/probe" lines 0 100 < <(printf 'a\nb\0c\0')
	assert_output '1 3 [a
b]
2 1 [c]'
}

@test "records as they arrive in pieces" {
	run "$PROBE/probe" lines n 100 < <(for s in a b $'c\nd' e $'\n' $'\nf'; do printf %s "$s"; sleep 0.02; done)
	assert_output '1 3 [abc]
2 2 [de]
3 0 []
4 1 [f]'
}

@test "a record of exactly max is given, a longer one is not" {
	run "$PROBE/probe" lines n 3 < <(printf 'abc\nabcd\nx\nabcd')
	assert_output '1 3 [abc]
2 long
3 1 [x]
4 long'
}

@test "one that is far too long costs no memory, one of 10 MB is whole" {
	{ head -c 300000000 /dev/zero | tr '\0' x; echo; echo y; head -c 10000000 /dev/zero; } >"$EB_TMP/in"
	if command -v time >/dev/null && command time -q true 2>/dev/null; then
		peak_rss "$EB_TMP/rss" "$PROBE/probe" lines n 1000000 <"$EB_TMP/in" >"$EB_TMP/out"
		(($(cat "$EB_TMP/rss") < 16000)) || [[ ${CFLAGS:-} == *sanitize* ]]
	fi
	run bash -c '"$PROBE/probe" lines n 10000000 <"$1" | tr -d "\0"' - "$EB_TMP/in"
	assert_output '1 long
2 1 [y]
3 10000000 []'
}
