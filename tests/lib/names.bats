#!/usr/bin/env bats
# covers: lib/event
load ../support/helper

word() { printf "%0$1d" 0; }	# so many zeros

@test "keys" {
	run "$PROBE/probe" names quantum svc ai.signal
	assert_output 'quantum:stream:ai.signal
quantum:group:svc:ai.signal
quantum:dlq:ai.signal'
}

@test "legal types and services" {
	for s in a A 0 a.b a_b a-b .a _a a- "$(word 200)" ai.signal.generated; do
		"$PROBE/probe" legal "$s"
	done
	for s in '' -a - 'a b' a: 'a*' 'a?' a/b $'a\n' ä "$(word 201)" 'a[b' 'a"b'; do
		run "$PROBE/probe" legal "$s"
		assert_failure 1
	done
}

@test "legal prefixes" {
	for s in quantum q 'a:b' '{tag}' "$(word 100)"; do
		"$PROBE/probe" legal-prefix "$s"
	done
	for s in '' 'a b' 'a*' 'a?' 'a[' 'a]' "a\\" $'a\t' ä "$(word 101)"; do
		run "$PROBE/probe" legal-prefix "$s"
		assert_failure 1
	done
}

@test "patterns" {
	for s in 'a*' '?' 'a[b]'; do
		"$PROBE/probe" pattern "$s"
	done
	run "$PROBE/probe" pattern a.b
	assert_failure 1
}

@test "the type in a key" {
	run "$PROBE/probe" type quantum quantum:stream:a.b
	assert_output a.b
	for s in quantum:stream: quantum:stream quantum:dlq:a other:stream:a quantum:stream:a:b quantum:stream:-a xquantum:stream:a ''; do
		run "$PROBE/probe" type quantum "$s"
		assert_failure 1
	done
}
