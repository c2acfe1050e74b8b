#!/usr/bin/env bats
# covers: lib/redis
# Redis Cluster is not supported: each command refuses it with a clear message.

# shellcheck disable=SC2030,SC2031,SC2154  # bats: a test is a subshell

load ../support/helper

setup_file() {
	# The cluster bus port would be 10000 for every such server of the machine.
	redis_start --cluster-enabled yes --cluster-port $((20000 + RANDOM % 10000)) --cluster-require-full-coverage no
}

setup() {
	rcli acl setuser default +@all >/dev/null
}

buffered() {
	assert_equal "$(cat "$EB_BUFFER_DIR"/*.jsonl | wc -l)" "$1"
}

@test "a server in cluster mode: ebpub and ebreplay 78, and the event is buffered first" {
	run -78 ebpub ai.x 1
	assert_output --partial buffered
	assert_output --partial cluster
	run -78 ebreplay
	buffered 1
}

@test "a server in cluster mode: ebsub, ebstat, ebgroup 78, ebhealth CRITICAL" {
	run -78 ebsub -e ai.x
	run -78 ebgroup list
	run -78 ebgroup reap --yes ai.x
	run -78 ebstat
	run -2 ebhealth
	assert_output --partial cluster
}

# --- clusters that INFO does not show ---------------------------------------------------------

@test "no slots: CLUSTERDOWN passes; buffered with 0, kept with 75" {
	rcli acl setuser default -info >/dev/null
	run -0 ebpub ai.x 1
	assert_output buffered
	run -75 ebreplay
	assert_output --partial CLUSTERDOWN
	run -75 ebsub -t 0.3 -e ai.x
	assert_output --partial CLUSTERDOWN
	run ebstat ai.x
	assert_output --partial CLUSTERDOWN
	run -2 ebhealth ai.x
	assert_output --partial CLUSTERDOWN
	buffered 1
}

# other_node: starts a second node of the cluster; OTHER is its id.
other_node() {
	local dir=$EB_TMP/other port=$((20000 + RANDOM % 10000))
	mkdir "$dir"
	bg other "$(redis_program)" --port 0 --unixsocket "$dir/s" --dir "$dir" --save '' --cluster-enabled yes --cluster-port $port
	wait_for "test -S '$dir/s'"
	rcli cluster meet 127.0.0.1 6379 $port >/dev/null
	wait_for "[ \$(rcli cluster nodes | wc -l) = 2 ] && ! rcli cluster nodes | grep -q handshake"
	OTHER=$("$(redis_cli_program)" -s "$dir/s" cluster myid)
}

@test "the slot is another's, or on its way to another: MOVED, ASK: buffered, 78" {
	local slot
	other_node
	slot=$(rcli cluster keyslot quantum:stream:ai.x)
	rcli cluster addslotsrange 0 16383 >/dev/null
	wait_for "rcli cluster info | grep -q cluster_state:ok"
	rcli acl setuser default -info >/dev/null
	run -0 ebpub ai.y 1
	assert_output --regexp '^[0-9]+-[0-9]+$'
	rcli cluster setslot "$slot" migrating "$OTHER" >/dev/null
	run -78 ebpub ai.x 1
	assert_output --partial buffered
	assert_output --partial ASK
	run -78 ebreplay
	assert_output --partial ASK
	rcli cluster setslot "$slot" node "$OTHER" >/dev/null
	run -78 ebpub -b "$EB_TMP/b2" ai.x 1
	assert_output --partial buffered
	assert_output --partial MOVED
	run -78 ebreplay
	assert_output --partial MOVED
	run -78 ebsub -t 0.3 -e ai.x
	run -78 ebgroup consumers ai.x
	assert_output --partial MOVED
	run ebstat ai.x
	assert_output --partial MOVED
	run -1 ebhealth ai.x
	assert_output --partial MOVED
	buffered 1
}
