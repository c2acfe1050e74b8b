#!/usr/bin/env bats
# Clusters are not supported yet, and that is said plainly.

load helper

setup_file() {
	# The bus port would be 10000 for all such servers of the machine.
	redis_start --cluster-enabled yes --cluster-port $((20000 + RANDOM % 10000))
}

@test "a server in cluster mode: ebpub and ebreplay 78, and the event is buffered first" {
	run -78 ebpub ai.x 1
	assert_output --partial buffered
	assert_output --partial cluster
	run -78 ebreplay
	assert_equal "$(cat "$EB_BUFFER_DIR"/*.jsonl | wc -l)" 1
}

@test "a server in cluster mode: ebsub 78, ebstat 78" {
	run -78 ebsub -e ai.x
	run -78 ebstat
}
