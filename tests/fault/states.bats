#!/usr/bin/env bats
# covers: lib/redis lib/publish lib/drain lib/consume lib/report
# Every state in which a real server refuses some or all events: how each command ends (matrix.bash).

# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154  # bats: a test is a subshell; a row is shell

load ../support/helper
load ../support/chaos
load ../support/matrix

setup_file() {
	redis_start_tcp --appendonly yes --appendfsync always --busy-reply-threshold 1
}

setup() {
	need python3
	redis_resume || :
	redis_alive || redis_restart
	TARGET=
}

# --- unreachable ------------------------------------------------------------------------

# Fills the listen queue, so that connecting is not answered.
crowd() {
	redis_pause
	bg crowd python3 -c '
import socket, sys, time
some = []
while True:
    s = socket.socket()
    s.settimeout(0.3)
    some.append(s)
    try:
        s.connect(("127.0.0.1", int(sys.argv[1])))
    except TimeoutError:
        print("full", flush=True)
        time.sleep(60)' "$REDIS_PORT"
	wait_for "grep -q full '$EB_TMP/crowd.out'"
}

disperse() {
	kill -KILL "${BG[crowd]}"
	redis_resume
}

@test "unreachable or not answering: buffered within the deadline, kept, drained when Redis is back" {
	row 'no socket' miss aim \
		'0 ^buffered$' '75 No such file' '69 No such file' '0 DOWN: connect.*No such file' '2 redis down .refused.' on
	TARGET=redis://127.0.0.1:$REDIS_PORT
	row 'killed, port closed' redis_kill redis_run \
		'0 ^buffered$' '75 Connection refused' '69 Connection refused' '0 DOWN: connect.*refused' '2 redis down .refused.' on
	row 'stopped: accepts, then silent' redis_pause redis_resume \
		'0 ^buffered$' '75 no answer within 0.3 s' '69 no answer within 0.3 s' '0 DOWN: .*no answer within 0.3 s' '2 redis down .no-answer.' on
	row 'black hole' crowd disperse \
		'0 ^buffered$' '75 timed out' '69 timed out' '0 DOWN: .*timed out' '2 redis down .no-answer.' on
	rows_done
}

# --- reachable, without accepting events ----------------------------------------------------

misconf() {
	rcli config set save '900 1'
	mkdir -p "$REDIS_DIR/dump.rdb"
	rcli bgsave
	wait_for "rcli info persistence | grep rdb_last_bgsave_status:err"
}

misconf_over() {
	rmdir "$REDIS_DIR/dump.rdb"
	rcli config set save ''
}

busy() {
	bg busy rcli eval 'while true do end' 0
	wait_for "rcli ping | grep BUSY"
}

# Takes the server's last descriptor, with which the test can raise the limit again.
crowded() {
	exec 7<>"/dev/tcp/127.0.0.1/$REDIS_PORT"
	echo 'CONFIG SET maxclients 1' >&7
	read -r -u 7
}

room() {
	echo 'CONFIG SET maxclients 1000' >&7
	read -r -u 7
	exec 7>&-
}

masterdown() {
	rcli config set replica-serve-stale-data no
	rcli replicaof 127.0.0.1 9
}

masterdown_over() {
	rcli replicaof no one
	rcli config set replica-serve-stale-data yes
}

# The server loads a long append-only file; it answers once every 1 024 commands.
loading() {
	rcli eval "for i = 1, 60000 do redis.call('SET', 'x' .. i, i) end" 0
	redis_kill
	(redis_start_slowly) 3>&- 4>&- &
	wait_for "rcli ping | grep LOADING"
}

redis_start_slowly() {
	local args
	mapfile -d '' args <"$REDIS_DIR/args"
	printf '%s\0' "${args[@]}" --key-load-delay 20 >"$REDIS_DIR/args.slow"
	mv "$REDIS_DIR/args" "$REDIS_DIR/args.fast"
	cp "$REDIS_DIR/args.slow" "$REDIS_DIR/args"
	redis_run
	mv "$REDIS_DIR/args.fast" "$REDIS_DIR/args"
}

loading_over() {
	rcli config set key-load-delay 0
	redis_wait
}

@test "temporary refusals: buffered, kept, then drained" {
	row OOM 'rcli config set maxmemory 1' 'rcli config set maxmemory 0' \
		'0 ^buffered$' '75 OOM' '75 OOM' '0 refuses writes: OOM' '2 refuses writes.*OOM' on '0 -'
	row READONLY 'rcli replicaof 127.0.0.1 9' 'rcli replicaof no one' \
		'0 ^buffered$' '75 READONLY' '75 READONLY' '0 refuses writes: READONLY' '2 READONLY' on '0 -'
	row MISCONF misconf misconf_over \
		'0 ^buffered$' '75 MISCONF' '75 MISCONF' '0 refuses writes: MISCONF' '2 refuses writes.*MISCONF' on '0 -'
	row NOREPLICAS 'rcli config set min-replicas-to-write 1' 'rcli config set min-replicas-to-write 0' \
		'0 ^buffered$' '75 NOREPLICAS' '75 NOREPLICAS' '0 refuses writes: NOREPLICAS' '2 refuses writes.*NOREPLICAS' on '0 -'
	row MASTERDOWN masterdown masterdown_over \
		'0 ^buffered$' '75 MASTERDOWN|READONLY' '75 MASTERDOWN|READONLY' '75 MASTERDOWN' '2 READONLY' on
	row BUSY busy 'rcli script kill' \
		'0 ^buffered$' '75 BUSY' '75 BUSY' '0 DOWN: .*BUSY' '2 redis down .not-ready..*BUSY' on
	WAIT=1 row LOADING loading loading_over \
		'0 ^buffered$' '75 LOADING' '75 LOADING' '75 refuses writes: LOADING' '2 refuses writes.*LOADING' on
	TARGET=redis://127.0.0.1:$REDIS_PORT
	row 'max clients' crowded room \
		'0 ^buffered$' '75 max number of clients' '75 max number of clients' '0 DOWN: .*max number' '2 redis down .not-ready.' on
	rows_done
}

# --- missing permission, or a key of another type ------------------------------------------------------

@test "passwords: buffered, and 77" {
	TARGET=redis://127.0.0.1:$REDIS_PORT
	row NOAUTH 'rcli config set requirepass sesame' 'rcli -a sesame --no-auth-warning config set requirepass ""' \
		'77 ^buffered$' '77 NOAUTH' '77 NOAUTH' '77 NOAUTH' '2 redis down .denied.' on
	rcli acl setuser less reset on '>x' '~*' +@all >/dev/null
	TARGET=redis://less:x@127.0.0.1:$REDIS_PORT
	row WRONGPASS 'rcli acl setuser less resetpass ">other"' 'rcli acl setuser less ">x"' \
		'77 ^buffered$' '77 WRONGPASS' '77 WRONGPASS' '77 WRONGPASS' '2 redis down .denied.' on
	rows_done
}

@test "permissions: of the key, of a command" {
	rcli acl setuser less reset on '>x' '~*' +@all >/dev/null
	TARGET=redis://less:x@127.0.0.1:$REDIS_PORT
	row 'NOPERM key' 'rcli acl setuser less resetkeys "~quantum:stream:system.*"' 'rcli acl setuser less "~*"' \
		'77 ^buffered$' "75 'm' is held: .*NOPERM" '77 NOPERM' '1 NOPERM' '0 -' '77 NOPERM'
	row 'NOPERM XADD' 'rcli acl setuser less -xadd' 'rcli acl setuser less +xadd' \
		'77 ^buffered$' "75 'm' is held: .*NOPERM" '0 -' '0 up' '0 -' on
	row 'NOPERM CLIENT' 'rcli acl setuser less -client' 'rcli acl setuser less +client' \
		'0 ^[0-9]+-[0-9]+$' '0 -' '0 -' '0 up' '0 -' on
	row 'NOPERM INFO' 'rcli acl setuser less -info' 'rcli acl setuser less +info' \
		'0 ^[0-9]+-[0-9]+$' '0 -' '0 -' '0 up' '0 -' on
	row 'NOPERM XINFO' 'rcli acl setuser less -xinfo' 'rcli acl setuser less +xinfo' \
		'0 ^[0-9]+-[0-9]+$' '0 -' '0 -' '1 NOPERM' '0 -' on '77 NOPERM'
	row 'NOPERM XRANGE' 'rcli acl setuser less -xrange' 'rcli acl setuser less +xrange' \
		'0 ^[0-9]+-[0-9]+$' '0 -' '0 -' '0 up' '0 -' on
	rows_done
}

# The follower has read the largest possible ID and waits for a later one.
@test "keys that refuse entries: the event type is held, ebpub ends with 1" {
	row WRONGTYPE "rcli del $K; rcli set $K x" "rcli del $K" \
		'1 ^buffered$' "75 'm' is held: .*WRONGTYPE" '1 WRONGTYPE' '0 up' '0 -' '1 WRONGTYPE'
	row 'IDs exhausted' "rcli xadd $K 18446744073709551615-18446744073709551615 a b" "rcli del $K" \
		'1 ^buffered$' "75 'm' is held: .*exhausted" '0 -' '0 up' '0 -' none
	rows_done
}
