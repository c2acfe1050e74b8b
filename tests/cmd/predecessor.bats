#!/usr/bin/env bats
# covers: lib/publish lib/buffer lib/drain
# The functions of the Python service that these commands replace, under its names.

# shellcheck disable=SC2030,SC2031,SC2154  # bats: a test is a subshell

load ../support/helper
load ../support/buffer

setup_file() {
	redis_start
}

setup() {
	buffer_setup
}

# --- the buffer ----------------------------------------------------------------------

@test "buffer initialised" {
	down
	run -0 ebpub -q ai.signal.generated '{"symbol":"BTCUSDT"}'
	[ -d "$B" ]
	assert_equal "$(stat -c %a "$B")" 700
}

@test "event written to the buffer: its line has the documented members" {
	down
	run -0 ebpub -q --trace-id abc123 ai.signal.generated '{"symbol":"BTCUSDT","confidence":0.85}'
	assert_equal "$(lines | wc -l)" 1
	lines | jq -e '.event_type == "ai.signal.generated" and .message.event_type == .event_type and
		(.message.payload | fromjson.confidence) == 0.85 and .message.trace_id == "abc123" and
		(.message | has("correlation_id") and has("timestamp") and has("source") and has("event_id")) and
		(.buffered_at | test("^[0-9-]+T[0-9:.]+Z$"))'
}

@test "all buffered events read back" {
	buffered a 1 5
	assert_equal "$(ebbuffer list -j | wc -l)" 5
	assert_equal "$(lines | jq -r .message.payload | xargs)" '1 2 3 4 5'
}

@test "buffered events read in timestamp order" {
	mkdir "$B"
	chmod 700 "$B"
	plain a 2 2025-12-04T10:30:02Z >"$B/buffer_2025-12-04_10-30-00.jsonl"
	plain a 1 2025-12-04T10:30:01Z >"$B/buffer_2025-12-04_10-31-00.jsonl"
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2'
}

@test "buffer cleared only after success" {
	buffered a 1 3
	down
	run -75 ebreplay
	assert_equal "$(lines | wc -l)" 3
	up
	run -0 ebreplay
	assert_equal "$(length a)" 3
	run ! ls "$B"/*.jsonl
}

@test "buffer statistics" {
	buffered a 1 3
	ebstat -j | jq -e --arg dir "$B" '.buffer | .buffer_dir == $dir and .file_count == 1 and .total_events == 3 and
		.total_bytes > 0 and (.oldest_event | type) == "string"'
	ebreplay
	ebstat -j | jq -e '.buffer | .file_count == 0 and .total_events == 0 and .oldest_event == null'
}

# --- streams and groups ------------------------------------------------------------------

@test "event published with an ID" {
	run -0 ebpub ai.signal.generated '{"symbol":"BTCUSDT"}'
	assert_output --regexp '^[0-9]+-[0-9]+$'
	assert_equal "$(rcli exists quantum:stream:ai.signal.generated)" 1
}

@test "consumer group ensured twice" {
	run -0 ebpub -q a 1
	run -0 ebsub -q -s svc -n 1 -W 5 a
	run ebsub -q -s svc -W 0.1 a
	[ "$status" = 124 ]
	assert_equal "$(rcli xinfo groups quantum:stream:a | grep -c quantum:group:svc:a)" 1
}

@test "event read through the group" {
	run -0 ebpub -q --trace-id t a '{"n":1}'
	run -0 --separate-stderr ebsub -s svc -n 1 -W 5 a
	assert_equal "$(jq -c '[.event_type, .payload, .trace_id]' <<<"$output")" '["a",{"n":1},"t"]'
}

@test "event acknowledged" {
	run -0 ebpub -q a 1
	run -0 ebsub -q -s svc -n 1 -W 5 a
	assert_equal "$(rcli xpending quantum:stream:a quantum:group:svc:a | head -1)" 0
}

@test "health check" {
	run -0 ebhealth
	assert_output --partial OK
	down
	run ebhealth
	[ "$status" != 0 ]
}

# --- buffer and streams together --------------------------------------------------------------

@test "published to Redis while it is up: nothing is buffered" {
	run -0 ebpub a 1
	assert_equal "$(length a)" 1
	run ! ls "$B"/*.jsonl
}

@test "published while Redis is down: buffered" {
	redis_kill
	run -0 ebpub a 1
	assert_output buffered
	assert_equal "$(lines | wc -l)" 1
}

@test "replayed after recovery, in order, and then empty" {
	redis_kill
	seq 10 | ebpub -q a
	redis_restart
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" "$(seq 10 | xargs)"
	assert_equal "$(ebstat -j | jq .buffer.total_events)" 0
	assert_equal "$(length system.redis_recovered)" 1
}

@test "no event is lost from before, during and after an outage" {
	redis_start --appendonly yes --appendfsync always
	seq 1 10 | ebpub -q a
	redis_kill
	seq 11 20 | ebpub -q a
	redis_restart
	seq 21 30 | ebpub -q a
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" "$(seq 30 | xargs)"
	redis_start
}
