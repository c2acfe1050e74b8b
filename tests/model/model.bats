#!/usr/bin/env bats
# covers: lib/buffer lib/drain lib/publish
# The Promela model of the buffer's protocol holds, and fails without each of its rules.

load ../support/helper

# bats test_tags=nosanitize
@test "spin finds no loss, duplicate or reordering in the model, and finds one without each of its rules" {
	need spin gcc
	run -0 "$TOP/tests/model/run"
	echo "# ${lines[-1]}" >&3
	assert_line --regexp '^(15|22) of (15|22) sabotages refuted, the protocol holds in '
}

# bats test_tags=long,nosanitize
@test "the same with three events of two publishers at once" {
	need spin gcc
	(($(awk '/MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo) >= 4)) || skip "needs 4 GiB of memory"
	run -0 "$TOP/tests/model/run" --long
	echo "# ${lines[-1]}" >&3
}
