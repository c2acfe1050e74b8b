#!/usr/bin/env bats
# covers: bin/ebpub.c lib/publish lib/buffer lib/event lib/conf
# ebpub(1) against a private server.

# shellcheck disable=SC2016,SC2030,SC2031,SC2154  # bats: a test is a subshell, and sets $stderr; a $ of the inner shell

load ../support/helper
load ../support/buffer

setup_file() {
	redis_start_tcp
}

setup() {
	buffer_setup
}

# JSON values whose bytes change when they are parsed and printed again.
odd_payloads() {
	cat <<-'END'
		1.10
		9007199254740993
		"\u0000"
		{"a":1,"a":2}
		{ "b" : [ 1 ,  2 ] , "a" : 1e5 }
		{"z":-0.0,"y":1E+2,"x":"\/\u00e9é€😀","w":[{},[],null,true,false]}
		"back\\slash \"quote\" \t tab"
		123456789012345678901234567890.123456789
	END
}

# --- usage ---------------------------------------------------------------------------

@test "-V and --version print the version" {
	run -0 ebpub -V
	assert_output --regexp '^ebpub [0-9]+\.[0-9]+'
	run -0 ebpub --version
	assert_output --regexp '^ebpub '
}

@test "usage errors are 64, and nothing is printed, buffered or published" {
	local words
	for words in '' -x 'a:b 1' '-- -a 1' 'a 1 2' '-t x a 1' '-p 6379 a 1' '-u nonsense a 1' '-J a' '--nothing a 1' \
	    '--maxlen x a 1' '--maxlen -1 a 1' '--max-payload 1Q a 1' '--timestamp noon a 1' "--event-id '' a 1" \
	    '--buffer-max x a 1' '--min-free x a 1' '--segment-size x a 1' "'' 1" "\$'a\\nb' 1" "--trace-id \$'\\xff' a 1"; do
		eval "run --separate-stderr ebpub $words </dev/null"
		assert_equal "$words: $status" "$words: 64"
		assert_equal "$output" ""
		assert_regex "$stderr" 'see ebpub --help'
	done
	run ! test -e "$B"
	assert_equal "$(rcli dbsize)" 0
}

@test "a type of 200 characters is taken, one of 201 is 64" {
	local t
	t=$(printf 'x%.0s' {1..200})
	run -0 ebpub "$t" 1
	run -64 ebpub "${t}x" 1
}

@test "a pattern as type is 64 with the hint where patterns work" {
	run -64 ebpub 'ai.*' 1
	assert_output --partial 'ebsub --peek'
}

@test "no place for a buffer: published, with a warning that names -b; 78 when Redis is away too" {
	unset EB_BUFFER_DIR XDG_STATE_HOME HOME
	run -0 --separate-stderr ebpub a 1
	assert_regex "$stderr" '-b DIR; events are not buffered if Redis goes away$'
	run -0 --separate-stderr ebpub -q a 2
	assert_equal "$stderr" ''
	run -2 ebhealth
	assert_output --partial 'no directory for the disk buffer'
	down
	run -78 ebpub a 3
	assert_output --partial 'event 1 is NOT safe: no directory'
	assert_output --partial '-b'
	up
	assert_equal "$(payloads a | xargs)" '1 2'
}

@test "TLS is 78 until it is built" {
	run -78 ebpub -u rediss://127.0.0.1/ a 1
}

# --- one event -------------------------------------------------------------------------

@test "an event is one entry, its fields in the order of eventbus(7), its ID on stdout" {
	run -0 --separate-stderr ebpub ai.signal.generated '{"symbol":"BTCUSDT","confidence":0.85}'
	assert_equal "$stderr" ""
	assert_regex "$output" '^[0-9]+-[0-9]+$'
	assert_equal "$(rcli --json xrange "$S:ai.signal.generated" - + | jq -r '.[0][0]')" "$output"
	assert_equal "$(rcli --json xrange "$S:ai.signal.generated" - + | jq -c '[.[0][1] | to_entries[] | select(.key % 2 == 0).value]')" \
		'["event_type","payload","trace_id","correlation_id","timestamp","source","event_id"]'
	assert_equal "$(values ai.signal.generated 1)" ai.signal.generated
	assert_equal "$(payloads ai.signal.generated)" '{"symbol":"BTCUSDT","confidence":0.85}'
	assert_equal "$(values ai.signal.generated 5)" ""
	assert_regex "$(values ai.signal.generated 7)" '^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$'
	assert_regex "$(values ai.signal.generated 9)" '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{6}Z$'
	assert_equal "$(values ai.signal.generated 11)" eventbus
	assert_regex "$(event_ids ai.signal.generated)" '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$'
	assert_equal "$(lines 2>/dev/null)" ""
}

@test "--trace-id --correlation-id --source --timestamp --event-id are carried, directly and through the buffer" {
	local words=(--trace-id abc123 --correlation-id 'c 1' --source 'my"app' --timestamp 2025-12-04T12:30:00.5+02:00 --event-id 'id 1')
	run -0 ebpub "${words[@]}" a 1
	down
	run -0 ebpub "${words[@]}" a 2
	assert_output buffered
	up
	run -0 ebreplay
	for n in 5=abc123 7='c 1' 9=2025-12-04T10:30:00.500000Z 11='my"app' 13='id 1'; do
		assert_equal "$(values a "${n%%=*}" | uniq -c | tr -s ' ')" " 2 ${n#*=}"
	done
	assert_equal "$(payloads a | xargs)" '1 2'
}

@test "an event_id given twice on purpose is published twice, also through the buffer" {
	run -0 ebpub --event-id x a 1
	run -0 ebpub --event-id x a 1
	down
	run -0 ebpub --event-id x a 1
	up
	run -0 ebreplay
	assert_equal "$(length a)" 3
}

@test "-s is the source, -p the prefix" {
	run -0 ebpub -s feed -p other a 1
	assert_equal "$(rcli --json xrange other:stream:a - + | jq -r '.[0][1][11]')" feed
	assert_equal "$(length a)" 0
}

@test "-q says nothing, -j one JSON object an event, -v more on stderr" {
	run -0 ebpub -q a 1
	assert_output ""
	run -65 --separate-stderr ebpub -j a < <(printf '1\nnope\n2\n')
	assert_equal "$(jq -c '[.event, .result, (.id | type)]' <<<"$output" | xargs)" '[1,added,string] [2,refused,null] [3,added,string]'
	down
	run -0 --separate-stderr ebpub -j a 1
	assert_equal "$output" '{"event":1,"result":"buffered","id":null}'
	assert_equal "$stderr" ""
	run -0 --separate-stderr ebpub -v a 1
	assert_equal "$output" buffered
	assert_regex "$stderr" '^ebpub: .*buffering'
}

@test "the payload as an argument leaves stdin alone" {
	run -0 bash -c '{ ebpub -q a 1; cat; } <<<"left alone"'
	assert_output 'left alone'
}

@test "--maxlen, EB_MAXLEN and the config file trim; --maxlen 0 does not" {
	seq 400 | ebpub -q --maxlen 100 a
	[ "$(length a)" -lt 250 ]
	seq 400 | EB_MAXLEN=100 ebpub -q b
	[ "$(length b)" -lt 250 ]
	mkdir -p "$XDG_CONFIG_HOME/eventbus"
	printf '[c]\nmaxlen = 100\n' >"$XDG_CONFIG_HOME/eventbus/config"
	seq 400 | ebpub -q c
	[ "$(length c)" -lt 250 ]
	seq 400 | ebpub -q d
	assert_equal "$(length d)" 400
	seq 400 | EB_MAXLEN=100 ebpub -q --maxlen 0 e
	assert_equal "$(length e)" 400
}

# --- payloads --------------------------------------------------------------------------------

@test "payloads come out byte for byte: directly, buffered, and replayed" {
	odd_payloads >"$EB_TMP/in"
	ebpub -q a <"$EB_TMP/in"
	payloads a | cmp - "$EB_TMP/in"
	down
	ebpub -q b <"$EB_TMP/in"
	lines | jq -r .message.payload | cmp - "$EB_TMP/in"
	up
	run -0 ebreplay
	payloads b | cmp - "$EB_TMP/in"
}

@test "white space around a payload goes, CRLF too; inside it stays" {
	printf '  {"a" :  1}\t\r\n\t 7 \r\n' | ebpub -q a
	assert_equal "$(payloads a)" $'{"a" :  1}\n7'
	ebpub -q b $' [1,\n  2]\n'
	assert_equal "$(payloads b)" $'[1,\n  2]'
}

@test "a pretty-printed payload: TYPE -, -0 and as an argument; buffered as one line" {
	local pretty=$'{\n  "a": [\n    1.10\n  ]\n}'
	ebpub -q a - <<<"$pretty"
	printf '%s\0%s' "$pretty" 2 | ebpub -q -0 a
	ebpub -q a "$pretty"
	assert_equal "$(payloads a)" "$pretty"$'\n'"$pretty"$'\n2\n'"$pretty"
	down
	ebpub -q b - <<<"$pretty"
	assert_equal "$(lines | wc -l)" 1
	up
	run -0 ebreplay
	assert_equal "$(payloads b)" "$pretty"
}

@test "what RFC 8259 excludes is refused with its line, the rest goes on: 65" {
	local bad
	while IFS= read -r bad; do
		run -65 --separate-stderr ebpub a < <(printf '1\n%b\n2\n' "$bad")
		assert_equal "${lines[1]}" refused
		assert_regex "$stderr" '^ebpub: line 2: .*refused'
		assert_equal "$bad: $(length a)" "$bad: 2"
		redis_flush
	done <<-'END'
		01
		2.
		.5
		NaN
		Infinity
		[1,]
		{"a":1,}
		"a\tb"
		"\xff"
		"\xed\xa0\x80"
		"open
		1 2
		{a:1}
		'a'
		\xef\xbb\xbf1
		tru
		1\0
		"\\x"
	END
}

@test "an empty payload is refused: as an argument and as TYPE -" {
	run -65 ebpub a ''
	run -65 ebpub a - </dev/null
	assert_equal "$(length a)" 0
}

@test "depth: 100 000 brackets neither crash nor change" {
	{ head -c 100000 /dev/zero | tr '\0' '['; head -c 100000 /dev/zero | tr '\0' ']'; } >"$EB_TMP/in"
	run ebpub -q a - <"$EB_TMP/in"
	[ "$status" = 0 ] || [ "$status" = 65 ]
	[ "$status" = 65 ] || payloads a | tr -d '\n' | cmp - "$EB_TMP/in"
}

@test "empty lines are skipped, the last line may lack its end" {
	run -0 ebpub a < <(printf '\n1\n  \n\r\n2\n\n3')
	assert_equal "${#lines[@]}" 3
	assert_equal "$(payloads a | xargs)" '1 2 3'
}

@test "no input is no event" {
	run -0 ebpub a </dev/null
	assert_output ""
	assert_equal "$(rcli dbsize)" 0
}

@test "a line of 10 MB, directly and through the buffer" {
	{ printf '"'; head -c 10000000 /dev/zero | tr '\0' x; printf '"\n'; } >"$EB_TMP/in"
	ebpub -q a <"$EB_TMP/in"
	rcli xrange "$S:a" - + | sed -n 5p | cmp - "$EB_TMP/in"
	down
	run -0 ebpub b <"$EB_TMP/in"
	assert_output buffered
	up
	run -0 ebreplay
	rcli xrange "$S:b" - + | sed -n 5p | cmp - "$EB_TMP/in"
}

@test "--max-payload: argument, line, record, TYPE - and -J" {
	run -65 ebpub --max-payload 4 a '"12345"'
	assert_output --partial '--max-payload'
	run -65 --separate-stderr ebpub --max-payload 4 a < <(printf '1234\n12345\n6\n')
	assert_equal "${lines[1]}" refused
	assert_regex "$stderr" 'line 2: .*--max-payload'
	run -65 --separate-stderr ebpub -0 --max-payload 4 a < <(printf '1234\00012345')
	assert_regex "$stderr" 'record 2'
	run -65 ebpub --max-payload 4 a - <<<12345
	run -65 ebpub --max-payload 4 -J <<<'{"event_type":"a","payload":12345}'
	assert_equal "$(payloads a | xargs)" '1234 6 1234'
}

# bats test_tags=nosanitize
@test "a line of 300 MB above --max-payload is refused without being held" {
	need time
	peak_rss "$EB_TMP/rss" ebpub --max-payload 1M a \
		< <(echo 1; head -c 300000000 /dev/zero | tr '\0' 1; echo; echo 2) >"$EB_TMP/out" 2>"$EB_TMP/err" || status=$?
	assert_equal "$status" 65
	assert_equal "$(sed -n 2p "$EB_TMP/out")" refused
	assert_equal "$(payloads a | xargs)" '1 2'
	[ "$(tail -1 "$EB_TMP/rss")" -lt 16384 ]
}

# --- -J ------------------------------------------------------------------------------------------

@test "-J takes what ebsub prints, and keeps payload bytes and identity" {
	run -0 ebpub -J <<-'END'
		{"id":"1-0","stream":"quantum:stream:t","event_type":"t","payload":{ "n" : 1.10 },"trace_id":"","correlation_id":"c","timestamp":"2025-12-04T10:30:00.000000Z","source":"s","event_id":"e1","deliveries":1}
		{"event_type":"u","payload_text":"not { json"}
		{"event_type":"u","payload_base64":"/w=="}
	END
	assert_equal "$(payloads t)" '{ "n" : 1.10 }'
	assert_equal "$(values t 7) $(values t 9) $(values t 11) $(event_ids t)" 'c 2025-12-04T10:30:00.000000Z s e1'
	assert_equal "$(payloads u | head -1)" 'not { json'
	assert_equal "$(rcli xrange "$S:u" - + | grep -ac $'^\xff$')" 1
}

@test "-J through the buffer: a payload that is no JSON or no UTF-8 comes out as it was" {
	down
	run -0 ebpub -J <<-'END'
		{"event_type":"u","payload_text":"not { json"}
		{"event_type":"u","payload_base64":"/w=="}
	END
	assert_equal "$output" $'buffered\nbuffered'
	lines | jq -e . >/dev/null
	up
	run -0 ebreplay
	assert_equal "$(payloads u | head -1)" 'not { json'
	assert_equal "$(rcli xrange "$S:u" - + | grep -ac $'^\xff$')" 1
}

@test "-J refuses by line what is no event, and goes on: 65" {
	run -65 --separate-stderr ebpub -J <<-'END'
		{"event_type":"a","payload":1}
		{"payload":1}
		{"event_type":"a"}
		[1]
		{"event_type":"a b","payload":1}
		{"event_type":"a","payload":1,"fields":{}}
		{"event_type":"a","payload":01}
		{"event_type":"a","payload":2}
	END
	assert_equal "$(length a)" 2
	assert_equal "$(grep -c ': refused$' <<<"$stderr")" 6
	for n in 2 3 4 5 6 7; do
		assert_regex "$stderr" "line $n: "
	done
}

@test "-J -0: objects over several lines" {
	printf '{"event_type":"a",\n "payload":[1,\n2]}\0{"event_type":"b","payload":3}\0' | ebpub -q -J -0
	assert_equal "$(payloads a)" $'[1,\n2]'
	assert_equal "$(payloads b)" 3
}

@test "-J keeps each type's order when some are mixed" {
	for n in $(seq 500); do
		echo "{\"event_type\":\"t$((n % 5))\",\"payload\":$n}"
	done | ebpub -q -J
	for t in 0 1 2 3 4; do
		payloads t$t | sort -nc
	done
	assert_equal "$(length t3)" 100
}

# --- standard input as a stream --------------------------------------------------------------------

@test "a slow writer's line is published at once, and its ID is printed before the next line arrives" {
	feed pub ebpub a
	for n in 1 2 3; do
		echo $n >&8
		wait_for "[ \$(wc -l <'$EB_TMP/pub.out') = $n ]" 5
		assert_equal "$(length a)" $n
	done
	exec 8>&-
	bg_wait pub
	assert_equal "$status" 0
}

@test "a slow writer's line is buffered at once when Redis is down" {
	down
	feed pub ebpub a
	for n in 1 2 3; do
		echo $n >&8
		wait_for "[ \$(wc -l <'$EB_TMP/pub.out') = $n ]" 5
		assert_equal "$(lines | wc -l)" $n
	done
	exec 8>&-
	bg_wait pub
	assert_equal "$status $(sort -u "$EB_TMP/pub.out")" '0 buffered'
}

@test "IDs come in the order of the input" {
	run -0 bash -c 'seq 5000 | ebpub a'
	assert_equal "$(rcli --json xrange "$S:a" - + | jq -r '.[][0]' | cksum)" "$(cksum <<<"$output")"
	assert_equal "$(payloads a | cksum)" "$(seq 5000 | cksum)"
}

@test "Redis killed in mid-stream: every accepted event is there, in order, without a gap" {
	redis_start_tcp --appendonly yes --appendfsync no
	feed pub ebpub a
	(for ((n = 1; n <= 6000; n++)); do echo $n; done >&8) 3>&- 4>&- &
	wait_for '[ "$(length a)" -gt 500 ]'
	redis_kill
	wait_for "grep -q buffered '$EB_TMP/pub.out'"
	wait $!
	exec 8>&-
	bg_wait pub
	assert_equal "$status" 0
	assert_equal "$(wc -l <"$EB_TMP/pub.out")" 6000
	run ! grep -vxE '[0-9]+-[0-9]+|buffered' "$EB_TMP/pub.out"
	# After one event was buffered, none is published directly before it is drained.
	assert_equal "$(cut -c1 "$EB_TMP/pub.out" | uniq | wc -l)" 2
	redis_restart
	run -0 ebreplay
	assert_equal "$(payloads a | cksum)" "$(seq 6000 | cksum)"
	assert_equal "$(event_ids a | sort | uniq -d | wc -l)" 0
	redis_start_tcp
}

@test "Redis comes back under a long-lived ebpub: it drains, and goes on directly" {
	down
	feed pub ebpub a
	echo 1 >&8
	wait_for "[ \$(wc -l <'$EB_TMP/pub.out') = 1 ]"
	up
	# The same without another input line.
	wait_for '[ "$(length a)" = 1 ]' 10
	wait_for "! ls '$B'/*.jsonl"
	echo 2 >&8
	wait_for "[ \$(wc -l <'$EB_TMP/pub.out') = 2 ]"
	exec 8>&-
	bg_wait pub
	assert_equal "$status $(payloads a | xargs)" '0 1 2'
	assert_regex "$(tail -1 "$EB_TMP/pub.out")" '^[0-9]+-[0-9]+$'
}

# bats test_tags=novalgrind
@test "a writer that waits costs no processor time, Redis up or down" {
	for state in up down; do
		$state
		feed $state ebpub a
		echo 1 >&8
		wait_for "[ -s '$EB_TMP/$state.out' ]"
		sleep 1
		local ticks
		ticks=$(awk '{print $14 + $15}' "/proc/${BG[$state]}/stat")
		exec 8>&-
		bg_wait $state
		[ "$ticks" -lt 30 ] || fail "$state: $ticks ticks"
	done
}

@test "stdout full: status 1, the events are published" {
	run -1 bash -c 'seq 10 | ebpub a >/dev/full'
	assert_output --partial 'standard output'
	assert_equal "$(length a)" 10
	run -1 bash -c 'ebpub a 11 >/dev/full'
	assert_equal "$(length a)" 11
}

# bats test_tags=novalgrind
@test "stdout closed: status 1, the event is published, no file gets a stray line" {
	run -1 bash -c 'ebpub a 1 >&-'
	assert_equal "$(length a)" 1
	down
	run -1 bash -c 'ebpub a 2 >&- 2>&-'
	lines | jq -e . >/dev/null
	assert_equal "$(lines | wc -l)" 1
}

@test "the reader of stdout goes away: status 1, all events are published" {
	run -0 bash -c '{ seq 20000 | ebpub a; echo $? >"$EB_TMP/st"; } | head -1 >/dev/null'
	assert_equal "$(length a)" "$(rcli xlen "$S:a")"
	[ "$(length a)" -ge 10000 ]
	assert_equal "$(tail -1 <<<"$(payloads a)")" 20000
}

@test "stdin closed: no event, and not status 0" {
	run bash -c 'ebpub a <&-'
	[ "$status" != 0 ]
	assert_equal "$(length a)" 0
	run -0 bash -c 'ebpub a 1 <&-'
}

@test "stdin is a directory: 74, named" {
	run -74 ebpub a </
	assert_output --partial 'standard input'
}

@test "SIGTERM in mid-stream: 143, what was taken is answered and safe" {
	for state in up down; do
		$state
		feed pub$state ebpub $state
		seq 100 >&8
		wait_for "[ \$(wc -l <'$EB_TMP/pub$state.out') = 100 ]"
		kill -TERM "${BG[pub$state]}"
		bg_wait pub$state 5
		assert_equal "$state $status" "$state 143"
		exec 8>&-
	done
	assert_equal "$(length up) $(lines | wc -l)" '100 100'
}

# --- the buffer ----------------------------------------------------------------------------------------

# bats test_tags=novalgrind
@test "Redis down: buffered, status 0; 75 with --exit-buffered; 74 and named with --no-buffer" {
	down
	run -0 --separate-stderr ebpub a 1
	assert_equal "$output$stderr" buffered
	run -75 ebpub --exit-buffered a 2
	assert_output buffered
	run -74 --separate-stderr ebpub --no-buffer a 3
	assert_equal "$output" unsafe
	assert_regex "$stderr" 'event 1 is NOT safe'
	run -74 ebpub --no-buffer -j a 3
	assert_output --partial '"result":"unsafe"'
	assert_equal "$(lines | jq -r .message.payload | xargs)" '1 2'
	up
	run -0 ebpub --exit-buffered a 4
	run -0 ebpub --no-buffer a 5
	assert_equal "$(payloads a | xargs)" '1 2 4 5'
}

@test "--no-buffer makes no directory" {
	run -0 ebpub --no-buffer a 1
	run ! test -e "$B"
}

@test "what is made has modes 0700 and 0600, whatever the umask" {
	down
	for mask in 000 077 277; do
		EB_BUFFER_DIR=$EB_TMP/b/$mask bash -c "umask $mask; ebpub -q a 1 && ebpub -q --segment-size 1 a 2"
	done
	assert_equal "$(find "$EB_TMP/b" -type d -printf '%m\n' | sort -u)" 700
	assert_equal "$(find "$EB_TMP/b" -type f -printf '%m\n' | sort -u)" 600
}

@test "a directory that others can write to: nothing in it, published with one warning; 78 when Redis is away too" {
	local mode
	mkdir "$B"
	for mode in 777 720 775; do
		chmod $mode "$B"
		run -0 --separate-stderr ebpub a < <(seq 3)
		assert_equal "${#lines[@]}" 3
		assert_equal "$(grep -c "'$B' is writable by others (mode 0$mode).*not buffered" <<<"$stderr")" 1
		refute_regex "$stderr" 'order'
		run -0 --separate-stderr ebpub -q a 4
		assert_equal "$stderr" ''
		run -2 ebhealth
		assert_output --partial 'writable by others'
		down
		run -78 --separate-stderr ebpub a 5
		assert_equal "$output" unsafe
		assert_regex "$stderr" "event 1 is NOT safe: buffer '$B' is writable by others"
		up
	done
	assert_equal "$(ls -A "$B")" ""
	assert_equal "$(length a)" 12
}

@test "a buffer that others can write to holds events: new ones are published, and their order is said to be unknown" {
	down
	seq 3 | ebpub -q a
	up
	chmod 775 "$B"
	run -0 --separate-stderr ebpub a < <(seq 4 5)
	assert_equal "$(grep -c 'may hold earlier events, so the order of events is not known' <<<"$stderr")" 1
	chmod 700 "$B"
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '4 5 1 2 3'
}

# Lets a command that root runs as the buffer's owner reach the server's socket.
let_others_connect() {
	local p
	for p in "$EB_TMP" "$REDIS_DIR"; do
		while [ ${#p} -ge ${#BATS_RUN_TMPDIR} ]; do
			chmod o+x "$p"
			p=${p%/*}
		done
	done
}

@test "a running ebpub notices that its buffer cannot be written, and that it can be again" {
	need_root
	local home
	home=$(mktemp -d)
	B=$home/buffer
	export EB_BUFFER_DIR=$B
	chmod 755 "$home"
	mkdir -m 775 "$B"
	chown 65534:65534 "$B"
	let_others_connect
	feed pub timeout 60 ebpub a
	say() {
		echo "$1" >&8
		wait_for "[ \$(wc -l <'$EB_TMP/pub.out') = $1 ]"
		sleep 1.1
	}
	say 1
	chmod 700 "$B"
	say 2
	assert_equal "$(wc -l <"$EB_TMP/pub.err")" 1
	chmod 500 "$B"
	say 3
	say 4
	assert_equal "$(wc -l <"$EB_TMP/pub.err")" 2
	run -2 ebhealth
	assert_output --partial "write to buffer '$B': Permission denied"
	chmod 700 "$B"
	say 5
	chmod 500 "$B"
	say 6
	assert_equal "$(wc -l <"$EB_TMP/pub.err")" 3
	chmod 700 "$B"
	down
	rcli client kill type normal >/dev/null
	say 7
	exec 8>&-
	bg_wait pub
	assert_equal "$status $(tail -n 1 "$EB_TMP/pub.out")" '0 buffered'
	up
	run -0 ebreplay
	rm -rf "$home"
	assert_equal "$(payloads a | xargs)" '1 2 3 4 5 6 7'
}

@test "a buffer without permission (000) that holds events: published, order unknown; ebhealth 2; then the others" {
	need_root
	local home
	home=$(mktemp -d)
	B=$home/buffer
	export EB_BUFFER_DIR=$B
	chmod 755 "$home"
	mkdir -m 700 "$B"
	chown 65534:65534 "$B"
	let_others_connect
	down
	seq 3 | ebpub -q a
	up
	for mode in 000 400 300; do
		chmod $mode "$B"
		run -0 --separate-stderr ebpub a "\"$mode\""
		assert_regex "$stderr" "open buffer '$B': Permission denied; .*not buffered.* order of events is not known"
		run -2 ebhealth
		assert_output --partial 'Permission denied'
	done
	# Only the segment may not be read.
	chmod 700 "$B"
	chmod 000 "$B"/*.jsonl
	chmod 500 "$B"
	run -0 --separate-stderr ebpub -t 1 a 7
	assert_regex "$stderr" 'order of events is not known'
	chmod 600 "$B"/*.jsonl
	chmod 700 "$B"
	run -0 ebreplay
	rm -rf "$home"
	assert_equal "$(payloads a | paste -sd " ")" '"000" "400" "300" 7 1 2 3'
}

@test "another user's directory: published with a warning, 78 when Redis is away too; root acts as its owner" {
	need_root
	need setpriv
	local home
	home=$(mktemp -d)
	B=$home/buffer
	export EB_BUFFER_DIR=$B
	chmod 755 "$home"
	mkdir -m 755 "$B"
	chown 65534:65534 "$B"
	down
	run ebpub a 1
	find "$B" -type f -printf '%U:%G\n' | sort -u >"$EB_TMP/owners"
	if setpriv --reuid 12345 --regid 12345 --clear-groups test -x "$BIN/ebpub"; then
		as_other() {
			env -u XDG_CONFIG_HOME HOME=/nowhere setpriv --reuid 12345 --regid 12345 --clear-groups "$@"
		}
		EB_REDIS_URL=unix:///none run -78 as_other "$BIN/ebpub" a 1
		assert_output --partial 'belongs to uid 65534'
		export EB_REDIS_URL=redis://127.0.0.1:$REDIS_PORT
		run -0 as_other "$BIN/ebpub" a 2
		assert_output --regexp 'belongs to uid 65534, not to uid 12345.*order of events is not known'
		run -2 as_other "$BIN/ebhealth"
		assert_output --partial 'belongs to uid 65534'
	fi
	rm -rf "$home"
	assert_equal "$(cat "$EB_TMP/owners")" 65534:65534
}

@test "a directory that cannot be made: Redis up 0, Redis down 74 with the path" {
	export EB_BUFFER_DIR=/proc/none/buffer
	run -0 --separate-stderr ebpub a 1
	assert_output --regexp '^[0-9]+-[0-9]+$'
	assert_regex "$stderr" "create buffer '/proc/none/buffer'.*not buffered"
	down
	run -74 --separate-stderr ebpub a 2
	assert_equal "$output" unsafe
	assert_regex "$stderr" '/proc/none'
	assert_regex "$stderr" 'NOT safe'
}

@test "the buffer is a file: published with a warning, 78 when Redis is away too" {
	: >"$B"
	run -0 ebpub a 1
	assert_output --partial "$B"
	run -2 ebhealth
	down
	run -78 ebpub a 2
	assert_output --partial "$B"
}

@test "--buffer-max: 74 when it is full, directly still 0" {
	down
	seq 20 | ebpub -q a
	run -74 --separate-stderr ebpub --buffer-max 2K a 21
	assert_regex "$stderr" '--buffer-max'
	assert_equal "$(lines | wc -l)" 20
	run -0 ebpub --buffer-max 1M a 21
	up
	run -0 ebpub --buffer-max 1 b 1
	assert_output --regexp '^[0-9]+-'
	assert_equal "$(length a)" 21
}

@test "--min-free: 74 when less would stay free" {
	down
	run -74 --separate-stderr ebpub --min-free 1000000G a 1
	assert_regex "$stderr" '--min-free'
	run -0 ebpub --min-free 1 a 1
}

@test "--segment-size: a new segment, names sort in order of age" {
	down
	for n in 1 2 3 4; do
		seq $((n * 10 - 9)) $((n * 10)) | ebpub -q --segment-size 1K a
	done
	assert_equal "$(find "$B" -name '*.jsonl' | wc -l)" 4
	assert_equal "$(lines | jq -r .message.payload | xargs)" "$(seq 40 | xargs)"
	assert_equal "$(lines | jq -r .buffered_at)" "$(lines | jq -r .buffered_at | LC_ALL=C sort -u)"
}

# bats test_tags=novalgrind
@test "while the buffer holds events that cannot be drained, ebpub appends; --unordered publishes directly" {
	buffered a 1 3
	hold_replay
	run -0 ebpub a 4
	assert_output buffered
	run -0 ebpub --unordered a 5
	assert_output --regexp '^[0-9]+-'
	assert_equal "$(payloads a)" 5
	release_replay
	run -0 ebpub a 6
	assert_output --regexp '^[0-9]+-'
	assert_equal "$(payloads a | xargs)" '5 1 2 3 4 6'
}

# bats test_tags=novalgrind
@test "the next ebpub drains the buffer first, and then publishes directly" {
	buffered a 1 50
	run -0 ebpub a 51
	assert_output --regexp '^[0-9]+-'
	assert_equal "$(payloads a | xargs)" "$(seq 51 | xargs)"
	assert_equal "$(find "$B" -name '*.jsonl' | wc -l)" 0
}

@test "a buffer too large for one ebpub: appended behind it, order kept" {
	EB_MAXLEN=0
	export EB_MAXLEN
	buffered a 1 5000
	run -0 ebpub a 5001
	run -0 ebreplay
	assert_equal "$(payloads a | cksum)" "$(seq 5001 | cksum)"
}

# bats test_tags=novalgrind
@test "concurrent publishers: all lines whole, each in its order, none lost" {
	down
	local w
	for w in 1 2 3 4; do
		bg w$w bash -c "for n in \$(seq 20); do ebpub -q w$w \$n; done; seq 21 200 | ebpub -q w$w"
	done
	for w in 1 2 3 4; do
		bg_wait w$w
		assert_equal "$status" 0
	done
	assert_equal "$(lines | jq -r .event_type | sort | uniq -c | tr -s ' ' | xargs)" '200 w1 200 w2 200 w3 200 w4'
	up
	run -0 ebreplay
	for w in 1 2 3 4; do
		assert_equal "$(payloads w$w | cksum)" "$(seq 200 | cksum)"
	done
}

@test "the directory is removed under a running ebpub: it makes it anew" {
	down
	feed pub ebpub a
	echo 1 >&8
	wait_for "[ -s '$EB_TMP/pub.out' ]"
	mv "$B" "$B.gone"
	echo 2 >&8
	exec 8>&-
	bg_wait pub
	assert_equal "$status" 0
	assert_equal "$(jq -r .message.payload "$B"/*.jsonl)" 2
}

@test "another -u or -p on a filled buffer is 78, and nothing moves" {
	buffered a 1 3
	cat "$B"/*.jsonl "$B/.target" "$B/.lock" >"$EB_TMP/before"
	run -78 --separate-stderr ebpub -p other a 4
	assert_regex "$stderr" "$EB_TMP/r.* quantum, not for .*$EB_TMP/r.* other"
	run -78 ebpub -u "redis://127.0.0.1:$REDIS_PORT" a 4
	run -78 bash -c "echo 4 | ebpub -u unix://$EB_TMP/r?db=1 a"
	cat "$B"/*.jsonl "$B/.target" "$B/.lock" | cmp - "$EB_TMP/before"
	assert_equal "$(rcli info keyspace | grep -c db)" 0
	run -0 ebpub -p other -b "$EB_TMP/b2" a 4
	run -0 ebreplay
	run -0 ebpub -p other a 5
}

# --- the server ------------------------------------------------------------------------------------------

# bats test_tags=novalgrind
@test "a stopped server costs the time-out once; for 5 s then it is not asked" {
	redis_pause
	local at=${EPOCHREALTIME/./} took
	run -0 ebpub -t 1 a 1
	assert_output buffered
	took=$(((${EPOCHREALTIME/./} - at) / 1000))
	[ $took -ge 900 ]
	[ $took -lt 2500 ]
	at=${EPOCHREALTIME/./}
	for n in 2 3 4 5; do
		run -0 ebpub -t 1 a $n
		assert_output buffered
	done
	[ $(((${EPOCHREALTIME/./} - at) / 1000)) -lt 900 ]
	redis_resume
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3 4 5'
	rm -f "$B/.probe"
	run -0 ebpub a 6
	assert_output --regexp '^[0-9]+-'
}

@test "a server that stops under an open connection: in doubt, buffered, added once" {
	feed pub ebpub -t 0.5 a
	echo 1 >&8
	wait_for "[ -s '$EB_TMP/pub.out' ]"
	redis_pause
	echo 2 >&8
	exec 8>&-
	bg_wait pub
	assert_equal "$status" 0
	assert_equal "$(tail -1 "$EB_TMP/pub.out")" buffered
	lines | jq -e .doubt.after >/dev/null
	redis_resume
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2'
	run -0 bash -c "ebstat -j | jq .buffer.possible_duplicates"
	assert_output 0
}

@test "a wrong password: buffered, 77; the password is in no output" {
	rcli acl setuser part reset on '>right' '~*' '+@all' >/dev/null
	export EB_REDIS_URL="redis://part:Wr0ngWord@127.0.0.1:$REDIS_PORT"
	run -77 ebpub -v a 1
	assert_output --partial buffered
	refute_output --partial Wr0ng
	run -77 ebreplay -v
	refute_output --partial Wr0ng
	run ! grep -r Wr0ng "$B"
	EB_REDIS_URL="redis://part:right@127.0.0.1:$REDIS_PORT" run -0 ebreplay
	assert_equal "$(payloads a)" 1
}

@test "segment-size, buffer-max and min-free from variables and the config file; options win" {
	export XDG_CONFIG_HOME=$EB_TMP/config
	mkdir -p "$EB_TMP/config/eventbus"
	down
	echo 'segment-size = 1' >"$EB_TMP/config/eventbus/config"
	ebpub -q a 1
	ebpub -q a 2
	assert_equal "$(find "$B" -maxdepth 1 -name '*.jsonl' | wc -l)" 2
	ebpub -q --segment-size 8M a 3
	assert_equal "$(find "$B" -maxdepth 1 -name '*.jsonl' | wc -l)" 2
	EB_SEGMENT_SIZE=8M ebpub -q a 4
	assert_equal "$(find "$B" -maxdepth 1 -name '*.jsonl' | wc -l)" 2
	echo 'buffer-max = 1' >"$EB_TMP/config/eventbus/config"
	run -74 ebpub a 5
	run -0 ebpub -q --buffer-max 1M a 5
	EB_BUFFER_MAX=1M run -0 ebpub -q a 6
	EB_MIN_FREE=1000T EB_BUFFER_MAX=0 run -74 ebpub a 7
	rm "$EB_TMP/config/eventbus/config"
	EB_MIN_FREE=1000T run -0 ebpub -q --min-free 0 a 7
	up
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3 4 5 6 7'
}

@test "a password that was changed on the server and in its file: a running ebpub takes the new one" {
	rcli acl setuser part reset on '>first' '~*' '&*' '+@all' >/dev/null
	echo first >"$EB_TMP/password"
	export EB_REDIS_PASSWORD_FILE=$EB_TMP/password
	feed pub ebpub -u "redis://part@127.0.0.1:$REDIS_PORT" a
	echo 1 >&8
	wait_for "[ \"\$(wc -l <'$EB_TMP/pub.out')\" = 1 ]"
	rcli acl setuser part resetpass '>second' >/dev/null
	rcli client kill user part >/dev/null
	echo 2 >&8
	wait_for "[ \"\$(wc -l <'$EB_TMP/pub.out')\" = 2 ]"
	assert_equal "$(sed -n 2p "$EB_TMP/pub.out")" buffered
	echo second >"$EB_TMP/password"
	sleep 2
	for n in 3 4 5; do
		echo $n >&8
		sleep 1.2
	done
	exec 8>&-
	bg_wait pub
	assert_equal "$(payloads a | xargs)" '1 2 3 4 5'
	assert_equal "$(tail -n 1 "$EB_TMP/pub.out" | grep -c buffered)" 0
}

@test "a password file with CRLF is hinted at when the server refuses the password" {
	rcli acl setuser part reset on '>right' '~*' '+@all' >/dev/null
	printf 'right\r\n' >"$EB_TMP/password"
	export EB_REDIS_PASSWORD_FILE=$EB_TMP/password
	run -77 ebpub -u "redis://part@127.0.0.1:$REDIS_PORT" a 1
	assert_output --partial 'its file has CRLF lines'
	printf 'wrong\n' >"$EB_TMP/password"
	run -77 ebpub -u "redis://part@127.0.0.1:$REDIS_PORT" a 1
	refute_output --partial CRLF
}

# bats test_tags=novalgrind
@test "a password in -u is not to be seen in the process list" {
	rcli acl setuser part reset on '>S3cretWord' '~*' '+@all' >/dev/null
	feed pub ebpub -u "redis://part:S3cretWord@127.0.0.1:$REDIS_PORT" a
	echo 1 >&8
	wait_for "[ -s '$EB_TMP/pub.out' ]"
	run cat "/proc/${BG[pub]}/cmdline"
	exec 8>&-
	bg_wait pub
	refute_output --partial S3cret
	assert_equal "$(length a)" 1
	run ! grep -r S3cret "$B" "$EB_TMP/pub.out" "$EB_TMP/pub.err"
}

@test "no permission for one stream: 77 and buffered; other types go directly" {
	rcli acl setuser part reset on '>x' "~$S:open*" '+@all' >/dev/null
	export EB_REDIS_URL="redis://part:x@127.0.0.1:$REDIS_PORT"
	run -77 --separate-stderr ebpub closed 1
	assert_equal "$output" buffered
	assert_regex "$stderr" "NOPERM|permission"
	run -75 ebreplay
	assert_output --partial closed
	run -0 ebpub open 2
	assert_output --regexp '^[0-9]+-'
	run -75 ebreplay
	assert_equal "$(payloads open)" 2
	rcli acl setuser part allkeys >/dev/null
	run -0 ebreplay
	assert_equal "$(payloads closed)" 1
}

@test "a key that is no stream: status 1, buffered and named; freed by DEL" {
	rcli set "$S:a" x >/dev/null
	run -1 --separate-stderr ebpub a 1
	assert_equal "$output" buffered
	assert_regex "$stderr" "WRONGTYPE|'a'|$S:a"
	run -0 ebpub b 2
	rcli del "$S:a" >/dev/null
	run -0 ebreplay
	assert_equal "$(payloads a)" 1
}

@test "trimming that pushes out unread entries is said once, and counted" {
	rcli xgroup create "$S:a" g 0 mkstream >/dev/null
	run -0 --separate-stderr bash -c 'seq 1000 | ebpub -q --maxlen 200 a'
	assert_equal "$(grep -c 'trimming to 200 removed' <<<"$stderr")" 1
	assert_regex "$stderr" "group 'g'"
	run -0 bash -c 'ebstat -j | jq .counters.trimmed_unread'
	[ "$output" -ge 600 ]
	run -0 --separate-stderr bash -c 'seq 100 | ebpub -q --maxlen 0 a'
	assert_equal "$stderr" ""
}

@test "trimming that pushes out what was read says nothing" {
	seq 200 | ebpub -q --maxlen 200 a
	rcli xgroup create "$S:a" g '$' >/dev/null
	run -0 --separate-stderr bash -c 'seq 100 | ebpub -q --maxlen 200 a'
	assert_equal "$stderr" ""
}

@test "the counters count every result" {
	run -65 bash -c 'printf "1\nx\n2\n" | ebpub -q a'
	buffered a 3 5
	run -0 ebreplay
	assert_equal "$(ebstat -j | jq -c '.counters | [.published, .refused, .buffered, .replayed]')" '[2,1,3,4]'
}

# --- a full disk ---------------------------------------------------------------------------------------------

# Mounts a small file system at $B.
small_disk() {
	need_root
	mkdir -m 700 "$B"
	mount -t tmpfs -o "size=$1,mode=700" none "$B" 2>/dev/null || skip "cannot mount tmpfs"
}

teardown() {
	while mountpoint -q "${EB_BUFFER_DIR:-/none}" 2>/dev/null; do
		umount "$EB_BUFFER_DIR" || break
	done
	eb_teardown
}

@test "disk full: 74, no torn line; Redis up 0; draining needs no space" {
	small_disk 512k
	down
	run -74 --separate-stderr bash -c 'seq 3000 | ebpub a'
	local kept
	kept=$(grep -cx buffered <<<"$output")
	assert_equal "$(grep -cx unsafe <<<"$output")" $((3000 - kept))
	[ "$kept" -gt 10 ]
	assert_regex "$stderr" 'NOT safe.*No space'
	lines | jq -e . >/dev/null
	assert_equal "$(lines | wc -l)" "$kept"
	dd if=/dev/zero of="$B/filler" bs=1k 2>/dev/null || :
	run -74 ebpub a 1
	assert_equal "$(lines | jq -r .message.payload | wc -l)" "$kept"
	up
	run -0 ebpub b 1
	assert_output --regexp '^[0-9]+-'
	run ebreplay
	assert_equal "$status $(length a)" "0 $kept"
	assert_equal "$(find "$B" -name '*.jsonl' | wc -l)" 0
}

@test "a full disk during the manifest's append: afterwards no segment is reported as vanished" {
	down
	run -0 ebpub a 1
	# The disk lacked one byte of space.
	truncate -s -1 "$B/.roster"
	run -0 ebpub --segment-size 1 a 3
	up
	run -0 ebreplay
	assert_output ""
	assert_equal "$(payloads a | xargs)" '1 3'
}
