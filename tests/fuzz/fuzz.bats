#!/usr/bin/env bats
# covers: lib/base lib/event lib/buffer lib/redis lib/conf
# Readers of what others wrote, fed with anything.

load ../support/helper

need_fuzzer() {
	need clang make pkg-config
	echo 'int LLVMFuzzerTestOneInput(const char *p, unsigned long n); int LLVMFuzzerTestOneInput(const char *p, unsigned long n) { return !p && n; }' |
		clang -fsanitize=fuzzer,address -x c -o "$EB_TMP/try" - 2>/dev/null || skip "needs clang's libFuzzer (libclang-rt-dev)"
}

# Those who change nothing need not build again: the targets are kept in the build folder.
run_fuzz() {
	run -0 "$TOP/tests/fuzz/run" "$@"
	printf '# %s\n' "${lines[@]: -12}" >&3
}

# bats test_tags=nosanitize
@test "each reader, a fixed number of inputs from a fixed seed" {
	need_fuzzer
	run_fuzz
	assert_line --regexp '^11 targets, [0-9]+ inputs, 0 findings$'
}

# bats test_tags=long,nosanitize
@test "each reader for a minute, from a seed of today" {
	need_fuzzer
	run_fuzz 60
	assert_line --regexp '^11 targets, [0-9]+ inputs, 0 findings$'
}

@test "the JSON check and Python's judge agree on 40,000 documents" {
	need python3
	run -0 python3 "$TOP/tests/fuzz/second.py" "$PROBE/probe" "$TOP/tests/fuzz/corpus/json" 900
	echo "# ${lines[-1]}" >&3
	assert_line --regexp '^[0-9]+ documents: both took [0-9]{4,}, both refused [0-9]{5,}, 0 differences$'
}

@test "the corpus is small" {
	run -0 du -s --apparent-size --block-size=1K "$TOP/tests/fuzz/corpus"
	(($(cut -f 1 <<<"$output") < 300))
	run -0 find "$TOP/tests/fuzz/corpus" -type f -size +16k
	refute_output
}
