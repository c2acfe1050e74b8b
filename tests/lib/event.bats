#!/usr/bin/env bats
# covers: lib/event lib/buffer
# shellcheck disable=SC2030,SC2031,SC2059  # bats runs each test in a subshell
load ../support/helper
export PROBE

probe() { "$PROBE/probe" "$@"; }

# A line of ours from a line without crc on stdin.
seal() { python3 -c 'import sys, zlib
s = sys.stdin.buffer.read().rstrip(b"\n")[:-1]
sys.stdout.buffer.write(s + b",\"crc\":\"%08x\"}\n" % zlib.crc32(s))'; }

theirs='{"event_type":"t","message":{"event_type":"t","payload":"{\"a\": 1.10}","trace_id":null,"timestamp":"2025-12-04T10:30:00","source":"py"},"buffered_at":"2025-12-04T10:30:01"}'

refused() {	# a line, part of the text
	run probe line-parse <<<"$1"
	assert_failure 1
	assert_output --partial "65 "
	assert_output --partial "$2"
}

@test "ebpub's line has the documented members" {
	run probe line-write ai.s tr 5 < <(printf '{"a": 1.10, "b":"\\u0000\\""}')
	assert_success
	assert_output '{"event_type":"ai.s","message":{"event_type":"ai.s","payload":"{\"a\": 1.10, \"b\":\"\\u0000\\\"\"}","trace_id":"tr","correlation_id":"c","timestamp":"2025-12-04T10:30:00.000000Z","source":"s","event_id":"e"},"buffered_at":"2025-12-04T10:30:01.123456Z","maxlen":5}'
	run probe line-write t '' -1 doubt <<<1
	assert_output --partial ',"doubt":{"run_id":"run","client":9007199254740991,"addr":"127.0.0.1:5","after":"5-1"}}'
	refute_output --partial maxlen
}

@test "ebpub's line reads back the same" {
	need python3
	run bash -c 'printf "[1.10,\"\\\\\\\\n\303\244\"]" | "$PROBE/probe" line-write t tr 0 d' -
	line=$(seal <<<"$output")
	run probe line-parse <<<"$line"
	assert_success
	assert_output 'event_type [t]
payload [[1.10,"\\nä"]]
trace_id [tr]
correlation_id [c]
timestamp [2025-12-04T10:30:00.000000Z]
source [s]
event_id [e]
buffered_at 1764844201123456
maxlen 0
ours
doubt run 9007199254740991 127.0.0.1:5 5-1'
	[ "$(jq -r .message.payload <<<"$line")" = '[1.10,"\\nä"]' ]
}

@test "the checksum covers every byte of ebpub's line" {
	need python3
	line=$(probe line-write t tr 5 <<<'{"a":1}' | seal)
	n=${#line}
	for ((i = 0; i < n; i += 7)); do
		c=${line:i:1}
		other=x
		[ "$c" = x ] && other=y
		run probe line-parse <<<"${line:0:i}$other${line:i+1}"
		assert_failure 1
	done
	refused "${line%????}0\"}" 'crc differs'
	refused "${line/'"maxlen":5'/'"maxlen":6'}" 'crc differs'
	refused "${line}x" 'not JSON'
	refused "${line:0:${#line}-1},\"x\":1}" 'crc differs'
}

@test "payloads of any bytes survive, and the line stays JSON" {
	need python3
	for ((i = 0; i < 256; i++)); do printf "\\$(printf %03o $i)"; done >"$EB_TMP/all"
	probe line-write t '' -1 <"$EB_TMP/all" | seal >"$EB_TMP/line"
	probe json-check <"$EB_TMP/line"
	probe line-parse <"$EB_TMP/line" >"$EB_TMP/out"
	python3 - "$EB_TMP/all" "$EB_TMP/out" <<-'EOF'
	import sys
	want, out = open(sys.argv[1], "rb").read(), open(sys.argv[2], "rb").read()
	assert b"payload [" + want + b"]\ntrace_id []" in out, out
	EOF
}

@test "a plain writer's line" {
	run probe line-parse <<<"$theirs"
	assert_success
	assert_output 'event_type [t]
payload [{"a": 1.10}]
trace_id none
correlation_id none
timestamp [2025-12-04T10:30:00]
source [py]
event_id none
buffered_at 1764844201000000
maxlen -1
theirs'
	run probe line-parse <<<"${theirs/'{\"a\": 1.10}'/NaN}"
	assert_line 'payload [NaN]'
	run probe line-parse <<<"${theirs/'"{\"a\": 1.10}"'/'{"a": [1.0, "x\n"]}'}"
	assert_line 'payload [{"a": [1.0, "x\n"]}]'
	run probe line-parse <<<"${theirs/'"{\"a\": 1.10}"'/null}"
	assert_line 'payload [null]'
	run probe line-parse <<<"${theirs/'"py"'/'5,"extra":[{}]'}"
	assert_line 'source [5]'
	for at in 2025-12-04T10:30:01.000000Z 2025-12-04T11:30:01+01:00 '2025-12-04 10:30:01.0'; do
		run probe line-parse <<<"${theirs/2025-12-04T10:30:01/$at}"
		assert_line 'buffered_at 1764844201000000'
	done
	# "doubt" is accepted only in ebpub's own segments
	run probe line-parse <<<"${theirs/%\}/,\"doubt\":{\"run_id\":\"x\"\}\}}"
	assert_success
	refute_output --partial doubt
}

@test "the first of equal members counts, the type outside before the one inside" {
	run probe line-parse <<<"${theirs/'{"event_type":"t"'/'{"event_type":"first","event_type":"second"'}"
	assert_line 'event_type [first]'
	run probe line-parse <<<"${theirs/'"event_type":"t","message"'/'"message"'}"
	assert_line 'event_type [t]'
}

@test "invalid lines are refused with a reason" {
	refused '' torn
	for ((i = 1; i < ${#theirs}; i += 5)); do
		refused "${theirs:0:i}" torn
	done
	refused "$theirs$theirs" 'not JSON: something after the value at byte'
	refused '[1]' 'not an object'
	refused '{}' 'no message'
	refused '{"event_type":"t","message":1}' 'no message'
	refused '{"event_type":"t","message":{}}' 'no payload'
	refused '{"message":{"payload":"1"},"buffered_at":"2025-12-04T10:30:01"}' 'no event_type'
	refused '{"event_type":"","message":{"payload":"1"},"buffered_at":"2025-12-04T10:30:01"}' 'no event_type'
	refused '{"event_type":"t","message":{"payload":"1"}}' 'buffered_at is not a time'
	refused '{"event_type":"t","message":{"payload":"1"},"buffered_at":5}' 'buffered_at is not a time'
	for id in '""' '"a\nb"' '"ä"' "\"$(printf '%0201d' 0)\""; do
		refused "${theirs/'"source"'/"\"event_id\":$id,\"source\""}" event_id
	done
}

@test "an invalid doubt means a search from the beginning of the stream" {
	need python3
	for d in 1 '{}' '{"run_id":5,"client":"x","addr":null,"after":7}' '[[[['; do
		run probe line-parse < <(seal <<<"${theirs/%\}/,\"doubt\":$d\}}")
		[[ $d == '[[[[' ]] || assert_line 'doubt  0  0-0'
	done
}

@test "the reader stays within its bounds for any line with a correct checksum" {
	need python3
	python3 - "$PROBE/probe" "$theirs" <<-'EOF'
	import random, subprocess, sys, zlib
	random.seed(7)
	for i in range(400):
	    d = bytearray(sys.argv[2].encode())
	    for _ in range(random.choice((1, 2, 4, 30))):
	        at = random.randrange(len(d))
	        d[at:at + random.choice((0, 1, 1, 9))] = random.choice((b'"', b'\\', b'\\u', b'{', b'}', b'[', b']', b',', b':', b'\0', b'\xff', b''))
	    s = bytes(d[:random.randrange(1, len(d) + 1)])
	    r = subprocess.run([sys.argv[1], "line-parse"], input=s + b',"crc":"%08x"}' % zlib.crc32(s), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
	    assert r.returncode in (0, 1), (s, r)
	EOF
}

full=(event_type t payload '{"a": 1.10}' trace_id '' correlation_id c timestamp T source s event_id e)

@test "the JSON line of an entry" {
	run probe event-json 2 "${full[@]}" </dev/null
	assert_output '{"id":"5-1","stream":"q:stream:t","event_type":"t","payload":{"a": 1.10},"trace_id":"","correlation_id":"c","timestamp":"T","source":"s","event_id":"e","deliveries":2}'
	run probe event-json -1 "${full[@]}" </dev/null
	refute_output --partial deliveries
	run probe event-json -1 payload - < <(printf '[1,\r\n2]')
	assert_output '{"id":"5-1","stream":"q:stream:t","event_type":"t","payload":[1,  2]}'
}

@test "payloads that are not JSON, or not text" {
	run probe event-json -1 payload 'NaN "x"' </dev/null
	assert_output --partial '"payload_text":"NaN \"x\""'
	run probe event-json -1 payload '' </dev/null
	assert_output --partial '"payload_text":""'
	run probe event-json -1 payload - < <(printf '\377\0')
	assert_output --partial '"payload_base64":"/wA="'
}

@test "entries of other clients" {
	run probe event-json -1 a 1 'b"' x a 2 </dev/null
	assert_output '{"id":"5-1","stream":"q:stream:t","event_type":"t","fields":{"a":"1","b\"":"x","a":"2"}}'
	run probe event-json 1 event_type other source s source again </dev/null
	assert_output '{"id":"5-1","stream":"q:stream:t","event_type":"other","source":"s","fields":{"source":"again"},"deliveries":1}'
	run probe event-json -1 v - $'n\xff' x < <(printf '\377')
	assert_output $'{"id":"5-1","stream":"q:stream:t","event_type":"t","fields":{"v":{"base64":"/w=="},"n\xef\xbf\xbd":"x"}}'
	run probe event-json -1 trace_id - < <(printf 'a\377')
	assert_output --partial $'"trace_id":"a\xef\xbf\xbd"'
	run probe event-json -1 </dev/null
	assert_output '{"id":"5-1","stream":"q:stream:t","event_type":"t"}'
}

@test "exact payload, or an object of the fields" {
	run probe event-payload payload $' {"a":\n1} ' x y </dev/null
	assert_output $' {"a":\n1} '
	run probe event-payload a 1 'b"' $'x\xff' </dev/null
	assert_output $'{"a":"1","b\\"":"x\xef\xbf\xbd"}'
	run probe event-payload </dev/null
	assert_output '{}'
	run probe event-payload payload '' x y </dev/null
	assert_output ''
}

@test "what ebsub prints is read back" {
	run bash -c '"$PROBE/probe" event-json 3 "$@" </dev/null | "$PROBE/probe" event-parse-json' - "${full[@]}"
	assert_success
	assert_output 'event_type [t]
payload [{"a": 1.10}]
trace_id []
correlation_id [c]
timestamp [T]
source [s]
event_id [e]
json'
	run probe event-parse-json <<<'{"event_type":"t","payload_text":"a\nb","trace_id":null}'
	assert_line 'payload [a'
	assert_line 'trace_id none'
	assert_line other
	run probe event-parse-json <<<'{"event_type":"t","payload_base64":"YWI="}'
	assert_line 'payload [ab]'
	run probe event-parse-json <<<'{"event_type":"t","payload": null }'
	assert_line 'payload [null]'
}

@test "other objects are refused" {
	no() {
		run probe event-parse-json <<<"$1"
		assert_failure 1
		assert_output --partial "65 "
		assert_output --partial "$2"
	}
	no '{"event_type":"t"' 'not JSON'
	no '[]' 'not a JSON object'
	no '{"payload":1}' 'no event_type'
	no '{"event_type":null,"payload":1}' 'no event_type'
	no '{"event_type":5,"payload":1}' 'event_type is not a string'
	no '{"event_type":"t"}' 'no payload'
	no '{"event_type":"t","payload":1,"payload_text":"x"}' 'more than one payload'
	no '{"event_type":"t","payload_text":1}' 'payload_text is not a string'
	no '{"event_type":"t","payload_base64":"x"}' 'not base64'
	no '{"event_type":"t","payload":1,"fields":{}}' "unknown member 'fields'"
	no '{"event_type":"t","payload":1,"x":1}' "unknown member 'x'"
	no '{"event_type":"t","payload":1,"event_id":""}' event_id
	no '{"event_type":"t","payload":01}' 'leading zero'
}

@test "the event that says Redis is back" {
	run probe recovered 2025-12-04T10:30:00Z '{"n":1}'
	assert_output '{"timestamp":"2025-12-04T10:30:00Z","buffer_stats":{"n":1}}'
}
