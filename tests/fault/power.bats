#!/usr/bin/env bats
# covers: lib/buffer lib/drain
# Power cuts on ext4 and on XFS: every accepted event is in the buffer or in its stream. tests/fault/power.py
# describes a round.
#
# bats file_tags=nosanitize

load ../support/helper
load ../support/chaos

setup_file() {
	redis_start --appendonly yes
}

setup() {
	redis_flush
}

# cuts FS N: runs N rounds in a mount namespace of their own, so that no mount is left behind.
cuts() {
	need_root
	need python3 xfs_io "mkfs.$1" unshare
	unshare -m true || skip "needs mount namespaces"
	truncate -s 300M "$EB_TMP/try"
	"mkfs.$1" -q "$EB_TMP/try"
	# shellcheck disable=SC2016  # for the inner shell
	unshare -m sh -c 'mkdir "$1.d" && mount -o loop "$1" "$1.d"' - "$EB_TMP/try" 2>/dev/null ||
		skip "cannot mount an image of $1: no loop devices here"
	rm "$EB_TMP/try"
	run timeout 1500 unshare -m python3 "$TOP/tests/fault/power.py" "$EB_TMP/power" "$REDIS_SOCK" "$1" "$2" "$SEED"
	echo "# ${lines[0]}" >&3
	assert_success
}

@test "12 power cuts on ext4: nothing accepted is missing, doubled or out of order" {
	cuts ext4 12
}

@test "12 power cuts on XFS: nothing accepted is missing, doubled or out of order" {
	cuts xfs 12
}

# bats test_tags=long
@test "500 power cuts on ext4" {
	cuts ext4 500
}

# bats test_tags=long
@test "500 power cuts on XFS" {
	cuts xfs 500
}
