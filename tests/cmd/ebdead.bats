#!/usr/bin/env bats
# covers: bin/ebdead.c lib/drain lib/event
# ebdead(1): dead letters are listed, moved back, each once and in order, or deleted.

# shellcheck disable=SC2016,SC2030,SC2031,SC2154  # bats: a test is a subshell, and sets $stderr; a $ of the inner shell

load ../support/helper
load ../support/chaos

S=quantum:stream
D=quantum:dlq

setup_file() {
	redis_start_tcp --enable-debug-command local
}

setup() {
	redis_show
	redis_resume || :
	redis_alive || redis_restart
	rcli config set maxmemory 0 >/dev/null
	rcli replicaof no one >/dev/null
	redis_flush
}

teardown() {
	redis_show
	eb_teardown
}

# Lua functions: the provenance of the i-th dead letter, and adding a dead letter with the fields f (a table).
LUA='local function provenance(t, i) return {"dead_id", i .. "-0", "dead_stream", "quantum:stream:" .. t, "dead_group",
	"quantum:group:svc:" .. t, "dead_consumer", "eb-host-1", "dead_attempts", tostring(i % 3 + 1), "dead_status", "exit " .. i % 2,
	"dead_stderr", "no\255\n", "dead_time", "2025-12-04T10:30:00.000000Z"} end
local function letter(t, i, f)
	for _, w in ipairs(provenance(t, i)) do f[#f + 1] = w end
	return redis.call("XADD", "quantum:dlq:" .. t, "*", unpack(f)) end
local function event(t, i, payload) return {"event_type", t, "payload", payload or "{\"p\":1,\"n\":" .. i .. "}", "trace_id", "",
	"correlation_id", "c" .. i, "timestamp", "2025-12-04T10:30:00.000000Z", "source", "svc", "event_id", t .. "-1-" .. i} end
'

# lua TEXT [KEY...]: runs TEXT after those functions.
lua() {
	local text=$1
	shift
	rcli eval "$LUA $text" $# "$@"
}

# letters TYPE FROM TO: adds dead letters of events with the payload {"p":1,"n":N}.
letters() {
	lua "for i = $2, $3 do letter('$1', i, event('$1', i)) end" >/dev/null
	ledger 1 "$2" "$3"
}

keep() { rcli copy "$D:$1" "kept:$1" replace >/dev/null; }

# moved TYPE [KEPT-FROM]: checks that the stream has exactly the entries of kept:TYPE, without the provenance fields.
moved() {
	run -0 rcli eval 'local was, now = redis.call("XRANGE", KEYS[1], "-", "+"), redis.call("XRANGE", KEYS[2], "-", "+")
		if #was ~= #now then return #now .. " of " .. #was end
		for i = 1, #was do
			local w, n = was[i][2], now[i][2]
			local own = w[#w - 15] == "dead_id" and #w - 16 or #w
			if #n ~= own then return "entry " .. i .. ": " .. #n .. " words, not " .. own end
			for k = 1, own do if w[k] ~= n[k] then return "entry " .. i .. ", word " .. k end end
		end
		return "same"' 2 "kept:$1" "$S:$1"
	assert_output same
	assert_equal "$(rcli xlen "$D:$1")" 0
}

numbers() { ebsub --peek -q --payload "$@" | jq -r .n | tr '\n' ' '; }

# as WORDS...: prints the URL of a user with these rights.
as() {
	rcli acl setuser less reset on '>x' '~*' '+@all' "$@" >/dev/null
	echo "redis://less:x@127.0.0.1:$REDIS_PORT"
}

# --- moving --------------------------------------------------------------------------------------------

@test "usage errors are 64, and nothing is moved" {
	local words
	letters t 1 3
	for words in '' nothing t 'list t --yes' 'list --wait 3 t' 'list --since x t' 'list --until x t' 'list --match a t' 'list --match =a t' \
	    'list --limit x t' 'list --last x t' 'list --follow --until 1h t' 'list -j --payload t' 'list -f %z t' 'list --maxlen 1 t' 'list t:x' \
	    redrive 'redrive --limit x t' "redrive 't*'" 'redrive -- -t' 'redrive --yes t' 'redrive --follow t' 'redrive --payload t' \
	    drop 'drop --yes' 'drop t' "drop --yes 't*'" 'drop --yes --rate 1 t' 'drop --yes --force t' 'drop --yes --maxlen 1 t'; do
		eval "run --separate-stderr ebdead $words"
		assert_equal "$words: $status" "$words: 64"
		assert_equal "$output" ""
		assert_regex "$stderr" 'see ebdead --help'
	done
	run -64 ebdead list --match '' t
	assert_line "ebdead: --match '': expected field=value"
	assert_equal "$(rcli xlen "$D:t")" 3
}

@test "dead letters go back in order, with their fields as they were, silently, and no buffer is needed" {
	unset EB_BUFFER_DIR XDG_STATE_HOME HOME
	letters t 1 1234
	letters u 1 3
	keep t
	keep u
	run -0 ebdead redrive t u none
	assert_output ""
	moved t
	moved u
	run -0 ebdead redrive t u none
	assert_output ""
	assert_equal "$(rcli xlen "$S:t")" 1234
}

@test "-v says what was done, -j too, -q neither" {
	letters t 1 3
	run -75 ebdead redrive -v --limit 1 t
	assert_output --regexp '^ebdead: 1 re-driven, 0 already gone, 0 refused, 0 types stopped, in .*; dead letters remain$'
	run -0 ebdead redrive -j t
	assert_output '{"redriven":2,"gone":0,"refused":0,"trimmed":0,"stopped":0,"left":false,"status":0}'
	rcli set "$D:u" 1
	run -1 ebdead redrive -q u
	assert_output ""
}

@test "on a terminal a line shows how far it is" {
	need script
	letters t 1 60
	run script -qec "ebdead redrive --rate 60 t" /dev/null </dev/null
	assert_output --regexp '[0-9]+ of 60 events, [0-9]+/s'
	assert_output --partial '60 re-driven'
}

@test "--limit, --since and --match select; all --match must match, on fields and provenance, byte for byte" {
	letters t 1 20
	run -75 ebdead redrive --limit 3 t
	assert_equal "$(numbers t)" "1 2 3 "
	run -75 ebdead redrive --limit 2 --match dead_status='exit 1' --match dead_attempts=3 t
	assert_equal "$(numbers t)" "1 2 3 5 11 "
	run -0 ebdead redrive --match dead_status='exit 1' --match dead_attempts=3 t
	assert_equal "$(numbers t)" "1 2 3 5 11 17 "
	run -0 ebdead redrive --match payload='{"p":1,"n":7}' t
	run -0 ebdead redrive --match payload='{"p":1,"n":8} ' --match event_id=t-1-8 t
	run -0 ebdead redrive --match EVENT_ID=t-1-9 --match trace_id=x t
	assert_equal "$(numbers t)" "1 2 3 5 11 17 7 "
	run -75 ebdead redrive --match trace_id= --limit 1 t
	assert_equal "$(numbers t)" "1 2 3 5 11 17 7 4 "
	# The dead letter of 18 is the third from the end.
	id=$(ebdead list --last 3 -f %i t | head -1)
	run -0 ebdead redrive --since "$id" t
	assert_equal "$(numbers t)" "1 2 3 5 11 17 7 4 18 19 20 "
	run -0 ebdead redrive --since $ t
	run -0 ebdead redrive --since 2100-01-01T00:00:00Z t
	run -0 ebdead redrive --since 1h --limit 9 t
	assert_equal "$(numbers t)" "1 2 3 5 11 17 7 4 18 19 20 6 8 9 10 12 13 14 15 16 "
	# The limit counts the entries of all types together.
	letters a 1 3
	letters b 1 3
	run -75 ebdead redrive --limit 4 a b
	assert_equal "$(numbers a) $(numbers b)" "1 2 3  1 "
}

@test "--dry-run prints what would go, and moves nothing" {
	letters t 1 5
	lua "letter('t', 6, {'payload', '\27[31m'})" >/dev/null
	run -0 ebdead redrive --dry-run --match dead_status='exit 0' t
	assert_line -n 0 --regexp '^ID +DEAD AT +TYPE +ENTRY +GROUP +ATTEMPTS +REASON +PAYLOAD$'
	assert_line -n 1 --regexp '^[0-9]+-[0-9] +2025-12-04T10:30:00Z  t +2-0 +quantum:group:svc:t +3  exit 0 +\{"p":1,"n":2\}$'
	assert_line -n 2 --regexp ' 4-0 '
	assert_line -n 3 --regexp '\?\[31m'
	assert_equal ${#lines[@]} 4
	run -0 ebdead redrive --dry-run -q --limit 2 t
	assert_equal ${#lines[@]} 2
	run -0 bash -c 'ebdead redrive --dry-run -j --limit 1 t | jq -c "[.event_type, .event_id, (.fields | .dead_id, .dead_stream, .dead_group,
		.dead_consumer, .dead_attempts, .dead_status, .dead_stderr.base64, .dead_time)]"'
	assert_output '["t","t-1-1","1-0","quantum:stream:t","quantum:group:svc:t","eb-host-1","2","exit 1","bm//Cg==","2025-12-04T10:30:00.000000Z"]'
	run -74 bash -c 'ebdead redrive --dry-run t >/dev/full'
	assert_equal "$(rcli xlen "$D:t") $(rcli exists "$S:t")" "6 0"
}

@test "a dead letter without provenance is moved unchanged; one with nothing else stays, is named, and is 1" {
	lua "redis.call('XADD', KEYS[1], '*', 'symbol', 'BTC', 'dead_id', 'mine')
		letter('t', 2, {})
		letter('t', 3, {'dead_time', 'x', 'symbol', 'ETH'})" "$D:t"
	run -1 ebdead redrive t
	assert_output --regexp "^ebdead: 'quantum:dlq:t' [0-9]+-[0-9]+: nothing but a provenance: not moved$"
	assert_equal "$(ebsub --peek --payload t)" '{"symbol":"BTC","dead_id":"mine"}
{"dead_time":"x","symbol":"ETH"}'
	assert_equal "$(rcli xlen "$D:t")" 1
}

@test "large and binary payloads, and entries of thousands of fields, in their order" {
	local i
	lua 'for i = 1, 3 do letter("t", 3 * i - 2, event("t", i, string.rep("x", 10485760)))
		letter("t", 3 * i - 1, event("t", i, "\0\255\r\n\128" .. i)) end' >/dev/null
	for i in 3740 3742 3743 3744 9000; do	# pairs of fields; a script can pass up to 3750
		# shellcheck disable=SC2046  # many words
		rcli xadd "$D:t" '*' $(seq $i | sed 's/.*/f& v&/') dead_id 1-0 dead_stream s dead_group g dead_consumer c dead_attempts 1 \
			dead_status x dead_stderr y dead_time z >/dev/null
		lua 'letter("t", 1, event("t", 1))' >/dev/null
	done
	# shellcheck disable=SC2046
	for i in 3750 3751 3990 4100; do
		rcli xadd "$D:t" '*' $(seq $i | sed 's/.*/f& v&/') >/dev/null
	done
	keep t
	run -0 ebdead redrive -t 20 t
	assert_output ""
	moved t
	# The same by WATCH.
	rcli del "$S:t" >/dev/null
	rcli copy kept:t "$D:t" replace >/dev/null
	run -0 ebdead redrive -t 20 -u "$(as -@scripting)" t
	assert_output ""
	moved t
}

@test "10 000 dead letters in bounded memory; also 60 of 2 MB after small ones" {
	local began took plain
	letters t 1 10000
	keep t
	began=${EPOCHREALTIME/./}
	run -0 peak_rss "$EB_TMP/rss" ebdead redrive --maxlen 0 t
	took=$((${EPOCHREALTIME/./} - began))
	moved t
	[ -n "${EB_SANITIZE:-}" ] || [ "$(cat "$EB_TMP/rss")" -lt 16384 ] || fail "$(cat "$EB_TMP/rss") KiB"
	redis_hide
	numbered 1 1 10000 | ebpub -q --maxlen 0 plain
	redis_show
	began=${EPOCHREALTIME/./}
	run -0 ebreplay --maxlen 0
	plain=$((${EPOCHREALTIME/./} - began))
	echo "# 10 000 dead letters in $((took / 1000)) ms, peak $(cat "$EB_TMP/rss") KiB; a plain replay of as many events in $((plain / 1000)) ms" >&3
	lua 'for i = 1, 1000 do letter("u", i, event("u", i)) end
		for i = 1, 60 do letter("u", i, event("u", i, string.rep("y", 2097152))) end' >/dev/null
	keep u
	run -0 peak_rss "$EB_TMP/rss" ebdead redrive -t 20 --maxlen 0 u
	assert_output ""
	moved u
	[ -n "${EB_SANITIZE:-}" ] || [ "$(cat "$EB_TMP/rss")" -lt 102400 ] || fail "$(cat "$EB_TMP/rss") KiB"
}

@test "a dead letter that is added again during the run is not moved again" {
	letters t 1 40
	bg again bash -c "while :; do redis-cli -s '$REDIS_SOCK' xadd $D:t '*' payload again >/dev/null; done"
	wait_for "[ \$(rcli xlen $D:t) -gt 45 ]"
	run -0 timeout 60 ebdead redrive --rate 100 t
	[ "$(rcli xlen "$D:t")" -gt 0 ]
	assert_equal "$(ebsub --peek -q --payload t | jq -r .n | head -40 | sort -n | uniq | wc -l)" 40
}

@test "an entry that a command could not handle, set aside by ebsub, goes back byte for byte and is handled" {
	local payload='{"n":1.0,"n":2,"s":"\u00e9"}'
	ebpub -q t "$payload"
	rcli copy "$S:t" kept:t >/dev/null
	run timeout 60 ebsub -q -s svc -e --max-deliveries 1 t -- sh -c 'echo broken >&2; exit 3'
	run -0 bash -c 'ebdead list -j t | jq -r "[.fields.dead_group, .fields.dead_status, .fields.dead_stderr] | @tsv"'
	assert_output --regexp '^quantum:group:svc:t	exit 3	broken'
	rcli xtrim "$S:t" maxlen 0 >/dev/null
	run -0 ebdead redrive --match dead_status='exit 3' t
	moved t
	run timeout 60 ebsub -q -s svc -e t -- cat
	assert_output "$payload"
	assert_equal "$(rcli xlen "$D:t") $(rcli xpending "$S:t" quantum:group:svc:t | head -1)" "0 0"
}

# --- errors -----------------------------------------------------------------------------------------------

@test "a wrong-typed stream or dead-letter key: named, 1, nothing lost, other types go on" {
	local url
	for url in "$EB_REDIS_URL" "$(as -@scripting)"; do
		redis_flush
		letters a 1 3
		letters ok 1 3
		rcli set "$S:a" string
		rcli lpush "$D:b" list
		run -1 ebdead redrive -u "$url" a b ok
		assert_line --regexp "^ebdead: dead letters of 'a' stay: .*WRONGTYPE"
		assert_line --regexp "^ebdead: dead letters of 'b' stay: 'quantum:dlq:b': .*WRONGTYPE"
		assert_equal "$(rcli xlen "$D:a") $(rcli get "$S:a") $(rcli llen "$D:b")" "3 string 1"
		assert_equal "$(numbers ok)" "1 2 3 "
	done
}

# A stream whose type changes after open_redrive_type has checked it: the script and WATCH detect it.
@test "a stream that is replaced by another key type during the run: nothing is lost" {
	local url
	for url in "$EB_REDIS_URL" "$(as -@scripting)"; do
		redis_flush
		letters t 1 500
		bg drive ebdead redrive -u "$url" --rate 100 t
		wait_for "[ \$(rcli xlen $S:t) -gt 10 ]"
			printf 'multi\nrename %s:t aside\nset %s:t string\nexec\n' "$S" "$S" | rcli >/dev/null
		bg_wait drive
		assert_equal "$status" 1
		assert_regex "$(cat "$EB_TMP/drive.err")" "dead letters of 't' stay: "
		assert_equal "$(($(rcli xlen aside) + $(rcli xlen "$D:t")))" 500
		rcli rename aside "$S:t" >/dev/null
		run -0 ebdead redrive -u "$url" t
		check_streams t
		assert_equal "$(rcli xlen "$S:t")" 500
		rm "$LEDGER"
	done
}

# XADD fails in the middle of a transaction although the key has the right type.
@test "a stream whose IDs are used up: named, 1, nothing lost, by a script and by WATCH" {
	local url
	letters t 1 3
	rcli xadd "$S:t" 18446744073709551615-18446744073709551615 a b >/dev/null
	for url in "$EB_REDIS_URL" "$(as -@scripting)"; do
		run -1 ebdead redrive -u "$url" t
		assert_output --partial "exhausted the last possible ID"
		assert_equal "$(ebdead list --payload t | jq -r .n | sort -n | xargs)" "1 2 3"
	done
	assert_equal "$(ebdead list -f '%e' t | sort | xargs) $(rcli xlen "$S:t")" "t-1-1 t-1-2 t-1-3 1"
	assert_equal "$(ebdead list -j t | jq -r .fields.dead_id | sort | xargs)" "1-0 2-0 3-0"
}

@test "a stream full of what a group needs: 75, other types go on; consumed it goes on; --force pushes out" {
	letters t 1 300
	letters ok 1 3
	rcli eval "for i = 1, 60 do redis.call('XADD', KEYS[1], '*', 'payload', '{\"n\":0}') end" 1 "$S:t" >/dev/null
	rcli xgroup create "$S:t" g 0 >/dev/null
	run -75 ebdead redrive --maxlen 50 t ok
	assert_output --regexp "dead letters of 't' stay: stream full: .* group 'g' still needs .*: consume, remove the group, or ebdead redrive --force"
	assert_equal "$(numbers ok)" "1 2 3 "
	left=$(rcli xlen "$D:t")
	[ "$left" -gt 150 ]
	assert_equal "$(rcli xlen "$S:t")" $((360 - left))
	ebsub -g g -e --payload t >/dev/null
	run -75 ebdead redrive --maxlen 50 t
	[ "$(rcli xlen "$D:t")" -lt "$left" ]
	run -75 ebdead redrive --maxlen 50 -j t
	run -0 ebdead redrive --maxlen 50 --force t
	assert_equal "$(rcli xlen "$D:t")" 0
	[ "$(rcli xlen "$S:t")" -lt 200 ]
}

@test "a stream without groups is trimmed as by ebpub, and that is counted; --maxlen 0 does not" {
	letters t 1 500
	run -0 bash -c 'ebdead redrive --maxlen 100 -j t | jq -c "[.redriven, .trimmed > 250]"'
	assert_output '[500,true]'
	[ "$(rcli xlen "$S:t")" -lt 250 ]
	letters u 1 500
	run -0 ebdead redrive --maxlen 0 u
	assert_equal "$(rcli xlen "$S:u")" 500
}

@test "Redis away is 69, silent for too long too; full memory and a replica are 75; a wrong password 77: all is kept" {
	local words
	letters t 1 3
	redis_hide
	for words in "'t*'" '' t; do
		eval "run -69 ebdead list -q $words"
		assert_output ""
		eval "run -69 ebdead list $words"
		assert_output --partial 'connect to'
	done
	run -69 ebdead redrive t
	assert_output --regexp '^ebdead: connect to .*: No such file or directory$'
	redis_show
	redis_pause
	run -69 ebdead redrive -t 0.2 t
	redis_resume
	rcli config set maxmemory 1 >/dev/null
	run -75 ebdead redrive t
	assert_output --partial 'OOM '
	run -75 ebdead redrive -u "$(as -@scripting)" t
	assert_output --partial 'OOM '
	rcli config set maxmemory 0 >/dev/null
	rcli config set replica-serve-stale-data yes >/dev/null
	rcli replicaof 127.0.0.1 1 >/dev/null
	run -75 ebdead redrive t
	assert_output --partial READONLY
	rcli replicaof no one >/dev/null
	run -77 ebdead redrive -u "redis://less:wrong@127.0.0.1:$REDIS_PORT" t
	assert_equal "$(rcli xlen "$D:t") $(rcli exists "$S:t")" "3 0"
	run -0 ebdead redrive t
	assert_equal "$(numbers t)" "1 2 3 "
}

@test "without the right to EVAL it goes by WATCH; without that too it is 77 and says what is needed" {
	letters t 1 300
	keep t
	run -0 ebdead redrive -u "$(as -@scripting)" t
	assert_output ""
	moved t
	letters u 1 3
	for right in '-@scripting -multi' '-@scripting -watch' '-@scripting -type' -xadd -xdel -xrange "resetkeys ~$D:*" "resetkeys ~$S:*"; do
		# shellcheck disable=SC2086  # words
		run -77 ebdead redrive -u "$(as $right)" u
		assert_output --partial NOPERM
		assert_equal "$right: $(rcli xlen "$D:u") $(rcli exists "$S:u")" "$right: 3 0"
	done
	run -77 ebdead redrive -u "$(as -@scripting -exec)" u
	assert_output --partial '(needed: EVAL, or WATCH, TYPE, MULTI and EXEC; and XRANGE, XADD, XDEL)'
	# Without permission for XINFO nothing is trimmed.
	run -0 ebdead redrive --maxlen 1 -u "$(as -xinfo '+xinfo|stream')" u
	assert_equal "$(rcli xlen "$S:u")" 3
}

# bats test_tags=nosanitize
@test "by WATCH, moved by another process between the read and EXEC: once" {
	need strace
	letters t 1 3
	bg slow strace -f -qq -o "$EB_TMP/trace" -e trace=sendto -e inject=sendto:delay_enter=500000 \
		ebdead redrive --maxlen 0 -u "$(as -@scripting)" t
	wait_for 'rcli client list | grep -q cmd=multi' 20
	run -0 ebdead redrive --maxlen 0 -j t
	[[ $output == *'"redriven":3'* ]]
	bg_wait slow
	assert_equal "$status" 0
	check_streams t
}

@test "by WATCH during a publisher and during a second re-drive: each once and in order" {
	local url n=0
	url=$(as -@scripting)
	letters t 1 400
	bg busy bash -c "while :; do redis-cli -s '$REDIS_SOCK' xadd $S:t '*' a b >/dev/null; done"
	bg other timeout 60 ebdead redrive --maxlen 0 -u "$url" t
	until ebdead redrive --maxlen 0 -u "$url" t 2>"$EB_TMP/err"; do
		grep -q 'changed 50 times' "$EB_TMP/err" || fail "$(cat "$EB_TMP/err")"
		((++n < 300)) || fail "given up 300 times"
	done
	bg_wait other 60
	check_streams t
	assert_equal "$(rcli xlen "$D:t")" 0
}

@test "two re-drives at once, one of them by WATCH: each once and in order" {
	local url
	url=$(as -@scripting)
	letters t 1 5000
	bg one ebdead redrive --maxlen 0 -j t
	bg two ebdead redrive --maxlen 0 -j t
	bg three ebdead redrive --maxlen 0 -j -u "$url" t
	for one in one two; do
		bg_wait $one
		assert_equal "$status" 0
	done
	bg_wait three
	# A key that changes too often is given up, and tried again.
	[ "$status" = 0 ] || [ "$status" = 75 ]
	run -0 ebdead redrive --maxlen 0 t
	check_streams t
	assert_equal "$(cat "$EB_TMP"/{one,two,three}.out | jq -s 'map(.redriven) | add')" 5000
}

@test "SIGTERM and SIGINT end it behind a whole batch, with 128+n; the rest stays" {
	local sig
	letters t 1 1000
	for sig in TERM:143 INT:130; do
		bg drive env --default-signal=INT ebdead redrive --maxlen 0 --rate 100 t
		wait_for "[ \$(rcli xlen $S:t) -gt 20 ]"
		kill -"${sig%:*}" "$BG_PID"
		bg_wait drive
		assert_equal "$status" "${sig#*:}"
	done
	[ "$(rcli xlen "$D:t")" -gt 0 ]
	run -0 ebdead redrive --maxlen 0 t
	check_streams t
}

@test "killed at 30 random moments, the server too: each once and in order" {
	local i
	letters t 1 20000
	for ((i = 0; i < 30; i++)); do
		timeout -s KILL 0.0$((RANDOM % 5 + 1)) ebdead redrive --maxlen 0 --limit $((RANDOM % 900 + 1)) t || :
	done
	run -0 ebdead redrive --maxlen 0 t
	check_streams t
	assert_equal "$(rcli xlen "$D:t")" 0
}

# --- list --------------------------------------------------------------------------------------------------

@test "list shows them, the provenance under fields, and the key as stream" {
	letters t 1 5
	letters u 1 2
	run -0 bash -c 'ebdead list -j --last 1 t | jq -c "[.stream, .event_type, .payload, .event_id, .fields.dead_id, .fields.dead_status, .deliveries]"'
	assert_output '["quantum:dlq:t","t",{"p":1,"n":5},"t-1-5","5-0","exit 1",null]'
	run -0 ebdead list -f '%t %k %e' --limit 1 t
	assert_output 't quantum:dlq:t t-1-1'
	run -0 ebdead list --payload '*'
	assert_equal ${#lines[@]} 7
	run -0 ebdead list --payload
	assert_equal ${#lines[@]} 7
	run -0 ebdead list --payload t '[tu]' t
	assert_equal ${#lines[@]} 7
	assert_equal "$(ebdead list -0 --payload t | tr '\0' '+')" '{"p":1,"n":1}+{"p":1,"n":2}+{"p":1,"n":3}+{"p":1,"n":4}+{"p":1,"n":5}+'
	id=$(ebdead list -f %i t | sed -n 3p)
	run -0 ebdead list --since "$id" -f %e t
	assert_output $'t-1-3\nt-1-4\nt-1-5'
	run -0 ebdead list --until "$id" -f %e t
	assert_output $'t-1-1\nt-1-2\nt-1-3'
	run -0 ebdead list --match dead_id=4-0 -f %e
	assert_output $'t-1-4'
	run -0 ebdead list 'none*'
	assert_output --partial 'no such stream'
	run -74 bash -c 'ebdead list t >/dev/full'
	assert_equal "$(rcli xlen "$D:t") $(rcli exists "$S:t")" "5 0"
}

@test "list: columns for people; a dead letter without provenance, one with nothing else; the payload is cut to the terminal" {
	need script
	lua "redis.call('XADD', KEYS[1], '*', 'symbol', 'BTC')
		letter('t', 2, {})
		letter('t', 3, event('t', 3, '\"' .. string.rep('x', 200) .. '\"'))" "$D:t"
	run -0 ebdead list t
	assert_line -n 0 --regexp '^ID +DEAD AT +TYPE +ENTRY +GROUP +ATTEMPTS +REASON +PAYLOAD$'
	assert_line -n 1 --regexp '^[0-9]+-[0-9] +-  +t  +-  +-  +-  - +\{"symbol":"BTC"\}$'
	assert_line -n 2 --regexp ' 2-0 .* exit 0 +\{\}$'
	assert_line -n 3 --regexp ' 3-0 .* exit 1 +"x{16}\.\.\.$'
	run script -qec "stty cols 180; ebdead list -q t" /dev/null </dev/null
	[ "$(tail -1 <<<"$output" | tr -d '\r\n' | wc -c)" = 180 ]
}

@test "list --follow goes on with what comes, in streams that are there and in new ones, until SIGTERM" {
	letters t 1 1
	bg sub ebdead list --follow --limit 3 -f %e t
	wait_for "grep -q t-1-1 '$EB_TMP/sub.out'"
	letters t 2 3
	bg_wait sub
	assert_equal "$status" 0
	assert_equal "$(cat "$EB_TMP/sub.out")" $'t-1-1\nt-1-2\nt-1-3'
	bg more ebdead list --follow --last 1 -f %e t u
	wait_for "grep -q t-1-3 '$EB_TMP/more.out'"
	letters u 1 2
	wait_for "grep -q u-1-2 '$EB_TMP/more.out'"
	letters t 4 4
	wait_for "grep -q t-1-4 '$EB_TMP/more.out'"
	kill -TERM "$BG_PID"
	bg_wait more
	assert_equal "$status" 0
	assert_equal "$(xargs <"$EB_TMP/more.out")" 't-1-3 u-1-1 u-1-2 t-1-4'
}

@test "list: Redis away is 69, a key of another type is 1 and named, others are shown" {
	letters t 1 2
	rcli set "$D:s" string
	run -1 ebdead list -f %e s t
	assert_line --regexp "^ebdead: dead letters of 's' are not shown: 'quantum:dlq:s': .*WRONGTYPE"
	assert_line t-1-2
	run -77 ebdead list -u "$(as -xrange)" t
	redis_hide
	run -69 ebdead list t
	run -69 ebdead list
}

# --- drop --------------------------------------------------------------------------------------------------

@test "drop: wants --yes; deletes the selected ones, and says how many" {
	letters t 1 20
	letters u 1 3
	run -64 ebdead drop t
	assert_output --partial 'confirm with --yes'
	run -0 ebdead drop --dry-run --match dead_status='exit 1' -q t
	assert_equal ${#lines[@]} 10
	run -75 ebdead drop --yes --limit 3 -j t
	assert_output '{"deleted":3,"gone":0,"stopped":0,"left":true,"status":75}'
	assert_equal "$(ebdead list --payload t | jq -r .n | head -1)" 4
	run -0 ebdead drop --yes -v --match dead_status='exit 1' t none
	assert_output --regexp '^ebdead: 8 deleted, 0 already gone, 0 types stopped, in '
	assert_equal "$(ebdead list --payload t | jq -r .n | xargs)" '4 6 8 10 12 14 16 18 20'
	id=$(ebdead list -f %i t | sed -n 3p)
	run -0 ebdead drop --yes --until "$id" t
	assert_output ""
	run -0 ebdead drop --yes --last 2 t
	assert_equal "$(ebdead list --payload t | jq -r .n | xargs)" '10 12 14 16'
	run -0 ebdead drop --yes --since $ t
	run -75 ebdead drop --yes --limit 5 t u
	assert_equal "$(rcli xlen "$D:t") $(rcli xlen "$D:u") $(rcli exists "$S:t" "$S:u")" '0 2 0'
}

@test "drop deletes what redrive refuses; needs neither EVAL nor the stream; errors as for redrive" {
	lua "letter('t', 2, {})" >/dev/null
	run -0 ebdead drop --yes -u "$(as -@all +@connection +info +xinfo +xrange +xdel resetkeys "~$D:*")" t
	assert_equal "$(rcli xlen "$D:t")" 0
	letters t 1 3
	letters ok 1 3
	rcli set "$D:s" string
	run -1 ebdead drop --yes s ok
	assert_output --regexp "dead letters of 's' stay: 'quantum:dlq:s': .*WRONGTYPE"
	assert_equal "$(rcli xlen "$D:ok")" 0
	run -77 ebdead drop --yes -u "$(as -xdel)" t
	assert_output --partial NOPERM
	rcli replicaof 127.0.0.1 1 >/dev/null
	run -75 ebdead drop --yes t
	assert_output --partial READONLY
	rcli replicaof no one >/dev/null
	redis_hide
	run -69 ebdead drop --yes t
	redis_show
	assert_equal "$(rcli xlen "$D:t")" 3
}

@test "drop killed at 30 random moments: what was not selected stays, and the next run deletes the rest" {
	local i
	letters t 1 20000
	for ((i = 0; i < 30; i++)); do
		timeout -s KILL 0.0$((RANDOM % 3 + 1)) ebdead drop --yes --match dead_status='exit 1' --limit $((RANDOM % 900 + 1)) t || :
	done
	left=$(ebdead list --match dead_status='exit 1' -f %i t | wc -l)
	run -0 ebdead drop --yes --match dead_status='exit 1' -j t
	assert_equal "$(jq .deleted <<<"$output")" "$left"
	assert_equal "$(rcli xlen "$D:t")" 10000
	assert_equal "$(ebdead list --payload t | jq -r .n | cksum)" "$(seq 2 2 20000 | cksum)"
}

@test "drop whose reply is lost: 69, it says how many more may be deleted, and counts none of them" {
	letters t 1 8
	bg proxy python3 "$TOP/tests/support/proxy.py" "$EB_TMP/p" "$REDIS_SOCK" cut XDEL
	wait_for "[ -S '$EB_TMP/p' ]"
	run -69 --separate-stderr ebdead drop --yes -j -u "unix://$EB_TMP/p" t
	assert_output '{"deleted":0,"gone":0,"stopped":0,"left":true,"status":69}'
	assert_regex "$stderr" "'quantum:dlq:t': no reply to XDEL: up to 4 dead letters more may be deleted"
	assert_equal "$(rcli xlen "$D:t")" 8
	run -0 ebdead drop --yes -j t
	assert_equal "$(jq .deleted <<<"$output")" 8
}

@test "drop and re-drives at once, one of them by WATCH: each letter is moved or counted as deleted, once" {
	local url one sum
	url=$(as -@scripting)
	letters t 1 5000
	bg one ebdead redrive --maxlen 0 -j t
	bg two ebdead drop --yes -j t
	bg three ebdead drop --yes -j --match dead_status='exit 1' t
	bg four ebdead redrive --maxlen 0 -j -u "$url" t
	for one in one two three; do
		bg_wait $one
		assert_equal "$status" 0
	done
	bg_wait four
	[ "$status" = 0 ] || [ "$status" = 75 ]
	assert_equal "$(rcli xlen "$D:t")" 0
	sum=$(cat "$EB_TMP"/{one,two,three,four}.out | jq -s 'map((.redriven // 0) + (.deleted // 0)) | add')
	assert_equal "$sum" 5000
	assert_equal "$(rcli xlen "$S:t")" "$(cat "$EB_TMP"/{one,four}.out | jq -s 'map(.redriven) | add')"
	assert_equal "$(numbers t | tr ' ' '\n' | grep . | sort -n | uniq -d)" ""
}

# --- the old spellings ----------------------------------------------------------------------------------------

@test "the options that ebreplay and ebsub had are 64 and name the new command" {
	local old
	letters t 1 1
	while IFS='|' read -r old new; do
		eval "run -64 $old"
		assert_output --partial "$new" || fail "$old"
	done <<-'OLD'
		ebreplay --list|'ebbuffer list'
		ebreplay --check -j|'ebbuffer check'
		ebreplay --compress|'ebbuffer compress'
		ebreplay --retarget -u unix:///x|'ebbuffer retarget'
		ebreplay --discard --yes|'ebbuffer discard'
		ebreplay --quarantine list|'ebbuffer quarantine'
		ebreplay --dead t|'ebdead redrive'
		ebreplay --match a=b|'ebdead redrive --match'
		ebreplay --since 1h|'ebdead redrive --since'
		ebsub --peek --dead t|'ebdead list'
		ebsub --dead t|'ebdead list'
	OLD
	assert_equal "$(rcli xlen "$D:t") $(rcli exists "$S:t")" "1 0"
}
