#!/usr/bin/env bats
# covers: lib/redis
# lib/redis/stream.h, lib/redis/group.h: streams and groups of a private server.

load ../support/helper

setup_file() {
	redis_start
}

setup() {
	redis_flush
}

probe() {
	"$PROBE/streamprobe" "$EB_REDIS_URL" "$@"
}

# fill KEY FROM TO: adds entries FROM-0 to TO-0 with the field n.
fill() {
	for ((i = $2; i <= $3; i++)); do
		echo "XADD $1 $i-0 n $i"
	done | rcli >/dev/null
}

lost() {
	probe groups s | sed -n "s/^$1 .*lost=//p"
}

@test "an ID is two plain decimals, and nothing else" {
	run probe id 0-0 1526919030474-55 18446744073709551615-18446744073709551615 7-18446744073709551615
	assert_output "0-0 0-1 -1
1526919030474-55 1526919030474-56 -1
18446744073709551615-18446744073709551615 18446744073709551615-18446744073709551615 0
7-18446744073709551615 8-0 -1"
	run probe id "" 1 1- -1 +1-1 1-+1 01-1 1-01 1-1- ' 1-1' '1-1 ' 18446744073709551616-0 x-1 1-1x '*'
	assert_success
	refute_output --regexp '[0-9]'
	assert_equal "${#lines[@]}" 15
}

@test "an entry is added, and the stream is trimmed to about its limit" {
	run probe add s 0 a 1 b ''
	assert_output --regexp '^[0-9]{13}-[0-9]+$'
	run rcli xrange s - +
	assert_line -n 1 a
	fill t 1 1000
	run probe add t 100 a 1
	assert_success
	(($(rcli xlen t) < 300))
	rcli set u string
	run probe add u 0 a 1
	assert_failure
	assert_output --partial WRONGTYPE
}

@test "XINFO STREAM is parsed" {
	run probe info none
	assert_output --partial 'exists=0 length=0'
	fill s 1 5
	rcli xdel s 3-0 1-0
	run probe info s
	assert_output 'exists=1 length=3 added=5 groups=0 generated=5-0 deleted=3-0 first=2-0 last=5-0'
	rcli xtrim s maxlen 0
	run probe info s
	assert_output 'exists=1 length=0 added=5 groups=0 generated=5-0 deleted=3-0 first=0-0 last=0-0'
	rcli set t string
	run probe info t
	assert_failure
	assert_output --partial WRONGTYPE
}

@test "groups, their pending entries and lag" {
	fill s 1 5
	rcli xgroup create s all 0
	rcli xgroup create s none 0
	rcli xgroup create s new '$'
	rcli xreadgroup group all c count 3 streams s '>'
	rcli xack s all 1-0
	run probe groups s
	assert_line 'all consumers=1 pending=2 delivered=3-0 read=3 lag=2 lowest=2-0 lost=0'
	assert_line --regexp '^none consumers=0 pending=0 delivered=0-0 read=-1 lag=5 lowest=0-0 lost=0$'
	assert_line --regexp '^new consumers=0 pending=0 delivered=5-0 read=(5|-1) lag=0 lowest=0-0 lost=0$'
	run probe groups missing
	assert_success
	assert_output ''
	run probe needed s
	assert_output 0-1
	rcli xgroup destroy s none
	run probe needed s
	assert_output 2-0
	rcli xack s all 2-0 3-0
	run probe needed s
	assert_output 3-1
	run probe needed missing
	assert_output 18446744073709551615-18446744073709551615
}

@test "lost: trimmed before it was read" {
	rcli xgroup create s g 0 mkstream
	fill s 1 100
	assert_equal "$(lost g)" 0
	rcli xtrim s maxlen 50
	assert_equal "$(lost g)" 50
}

@test "lost: a group in the middle, trimmed past it" {
	rcli xgroup create s g 0 mkstream
	fill s 1 100
	rcli xreadgroup group g c count 10 streams s '>'
	assert_equal "$(lost g)" 0
	rcli xtrim s maxlen 95
	assert_equal "$(lost g)" 0
	rcli xtrim s maxlen 90
	assert_equal "$(lost g)" 0
	rcli xtrim s maxlen 50
	assert_equal "$(lost g)" 40
	rcli xtrim s maxlen 0
	assert_equal "$(lost g)" 90
}

@test "lost: nothing for a group that has read all" {
	rcli xgroup create s g 0 mkstream
	fill s 1 100
	rcli xreadgroup group g c streams s '>'
	rcli xtrim s maxlen 10
	assert_equal "$(lost g)" 0
	rcli xtrim s maxlen 0
	assert_equal "$(lost g)" 0
}

@test "lost: nothing for a group made at the end of a trimmed stream" {
	fill s 1 100
	rcli xtrim s maxlen 50
	rcli xgroup create s g '$'
	assert_equal "$(lost g)" 0
	fill s 101 110
	assert_equal "$(lost g)" 0
	rcli xreadgroup group g c count 3 streams s '>'
	rcli xtrim s maxlen 5
	# Redis 7.0 does not know how many entries such a group has read.
	assert_regex "$(lost g)" '^(2|0\?)$'
}

@test "lost: not known for a group made at some ID that was trimmed past, nor where entries were deleted ahead" {
	fill s 1 100
	rcli xgroup create s g 20-0
	assert_equal "$(lost g)" 0
	rcli xtrim s maxlen 50
	assert_equal "$(lost g)" '0?'
	rcli xgroup create s h 60-0
	assert_equal "$(lost h)" 0
	rcli xdel s 70-0
	assert_equal "$(lost h)" '0?'
}

@test "lost: a group just before the first entry has lost nothing" {
	fill s 1 100
	rcli xgroup create s g 49-18446744073709551615
	rcli xtrim s maxlen 51
	assert_equal "$(lost g)" 0
}

@test "trimming by the lowest needed ID" {
	fill s 1 1000
	run probe trim s 501-0 100000
	assert_output --regexp '^[45]00$'
	run probe length s
	assert_output --regexp '^[56]00$'
	run probe length missing
	assert_output 0
}

@test "a scan goes over all entries in order, in pages, and can be stopped" {
	fill s 1 2500
	run probe scan s 0-0 1000
	assert_success
	assert_equal "$output" "$(for ((i = 1; i <= 2500; i++)); do echo "$i-0 n $i"; done)"
	run probe scan s 2498-0 1
	assert_output "2499-0 n 2499
2500-0 n 2500"
	run probe scan missing 0-0 10
	assert_success
	assert_output ''
	run probe first s
	assert_line -n 2 "stopped with 7"
	rcli set t string
	run probe scan t 0-0 10
	assert_failure
	assert_output --partial WRONGTYPE
}

@test "the newest come newest first" {
	fill s 1 10
	run probe newest s 2
	assert_output "10-0 n 10
9-0 n 9"
}

@test "keys: streams only, each once, sorted" {
	for ((i = 0; i < 3000; i++)); do echo "XADD p:$i * a b"; echo "SET q:$i x"; done | rcli >/dev/null
	run probe keys 'p:*'
	assert_success
	assert_equal "$output" "$(for ((i = 0; i < 3000; i++)); do echo "p:$i"; done | sort)"
	run probe keys 'q:*'
	assert_output ''
}

@test "a fence closes the other connection, but not one to another run of the server" {
	local id run_id
	bg other rcli blpop nothing 0
	wait_for "rcli client list | grep cmd=blpop"
	run_id=$(rcli info server | tr -d '\r' | sed -n 's/^run_id://p')
	id=$(rcli client list | sed -n 's/^id=\([0-9]*\) .*cmd=blpop.*/\1/p')
	run probe fence 0123456789 "$id" ""
	assert_success
	rcli client list | grep cmd=blpop
	run probe fence "$run_id" "$id" 10.1.1.1:99
	assert_success
	rcli client list | grep cmd=blpop
	run probe fence "$run_id" "$id" ""
	assert_success
	run ! grep cmd=blpop <(rcli client list)
	# Without permission for CLIENT KILL, or without a client id, the fence is two PINGs.
	rcli acl setuser nokill on '>n' '~*' '+@all' '-client|kill' >/dev/null
	rcli config resetstat
	run "$PROBE/streamprobe" "unix://nokill:n@$REDIS_SOCK" fence "$run_id" 5 ""
	assert_success
	run probe fence "$run_id" 0 ""
	assert_success
	assert_equal "$(rcli info commandstats | sed -n 's/^cmdstat_ping:calls=\([0-9]*\).*/\1/p')" 4
}

@test "a group is made on demand, once" {
	run probe ensure s g 0
	assert_output 'created=1 stream_new=1'
	run probe ensure s g '$'
	assert_output 'created=0 stream_new=0'
	run probe ensure s h '$'
	assert_output 'created=1 stream_new=0'
	rcli set t string
	run probe ensure t g 0
	assert_failure
	assert_output --partial "create group 'g': WRONGTYPE"
}

@test "read through a group, acknowledge; deleted entries are reported" {
	fill s 1 5
	probe ensure s g 0
	run probe read s g c 2 '>'
	assert_output "1-0 n 1
2-0 n 2"
	rcli xdel s 1-0
	run probe read s g c 10 0
	assert_output "gone 1-0
2-0 n 2"
	run probe read s g c 10 '>' ack
	assert_line -n 3 'acknowledged 3'
	assert_equal "$(rcli xpending s g | head -1)" 2
	run probe read s g c 10 '>'
	assert_success
	assert_output ''
	run probe read s nogroup c 10 '>'
	assert_failure
	assert_output --partial NOGROUP
}
