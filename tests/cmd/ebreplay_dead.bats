#!/usr/bin/env bats
# covers: lib/drain lib/event
# Dead letters: ebreplay --dead re-drives them, each once and in order; ebsub --peek --dead prints them.

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
	for words in --dead '--dead --list t' '--check --dead t' '--dead --compress t' '--dead --quarantine list t' '--dead --wait 3 t' \
	    '--since 0' '--match a=b' '--dead --since x t' '--dead --match a t' '--dead --match =a t' '--dead --limit x t' "--dead 't*'" \
	    '--dead -- -t' '--dead --yes t' '--dry-run t'; do
		eval "run --separate-stderr ebreplay $words"
		assert_equal "$words: $status" "$words: 64"
		assert_equal "$output" ""
		assert_regex "$stderr" 'see ebreplay --help'
	done
	assert_equal "$(rcli xlen "$D:t")" 3
}

@test "dead letters go back in order, with their fields as they were, silently, and no buffer is needed" {
	unset EB_BUFFER_DIR XDG_STATE_HOME HOME
	letters t 1 1234
	letters u 1 3
	keep t
	keep u
	run -0 ebreplay --dead t u none
	assert_output ""
	moved t
	moved u
	run -0 ebreplay --dead t u none
	assert_output ""
	assert_equal "$(rcli xlen "$S:t")" 1234
}

@test "-v says what was done, -j too, -q neither" {
	letters t 1 3
	run -75 ebreplay --dead -v --limit 1 t
	assert_output --regexp '^ebreplay: 1 re-driven, 0 already gone, 0 refused, 0 types stopped, in .*; dead letters remain$'
	run -0 ebreplay --dead -j t
	assert_output '{"redriven":2,"gone":0,"refused":0,"trimmed":0,"stopped":0,"left":false,"status":0}'
	rcli set "$D:u" 1
	run -1 ebreplay --dead -q u
	assert_output ""
}

@test "on a terminal a line shows how far it is" {
	need script
	letters t 1 60
	run script -qec "ebreplay --dead --rate 60 t" /dev/null </dev/null
	assert_output --regexp '[0-9]+ of 60 events, [0-9]+/s'
	assert_output --partial '60 re-driven'
}

@test "--limit, --since and --match select; all --match must match, on fields and provenance, byte for byte" {
	letters t 1 20
	run -75 ebreplay --dead --limit 3 t
	assert_equal "$(numbers t)" "1 2 3 "
	run -75 ebreplay --dead --limit 2 --match dead_status='exit 1' --match dead_attempts=3 t
	assert_equal "$(numbers t)" "1 2 3 5 11 "
	run -0 ebreplay --dead --match dead_status='exit 1' --match dead_attempts=3 t
	assert_equal "$(numbers t)" "1 2 3 5 11 17 "
	run -0 ebreplay --dead --match payload='{"p":1,"n":7}' t
	run -0 ebreplay --dead --match payload='{"p":1,"n":8} ' --match event_id=t-1-8 t
	run -0 ebreplay --dead --match EVENT_ID=t-1-9 --match trace_id=x t
	assert_equal "$(numbers t)" "1 2 3 5 11 17 7 "
	run -75 ebreplay --dead --match trace_id= --limit 1 t
	assert_equal "$(numbers t)" "1 2 3 5 11 17 7 4 "
	# The dead letter of 18 is the third from the end.
	id=$(ebsub --peek --dead --last 3 -f %i t | head -1)
	run -0 ebreplay --dead --since "$id" t
	assert_equal "$(numbers t)" "1 2 3 5 11 17 7 4 18 19 20 "
	run -0 ebreplay --dead --since $ t
	run -0 ebreplay --dead --since 2100-01-01T00:00:00Z t
	run -0 ebreplay --dead --since 1h --limit 9 t
	assert_equal "$(numbers t)" "1 2 3 5 11 17 7 4 18 19 20 6 8 9 10 12 13 14 15 16 "
	# The limit counts the entries of all types together.
	letters a 1 3
	letters b 1 3
	run -75 ebreplay --dead --limit 4 a b
	assert_equal "$(numbers a) $(numbers b)" "1 2 3  1 "
}

@test "--dry-run prints what would go, and moves nothing" {
	letters t 1 5
	lua "letter('t', 6, {'a', 'b', 'event_id', '\27[31m'})" >/dev/null
	run -0 ebreplay --dead --dry-run --match dead_status='exit 0' t
	assert_line -n 0 --regexp '^SET ASIDE AT +TYPE +EVENT ID +BYTES +ATTEMPTS +STATUS$'
	assert_line -n 1 --regexp '^2025-12-04T10:30:00.000000Z  t +t-1-2 +[0-9]+ +3  exit 0$'
	assert_line -n 2 --regexp ' t-1-4 '
	assert_line -n 3 --regexp ' \?\[31m '
	assert_equal ${#lines[@]} 4
	run -0 ebreplay --dead --dry-run -q --limit 2 t
	assert_equal ${#lines[@]} 2
	run -0 bash -c 'ebreplay --dead --dry-run -j --limit 1 t | jq -c "[.event_type, .event_id, .bytes, .dead_id, .dead_stream, .dead_group,
		.dead_consumer, .dead_attempts, .dead_status, .dead_stderr, .dead_time]"'
	assert_output '["t","t-1-1",113,"1-0","quantum:stream:t","quantum:group:svc:t","eb-host-1","2","exit 1","no�\n","2025-12-04T10:30:00.000000Z"]'
	run -74 bash -c 'ebreplay --dead --dry-run t >/dev/full'
	assert_equal "$(rcli xlen "$D:t") $(rcli exists "$S:t")" "6 0"
}

@test "a dead letter without provenance is moved unchanged; one with nothing else stays, is named, and is 1" {
	lua "redis.call('XADD', KEYS[1], '*', 'symbol', 'BTC', 'dead_id', 'mine')
		letter('t', 2, {})
		letter('t', 3, {'dead_time', 'x', 'symbol', 'ETH'})" "$D:t"
	run -1 ebreplay --dead t
	assert_output --regexp "^ebreplay: 'quantum:dlq:t' [0-9]+-[0-9]+: nothing but a provenance: not moved$"
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
	run -0 ebreplay --dead -t 20 t
	assert_output ""
	moved t
	# The same by WATCH.
	rcli del "$S:t" >/dev/null
	rcli copy kept:t "$D:t" replace >/dev/null
	run -0 ebreplay --dead -t 20 -u "$(as -@scripting)" t
	assert_output ""
	moved t
}

@test "10 000 dead letters in bounded memory; also 60 of 2 MB after small ones" {
	local began took plain
	letters t 1 10000
	keep t
	began=${EPOCHREALTIME/./}
	run -0 peak_rss "$EB_TMP/rss" ebreplay --dead --maxlen 0 t
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
	run -0 peak_rss "$EB_TMP/rss" ebreplay --dead -t 20 --maxlen 0 u
	assert_output ""
	moved u
	[ -n "${EB_SANITIZE:-}" ] || [ "$(cat "$EB_TMP/rss")" -lt 102400 ] || fail "$(cat "$EB_TMP/rss") KiB"
}

@test "a dead letter that is added again during the run is not moved again" {
	letters t 1 40
	bg again bash -c "while :; do redis-cli -s '$REDIS_SOCK' xadd $D:t '*' payload again >/dev/null; done"
	wait_for "[ \$(rcli xlen $D:t) -gt 45 ]"
	run -0 timeout 60 ebreplay --dead --rate 100 t
	[ "$(rcli xlen "$D:t")" -gt 0 ]
	assert_equal "$(ebsub --peek -q --payload t | jq -r .n | head -40 | sort -n | uniq | wc -l)" 40
}

@test "an entry that a command could not handle, set aside by ebsub, goes back byte for byte and is handled" {
	local payload='{"n":1.0,"n":2,"s":"\u00e9"}'
	ebpub -q t "$payload"
	rcli copy "$S:t" kept:t >/dev/null
	run timeout 60 ebsub -q -s svc -e --max-deliveries 1 t -- sh -c 'echo broken >&2; exit 3'
	run -0 bash -c 'ebsub --peek --dead t | jq -r "[.fields.dead_group, .fields.dead_status, .fields.dead_stderr] | @tsv"'
	assert_output --regexp '^quantum:group:svc:t	exit 3	broken'
	rcli xtrim "$S:t" maxlen 0 >/dev/null
	run -0 ebreplay --dead --match dead_status='exit 3' t
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
		run -1 ebreplay -u "$url" --dead a b ok
		assert_line --regexp "^ebreplay: dead letters of 'a' stay: .*WRONGTYPE"
		assert_line --regexp "^ebreplay: dead letters of 'b' stay: 'quantum:dlq:b': .*WRONGTYPE"
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
		bg drive ebreplay -u "$url" --dead --rate 100 t
		wait_for "[ \$(rcli xlen $S:t) -gt 10 ]"
			printf 'multi\nrename %s:t aside\nset %s:t string\nexec\n' "$S" "$S" | rcli >/dev/null
		bg_wait drive
		assert_equal "$status" 1
		assert_regex "$(cat "$EB_TMP/drive.err")" "dead letters of 't' stay: "
		assert_equal "$(($(rcli xlen aside) + $(rcli xlen "$D:t")))" 500
		rcli rename aside "$S:t" >/dev/null
		run -0 ebreplay -u "$url" --dead t
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
		run -1 ebreplay -u "$url" --dead t
		assert_output --partial "exhausted the last possible ID"
		assert_equal "$(numbers --dead t | tr ' ' '\n' | sort -n | xargs)" "1 2 3"
	done
	assert_equal "$(ebsub --peek --dead -f '%e' t | sort | xargs) $(rcli xlen "$S:t")" "t-1-1 t-1-2 t-1-3 1"
	assert_equal "$(ebsub --peek --dead t | jq -r .fields.dead_id | sort | xargs)" "1-0 2-0 3-0"
}

@test "a stream full of what a group needs: 75, other types go on; consumed it goes on; --force pushes out" {
	letters t 1 300
	letters ok 1 3
	rcli eval "for i = 1, 60 do redis.call('XADD', KEYS[1], '*', 'payload', '{\"n\":0}') end" 1 "$S:t" >/dev/null
	rcli xgroup create "$S:t" g 0 >/dev/null
	run -75 ebreplay --dead --maxlen 50 t ok
	assert_output --regexp "dead letters of 't' stay: stream full: .* group 'g' still needs"
	assert_equal "$(numbers ok)" "1 2 3 "
	left=$(rcli xlen "$D:t")
	[ "$left" -gt 150 ]
	assert_equal "$(rcli xlen "$S:t")" $((360 - left))
	ebsub -g g -e --payload t >/dev/null
	run -75 ebreplay --dead --maxlen 50 t
	[ "$(rcli xlen "$D:t")" -lt "$left" ]
	run -75 ebreplay --dead --maxlen 50 -j t
	run -0 ebreplay --dead --maxlen 50 --force t
	assert_equal "$(rcli xlen "$D:t")" 0
	[ "$(rcli xlen "$S:t")" -lt 200 ]
}

@test "a stream without groups is trimmed as by ebpub, and that is counted; --maxlen 0 does not" {
	letters t 1 500
	run -0 bash -c 'ebreplay --dead --maxlen 100 -j t | jq -c "[.redriven, .trimmed > 250]"'
	assert_output '[500,true]'
	[ "$(rcli xlen "$S:t")" -lt 250 ]
	letters u 1 500
	run -0 ebreplay --dead --maxlen 0 u
	assert_equal "$(rcli xlen "$S:u")" 500
}

@test "Redis away is 69, silent for too long too; full memory and a replica are 75; a wrong password 77: all is kept" {
	letters t 1 3
	redis_hide
	run -69 ebreplay --dead t
	assert_output --regexp '^ebreplay: connect to .*: No such file or directory$'
	redis_show
	redis_pause
	run -69 ebreplay --dead -t 0.2 t
	redis_resume
	rcli config set maxmemory 1 >/dev/null
	run -75 ebreplay --dead t
	assert_output --partial 'OOM '
	run -75 ebreplay -u "$(as -@scripting)" --dead t
	assert_output --partial 'OOM '
	rcli config set maxmemory 0 >/dev/null
	rcli config set replica-serve-stale-data yes >/dev/null
	rcli replicaof 127.0.0.1 1 >/dev/null
	run -75 ebreplay --dead t
	assert_output --partial READONLY
	rcli replicaof no one >/dev/null
	run -77 ebreplay --dead -u "redis://less:wrong@127.0.0.1:$REDIS_PORT" t
	assert_equal "$(rcli xlen "$D:t") $(rcli exists "$S:t")" "3 0"
	run -0 ebreplay --dead t
	assert_equal "$(numbers t)" "1 2 3 "
}

@test "without the right to EVAL it goes by WATCH; without that too it is 77 and says what is needed" {
	letters t 1 300
	keep t
	run -0 ebreplay --dead -u "$(as -@scripting)" t
	assert_output ""
	moved t
	letters u 1 3
	for right in '-@scripting -multi' '-@scripting -watch' '-@scripting -type' -xadd -xdel -xrange "resetkeys ~$D:*" "resetkeys ~$S:*"; do
		# shellcheck disable=SC2086  # words
		run -77 ebreplay --dead -u "$(as $right)" u
		assert_output --partial NOPERM
		assert_equal "$right: $(rcli xlen "$D:u") $(rcli exists "$S:u")" "$right: 3 0"
	done
	run -77 ebreplay --dead -u "$(as -@scripting -exec)" u
	assert_output --partial '(needed: EVAL, or WATCH, TYPE, MULTI and EXEC; and XRANGE, XADD, XDEL)'
	# Without permission for XINFO nothing is trimmed.
	run -0 ebreplay --dead --maxlen 1 -u "$(as -xinfo '+xinfo|stream')" u
	assert_equal "$(rcli xlen "$S:u")" 3
}

# bats test_tags=nosanitize
@test "by WATCH, moved by another process between the read and EXEC: once" {
	need strace
	letters t 1 3
	bg slow strace -f -qq -o "$EB_TMP/trace" -e trace=sendto -e inject=sendto:delay_enter=500000 \
		ebreplay --dead --maxlen 0 -u "$(as -@scripting)" t
	wait_for 'rcli client list | grep -q cmd=multi' 20
	run -0 ebreplay --dead --maxlen 0 -j t
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
	bg other timeout 60 ebreplay --dead --maxlen 0 -u "$url" t
	until ebreplay --dead --maxlen 0 -u "$url" t 2>"$EB_TMP/err"; do
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
	bg one ebreplay --dead --maxlen 0 -j t
	bg two ebreplay --dead --maxlen 0 -j t
	bg three ebreplay --dead --maxlen 0 -j -u "$url" t
	for one in one two; do
		bg_wait $one
		assert_equal "$status" 0
	done
	bg_wait three
	# A key that changes too often is given up, and tried again.
	[ "$status" = 0 ] || [ "$status" = 75 ]
	run -0 ebreplay --dead --maxlen 0 t
	check_streams t
	assert_equal "$(cat "$EB_TMP"/{one,two,three}.out | jq -s 'map(.redriven) | add')" 5000
}

@test "SIGTERM and SIGINT end it behind a whole batch, with 128+n; the rest stays" {
	local sig
	letters t 1 1000
	for sig in TERM:143 INT:130; do
		bg drive env --default-signal=INT ebreplay --dead --maxlen 0 --rate 100 t
		wait_for "[ \$(rcli xlen $S:t) -gt 20 ]"
		kill -"${sig%:*}" "$BG_PID"
		bg_wait drive
		assert_equal "$status" "${sig#*:}"
	done
	[ "$(rcli xlen "$D:t")" -gt 0 ]
	run -0 ebreplay --dead --maxlen 0 t
	check_streams t
}

@test "killed at 30 random moments, the server too: each once and in order" {
	local i
	letters t 1 20000
	for ((i = 0; i < 30; i++)); do
		timeout -s KILL 0.0$((RANDOM % 5 + 1)) ebreplay --dead --maxlen 0 --limit $((RANDOM % 900 + 1)) t || :
	done
	run -0 ebreplay --dead --maxlen 0 t
	check_streams t
	assert_equal "$(rcli xlen "$D:t")" 0
}

# --- ebsub --peek --dead --------------------------------------------------------------------------------------

@test "ebsub --peek --dead shows them, the provenance under fields, and the key as stream" {
	letters t 1 5
	letters u 1 2
	run -0 bash -c 'ebsub --peek --dead --last 1 t | jq -c "[.stream, .event_type, .payload, .event_id, .fields.dead_id, .fields.dead_status, .deliveries]"'
	assert_output '["quantum:dlq:t","t",{"p":1,"n":5},"t-1-5","5-0","exit 1",null]'
	run -0 ebsub --peek --dead -f '%t %k %e' -n 1 t
	assert_output 't quantum:dlq:t t-1-1'
	run -0 ebsub --peek --dead --payload '*'
	assert_equal ${#lines[@]} 7
	id=$(ebsub --peek --dead -f %i t | sed -n 3p)
	run -0 ebsub --peek --dead --from "$id" -f %e t
	assert_output $'t-1-3\nt-1-4\nt-1-5'
	run -0 ebsub --peek --dead --to "$id" -f %e t
	assert_output $'t-1-1\nt-1-2\nt-1-3'
	run -0 ebsub --peek --dead 'none*'
	assert_output --partial 'no such stream'
	assert_equal "$(rcli xlen "$D:t") $(rcli exists "$S:t")" "5 0"
}

@test "ebsub --peek --dead --follow goes on with what comes" {
	letters t 1 1
	bg sub ebsub --peek --dead --follow -n 3 -f %e t
	wait_for "grep -q t-1-1 '$EB_TMP/sub.out'"
	letters t 2 3
	bg_wait sub
	assert_equal "$(cat "$EB_TMP/sub.out")" $'t-1-1\nt-1-2\nt-1-3'
}

@test "ebsub --dead without --peek is 64 and names --peek" {
	run -64 ebsub --dead t
	assert_output --partial 'valid with ebsub --peek'
	run -0 rcli exists "$D:t" "$S:t"
	assert_output 0
}
