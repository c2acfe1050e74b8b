#!/usr/bin/env bats
# covers: lib/base lib/event lib/buffer lib/redis lib/conf
# Fuzzing of the parsers of foreign data: JSON, lines, segments, state files, configuration, replies.

load ../support/helper

need_fuzzer() {
	need clang make pkg-config
	echo 'int LLVMFuzzerTestOneInput(const char *p, unsigned long n); int LLVMFuzzerTestOneInput(const char *p, unsigned long n) { return !p && n; }' |
		clang -fsanitize=fuzzer,address -x c -o "$EB_TMP/try" - 2>/dev/null || skip "needs clang's libFuzzer (libclang-rt-dev)"
}

# Keeps the targets in the build folder, so that an unchanged tree is not built again.
run_fuzz() {
	run -0 "$TOP/tests/fuzz/run" "$@"
	printf '# %s\n' "${lines[@]: -12}" >&3
}

# bats test_tags=nosanitize
@test "each fuzz target, a fixed number of inputs from a fixed seed" {
	need_fuzzer
	run_fuzz
	assert_line --regexp '^11 targets, [0-9]+ inputs, 0 findings$'
}

# bats test_tags=long,nosanitize
@test "each fuzz target for a minute, from a new seed" {
	need_fuzzer
	run_fuzz 60
	assert_line --regexp '^11 targets, [0-9]+ inputs, 0 findings$'
}

@test "the JSON check and Python's json agree on 40,000 documents" {
	need python3
	run -0 python3 "$TOP/tests/fuzz/second.py" "$PROBE/probe" "$TOP/tests/fuzz/corpus/json" 900
	echo "# ${lines[-1]}" >&3
	assert_line --regexp '^[0-9]+ documents: both accepted [0-9]{4,}, both refused [0-9]{5,}, 0 differences$'
}

@test "the corpus is small" {
	run -0 du -s --apparent-size --block-size=1K "$TOP/tests/fuzz/corpus"
	(($(cut -f 1 <<<"$output") < 300))
	run -0 find "$TOP/tests/fuzz/corpus" -type f -size +16k
	refute_output
}
