#!/usr/bin/env bats
# covers: bin/ebstat.c lib/report lib/buffer lib/redis
# ebstat(1) against a private server.

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

# buffered_line SECONDS-AGO TYPE: prints a plain writer's line.
buffered_line() {
	jq -nc --arg at "$(date -u -d "@$(($(date +%s) - $1))" +%Y-%m-%dT%H:%M:%S.%6NZ)" --arg type "$2" \
		'{event_type: $type, message: {event_type: $type, payload: "{}", trace_id: null, timestamp: $at, source: "s"}, buffered_at: $at}'
}

# Writes a plain writer's file with two lines.
plain_buffer() {
	mkdir -m 700 "$EB_BUFFER_DIR"
	{ buffered_line 7200 a; buffered_line 60 b; } >"$EB_BUFFER_DIR/buffer_2025-12-04_10-30-00.jsonl"
}

# json FILTER [ARGUMENTS...]: prints FILTER of ebstat -j; any exit status is accepted.
json() {
	local filter=$1
	shift
	ebstat -j "$@" | jq -c "$filter"
}

# Makes a user with all rights but these; prints its URL.
user_without() {
	rcli acl setuser less reset on '>x' '~*' '+@all' "$@" >/dev/null
	echo "redis://less:x@127.0.0.1:$REDIS_PORT"
}

# Prints the state that must not change: every key, and every file with its bytes.
state() {
	rcli --scan | sort | while read -r k; do rcli dump "$k"; done | cksum
	rcli info keyspace
	(cd "$EB_TMP" && find buffer -printf '%p %i %s %T@\n' -type f -exec cksum {} + 2>/dev/null | sort)
}

# --- usage ---------------------------------------------------------------------------

@test "-V and --version print the version" {
	run -0 ebstat -V
	assert_output --regexp '^ebstat [0-9]+\.[0-9]+'
	run -0 ebstat --version
	assert_output --regexp '^ebstat '
}

@test "usage errors are 64" {
	for words in -x '-t x' '-p 6379' '-u nonsense' '--watch' "''" 'a:b' '-- -t'; do
		eval "run --separate-stderr ebstat $words"
		assert_equal "$words: $status" "$words: 64"
		assert_equal "$output" ""
		assert_regex "$stderr" 'ebstat: '
		assert_regex "$stderr" 'see ebstat --help'
	done
	run --separate-stderr ebstat 'a b'
	assert_equal "$status" 64
	assert_regex "$stderr" "'a b': an event type is"
}

@test "no place for a buffer is 78 and names -b" {
	unset EB_BUFFER_DIR XDG_STATE_HOME HOME
	run -78 ebstat
	assert_output --partial '-b'
}

@test "standard output that cannot be written is 74" {
	run -74 bash -c 'ebstat >/dev/full'
	assert_output --partial 'standard output'
	run -74 bash -c 'ebstat -j >/dev/full'
}

# --- the buffer ----------------------------------------------------------------------

@test "a directory that is not there is an empty buffer, and stays away" {
	assert_equal "$(json '[.buffer.buffer_dir, .buffer.total_events, .buffer.file_count, .buffer.total_bytes, .buffer.oldest_event]')" \
		"[\"$EB_BUFFER_DIR\",0,0,0,null]"
	run -0 ebstat
	assert_line --regexp "^buffer +$EB_BUFFER_DIR \(does not exist yet\)$"
	assert_line --regexp '^events +0 undelivered$'
	[ ! -e "$EB_BUFFER_DIR" ] || fail "it was made"
}

@test "an empty directory is an empty buffer" {
	mkdir -m 700 "$EB_BUFFER_DIR"
	assert_equal "$(json '[.buffer.total_events, .buffer.quarantined, .buffer.held, .buffer.vanished]')" '[0,0,[],[]]'
	run -0 ebstat
	assert_line --regexp "^buffer +$EB_BUFFER_DIR$"
	assert_equal "$(ls -A "$EB_BUFFER_DIR")" ""
}

@test "a plain writer's events count as undelivered, the oldest with its age" {
	plain_buffer
	local bytes
	bytes=$(stat -c %s "$EB_BUFFER_DIR"/*.jsonl)
	assert_equal "$(json '[.buffer.total_events, .buffer.file_count, .buffer.total_bytes]')" "[2,1,$bytes]"
	assert_equal "$(json .buffer.oldest_event)" "$(head -1 "$EB_BUFFER_DIR"/*.jsonl | jq -c .buffered_at)"
	run -0 ebstat
	assert_line --regexp '^events +2 undelivered$'
	assert_line --regexp '^oldest +[0-9T:.-]+Z, (2 h|120 min) old$'
	assert_line --regexp "^files +1, $bytes bytes$"
}

@test "an event from the future is never of negative age" {
	mkdir -m 700 "$EB_BUFFER_DIR"
	buffered_line -86400 a >"$EB_BUFFER_DIR/buffer_2025-12-04_10-30-00.jsonl"
	run -0 ebstat
	assert_line --regexp '^oldest .*Z, 0 s old$'
}

@test "what ebpub buffered is shown, and gone after ebreplay" {
	redis_kill
	seq 3 | ebpub t
	assert_equal "$(json '[.buffer.total_events, .redis.up, .counters.buffered]')" '[3,false,3]'
	redis_restart
	ebreplay
	assert_equal "$(json '[.buffer.total_events, .redis.up, .counters.replayed >= 3]')" '[0,true,true]'
}

@test "a held type is named with its reason and how many wait" {
	export EB_REDIS_URL=redis://127.0.0.1:$REDIS_PORT
	redis_kill
	seq 5 | ebpub held.type
	seq 2 | ebpub other
	redis_restart
	# The target does not contain the user.
	run ebreplay -u "$(user_without "resetkeys" "~$S:other" "~$S:system*")"
	assert_equal "$status" 75
	assert_equal "$(json '[.buffer.held[] | [.event_type, .events]]')" '[["held.type",5]]'
	assert_regex "$(json '.buffer.held[0].reason')" 'NOPERM|permission'
	assert_equal "$(json .buffer.total_events)" 5
	run -0 ebstat
	assert_line --regexp '^held +held\.type, 5 events: .*'
	ebreplay
	assert_equal "$(json '[.buffer.held, .buffer.total_events]')" '[[],0]'
}

@test "quarantined lines are counted" {
	plain_buffer
	mkdir -m 700 "$EB_BUFFER_DIR/quarantine"
	printf '{"reason":"x"}\n{"reason":"y"}\n' >"$EB_BUFFER_DIR/quarantine/a.jsonl"
	assert_equal "$(json .buffer.quarantined)" 2
	run -0 ebstat
	assert_line --regexp '^quarantine +2 lines$'
}

@test "a segment that vanished: named, and 74" {
	redis_kill
	ebpub t 1
	local segment
	segment=$(basename "$EB_BUFFER_DIR"/buffer_*.jsonl .jsonl)
	run -0 ebstat
	rm "$EB_BUFFER_DIR"/buffer_*.jsonl
	run -74 ebstat
	assert_line --regexp "^vanished +$segment "
	assert_equal "$(json .buffer.vanished)" "[\"$segment\"]"
}

@test "ignored files are counted, and no command hangs on them" {
	plain_buffer
	mkfifo "$EB_BUFFER_DIR/buffer_pipe.jsonl"
	ln -s /dev/zero "$EB_BUFFER_DIR/buffer_link.jsonl"
	assert_equal "$(timeout 20 ebstat -j | jq -c '[.buffer.odd_files, .buffer.total_events]')" '[2,2]'
	run -0 ebstat
	assert_line --regexp '^odd +2 files ignored: not a regular file, or owned by another user'
}

@test "a suspect segment is counted" {
	plain_buffer
	mv "$EB_BUFFER_DIR"/buffer_*.jsonl "$EB_BUFFER_DIR/buffer_2025-12-04_10-30-00_000001.suspect.jsonl"
	assert_equal "$(json .buffer.suspect_segments)" 1
	run -0 ebstat
	assert_line --regexp '^suspect +1 segment '
}

@test "a buffer that others can write to: said, 78, Redis is shown all the same" {
	plain_buffer
	chmod 777 "$EB_BUFFER_DIR"
	fill t 1 3
	run -78 ebstat
	assert_line --partial 'is writable by others'
	assert_line --regexp '^t +3 '
	run -78 bash -c 'ebstat -j 2>/dev/null'
	assert_equal "$(jq -c '[.buffer, (.buffer_error | length > 0), .streams[0].length]' <<<"$output")" '[null,true,3]'
}

@test "another target than the buffer's: both are shown, no error" {
	redis_kill
	ebpub t 1
	redis_restart
	run -0 ebstat -p other
	assert_line --regexp "^target +unix://.* quantum \\(of the buffer\\)$"
	assert_line --regexp "^ +unix://.* other \\(of this command\\): DIFFERENT"
	assert_equal "$(json '[.other_target, .buffer.total_events]' -p other)" '[true,1]'
	assert_equal "$(json '[.other_target]')" '[false]'
	run -0 ebstat
	refute_output --partial DIFFERENT
	# A drained buffer has no target.
	ebreplay
	[ -e "$EB_BUFFER_DIR/.target" ]
	assert_equal "$(json '[.other_target]' -p other)" '[false]'
}

# --- Redis ----------------------------------------------------------------------------

@test "Redis up: version and round trip" {
	local version
	version=$(rcli info server | sed -nE 's/^(valkey|redis)_version:([0-9.]+).*/\2/p' | tail -1)
	assert_equal "$(json '[.redis.up, .redis.version, .redis.error, .redis.how]')" "[true,\"$version\",null,null]"
	assert_regex "$(json .redis.rtt_ms)" '^[0-9]+(\.[0-9]+)?$'
	run -0 ebstat
	assert_line --regexp "^redis +up, (redis|valkey) $version, [0-9]+\.[0-9] ms$"
}

@test "Redis down is no error: refused, silent, garbage, too many clients, loading" {
	plain_buffer
	redis_pause
	run -0 ebstat -t 0.3
	assert_line --regexp '^redis +DOWN: .*no answer within 0.3 s'
	assert_line --regexp '^events +2 '
	redis_resume
	run -0 ebstat -u "unix://$EB_TMP/none"
	assert_line --regexp '^redis +DOWN: connect to '
	assert_equal "$(json '[.redis.up, .redis.how, .redis.rtt_ms, .complete, .buffer.total_events]' -u "unix://$EB_TMP/none")" \
		'[false,"refused",null,false,2]'
	need socat
	fake 'HTTP/1.1 400 Bad Request\r\n\r\n' 'sleep 1'
	assert_equal "$(json '[.redis.up, .redis.how]' -u "unix://$FAKE")" '[false,"not-redis"]'
	fake '' 'sleep 10'
	assert_equal "$(json '[.redis.up, .redis.how]' -t 0.2 -u "unix://$FAKE")" '[false,"no-answer"]'
	fake '-LOADING Redis is loading the dataset in memory\r\n' 'sleep 5'
	assert_equal "$(json '[.redis.up, .redis.how, (.redis.error | contains("LOADING"))]' -u "unix://$FAKE")" \
		'[false,"not-ready",true]'
}

@test "a wrong password is 77, and the buffer is shown" {
	plain_buffer
	run --separate-stderr ebstat -u "redis://nobody:geheim@127.0.0.1:$REDIS_PORT"
	assert_equal "$status" 77
	assert_line --regexp '^redis +DOWN: .*refused the password'
	assert_line --regexp '^events +2 '
	refute_output --partial geheim
	run -77 bash -c "ebstat -j -u redis://nobody:geheim@127.0.0.1:$REDIS_PORT"
	assert_equal "$(jq -c '[.redis.up, .redis.how]' <<<"$output")" '[false,"denied"]'
}

@test "a server that is up but refuses events is shown as such: out of memory, replica" {
	rcli config set maxmemory 1
	run -0 ebstat
	assert_line --partial 'refuses writes: OOM'
	assert_regex "$(json .redis.refuses_writes)" OOM
	rcli config set maxmemory 0
	rcli replicaof 127.0.0.1 9
	run -0 ebstat
	assert_line --partial 'refuses writes: READONLY'
	rcli replicaof no one
	assert_equal "$(json .redis.refuses_writes)" null
}

@test "nothing is changed, in Redis or on disk" {
	plain_buffer
	fill t 1 5
	rcli xgroup create "$S:t" g 0
	rcli xreadgroup group g c count 2 streams "$S:t" '>'
	local before
	before=$(state)
	ebstat -v && ebstat -j nothing 'x*' t >/dev/null
	assert_equal "$(state)" "$before"
}

# --- streams and groups ------------------------------------------------------------------

@test "a stream: length, first and last ID, dead letters" {
	fill t 1 5
	rcli xadd quantum:dlq:t 1-0 a b
	rcli xadd quantum:dlq:t 2-0 a b
	assert_equal "$(json '.streams[0] | [.event_type, .stream, .exists, .length, .first_id, .last_id, .dead_letters, .groups, .error]')" \
		"[\"t\",\"$S:t\",true,5,\"1-0\",\"5-0\",2,[],null]"
	run -0 ebstat
	assert_line --regexp '^t +5 +2 +- '
	rcli xtrim "$S:t" maxlen 0
	assert_equal "$(json '.streams[0] | [.length, .first_id, .last_id]')" '[0,null,null]'
}

@test "a group: consumers, pending, lag, last delivered; the oldest pending by its ID" {
	local ms now
	now=$(date +%s%3N)
	ms=$((now - 90000))
	for ((i = 0; i < 5; i++)); do rcli xadd "$S:t" "$((ms + i))-0" n $i; done >/dev/null
	rcli xgroup create "$S:t" g 0
	rcli xreadgroup group g one count 2 streams "$S:t" '>'
	rcli xreadgroup group g two count 1 streams "$S:t" '>'
	json .streams[0].groups[0]
	assert_equal "$(json '.streams[0].groups[0] | [.name, .consumers, .pending, .lag, .lost, .last_delivered_id]')" \
		"[\"g\",2,3,2,0,\"$((ms + 2))-0\"]"
	local age
	age=$(json '.streams[0].groups[0].oldest_pending_ms')
	((age >= 90000 && age < 120000)) || fail "oldest_pending_ms $age"
	rcli xack "$S:t" g "$ms-0" "$((ms + 1))-0" "$((ms + 2))-0"
	assert_equal "$(json '.streams[0].groups[0] | [.pending, .oldest_pending_ms]')" '[0,null]'
	run -0 ebstat
	assert_line --regexp '^t +5 +0 +g +2 +0 +- +2 +0$'
}

@test "pending from the future is never of negative age" {
	rcli xadd "$S:t" 99999999999999-0 a b
	rcli xgroup create "$S:t" g 0
	rcli xreadgroup group g c streams "$S:t" '>'
	assert_equal "$(json '.streams[0].groups[0].oldest_pending_ms')" 0
}

# Redis 7.0 reports 90 here, later versions 50.
@test "lag does not count what is gone, lost does" {
	fill t 1 100
	rcli xgroup create "$S:t" g 0
	rcli xreadgroup group g c count 10 noack streams "$S:t" '>'
	rcli xtrim "$S:t" maxlen 50
	assert_equal "$(json '.streams[0].groups[0] | [.lag, .lost]')" '[50,40]'
	run -0 ebstat
	assert_line --regexp '^t +50 +0 +g +1 +0 +- +50 +40$'
}

@test "lag behind a gap that was skipped is counted; null when that is too much, or not permitted" {
	fill t 1 100
	rcli xgroup create "$S:t" g 0
	rcli xreadgroup group g c count 10 noack streams "$S:t" '>'
	rcli xtrim "$S:t" maxlen 50
	rcli xreadgroup group g c count 49 noack streams "$S:t" '>'
	assert_equal "$(json '.streams[0].groups[0] | [.lag, .lost]')" '[1,0]'
	fill t 101 400
	assert_equal "$(json '.streams[0].groups[0].lag')" 301
	assert_equal "$(json '.streams[0].groups[0].lag' -u "$(user_without -xrange)")" null
	rcli eval "for i = 401, 10500 do redis.call('XADD', '$S:t', i .. '-0', 'a', 'b') end" 0
	assert_equal "$(json '.streams[0].groups[0].lag' -t 20)" null
	rcli eval "for i = 1, 3 do redis.call('XADD', '$S:u', i .. '-0', 'a', string.rep('x', 3000000)) end" 0
	rcli xadd "$S:u" 4-0 a b
	rcli xgroup create "$S:u" g 0
	rcli xreadgroup group g c count 2 noack streams "$S:u" '>' >/dev/null
	rcli xtrim "$S:u" maxlen 3
	assert_equal "$(json '.streams[0].groups[0].lag' u)" 2
}

@test "lag is known where XINFO's is null: before the first entry and at the last; null in between" {
	fill t 1 10
	rcli xgroup create "$S:t" before 0
	rcli xgroup create "$S:t" mid 5-0
	rcli xgroup create "$S:t" end '$'
	rcli xdel "$S:t" 8-0
	assert_equal "$(json '[.streams[0].groups[] | [.name, .lag]]')" '[["before",9],["end",0],["mid",null]]'
	run -0 ebstat
	assert_line --regexp '^t +9 +0 +mid +0 +0 +- +\? +\?$'
}

@test "lost is null where it cannot be known" {
	fill t 1 100
	rcli xgroup create "$S:t" g 20-0
	rcli xtrim "$S:t" maxlen 50
	assert_equal "$(json '.streams[0].groups[0] | [.lag, .lost]')" '[50,null]'
}

@test "several streams and groups, in order; foreign keys are left out, foreign types are not" {
	for t in b a 'we:ird'; do rcli xadd "$S:$t" 1-0 a b; done
	rcli xadd other:stream:c 1-0 a b
	rcli set "$S:string" x
	rcli xgroup create "$S:a" g1 0
	rcli xgroup create "$S:a" g2 0
	assert_equal "$(json '[.streams[] | [.event_type, (.groups | length)]]')" '[["a",2],["b",0],["we:ird",0]]'
	assert_equal "$(json '[.streams[].event_type]' -p other)" '["c"]'
	assert_equal "$(json '.complete')" true
}

@test "TYPE: those only, each once, also as patterns; without a stream it is shown" {
	for t in ai.x ai.y b; do rcli xadd "$S:$t" 1-0 a b; done
	assert_equal "$(json '[.streams[].event_type]' 'ai.*')" '["ai.x","ai.y"]'
	assert_equal "$(json '[.streams[].event_type]' 'ai.[x]' 'ai.?' ai.x b)" '["ai.x","ai.y","b"]'
	assert_equal "$(json '.streams[0] | [.event_type, .exists, .length, .first_id, .last_id, .groups, .dead_letters]' none)" \
		'["none",false,0,null,null,[],0]'
	run -0 ebstat none
	assert_line --regexp '^none +0 +0 +no stream '
	run -0 ebstat 'zz*'
	assert_line --regexp "^no stream +matches 'zz\*'$"
}

@test "a stream that cannot be looked at does not stop the others: 1" {
	fill t 1 2
	rcli set "$S:w" x
	run -1 ebstat t w
	assert_line --regexp '^t +2 '
	assert_line --regexp '^w +\? .*WRONGTYPE'
	assert_equal "$(ebstat -j t w | jq -c '[.streams[] | [.event_type, .length, (.error // "" | contains("WRONGTYPE"))]]')" \
		'[["t",2,false],["w",null,true]]'
	rcli xadd "$S:secret" 1-0 a b
	run -1 ebstat -u "$(user_without resetkeys "~$S:t" '~quantum:dlq:*')"
	assert_line --regexp '^t +2 '
	assert_line --regexp '^secret +\? .*NOPERM'
}

@test "groups that may not be looked at: said beside the stream, 1" {
	for t in t u; do
		fill $t 1 2
		rcli xgroup create "$S:$t" g 0
	done
	run -1 ebstat -u "$(user_without '-xinfo|groups')"
	assert_line --regexp '^t +2 .*XINFO GROUPS: NOPERM'
	assert_line --regexp '^u +2 .*XINFO GROUPS: NOPERM'
}

@test "listing not permitted: 77, said, named types are shown" {
	fill t 1 2
	local url
	url=$(user_without -scan)
	run -77 ebstat -u "$url"
	assert_line --regexp '^INCOMPLETE .*NOPERM'
	assert_equal "$(ebstat -j -u "$url" | jq -c '[.complete, (.incomplete | length > 0), .streams, .redis.up]')" '[false,true,[],true]'
	run -0 ebstat -u "$url" t
	assert_line --regexp '^t +2 '
}

@test "works without permission for INFO, TIME or write commands" {
	fill t 1 2
	rcli xgroup create "$S:t" g 0
	rcli xreadgroup group g c streams "$S:t" '>'
	local url
	url=$(user_without -info '-client|info' -time -xadd)
	run -0 ebstat -u "$url"
	assert_line --regexp '^t +2 +0 +g +1 +2 '
	assert_equal "$(json '[.redis.up, .redis.version, .redis.refuses_writes]' -u "$url")" '[true,null,null]'
}

@test "a list that takes too long is incomplete: said, 75" {
	for ((i = 0; i < 30000; i++)); do echo "XADD $S:t$i 1-0 a b"; done | rcli >/dev/null
	# A time-out long enough for one reply and too short for all depends on the machine.
	for t in 0.02 0.04 0.08 0.16 0.02 0.04 0.08; do
		run ebstat -t $t -j
		[ "$status" != 75 ] || break
	done
	assert_equal "$status" 75
	assert_equal "$(jq -c '[.complete, (.incomplete | contains("timed out")), (.streams | length < 30000)]' <<<"$output")" \
		'[false,true,true]'
}

@test "Redis that dies on the way is down, and what was seen is shown" {
	need socat
	# Answers the handshake, TIME and XADD (3 + 11 lines), then nothing more, and no other connection.
	local script='i=0; while [ $i -lt 13 ]; do read -r x; i=$((i + 1)); done; printf -- "-ERR x\r\n-ERR y\r\n"; sleep 10'
	local handshake='$9\r\nid=1 a=b\n\r\n$25\r\n# Server\r\nredis_version:7\r\n'
	fake "$handshake" "$script"
	sed -i "1i rm -f $FAKE" "$FAKE.sh"
	run -0 ebstat -t 0.5 -u "unix://$FAKE" t
	assert_line --regexp '^redis +DOWN: connect to '
	assert_line --regexp '^INCOMPLETE +connection lost'
	fake "$handshake" "$script"
	sed -i "1i rm -f $FAKE" "$FAKE.sh"
	assert_equal "$(json '[.redis.up, .redis.how, .complete, .streams]' -t 0.5 -u "unix://$FAKE" t)" '[false,"refused",false,[]]'
}

# proxy MODE ARGUMENT: starts tests/support/proxy.py and sets EB_REDIS_URL to it.
proxy() {
	need python3
	bg proxy python3 "$TOP/tests/support/proxy.py" "$EB_TMP/p" "$REDIS_SOCK" "$@"
	wait_for "test -S '$EB_TMP/p'"
	EB_REDIS_URL=unix://$EB_TMP/p
}

@test "a connection that is lost while streams are looked at, Redis being up: incomplete, 75" {
	fill t 1 1
	proxy cut GROUPS
	run -75 ebstat t
	assert_line --regexp '^redis +up'
	assert_line --regexp '^INCOMPLETE +.*closed the connection'
	run -75 bash -c 'ebstat -j t 2>/dev/null'
	assert_equal "$(jq -c '[.redis.up, .complete, .streams]' <<<"$output")" '[true,false,[]]'
	run -3 ebhealth t
	assert_output --partial 'not all streams were checked'
}

@test "streams with large entries are asked about one by one" {
	rcli config set client-output-buffer-limit 'normal 8mb 0 0'
	rcli eval "for i = 1, 12 do for k = 1, 2 do
		redis.call('XADD', '$S:big' .. i, k .. '-0', 'payload', string.rep('x', 3000000)) end end" 0
	run ebstat -j -t 20
	rcli config set client-output-buffer-limit 'normal 0 0 0'
	assert_success
	assert_equal "$(jq -c '[.redis.up, .complete, (.streams | length)]' <<<"$output")" '[true,true,12]'
}

@test "the time that -t gives is kept, however many streams and groups there are" {
	for ((i = 0; i < 1000; i++)); do
		echo "XADD $S:t$i 1-0 a b"
		echo "XGROUP CREATE $S:t$i g 0"
		echo "XREADGROUP GROUP g c STREAMS $S:t$i >"
	done | rcli >/dev/null
	proxy late 0.1
	local start=${EPOCHREALTIME/./}
	run -75 ebstat -t 0.3 -j
	(((${EPOCHREALTIME/./} - start) / 1000 < 5000)) || fail "took $(((${EPOCHREALTIME/./} - start) / 1000)) ms"
	assert_equal "$(jq -c '[.redis.up, .complete, (.streams | length < 1000 and length > 0)]' <<<"$output")" '[true,false,true]'
}

# --- forms -------------------------------------------------------------------------------

@test "names in the table cannot move the cursor" {
	fill t 1 1
	rcli xgroup create "$S:t" $'g\e[2J\n' 0
	run -0 ebstat
	assert_line --regexp '^t +1 +0 +g\?\[2J\? '
}

@test "columns are aligned, in a pipe and on a terminal" {
	fill t 1 1
	fill a.much.longer.name 1 1
	rcli xgroup create "$S:t" g 0
	run -0 ebstat
	assert_line 'TYPE                LENGTH  DEAD  GROUP  CONSUMERS  PENDING  OLDEST  LAG  LOST'
	assert_line 'a.much.longer.name       1     0  -              -        -       -    -     -'
	assert_line 't                        1     0  g              0        0       -    1     0'
	need script
	run -0 script -qec "ebstat -v t" /dev/null
	refute_output --partial $'\e'
	assert_line --partial DELIVERED
}

@test "-v shows IDs, counters and what is zero" {
	fill t 1 5
	rcli xgroup create "$S:t" g 0
	rcli xreadgroup group g c count 3 noack streams "$S:t" '>'
	mkdir -m 700 "$EB_BUFFER_DIR"
	run -0 ebstat
	refute_output --partial quarantine
	refute_output --partial DELIVERED
	run -0 ebstat --verbose
	assert_line --regexp '^quarantine +0 lines$'
	assert_line --regexp '^counters +published 0, buffered 0, '
	assert_line --regexp '^t +5 +1-0 +5-0 +0 +g +1 +0 +- +2 +0 +3-0$'
}

@test "-q shows only what needs attention, and nothing else" {
	fill t 1 5
	rcli xgroup create "$S:t" g 0
	rcli xgroup create "$S:t" h 0
	run -0 ebstat -q
	assert_output ""
	rcli xtrim "$S:t" maxlen 3
	rcli xreadgroup group h c streams "$S:t" '>'
	fill u 1 1
	plain_buffer
	run -0 ebstat -q
	assert_line --regexp '^events +2 undelivered$'
	assert_line --regexp '^t +3 .*g '
	refute_line --regexp '^t +3 .*h '
	refute_line --regexp '^u '
	refute_line --regexp '^(buffer|files|target|free|redis) '
	run -0 ebstat --quiet -u "unix://$EB_TMP/none"
	assert_line --regexp '^redis +DOWN'
	assert_equal "$(ebstat -qj | jq -c '[.streams[].event_type]')" '["t","u"]'
}

@test "-j is one JSON object on one line, also with hostile names" {
	plain_buffer
	rcli xadd "$S:t" 1-0 a b
	rcli xgroup create "$S:t" $'q"\\\xff\n' 0
	run -0 ebstat --json
	assert_equal "${#lines[@]}" 1
	assert_equal "$(jq -r 'type' <<<"$output")" object
	assert_equal "$(jq -r '.streams[0].groups | length' <<<"$output")" 1
	iconv -f utf-8 -t utf-8 <<<"$output" >/dev/null
}

@test "each option, short and long: -b -p -s -t -u" {
	rcli -n 3 xadd pre:stream:t 1-0 a b
	unset EB_BUFFER_DIR EB_REDIS_URL
	assert_equal "$(json '[.target, .buffer.buffer_dir, .streams[0].stream]' -b "$EB_TMP/bb" -p pre -s svc -t 5 -u "unix://$REDIS_SOCK?db=3")" \
		"[\"unix://$REDIS_SOCK?db=3 pre\",\"$EB_TMP/bb\",\"pre:stream:t\"]"
	assert_equal "$(json '[.target, .buffer.buffer_dir, .streams[0].stream]' --buffer "$EB_TMP/bb" --prefix pre --service svc --timeout 5 --url "unix://$REDIS_SOCK?db=3")" \
		"[\"unix://$REDIS_SOCK?db=3 pre\",\"$EB_TMP/bb\",\"pre:stream:t\"]"
}

@test "many streams are asked about in few round trips" {
	for ((i = 0; i < 2000; i++)); do
		echo "XADD $S:t$i 1-0 a b"
		echo "XGROUP CREATE $S:t$i g 0"
	done | rcli >/dev/null
	assert_equal "$(json '[.complete, (.streams | length), ([.streams[].groups[0].lag] | add)]' -t 20)" '[true,2000,2000]'
}

# bats test_tags=novalgrind
@test "during the work of publishers and ebreplay it neither fails nor reports a false problem" {
	redis_kill
	bg pub bash -c 'for i in $(seq 60); do seq 200 | ebpub t$((i % 3)) --segment-size 4K >/dev/null; done'
	for i in 1 2 3 4 5 6 7 8 9 10; do
		run -0 ebstat -q
		refute_output --partial vanished
	done
	redis_restart
	bg rep ebreplay --wait 20
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
		run -0 ebstat -q
		refute_output --partial vanished
	done
	bg_wait pub 60
	bg_wait rep 60
	ebreplay || ebreplay
	assert_equal "$(json .buffer.total_events)" 0
}

# --- the count of events -----------------------------------------------------------------

total() { json .buffer.total_events; }

# Makes N events in three segments, the last of them open.
three_segments() {
	export EB_REDIS_URL=unix://$EB_TMP/none
	for _ in 1 2 3; do
		seq 100 | ebpub -q --segment-size 4K a
	done
}

@test "the number of events follows the files, and a count leaves nothing behind" {
	local first line
	three_segments
	assert_equal "$(total)" 300
	first=$(find "$EB_BUFFER_DIR" -name 'buffer_*.jsonl' | sort | head -1)
	sed -i '$d' "$first"
	assert_equal "$(total)" 299
	line=$(tail -1 "$first")
	echo "$line" >>"$first"
	assert_equal "$(total)" 300
	ebpub -q a 301
	assert_equal "$(total)" 301
	ebbuffer -q compress
	assert_equal "$(total)" 301
	rm "$first.gz"
	run -74 ebstat -j
	assert_equal "$(jq .buffer.total_events <<<"$output")" 201
	[ ! -e "$HOME/.cache/eventbus" ]
}

# --- the page's examples -----------------------------------------------------------------

@test "the page's examples work" {
	fill ai.x 1 3
	fill b 1 1
	rcli xgroup create "$S:ai.x" g 1-0
	rcli xgroup create "$S:b" ready '$'
	plain_buffer
	local -a examples
	mapfile -t examples < <(sed -nE ':a; /\\e$/ { N; s/\\e\n *//; ba }; s/^(\.Dl )?\$ //p' "$TOP/man/ebstat.1" | sed 's/\\e/\\/g')
	assert_equal "${#examples[@]}" 7
	for e in "${examples[@]}"; do
		run -0 bash -o pipefail -c "$e"
		case $e in
		ebstat) assert_line --regexp '^b +1 ' ;;
		*-v*) assert_line --regexp '^ai\.x +3 +1-0 +3-0 '; refute_line --regexp '^b ' ;;
		*total_events) assert_output 2 ;;
		*total_events,*) assert_output $'2\n0' ;;
		*lag*add*) assert_output --regexp '^[0-9]+$' ;;
		*lag*) assert_output g ;;
		*-q) assert_line --regexp '^events +2 ' ;;
		*) fail "no test for: $e" ;;
		esac
	done
}
