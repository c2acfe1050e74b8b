#!/usr/bin/env bats
# covers: lib/redis
# lib/redis/conn.h: connecting, the handshake, deadlines, and the count of sent requests. conn_relay.bats is this file
# again, over a second transport (tests/support/relay.h).

# shellcheck disable=SC2016  # a $ in single quotes is one of the protocol
load ../support/helper

setup_file() {
	redis_start_tcp
}

setup() {
	TCP=redis://127.0.0.1:$REDIS_PORT
	many=20000 patience=700 bus_port=19999
	[[ $BATS_TEST_FILENAME != *_relay.bats ]] || { export RELAY=yes; many=8000 patience=3000 bus_port=19998; }
}

probe() {
	"$PROBE/connprobe" "$@"
}

# probe_in LOW HIGH ARGS...: runs connprobe and checks that it took LOW to HIGH ms.
probe_in() {
	local low=$1 high=$2 start=${EPOCHREALTIME/./} took
	shift 2
	run probe "$@"
	took=$(((${EPOCHREALTIME/./} - start) / 1000))
	((took >= low && took <= high)) || fail "took $took ms: $output"
}

HANDSHAKE='$9\r\nid=1 a=b\n\r\n$25\r\n# Server\r\nredis_version:7\r\n'

@test "the handshake identifies the server, over a unix socket and over TCP" {
	local id
	id=$(rcli info server | sed -n 's/^run_id:\([0-9a-f]*\).*/\1/p')
	for url in "$EB_REDIS_URL" "$TCP" "redis://localhost:$REDIS_PORT/5"; do
		# A minimal chroot may not resolve any name, not even this one.
		[[ $url != *localhost* ]] || getent hosts localhost >/dev/null || continue
		run probe "$url" 2000 open
		assert_success
		assert_output --regexp "^(redis|valkey) [0-9.]+ $id [1-9][0-9]* .+$"
	done
}

@test "the database of the URL is selected; one that is not there is 78" {
	rcli -n 5 set five yes
	run probe "$EB_REDIS_URL?db=5" 2000 call GET five
	assert_output yes
	run probe "$EB_REDIS_URL" 2000 call GET five
	assert_output nil
	run probe "$TCP/4711" 2000 open
	assert_equal "$status" 78
	assert_output --partial "select the database of '$TCP/4711'"
}

@test "no listener: refused at once, 69, and the target is named" {
	probe_in 0 1000 redis://127.0.0.1:9 5000 open
	assert_equal "$status" 69
	assert_output "REFUSED 69 connect to 'redis://127.0.0.1:9/0': Connection refused"
	run probe "unix://$EB_TMP/none" 2000 open
	assert_output --partial "REFUSED 69"
	run probe redis://no-such-host.invalid 2000 open
	assert_equal "$status" 69
	assert_output --partial "no-such-host.invalid"
}

# bats test_tags=nosanitize
@test "a name server that does not answer costs no more than the deadline" {
	need_root
	need unshare ip socat
	cat >"$EB_TMP/silent" <<'END'
ip link set lo up
echo 'nameserver 127.0.0.1' >"$EB_TMP/resolv"
mount --bind "$EB_TMP/resolv" /etc/resolv.conf
socat -u UDP-RECV:53 /dev/null 3>&- 4>&- &
sleep 0.2
"$PROBE/connprobe" redis://some.host.test 500 open
status=$?
kill $!
exit $status
END
	export EB_TMP PROBE
	unshare -mn true || skip "needs namespaces"
	local start=${EPOCHREALTIME/./}
	run unshare -mn sh "$EB_TMP/silent"
	(((${EPOCHREALTIME/./} - start) / 1000 < 2500)) || fail "too long"
	assert_equal "$status" 69
	assert_output --partial "TIMEOUT 69 look up 'some.host.test'"
}

@test "a server that accepts and is silent times out" {
	fake '' 'sleep 10'
	probe_in 300 1500 "unix://$FAKE" 300 open
	assert_equal "$status" 69
	assert_output "TIMEOUT 69 'unix://$FAKE?db=0' gave no answer within 0.3 s"
}

@test "a server that dribbles cannot extend the deadline" {
	fake '$99999\r\n' 'while printf 1; do sleep 0.05; done'
	probe_in 500 1500 "unix://$FAKE" 500 open
	assert_output --partial "TIMEOUT 69"
}

@test "a server that does not speak the protocol is not Redis" {
	fake 'HTTP/1.1 400 Bad Request\r\n\r\n' 'sleep 1'
	run probe "unix://$FAKE" 2000 open
	assert_equal "$status" 69
	assert_output "GARBAGE 69 'unix://$FAKE?db=0' is not Redis"
}

@test "well-formed answers to other questions, extra ones and absurd lengths are garbage" {
	local s
	for s in '+OK\r\n+OK\r\n' ':1\r\n' '*2147483647\r\n' '*1000000000000\r\n' '$-7\r\n' '\r\n\r\n' "$HANDSHAKE+EXTRA\\r\\n"; do
		fake "$s" 'sleep 10'
		probe_in 0 3000 "unix://$FAKE" 5000 open
		assert_equal "$status" 69
		assert_output --partial "GARBAGE 69"
	done
	fake "$HANDSHAKE" 'sleep 10'
	run probe "unix://$FAKE" 2000 open
	assert_output --regexp '^redis 7  *1 '
}

@test "a server that closes at once" {
	fake ''
	run probe "unix://$FAKE" 2000 open
	assert_equal "$status" 69
	assert_output --partial "CUT 69"
}

@test "protected mode is a denial, 77" {
	fake '-DENIED Redis is running in protected mode because\r\n'
	run probe "unix://$FAKE" 2000 open
	assert_equal "$status" 77
	assert_output --partial "DENIED 77"
}

@test "a full backlog of a unix socket is a time-out, not a refusal" {
	local fd=$EB_TMP/full.sock
	need ss
	bg full socat "UNIX-LISTEN:$fd,backlog=0" PIPE
	listening "$fd"
	kill -STOP "${BG[full]}"
	for i in 1 2 3; do
		bg "c$i" socat "UNIX-CONNECT:$fd" EXEC:'sleep 20'
	done
	wait_for "ss -xl | grep -E '^u_str +LISTEN +[1-9].*$fd'"
	probe_in 400 2000 "unix://$fd" 400 open
	assert_equal "$status" 69
	assert_output --partial "TIMEOUT 69"
}

@test "passwords: right, wrong, missing, not wanted; never in a message" {
	rcli acl setuser bob on '>sesame' '~*' '+@all' >/dev/null
	run probe "redis://bob:sesame@127.0.0.1:$REDIS_PORT" 2000 call ACL WHOAMI
	assert_output bob
	run probe "redis://bob:hunter2@127.0.0.1:$REDIS_PORT" 2000 open
	assert_equal "$status" 77
	assert_output --partial "DENIED 77 '$TCP/0' refused the password"
	refute_output --partial hunter2
	run probe "redis://:hunter2@127.0.0.1:$REDIS_PORT" 2000 open
	assert_equal "$status" 77
	refute_output --partial hunter2
	rcli config set requirepass sesame
	run probe "$TCP" 2000 open
	rcli -a sesame --no-auth-warning config set requirepass ''
	assert_equal "$status" 77
	assert_output --partial "DENIED 77"
}

@test "a user without permission for INFO and CLIENT can connect" {
	rcli acl setuser carl on '>c' '~*' '+ping' '+select' >/dev/null
	run probe "redis://carl:c@127.0.0.1:$REDIS_PORT" 2000 call PING - GET x
	assert_success
	assert_line -n 0 PONG
	assert_line -n 1 --partial "NOPERM 77"
}

@test "too many clients passes: LATER, 75" {
	# The holder connects first: with one place left, either of two could get it.
	bg holder "$PROBE/connprobe" "$TCP" 2000 idle 20000
	wait_for "rcli client list | grep -q 'cmd=info'"
	rcli config set maxclients 1
	wait_for "! rcli ping | grep PONG"
	run probe "$TCP" 2000 open
	kill "${BG[holder]}"
	wait_for 'rcli config set maxclients 1000 | grep OK'
	assert_equal "$status" 75
	assert_output --partial "LATER 75"
}

@test "a cluster is status 78" {
	local sock=$EB_TMP/cluster.sock
	mkdir "$EB_TMP/cluster"
	bg cluster "$(redis_program)" --port 0 --unixsocket "$sock" --cluster-enabled yes --cluster-port "$bus_port" \
		--dir "$EB_TMP/cluster" --save ''
	listening "$sock"
	run probe "unix://$sock" 2000 open
	assert_equal "$status" 78
	assert_output --partial "MOVED 78"
}

@test "error replies are told apart" {
	local word why
	while read -r why word; do
		run probe "$EB_REDIS_URL" 2000 call EVAL "return redis.error_reply('$word')" 0
		assert_success
		assert_output --partial "$why "
		assert_output --partial "$word"
	done <<'END'
LATER LOADING Redis is loading the dataset in memory
LATER MASTERDOWN Link with MASTER is down
LATER CLUSTERDOWN The cluster is down
LATER TRYAGAIN Multiple keys request during rehashing of slot
LATER BUSY Redis is busy running a script
LATER NOREPLICAS Not enough good replicas to write.
LATER MISCONF Redis is configured to save RDB snapshots
LATER OOM command not allowed
LATER ERR max number of clients reached
READONLY READONLY You cannot write against a read only replica.
DENIED NOAUTH Authentication required.
DENIED WRONGPASS invalid username-password pair
DENIED ERR invalid password
NOPERM NOPERM this user has no permissions
WRONGTYPE WRONGTYPE Operation against a key
FULL ERR The stream has exhausted the last possible ID
TOOBIG ERR Protocol error: invalid bulk length
TOOBIG ERR Protocol error: invalid multibulk length
NOGROUP NOGROUP No such key
MOVED MOVED 3999 127.0.0.1:6381
MOVED ASK 3999 127.0.0.1:6381
UNBLOCKED UNBLOCKED the stream key no longer exists
OTHER EXECABORT Transaction discarded
OTHER NOSCRIPT No matching script
OTHER ERR something else
OTHER BUSYKEY Target key name already exists.
END
}

@test "a request larger than the server takes is TOOBIG" {
	rcli config set proto-max-bulk-len 1mb
	run probe "$EB_REDIS_URL" 2000 add big 1 4000000
	rcli config set proto-max-bulk-len 512mb
	assert_output --partial "TOOBIG"
}

@test "answers come in order, whatever the number" {
	run probe "$EB_REDIS_URL" 2000 ping 100000
	assert_success
	assert_output "100000 in order"
}

@test "the count of sent requests is exactly what the server gets" {
	local sent
	fake "$HANDSHAKE" "head -c 1000000 >$EB_TMP/got; sleep 1.5; cat >>$EB_TMP/got; : >$EB_TMP/end"
	run probe "unix://$FAKE" 700 add key 3000 10000
	assert_output --regexp '^sent [0-9]+ answered 0 TIMEOUT$'
	sent=$(echo "$output" | cut -d' ' -f2)
	((sent > 90 && sent < 3000)) || fail "$output"
	wait_for "test -e $EB_TMP/end"
	# A part of the last one may have been sent.
	assert_equal "$(LC_ALL=C awk 'length == 10001 && substr($0, 1, 10000) !~ /[^x]/' "$EB_TMP/got" | wc -l)" "$sent"
}

@test "answered requests were executed, unsent ones were not" {
	local sent answered
	rcli del exact
	bg add "$PROBE/connprobe" "$EB_REDIS_URL" "$patience" add exact "$many" 10000
	wait_for "[ \$(rcli xlen exact) -gt 0 ]"
	redis_pause
	bg_wait add
	redis_resume
	read -r _ sent _ answered why <"$EB_TMP/add.out"
	assert_equal "$why" TIMEOUT
	wait_for "! rcli client list | grep 'cmd=xadd'"
	run rcli xlen exact
	((answered <= output && output <= sent && sent < many)) || fail "$answered <= $output <= $sent"
	rcli del exact
}

@test "requests queued at once all arrive" {
	rcli del exact
	run probe "$EB_REDIS_URL" 2000 add exact 100 100000
	assert_output "sent 100 answered 100 OK"
	assert_equal "$(rcli xlen exact)" 100
}

@test "a blocking read has its own time on top" {
	probe_in 600 2500 "$EB_REDIS_URL" 300 block 600 600
	assert_success
	assert_output nil
	probe_in 250 590 "$EB_REDIS_URL" 300 block 600 0
	assert_equal "$status" 69
	assert_output --partial "TIMEOUT 69"
}

@test "a connection that the server closes is noticed without a request" {
	bg idle "$PROBE/connprobe" "$TCP" 2000 idle 20000
	wait_for "rcli client list | grep -q 'cmd=info'"
	rcli client kill type normal skipme yes
	bg_wait idle
	assert_equal "$status" 69
	assert_equal "$(cut -d' ' -f1 "$EB_TMP/idle.out")" CUT
}
