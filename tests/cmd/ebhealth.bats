#!/usr/bin/env bats
# covers: bin/ebhealth.c lib/report lib/buffer
# ebhealth(1) against a private server.

# shellcheck disable=SC2016,SC2030,SC2031,SC2154  # bats: a test is a subshell, and sets $stderr; a $ of the protocol

load ../support/helper

setup_file() {
	redis_start_tcp
}

setup() {
	redis_resume || :
	redis_alive || redis_restart
	redis_flush
}

S=quantum:stream

# fill TYPE FROM TO: adds entries FROM-0 to TO-0.
fill() {
	for ((i = $2; i <= $3; i++)); do
		echo "XADD $S:$1 $i-0 n $i"
	done | rcli >/dev/null
}

# plain_buffer AGE...: writes a plain writer's line for each AGE, in seconds.
plain_buffer() {
	[ -e "$EB_BUFFER_DIR" ] || mkdir -m 700 "$EB_BUFFER_DIR"
	for age; do
		jq -nc --arg at "$(date -u -d "@$(($(date +%s) - age))" +%Y-%m-%dT%H:%M:%S.000000Z)" \
			'{event_type: "t", message: {event_type: "t", payload: "{}", trace_id: null, timestamp: $at, source: "s"}, buffered_at: $at}'
	done >>"$EB_BUFFER_DIR/buffer_2025-12-04_10-30-00.jsonl"
}

# health STATUS LINE-REGEXP [ARGUMENTS...]: expects one line, and the exit status that its first word stands for.
health() {
	local word=$1 regexp=$2 n
	shift 2
	case $word in OK) n=0 ;; WARNING) n=1 ;; CRITICAL) n=2 ;; UNKNOWN) n=3 ;; esac
	run --separate-stderr ebhealth "$@"
	assert_equal "$word: $status: $output" "$word: $n: $output"
	assert_equal "${#lines[@]}" 1
	assert_regex "$output" "^$word - "
	assert_regex "$output" "$regexp"
}

# json FILTER [ARGUMENTS...]: prints FILTER of ebhealth -j; any exit status is accepted.
json() {
	local filter=$1
	shift
	ebhealth -j "$@" | jq -c "$filter"
}

# Makes a user with all rights but these; prints its URL.
user_without() {
	rcli acl setuser less reset on '>x' '~*' '+@all' "$@" >/dev/null
	echo "redis://less:x@127.0.0.1:$REDIS_PORT"
}

# took COMMAND...: runs COMMAND; its milliseconds are in $ms.
took() {
	local start=${EPOCHREALTIME/./}
	"$@"
	ms=$(((${EPOCHREALTIME/./} - start) / 1000))
}

# --- usage ---------------------------------------------------------------------------

@test "-V and --version print the version" {
	run -0 ebhealth -V
	assert_output --regexp '^ebhealth [0-9]+\.[0-9]+'
	run -0 ebhealth --version
}

@test "each option stands in the page, and each limit with its defaults" {
	for o in h j q v V b c p s t u w; do
		grep -qE "^\.It Fl $o( |$)" "$TOP/man/ebhealth.1" || fail "-$o is not in the page"
	done
	grep -q '^\.It Fl Fl wait ' "$TOP/man/ebhealth.1"
	grep -q '^\.It Fl Fl min-free ' "$TOP/man/ebhealth.1"
	local name
	run --separate-stderr ebhealth -w x=1
	for name in ${stderr#*with NAME one of }; do
		case $name in [a-z]*) ;; *) continue ;; esac
		[ "$name" != ebhealth: ] || break
		grep -q "^\.It Cm $name Ta " "$TOP/man/ebhealth.1" || fail "$name is not in the page"
	done
	ebhealth -v 2>&1 >/dev/null | grep limit >"$EB_TMP/limits"
	grep -q 'limit events: warning 1, critical 100000' "$EB_TMP/limits"
	grep -q 'limit age: warning 60 s, critical 60 min' "$EB_TMP/limits"
	grep -q 'limit bytes: warning 256.0 MiB, critical 1.0 GiB' "$EB_TMP/limits"
	grep -q 'limit quarantine: warning 1, critical none' "$EB_TMP/limits"
	grep -q 'limit held: warning 1, critical none' "$EB_TMP/limits"
	grep -q 'limit free, below: warning 64.0 MiB, critical 16.0 MiB' "$EB_TMP/limits"
	grep -q 'limit dead: warning 1, critical none' "$EB_TMP/limits"
	grep -q 'limit lost: warning 1, critical none' "$EB_TMP/limits"
	assert_equal "$(wc -l <"$EB_TMP/limits")" 8
}

@test "usage errors are UNKNOWN, on stdout in one line and on stderr with --help" {
	for words in -x '-t x' '-p 6379' '-u nonsense' "''" 'a:b' '-w x=1' '-w 5' '-w events' '-w events=' '-c events=-1' '-c events=0' \
		'-w age=5x' '-w bytes=1.5' '-w events=1,' '-w free=x' '--wait x' '--wait' '--min-free x' '-w events=1,,age=2'; do
		eval "run --separate-stderr ebhealth $words"
		assert_equal "$words: $status" "$words: 3"
		assert_equal "$words: ${#lines[@]}" "$words: 1"
		assert_regex "$output" '^UNKNOWN - '
		assert_regex "$stderr" 'ebhealth: '
		assert_regex "$stderr" 'see ebhealth --help'
	done
	run -3 bash -c 'ebhealth -j -t x 2>/dev/null'
	assert_equal "$(jq -c '[.status, .problems[0].what]' <<<"$output")" '["UNKNOWN","configuration"]'
}

@test "a wrong configuration is UNKNOWN" {
	EB_TIMEOUT=x run -3 ebhealth
	health UNKNOWN 'rediss' -u rediss://host
	unset EB_BUFFER_DIR XDG_STATE_HOME HOME
	health CRITICAL 'no directory for the disk buffer.*-b'
}

@test "standard output that cannot be written is UNKNOWN" {
	run -3 bash -c 'ebhealth >/dev/full'
}

# --- Redis ---------------------------------------------------------------------------

@test "all well: OK, and what was checked" {
	health OK '^OK - redis up [0-9]+\.[0-9] ms, buffer 0 events$'
	[ ! -e "$EB_BUFFER_DIR" ]
	assert_equal "$stderr" ""
	assert_equal "$(json '[.status, .problems, .redis.up, .buffer.total_events, .streams]')" '["OK",[],true,0,[]]'
	fill t 1 1
	rcli xgroup create "$S:t" g 0
	health OK '0 events, 1 stream, 1 group$' t
}

@test "Redis down: connection refused" {
	health CRITICAL 'redis down \(refused\): connect to .*No such file' -u "unix://$EB_TMP/none"
	health CRITICAL 'redis down \(refused\).*Connection refused' -u redis://127.0.0.1:9
	assert_equal "$(json '[.status, .redis.up, .problems[0].what, .problems[0].value, .problems[0].limit]' -u redis://127.0.0.1:9)" \
		'["CRITICAL",false,"redis","refused",null]'
}

@test "Redis down: no reply, within 2 s or -t" {
	redis_pause
	took health CRITICAL 'redis down \(no-answer\).*no answer within 2 s'
	((ms >= 1900 && ms < 4000)) || fail "took $ms ms"
	took health CRITICAL 'within 0.3 s' -t 0.3
	((ms >= 290 && ms < 1900)) || fail "took $ms ms"
	took health CRITICAL 'within 0.2 s' --timeout=200ms
	redis_resume
}

@test "Redis down: garbage, cut connection, loading, wrong password" {
	need socat
	fake 'HTTP/1.1 400 Bad Request\r\n\r\n' 'sleep 1'
	health CRITICAL 'redis down \(not-redis\)' -u "unix://$FAKE"
	fake ''
	health CRITICAL 'redis down \(cut\)' -u "unix://$FAKE"
	fake '-LOADING Redis is loading the dataset in memory\r\n' 'sleep 5'
	health CRITICAL 'redis down \(not-ready\).*LOADING' -u "unix://$FAKE"
	health CRITICAL 'redis down \(denied\).*refused the password' -u "redis://nobody:geheim@127.0.0.1:$REDIS_PORT"
	refute_output --partial geheim
}

@test "a script that blocks the server: BUSY" {
	rcli config set lua-time-limit 50
	bg busy rcli eval 'while true do end' 0
	wait_for "rcli ping | grep BUSY"
	health CRITICAL 'redis down \(not-ready\).*BUSY'
	rcli script kill
	health OK .
}

@test "Redis up, but refusing events: out of memory, replica, failing disk" {
	rcli config set maxmemory 1
	health CRITICAL 'redis refuses writes \(not-ready\): OOM'
	assert_equal "$(json '[.redis.up, .problems[0].what]')" '[true,"redis"]'
	rcli config set maxmemory 0
	rcli replicaof 127.0.0.1 9
	health CRITICAL 'redis refuses writes \(read-only\): READONLY'
	rcli replicaof no one
	health OK .
	rcli config set save '900 1'
	mkdir "$REDIS_DIR/dump.rdb"
	rcli bgsave
	wait_for "rcli info persistence | grep rdb_last_bgsave_status:err"
	health CRITICAL 'redis refuses writes.*MISCONF'
	rmdir "$REDIS_DIR/dump.rdb"
	rcli config set save ''
	assert_equal "$(rcli --scan)" ""
}

@test "-w and -c rtt: how long Redis took" {
	health OK . -w rtt=1h -c rtt=2h
	need socat
	# The requests CLIENT INFO and INFO server are 10 lines.
	fake '' 'for i in 1 2 3 4 5 6 7 8 9 10; do read -r x; done; sleep 0.3
		printf "\$9\r\nid=1 a=b\n\r\n\$25\r\n# Server\r\nredis_version:7\r\n"
		for i in 1 2 3; do read -r x; done; printf -- "-ERR x\r\n-ERR y\r\n"; sleep 5'
	health WARNING 'redis took [23][0-9][0-9] ms to answer' -u "unix://$FAKE" -w rtt=0.2
	health CRITICAL 'redis took' -u "unix://$FAKE" -c rtt=200ms
}

# --- the buffer ------------------------------------------------------------------------

@test "events: default 1, and both sides of a limit" {
	plain_buffer 0
	health WARNING '1 event in the buffer'
	plain_buffer 0 0 0 0
	health WARNING '5 events in the buffer'
	health OK '5 events' -w events=6
	health WARNING . -w events=5
	health OK . -w events=none
	health CRITICAL '5 events in the buffer' -c events=5
	health WARNING . -c events=6
	assert_equal "$(json '.problems[0] | [.what, .value, .limit, .status, .unit]' -c events=5)" '["events",5,5,"CRITICAL",null]'
	assert_equal "$(json '.problems[0] | [.what, .value, .limit, .status]' -w events=3)" '["events",5,3,"WARNING"]'
}

@test "age: both sides, and never negative" {
	plain_buffer 100
	health WARNING 'the oldest buffered event is (1[01][0-9] s|2 min) old' -w events=none
	health OK . -w events=none,age=2h
	health CRITICAL 'old' -w events=none -c age=90
	health OK . -w events=none,age=5m -c age=10m
	assert_equal "$(json '.problems[0] | [.what, .unit, .limit, .value >= 100000]' -w events=none,age=90s)" '["age","ms",90000,true]'
	rm -r "$EB_BUFFER_DIR"
	plain_buffer -100000
	health OK . -w events=none -w age=1ms
}

@test "bytes: both sides" {
	plain_buffer 0
	local size
	size=$(stat -c %s "$EB_BUFFER_DIR"/*.jsonl)
	health OK . -w events=none,bytes=$((size + 1))
	health WARNING "the buffer uses $size bytes" -w events=none,bytes="$size"
	health CRITICAL . -w events=none -c bytes="$size"
	assert_equal "$(json '.problems[0] | [.what, .value, .limit, .unit]' -w "events=none,bytes=$size")" "[\"bytes\",$size,$size,\"bytes\"]"
}

@test "quarantine: default 1, and both sides" {
	mkdir -m 700 "$EB_BUFFER_DIR" "$EB_BUFFER_DIR/quarantine"
	health OK .
	printf '{}\n{}\n' >"$EB_BUFFER_DIR/quarantine/a.jsonl"
	health WARNING '2 quarantined'
	health OK . -w quarantine=3
	health CRITICAL . -c quarantine=2
	health WARNING . -c quarantine=3
}

@test "held types: named with the reason, both sides" {
	export EB_REDIS_URL=redis://127.0.0.1:$REDIS_PORT
	redis_kill
	ebpub held.type 1
	ebpub other.held 1
	redis_restart
	run ebreplay -u "$(user_without resetkeys "~$S:system*")"
	assert_equal "$status" 75
	health WARNING '2 held: held\.type \(.*(NOPERM|permission).*\), other\.held' -w events=none
	health OK . -w events=none,held=3
	health CRITICAL . -w events=none -c held=2
	health WARNING . -w events=none -c held=3
	assert_equal "$(json '[.buffer.held[].event_type]')" '["held.type","other.held"]'
}

@test "doubles: no limit by default, both sides" {
	mkdir -m 700 "$EB_BUFFER_DIR"
	redis_kill
	ebpub t 1
	redis_restart
	ebreplay
	health OK .
	sed -i 's/^\(possible_duplicates[^0-9]*\)0000000000000000/\10000000000000003/' "$EB_BUFFER_DIR/.counters"
	assert_equal "$(json .counters.possible_duplicates)" 3
	health OK .
	health WARNING '3 possible duplicates' -w doubles=3
	health OK . -w doubles=4
	health CRITICAL . -c doubles=1
}

@test "free: less is worse; --min-free is the same as -c free=" {
	health OK . -w free=1 -c free=1
	health WARNING 'only .* free on the buffer.s file system' -w free=1000000G
	health CRITICAL 'only .* free' -c free=1000000G
	health CRITICAL 'only .* free' --min-free 1000000G
	health OK . -w free=none --min-free 0
	assert_regex "$(json '.problems[0].value' --min-free 1000000G)" '^[0-9]+$'
}

# bats test_tags=nosanitize
@test "a full disk is critical, with the free bytes" {
	need_root
	need unshare
	unshare -m true || skip "needs namespaces"
	cat >"$EB_TMP/full" <<'END'
mkdir -p "$EB_TMP/disk"
mount -t tmpfs -o "$1" none "$EB_TMP/disk"
mkdir -m 700 "$EB_TMP/disk/buffer"
eval "$2"
ebhealth -b "$EB_TMP/disk/buffer"
END
	export EB_TMP
	run -2 unshare -m sh "$EB_TMP/full" size=32M 'head -c 20M /dev/zero >$EB_TMP/disk/x'
	assert_output --regexp '^CRITICAL - only 1[12]\.[0-9] MiB free'
	run -1 unshare -m sh "$EB_TMP/full" size=32M :
	assert_output --regexp '^WARNING - only 3[12]\.[0-9] MiB free'
	run -2 unshare -m sh "$EB_TMP/full" size=1G,nr_inodes=20 'cd $EB_TMP/disk; for i in $(seq 30); do touch $i; done 2>/dev/null; cd /'
	assert_output --partial 'CRITICAL - no free inodes'
}

@test "a vanished segment is critical" {
	redis_kill
	ebpub t 1
	redis_restart
	local segment
	segment=$(basename "$EB_BUFFER_DIR"/buffer_*.jsonl .jsonl)
	health WARNING '1 event'
	rm "$EB_BUFFER_DIR"/buffer_*.jsonl
	health CRITICAL "segment $segment vanished with undelivered events"
	assert_equal "$(json '.problems[0] | [.what, .value]')" "[\"vanished\",\"$segment\"]"
}

@test "a suspect segment is critical, a file left alone a warning" {
	plain_buffer 0
	mkfifo "$EB_BUFFER_DIR/buffer_pipe.jsonl"
	health WARNING '1 file in the buffer ignored: not a regular file, or owned by another user' -w events=none
	rm "$EB_BUFFER_DIR/buffer_pipe.jsonl"
	mv "$EB_BUFFER_DIR"/buffer_*.jsonl "$EB_BUFFER_DIR/buffer_2025-12-04_10-30-00_000001.suspect.jsonl"
	health CRITICAL '1 segment could not be synced' -w events=none
}

@test "a buffer that cannot be used is critical" {
	plain_buffer 0
	chmod 777 "$EB_BUFFER_DIR"
	health CRITICAL 'is writable by others'
	assert_equal "$(json '[.buffer, .problems[0].what, (.buffer_error | length > 0)]')" '[null,"buffer",true]'
	rm -r "$EB_BUFFER_DIR"
	: >"$EB_BUFFER_DIR"
	health CRITICAL "open buffer '$EB_BUFFER_DIR'"
	need_root
	need setpriv
	mkdir -m 700 "$EB_TMP/root" && mkdir -m 700 "$EB_TMP/root/buffer"
	run -2 env -u XDG_CONFIG_HOME HOME=/nowhere setpriv --reuid 65534 --regid 65534 --clear-groups "$BIN/ebhealth" -b "$EB_TMP/root/buffer"
	assert_output --partial 'Permission denied'
}

@test "a buffer that cannot be written, or made, is critical" {
	local name home
	plain_buffer 0
	rm "$EB_BUFFER_DIR"/*.jsonl
	for name in .lock .replay .progress .target; do
		rm -rf "${EB_BUFFER_DIR:?}/$name"
		mkdir "$EB_BUFFER_DIR/$name"
		health CRITICAL "open '$EB_BUFFER_DIR/$name': Is a directory"
		assert_equal "$(json '[.buffer.total_events, .problems[0].what, (.buffer_unwritable | length > 0), .buffer_error]')" '[0,"buffer",true,null]'
		run -0 ebstat
		assert_output --partial "unwritable  open '$EB_BUFFER_DIR/$name'"
		rmdir "$EB_BUFFER_DIR/$name"
	done
	assert_equal "$(json '[.buffer_unwritable, (.problems | map(.what) | index("buffer"))]')" '[null,null]'
	need_root
	need setpriv
	home=$(mktemp -d)
	chmod 755 "$home"
	run -2 env -u XDG_CONFIG_HOME HOME=/nowhere setpriv --reuid 65534 --regid 65534 --clear-groups "$BIN/ebhealth" -b "$home/deep/buffer"
	rmdir "$home"
	assert_output --partial "create buffer '$home/deep/buffer': Permission denied"
}

@test "a buffer of another target is a warning that names both" {
	redis_kill
	ebpub t 1
	redis_restart
	health WARNING 'the buffer belongs to unix://.* quantum, not to unix://.* other' -w events=none -p other
	health OK . -w events=none
	rm -r "$EB_BUFFER_DIR"
	health OK . -p other
}

# --- streams and groups --------------------------------------------------------------------

@test "types are judged only when given, or a limit of theirs is" {
	fill t 1 10
	rcli xadd quantum:dlq:t 1-0 a b
	health OK '^OK - redis up [0-9.]+ ms, buffer 0 events$'
	health WARNING 't: 1 dead letters' t
	health WARNING 't: 1 dead letters' 't*'
	health WARNING 't: 1 dead letters' -w dead=1
	health OK '1 stream' -w dead=2
	health CRITICAL 't: 1 dead letters' -c dead=1
	health OK . -w dead=none t
	health OK 'buffer 0 events$' -w dead=none
	assert_equal "$(json '.problems[0] | [.what, .value, .limit, .event_type, .group]' t)" '["dead",1,1,"t",null]'
}

@test "lag: no limit by default, both sides" {
	fill t 1 10
	rcli xgroup create "$S:t" g 0
	health OK . t
	health OK . -w lag=11
	health WARNING 't, group g: 10 unread' -w lag=10
	health CRITICAL 't, group g: 10 unread' -c lag=10 t
	assert_equal "$(json '.problems[0] | [.what, .value, .limit, .event_type, .group]' -w lag=5 t)" '["lag",10,5,"t","g"]'
}

@test "lag or lost that cannot be known is UNKNOWN only where a limit was given" {
	fill t 1 10
	rcli xgroup create "$S:t" g 5-0
	rcli xdel "$S:t" 8-0
	health OK . t
	health UNKNOWN 't, group g: lag unknown' -w lag=100
	health UNKNOWN 't, group g: lost unknown' -w lost=100
}

@test "lost: 1 by default, both sides" {
	fill t 1 100
	rcli xgroup create "$S:t" g 0
	health OK . t
	rcli xtrim "$S:t" maxlen 50
	health WARNING 't, group g: 50 trimmed unread' t
	health OK . -w lost=51 t
	health WARNING . -w lost=50 t
	health CRITICAL . -c lost=50 t
}

@test "pending and pending-age: both sides" {
	local ms
	ms=$(($(date +%s%3N) - 100000))
	for i in 0 1 2; do rcli xadd "$S:t" "$((ms + i))-0" n $i; done
	rcli xgroup create "$S:t" g 0
	rcli xreadgroup group g c streams "$S:t" '>'
	health OK . t
	health WARNING 't, group g: 3 pending' -w pending=3
	health OK . -w pending=4
	health CRITICAL . -c pending=2
	health WARNING 't, group g: the oldest pending entry is .* old' -w pending-age=90
	health OK . -w pending-age=1h
	health CRITICAL . -c pending-age=1m
	rcli xack "$S:t" g "$ms-0" "$((ms + 1))-0" "$((ms + 2))-0"
	health OK . -w pending=1,pending-age=1ms
}

@test "a type without a stream, a pattern that matches none: WARNING" {
	fill ai.x 1 1
	health WARNING 'none: no such stream' ai.x none
	health WARNING "no stream matches 'zz\*'" 'ai.*' 'zz*'
	health OK '1 stream, 0 groups' 'ai.*'
}

@test "a key that is no stream is critical, one that is not permitted UNKNOWN" {
	rcli set "$S:w" x
	fill secret 1 1
	fill t 1 1
	health CRITICAL 'w: XINFO STREAM: WRONGTYPE' w
	health UNKNOWN 'secret: XINFO STREAM: NOPERM' -u "$(user_without resetkeys "~$S:t" '~quantum:dlq:*')" secret t
	health UNKNOWN 'not all streams were checked: SCAN: NOPERM' -u "$(user_without -scan)" 't*'
	health OK . -u "$(user_without -scan)" t
}

# --- forms ----------------------------------------------------------------------------------

@test "several problems: one line, the worst first, all named" {
	plain_buffer 0
	fill t 1 10
	rcli xgroup create "$S:t" g 0
	rcli xgroup create "$S:t" h 5-0
	rcli xdel "$S:t" 8-0
	rcli set "$S:w" x
	health CRITICAL '^CRITICAL - w: .*; 1 event in the buffer; t, group g: 1 trimmed unread; t, group h: lag unknown$' -w lag=100 t w
	assert_equal "$(json '[.status, (.problems | map(.status))]' -w lag=100 t w)" '["CRITICAL",["CRITICAL","WARNING","WARNING","UNKNOWN"]]'
	health CRITICAL '^CRITICAL - redis down.*; 1 event in the buffer$' -u "unix://$EB_TMP/none"
	health WARNING '^WARNING - 1 event in the buffer; t, group h: lag unknown$' -w lag=100,lost=none t
}

@test "names cannot end the line or begin the plugin's performance data" {
	fill t 1 10
	rcli xgroup create "$S:t" $'g|x\n' 0
	health WARNING 't, group g/x\?: 10 unread' -w lag=1
	assert_equal "$(json '.problems[0].group' -w lag=1)" '"g|x\n"'
}

@test "-q prints nothing, the status says it; -j one object on one line" {
	run -0 ebhealth -q
	assert_output ""
	run -2 ebhealth --quiet -u "unix://$EB_TMP/none"
	assert_output ""
	run -0 ebhealth --json -q
	assert_equal "${#lines[@]}" 1
	assert_equal "$(jq -r .status <<<"$output")" OK
}

@test "each option, short and long: -b -p -s -t -u -w -c" {
	rcli -n 3 xadd pre:stream:t 1-0 a b
	unset EB_BUFFER_DIR EB_REDIS_URL
	assert_equal "$(json '[.target, .buffer.buffer_dir, .streams[0].stream, .status]' -b "$EB_TMP/bb" -p pre -s svc -t 5 -u "unix://$REDIS_SOCK?db=3" -w dead=1 -c dead=2 t)" \
		"[\"unix://$REDIS_SOCK?db=3 pre\",\"$EB_TMP/bb\",\"pre:stream:t\",\"OK\"]"
	assert_equal "$(json '[.target, .buffer.buffer_dir, .streams[0].stream, .status]' --buffer "$EB_TMP/bb" --prefix pre --service svc --timeout 5 --url "unix://$REDIS_SOCK?db=3" --warning dead=1 --critical dead=2 t)" \
		"[\"unix://$REDIS_SOCK?db=3 pre\",\"$EB_TMP/bb\",\"pre:stream:t\",\"OK\"]"
}

@test "nothing is changed, in Redis or on disk" {
	plain_buffer 0
	fill t 1 5
	rcli xgroup create "$S:t" g 0
	local before
	before=$(rcli --scan; rcli dump "$S:t" | cksum; find "$EB_BUFFER_DIR" -printf '%p %i %s %T@\n')
	run ebhealth -w lag=1 t nothing 'x*'
	assert_equal "$(rcli --scan; rcli dump "$S:t" | cksum; find "$EB_BUFFER_DIR" -printf '%p %i %s %T@\n')" "$before"
}

# --- waiting --------------------------------------------------------------------------------

@test "--wait: at once when it is OK" {
	took health OK . --wait 30
	((ms < 5000)) || fail "took $ms ms"
}

@test "--wait: until Redis is back" {
	redis_kill
	bg wait ebhealth --wait 30 -v
	wait_for "grep -q 'CRITICAL - redis down' $EB_TMP/wait.err"
	redis_restart
	bg_wait wait
	assert_equal "$status" 0
	assert_regex "$(cat "$EB_TMP/wait.out")" '^OK - '
}

@test "--wait: until the buffer is empty" {
	redis_kill
	ebpub t 1
	redis_restart
	bg wait ebhealth --wait=30s
	sleep 0.3
	kill -0 "${BG[wait]}"
	ebreplay
	bg_wait wait
	assert_equal "$status" 0
}

@test "--wait ran out: 2, also when it was only a warning; not long after" {
	plain_buffer 0
	took health CRITICAL '^CRITICAL - not OK within 0\.5 s; 1 event in the buffer$' --wait 0.5
	((ms >= 500 && ms < 2500)) || fail "took $ms ms"
	redis_pause
	took health CRITICAL 'redis down' --wait 0.5 -t 20
	((ms >= 500 && ms < 2500)) || fail "took $ms ms"
	redis_resume
	health CRITICAL . --wait 0
}

# --- the page's examples -----------------------------------------------------------------------

@test "the page's examples work" {
	fill ai.x 1 3
	rcli xgroup create "$S:ai.x" g 0
	local -a examples
	mapfile -t examples < <(sed -nE 's/^(\.Dl )?\$ //p' "$TOP/man/ebhealth.1" | sed 's/\\e/\\/g')
	assert_equal "${#examples[@]}" 8
	for e in "${examples[@]}"; do
		case $e in *problems*) plain_buffer 0 ;; esac
		run -0 bash -c "$e"
		case $e in
		*ready) assert_output ready ;;
		ebsub*) assert_output --regexp '^\{"run":[0-9]+\}$' ;;
		*' -q '*) assert_output "" ;;
		*problems*) assert_output '1 event in the buffer' ;;
		*) assert_output --regexp '^OK - ' ;;
		esac
	done
}
