#!/usr/bin/env bats
# covers: lib/base
load ../support/helper

@test "sizes" {
	for pair in 0:0 4096:4096 1B:1 8k:8192 8K:8192 8KB:8192 8M:8388608 8MiB:8388608 8mb:8388608 1.5G:1610612736 .5M:524288 2T:2199023255552 \
		0.5k:512 1.5T:1649267441664 18446744073709551615:18446744073709551615 16777215T:18446742974197923840; do
		run "$PROBE/probe" size "${pair%%:*}"
		assert_success
		assert_output "${pair#*:}"
	done
	for s in '' M -1 +1 ' 1' '1 ' 1.5 1.5B .5 .M 1.M 1X 1MM 1iB 1Mi 18446744073709551616 16777216T 0x10 1e3 99999999999999999999999; do
		run "$PROBE/probe" size "$s"
		assert_failure 1
	done
}

@test "spans" {
	for pair in 2:2000 0.5:500 0:0 250ms:250 10s:10000 1.5s:1500 5m:300000 1h:3600000 2d:172800000 0.001:1 0.25h:900000 .5:500 .25s:250 .001:1; do
		run "$PROBE/probe" ms "${pair%%:*}"
		assert_success
		assert_output "${pair#*:}"
	done
	for s in '' s -1 1w 1M 1sec '1 s' 1. . .s -.5 ..5 x 1,5 9223372036854775808 99999999999999999999d 106751991168d; do
		run "$PROBE/probe" ms "$s"
		assert_failure 1
	done
}

@test "numbers" {
	for s in 0 1 18446744073709551615; do
		run "$PROBE/probe" u64 "$s"
		assert_output "$s"
	done
	for s in '' -1 +1 ' 1' 1x 18446744073709551616 0x1 1.0; do
		run "$PROBE/probe" u64 "$s"
		assert_failure 1
	done
}

@test "small files are read whole, and reading a FIFO does not hang" {
	printf abc >"$EB_TMP/f"
	run "$PROBE/probe" read-file "$EB_TMP/f"
	assert_output abc
	head -c 101 /dev/zero >"$EB_TMP/f"
	run "$PROBE/probe" read-file "$EB_TMP/f"
	assert_failure 1
	run "$PROBE/probe" read-file "$EB_TMP/none"
	assert_failure 1
	run "$PROBE/probe" read-file "$EB_TMP"
	assert_failure 1
	mkfifo "$EB_TMP/fifo"
	run timeout 10 "$PROBE/probe" read-file "$EB_TMP/fifo"
	assert_success
	run "$PROBE/probe" read-file <(sleep 0.2; echo late)
	assert_output late
}

@test "closed descriptors are filled, and using them still fails" {
	"$PROBE/probe" start "$EB_TMP/f" <&- >&- 2>&- 3>&- 4>&-
	assert_equal "$(cat "$EB_TMP/f")" 'fd 3 read -1 write -1'
	assert_equal "$(stat -c %a "$EB_TMP/f")" 600
	rm "$EB_TMP/f"
	"$PROBE/probe" start "$EB_TMP/f" </dev/null >/dev/null 2>&1 3>&- 4>&-
	assert_equal "$(cat "$EB_TMP/f")" 'fd 3 read 0 write 0'
}
