#!/usr/bin/env bats
# covers: lib/redis lib/publish lib/drain lib/consume
# Unusual servers: renamed commands, smaller limits, idle connections that are closed. States of any server are in
# fault/states.bats.

# shellcheck disable=SC2016,SC2030,SC2119,SC2031,SC2154  # bats: a test is a subshell; a row is shell

load ../support/helper
load ../support/chaos
load ../support/matrix

# Keeps the data in a snapshot: an append-only file would contain commands that these tests rename.
# shellcheck disable=SC2119,SC2120  # rows give it arguments
plain_start() {
	redis_start --save '900 1' "$@"
}

setup_file() {
	plain_start
}

setup() {
	need python3
	redis_alive || plain_start
	rcli config set timeout 0 proto-max-bulk-len 512mb >/dev/null
	redis_flush
	aim
	export EB_REDIS_URL=unix://$EB_TMP/r
}

@test "commands that were renamed: only XADD is needed to publish, and XINFO to replay" {
	row 'no XADD' 'plain_start --rename-command XADD ""' plain_start \
		'1 ^buffered$' "75 'm' is held: .*unknown command" '0 -' '0 up' '0 -' on
	row 'no CLIENT, INFO' 'plain_start --rename-command CLIENT "" --rename-command INFO ""' plain_start \
		'0 ^[0-9]+-[0-9]+$' '0 -' '0 -' '0 up' '0 -' on
	row 'no XINFO, XRANGE' 'plain_start --rename-command XINFO "" --rename-command XRANGE ""' plain_start \
		'0 ^[0-9]+-[0-9]+$' "75 'm' is held: .*unknown command" '0 -' '1 unknown' '0 -' on '1 unknown command'
	rows_done
}

@test "an event larger than the server takes: quarantine and 1, the others go on" {
	rcli config set proto-max-bulk-len 1mb >/dev/null
	printf '{"p":1,"n":1}\n"%s"\n{"p":1,"n":2}\n' "$(head -c 2000000 /dev/zero | tr '\0' x)" >"$EB_TMP/events"
	run -1 --separate-stderr timeout 20 ebpub --maxlen 0 m <"$EB_TMP/events"
	# The server closes the connection; the next event uses a new one, or is buffered.
	assert_equal "$(sed -E 's/^([0-9]+-[0-9]+|buffered)$/taken/' <<<"$output" | xargs)" 'taken refused taken'
	assert_equal "$(ebstat -j | jq .buffer.quarantined)" 1
	miss
	sed 's/"p":1/"p":2/' "$EB_TMP/events" | timeout 20 ebpub -q --maxlen 0 m
	aim
	# The server's error reply may be lost with the connection; the next run gets it again.
	wait_for 'timeout 20 ebreplay'
	assert_equal "$(ebstat -j | jq -c '[.buffer.quarantined, .buffer.total_events, .buffer.held]')" '[2,0,[]]'
	ledger 1 1 2
	ledger 2 1 2
	check_streams m
}

# --- connections that the server closes --------------------------------------------------------

# stays END: runs END, which closes the connections of an idle streaming ebpub and an idle following ebsub.
stays() {
	bg follower ebsub --payload m
	mkfifo "$EB_TMP/in"
	bg pub bash -c 'exec ebpub --maxlen 0 m <"$1"' - "$EB_TMP/in"
	exec 8>"$EB_TMP/in"
	echo '{"p":1,"n":1}' >&8
	wait_for "grep -q '\"n\":1' '$EB_TMP/follower.out'"
	eval "$1"
	echo '{"p":1,"n":2}' >&8
	wait_for "[ \$(wc -l <'$EB_TMP/pub.out') = 2 ]"
	echo '{"p":1,"n":3}' >&8
	exec 8>&-
	bg_wait pub
	assert_equal "$status" 0
	run -0 timeout 20 ebreplay
	ledger 1 1 3
	check_streams m
	wait_for "[ \$(wc -l <'$EB_TMP/follower.out') = 3 ]"
	assert_equal "$(cat "$EB_TMP/follower.out")" "$(numbered 1 1 3)"
	kill -TERM "${BG[follower]}"
	bg_wait follower
	assert_equal "$status" 0
}

@test "CLIENT KILL under a publisher and a subscriber: they go on, each event once" {
	stays 'rcli client kill type normal; rcli client kill type normal'
}

# Blocked clients are not idle for the server.
@test "a publisher's connection that was idle for too long: it goes on, each event once" {
	rcli config set timeout 1 >/dev/null
	stays "wait_for '! rcli client list | grep -q cmd=xadd'"
}

@test "the connection ends between any two events of a stream: each event once and in order" {
	local i
	mkfifo "$EB_TMP/in"
	bg pub bash -c 'exec ebpub --maxlen 0 m <"$1"' - "$EB_TMP/in"
	exec 8>"$EB_TMP/in"
	for ((i = 1; i <= 40; i++)); do
		echo "{\"p\":1,\"n\":$i}" >&8
		[ $((RANDOM % 3)) != 0 ] || rcli client kill type normal skipme yes >/dev/null
	done
	exec 8>&-
	bg_wait pub
	assert_equal "$status" 0
	run -0 timeout 20 ebreplay
	ledger 1 1 40
	check_streams m
	no_segments
}

@test "SIGTERM ends a command that waits for the greeting or for the connection, and keeps the event" {
	local c status_wanted began url n=0
	export EB_BUFFER_DIR
	redis_pause
	bg full python3 -c '
import socket, time
s = socket.socket(socket.AF_UNIX)
s.bind("'"$EB_TMP/full"'")
s.listen(0)
held = [socket.socket(socket.AF_UNIX) for _ in range(2)]
for c in held:
    c.setblocking(False)
    c.connect_ex("'"$EB_TMP/full"'")
time.sleep(60)'
	wait_for "[ -S '$EB_TMP/full' ]"
	sleep 0.2
	for url in "$EB_REDIS_URL" "unix://$EB_TMP/full"; do
		EB_BUFFER_DIR=$EB_TMP/buffer$((n++))
		while read -r status_wanted c; do
			began=$(date +%s%N)
			# shellcheck disable=SC2086  # words
			run timeout -s TERM --preserve-status 1 ${c%% *} -t 30 -u "$url" ${c#* }
			[ "$status" = "$status_wanted" ] || fail "$c: $status, $output"
			[ $((($(date +%s%N) - began) / 1000000)) -lt 1700 ] || fail "$c took $((($(date +%s%N) - began) / 1000000)) ms"
			rm -f "$EB_BUFFER_DIR/.probe"
		done <<-'END'
			143 ebpub t 1
			143 ebsub t
			143 ebsub t -- true
			143 ebreplay --wait 30
			143 ebdead redrive t
			143 ebhealth --wait 20
			143 ebgroup list
		END
	done
	redis_resume
	assert_equal "$(cat "$EB_TMP"/buffer?/*.jsonl | wc -l)" 2
}
