#!/usr/bin/env bats
# covers: lib/drain lib/publish lib/conf
# trim = acked: entries that a group needs are never trimmed, and a type whose stream is full of them is held on disk.

# shellcheck disable=SC2030,SC2031,SC2154  # bats: a test is a subshell

load ../support/helper
load ../support/chaos

KEY=quantum:stream:t

setup_file() {
	redis_start --appendonly yes --appendfsync always
}

setup() {
	redis_show
	redis_resume || :
	redis_alive || redis_restart
	rcli acl setuser default on nopass '~*' '&*' +@all >/dev/null
	redis_flush
	rcli config resetstat >/dev/null
}

# policy LINE...: writes the section [t] of the config file.
policy() {
	mkdir -p "$XDG_CONFIG_HOME/eventbus"
	printf '%s\n' '[t]' 'trim = acked' "$@" >"$XDG_CONFIG_HOME/eventbus/config"
}

group() { rcli xgroup create $KEY "$1" 0 mkstream >/dev/null; }
length() { rcli xlen $KEY; }
held() { ebstat -j | jq -r '.buffer.held[] | "\(.event_type) \(.events) \(.reason)"'; }
waiting() { ebstat -j | jq .buffer.total_events; }
lost() { ebstat -j t | jq "[.streams[].groups[] | select(.name == \"$1\").lost] | add"; }
# Reads and acknowledges as the group; prints the payloads.
consume() { timeout 60 ebsub -q -g "$1" -e --payload t; }

# entries N: adds N entries without ebpub.
entries() {
	local i
	for ((i = 0; i < $1; i++)); do
		echo "XADD $KEY * n $i"
	done | rcli >/dev/null
}

# calls COMMAND: prints how often the server executed it.
calls() {
	rcli info commandstats | sed -n "s/^cmdstat_$1:calls=\([0-9]*\),.*/\1/p" | grep . || echo 0
}

# Samples the stream's length until the test ends; `highest` prints the maximum.
watch_length() {
	bg length "$(redis_cli_program)" -s "$REDIS_SOCK" -r -1 -i 0.005 xlen $KEY
	wait_for "[ -s '$EB_TMP/length.out' ]"
}
highest() { sort -n "$EB_TMP/length.out" | tail -1; }

between() {	# FROM N TO
	(($1 <= $2 && $2 <= $3)) || fail "$2 is not from $1 to $3"
}

# --- the policy as a whole -----------------------------------------------------------------------------

# A slow reader: reads some hundred entries at a time, until it has N.
slow_reader() {
	local n=0
	: >"$EB_TMP/read"
	while [ "$n" -lt "$1" ]; do
		timeout 60 ebsub -q -g g -n "$2" -e --payload t >>"$EB_TMP/read" || [ $? = 124 ]
		n=$(wc -l <"$EB_TMP/read")
		sleep 0.02
	done
}

replays() {
	local rc=75
	while [ $rc = 75 ]; do
		rc=0
		timeout 60 ebreplay -q || rc=$?
		sleep 0.02
	done
	return $rc
}

# Checks that the reader got the events 1 to N of both publishers, once and in order.
judge_read() {
	local p
	for p in 1 2; do
		grep "^{\"p\":$p," "$EB_TMP/read" | cmp - <(numbered $p 1 "$1") || fail "publisher $p: lost, doubled or out of order"
	done
	assert_equal "$(wc -l <"$EB_TMP/read")" $((2 * $1))
}

# two_publishers N MAXLEN HARD CHUNK: two publishers of N events each, and a reader that starts when the stream is full. Allows
# the overshoot of eventbus(7): a tenth of maxlen for each further process that adds; there are three.
two_publishers() {
	policy "maxlen = $2" "maxlen-hard = $3"
	group g
	watch_length
	bg one bash -c "$(declare -f numbered); numbered 1 1 $1 | timeout 600 ebpub -q t"
	bg two bash -c "$(declare -f numbered); numbered 2 1 $1 | timeout 600 ebpub -q t"
	wait_for "held | grep -q 'stream full'" 60
	slow_reader $((2 * $1)) "$4" 3>&- 4>&- &
	local reader=$!
	bg_wait one 600
	assert_equal "$status" 0
	bg_wait two 600
	assert_equal "$status" 0
	local left
	left=$(waiting)
	replays
	wait $reader
	judge_read "$1"
	echo "# at most $(highest) entries, maxlen-hard $3; $left were on disk when the publishers had ended" >&3
	between "$2" "$(highest)" $(($3 + 2 * ($2 < 10000 ? $2 / 10 : 1000)))
	assert_equal "$(lost g)" 0
	no_segments
}

@test "a slow group, two publishers, 20 000 events: nothing unread is trimmed, the rest waits on disk and arrives in order" {
	two_publishers 10000 1000 4000 500
}

# bats test_tags=long
@test "a slow group, two publishers, 200 000 events: nothing unread is trimmed, the rest waits on disk and arrives in order" {
	two_publishers 100000 5000 20000 1500
}

@test "another client that trims by length: ebhealth reports the loss, and a publisher warns once" {
	policy 'maxlen = 1000'
	group g
	mkfifo "$EB_TMP/in"
	bg pub bash -c "timeout 60 ebpub t <'$EB_TMP/in'"
	exec 8>"$EB_TMP/in"
	numbered 1 1 300 >&8
	wait_for "sed -n 300p '$EB_TMP/pub.out' | grep ."
	assert_equal "$(lost g)" 0
	rcli xadd $KEY maxlen 50 '*' n 1 >/dev/null
	assert_equal "$(lost g)" 251
	run -1 ebhealth -w events=none t
	assert_output --partial 't, group g: 251 trimmed unread'
	numbered 1 301 500 >&8
	wait_for "sed -n 500p '$EB_TMP/pub.out' | grep ."
	rcli xadd $KEY maxlen 50 '*' n 1 >/dev/null
	numbered 1 501 1000 >&8
	exec 8>&-
	bg_wait pub
	assert_equal "$status" 0
	assert_equal "$(grep -c "entries that group 'g' has not read are gone: another client trims this stream" "$EB_TMP/pub.err")" 1
	assert_equal "$(wc -l <"$EB_TMP/pub.err")" 1
}

# --- needed entries -------------------------------------------------------------------------------------------

@test "entries that no group needs are trimmed: a stream that is read stays about maxlen" {
	policy 'maxlen = 1000'
	group g
	local i
	for i in 1 2 3 4 5 6; do
		numbered 1 $((i * 1000 - 999)) $((i * 1000)) | timeout 60 ebpub -q t
		consume g >/dev/null
	done
	run -0 ebpub -q t '{}'
	between 1000 "$(length)" 2200
	assert_equal "$(lost g)" 0
}

@test "a stream without groups is trimmed by length" {
	policy 'maxlen = 1000'
	numbered 1 1 10000 | timeout 60 ebpub -q t
	between 1000 "$(length)" 1300
	run -0 timeout 60 ebsub --peek --last 1 --payload t
	assert_output '{"p":1,"n":10000}'
	run -0 timeout 60 ebhealth t
}

@test "several groups of different speed: the slowest counts" {
	policy 'maxlen = 200'
	group quick
	group slow
	numbered 1 1 1500 | timeout 60 ebpub -q t
	consume quick >/dev/null
	timeout 60 ebsub -q -g slow -n 300 -e --payload t >"$EB_TMP/slow"
	numbered 1 1501 1900 | timeout 60 ebpub -q t
	between 1600 "$(length)" 1700
	consume slow >>"$EB_TMP/slow"
	cmp "$EB_TMP/slow" <(numbered 1 1 1900)
	assert_equal "$(lost quick) $(lost slow)" '0 0'
}

@test "pending entries of a dead consumer are needed" {
	policy 'maxlen = 200'
	group g
	numbered 1 1 300 | timeout 60 ebpub -q t
	rcli xreadgroup group g dead count 1 streams $KEY '>' >/dev/null
	timeout 60 ebsub -q -g g -C live -e t >/dev/null
	numbered 1 301 1500 | timeout 60 ebpub -q t
	timeout 60 ebsub -q -g g -C live -e t >/dev/null
	numbered 1 1501 1600 | timeout 60 ebpub -q t
	assert_equal "$(length)" 1600
	assert_equal "$(rcli xrange $KEY - + count 1 | grep -c '"n":1}')" 1
	# After its acknowledgement it is not needed.
	rcli xack $KEY g "$(rcli xpending $KEY g - + 1 | head -1)" >/dev/null
	numbered 1 1601 2000 | timeout 60 ebpub -q t
	between 200 "$(length)" 800
}

# --- a full stream ------------------------------------------------------------------------------------------

# Makes a group that reads nothing, and a stream that is full of the entries it needs.
full() {
	policy 'maxlen = 100' 'maxlen-hard = 300'
	group g
	numbered 1 1 300 | timeout 60 ebpub -q t
	assert_equal "$(length) $(waiting)" '300 0'
}

@test "a group without readers: new events are held on disk, with the reason in ebstat and ebhealth; read, they arrive in order" {
	full
	run -0 ebpub t '{"p":1,"n":301}'
	assert_output buffered
	run -0 held
	assert_output --regexp "^t 1 stream full: 300 entries, limit 300, and group 'g' still needs those from 0-1"
	run -1 ebhealth -w events=none
	assert_output --partial "1 held: t (stream full: 300 entries, limit 300, and group 'g'"
	run -75 ebpub --exit-buffered t '{"p":1,"n":302}'
	assert_output buffered
	run -0 bash -c "$(declare -f numbered); numbered 1 303 400 | timeout 60 ebpub t | sort | uniq -c"
	assert_output --regexp '^ *98 buffered$'
	assert_equal "$(length)" 300
	run -0 held
	assert_output --regexp '^t 100 stream full'
	run -75 ebreplay
	assert_output --partial "'t' is held: stream full"
	# Other types are published.
	run -0 ebpub other 1
	assert_output --regexp '^[0-9]+-[0-9]+$'
	# After a reader has made room, the next ebpub drains them before its own event.
	consume g >"$EB_TMP/read"
	run -0 ebpub t '{"p":1,"n":401}'
	assert_output --regexp '^[0-9]+-[0-9]+$'
	no_segments
	consume g >>"$EB_TMP/read"
	cmp "$EB_TMP/read" <(numbered 1 1 401)
	run -0 held
	assert_output ''
}

@test "a full stream and --no-buffer: 74 and said; a group that is removed makes room" {
	full
	run -74 ebpub --no-buffer t '{}'
	assert_line "ebpub: 't' is held: stream full: 300 entries, limit 300, and group 'g' still needs those from 0-1 (0 pending): consume, remove the group, or ebreplay --force"
	assert_line --partial 'event 1 is NOT safe'
	assert_equal "$(length)" 300
	# A running ebpub measures the stream again after a while.
	mkfifo "$EB_TMP/in"
	bg pub bash -c "timeout 60 ebpub --no-buffer t <'$EB_TMP/in'"
	exec 8>"$EB_TMP/in"
	echo 1 >&8
	wait_for "grep -q unsafe '$EB_TMP/pub.out'"
	rcli xgroup destroy $KEY g >/dev/null
	sleep 0.6
	echo 2 >&8
	exec 8>&-
	bg_wait pub
	assert_equal "$status" 74
	run -0 tail -1 "$EB_TMP/pub.out"
	assert_output --regexp '^[0-9]+-[0-9]+$'
	between 100 "$(length)" 200
}

@test "--unordered and a full stream: held all the same" {
	full
	run -0 ebpub --unordered t '{"p":1,"n":301}'
	assert_output buffered
	run -0 held
	assert_output --partial 'stream full'
	assert_equal "$(length)" 300
}

@test "a replay goes to maxlen-hard and no further; --force passes" {
	policy 'maxlen = 100' 'maxlen-hard = 700'
	redis_hide
	numbered 1 1 1000 | timeout 60 ebpub -q t
	redis_show
	group g
	run -75 timeout 60 ebreplay
	assert_output --partial "'t' is held: stream full: 700 entries, limit 700"
	assert_equal "$(length)" 700
	assert_equal "$(lost g)" 0
	consume g >"$EB_TMP/read"
	run -0 timeout 60 ebreplay
	consume g >>"$EB_TMP/read"
	cmp "$EB_TMP/read" <(numbered 1 1 1000)
	numbered 1 1001 2000 | timeout 60 ebpub -q t
	run -75 timeout 60 ebreplay
	run -0 timeout 60 ebreplay --force
	no_segments
}

@test "maxlen-hard 0: never full, nothing that is needed goes; without it, ten times maxlen" {
	policy 'maxlen = 100' 'maxlen-hard = 0'
	group g
	numbered 1 1 3000 | timeout 60 ebpub -q t
	assert_equal "$(length) $(waiting)" '3000 0'
	consume g | cmp - <(numbered 1 1 3000)
	redis_flush
	policy 'maxlen = 100'
	group g
	numbered 1 1 3000 | timeout 60 ebpub -q t
	assert_equal "$(length) $(waiting)" '1000 2000'
}

@test "maxlen-hard equal to maxlen: publishing continues as entries are acknowledged, all events arrive" {
	policy 'maxlen = 50' 'maxlen-hard = 50'
	group g
	: >"$EB_TMP/read"
	local n
	for ((n = 1; n <= 401; n += 80)); do
		numbered 1 "$n" $((n + 79)) | timeout 60 ebpub -q t
		between 1 "$(length)" 150
		consume g >>"$EB_TMP/read"
	done
	local rc=75
	while [ $rc = 75 ]; do
		rc=0
		timeout 60 ebreplay -q || rc=$?
		consume g >>"$EB_TMP/read"
	done
	assert_equal "$rc" 0
	cmp "$EB_TMP/read" <(numbered 1 1 480)
}

@test "--maxlen 0, or above maxlen-hard: maxlen-hard is the limit, for needed and unneeded entries" {
	local maxlen
	for maxlen in 0 5000; do
		rm -rf "$EB_BUFFER_DIR"
		redis_flush
		policy 'maxlen = 100' 'maxlen-hard = 300'
		group g
		numbered 1 1 1000 | timeout 60 ebpub -q --maxlen $maxlen t
		between 300 "$(length)" 500
		assert_equal $(($(length) + $(waiting))) 1000
		assert_equal "$(lost g)" 0
		: >"$EB_TMP/read"
		while [ "$(waiting)" != 0 ]; do
			consume g >>"$EB_TMP/read"
			timeout 60 ebreplay -q || [ $? = 75 ]
		done
		consume g >>"$EB_TMP/read"
		cmp "$EB_TMP/read" <(numbered 1 1 1000)
		between 300 "$(length)" 500
	done
}

@test "neither maxlen nor maxlen-hard: never trimmed and never held, also what was buffered with and without a limit" {
	local i
	policy 'maxlen = 0' 'maxlen-hard = 0'
	group g
	numbered 1 1 300 | timeout 60 ebpub -q t
	redis_hide
	for i in 301 302 303 304 305 306; do
		ebpub -q --maxlen $((i % 3 * 100)) t "{\"p\":1,\"n\":$i}"
	done
	numbered 1 307 400 | timeout 60 ebpub -q t
	redis_show
	run -75 timeout 60 ebreplay --limit 20
	run -0 timeout 60 ebreplay
	assert_equal "$(length)" 400
	consume g | cmp - <(numbered 1 1 400)
}

@test "a wide maxlen: the stream is looked at once in a thousand events" {
	policy 'maxlen = 20000'
	group g
	numbered 1 1 3500 | timeout 60 ebpub -q t
	assert_equal "$(length)" 3500
	between 1 "$(calls 'xinfo|groups')" 4
	assert_equal "$(calls xtrim)" 0
}

@test "a replay into a stream that is not there yet: it makes it" {
	policy 'maxlen = 100' 'maxlen-hard = 300'
	redis_hide
	numbered 1 1 5 | timeout 60 ebpub -q t
	redis_show
	run -0 timeout 60 ebreplay
	consume g | cmp - <(numbered 1 1 5)
}

@test "a stream that nobody reads and that cannot be trimmed, its nodes are too large: it is published to" {
	policy 'maxlen = 100' 'maxlen-hard = 100'
	rcli config set stream-node-max-entries 1000 >/dev/null
	entries 250
	run -0 timeout 60 ebpub t '{}'
	rcli config set stream-node-max-entries 100 >/dev/null
	assert_output --regexp '^[0-9]+-[0-9]+$'
	assert_equal "$(length)" 251
	no_segments
}

# --- missing permissions ----------------------------------------------------------------------------------------

@test "XINFO is not permitted: nothing is trimmed, and the type is held at maxlen-hard, saying why" {
	policy 'maxlen = 100' 'maxlen-hard = 300'
	rcli acl setuser default -xinfo >/dev/null
	run -0 bash -c "$(declare -f numbered); numbered 1 1 400 | timeout 60 ebpub t | grep -c buffered"
	assert_line 100
	assert_line --regexp "^ebpub: '$KEY': trim = acked: nothing is trimmed: XINFO STREAM: NOPERM"
	assert_equal "$(length)" 300
	assert_equal "$(rcli xrange $KEY - + count 1 | grep -c '"n":1}')" 1
	run -0 held
	assert_output --regexp '^t 100 stream full: 300 entries, limit 300, and nothing is trimmed: XINFO STREAM: NOPERM'
	run -75 timeout 60 ebreplay
	assert_output --regexp "'t' is held: stream full: .*NOPERM"
	# Permission for only one of the commands, or for XTRIM too, changes nothing.
	rcli acl setuser default +xinfo '-xinfo|groups' >/dev/null
	run -75 timeout 60 ebreplay
	assert_output --regexp "'t' is held: stream full: .*nothing is trimmed: XINFO GROUPS: NOPERM"
	rcli acl setuser default +xinfo -xtrim >/dev/null
	run -75 timeout 60 ebreplay
	assert_output --regexp "'t' is held: stream full: .*nothing is trimmed: XTRIM: NOPERM"
	rcli acl setuser default +@all >/dev/null
	run -0 timeout 60 ebreplay
	between 100 "$(length)" 250
	no_segments
}

@test "neither XINFO nor XLEN permitted: nothing is trimmed or held, with a warning" {
	policy 'maxlen = 100' 'maxlen-hard = 300'
	rcli acl setuser default -xinfo -xlen >/dev/null
	numbered 1 1 1000 | timeout 60 ebpub -q t 2>"$EB_TMP/err"
	assert_equal "$(wc -l <"$EB_TMP/err")" 1
	grep -q "trim = acked: nothing is trimmed, and maxlen-hard is not enforced: XINFO STREAM: NOPERM" "$EB_TMP/err"
	rcli acl setuser default +@all >/dev/null
	assert_equal "$(length) $(waiting)" '1000 0'
}

@test "neither XINFO nor XLEN permitted, no maxlen-hard: no warning about a limit" {
	policy 'maxlen = 100' 'maxlen-hard = 0'
	rcli acl setuser default -xinfo -xlen >/dev/null
	run -0 timeout 60 ebpub -q t '{}'
	assert_output --regexp "^ebpub: '$KEY': trim = acked: nothing is trimmed: XINFO STREAM: NOPERM"
	rcli acl setuser default +@all >/dev/null
	assert_equal "$(length)" 1
}

@test "XPENDING is not permitted: all of a group with pending entries is needed" {
	policy 'maxlen = 100' 'maxlen-hard = 1000'
	group g
	numbered 1 1 300 | timeout 60 ebpub -q t
	rcli xreadgroup group g c count 1 streams $KEY '>' >/dev/null
	rcli acl setuser default -xpending >/dev/null
	numbered 1 301 600 | timeout 60 ebpub -q t
	rcli acl setuser default +@all >/dev/null
	assert_equal "$(length)" 600
}

# --- kills and outages ---------------------------------------------------------------------------------------

@test "Redis lost in mid-stream, again and again: each event once and in order, none trimmed unread" {
	policy 'maxlen = 300' 'maxlen-hard = 3000'
	group g
	local i
	bg pub bash -c "$(declare -f numbered); for i in \$(seq 0 39); do numbered 1 \$((i * 50 + 1)) \$((i * 50 + 50)); sleep 0.05; done | timeout 120 ebpub -q -t 1 t"
	: >"$EB_TMP/read"
	for i in 1 2 3; do
		sleep 0.3
		redis_kill
		sleep 0.1
		redis_restart
		timeout 60 ebsub -q -g g -n 100 -e --payload t >>"$EB_TMP/read" || [ $? = 124 ]
	done
	bg_wait pub 120
	assert_equal "$status" 0
	run -0 timeout 60 ebreplay --wait 30
	consume g >>"$EB_TMP/read"
	cmp "$EB_TMP/read" <(numbered 1 1 2000)
	no_segments
}

# bats test_tags=nosanitize
@test "kill -9 between XADD and XTRIM, and at every other exchange: nothing unread goes, and the next one trims" {
	need strace
	strace -o /dev/null -e inject=getpid:signal=KILL:when=1 true 2>/dev/null || skip "strace cannot trace here"
	policy 'maxlen = 100'
	local n rc=137 killed=0
	for ((n = 1; rc == 137 && n < 30; n++)); do
		redis_flush
		group g
		entries 399
		consume g >/dev/null
		rc=0
		# With the 400th entry it is this process's turn to measure the stream.
		strace -f -qq -o "$EB_TMP/trace" -e trace=sendto,sendmsg,write,writev \
			-e "inject=sendto,sendmsg,write,writev:signal=KILL:when=$n" ebpub t '{"p":1,"n":1}' >"$EB_TMP/out" 2>/dev/null || rc=$?
		[ $rc != 137 ] || killed=$((killed + 1))
		timeout 60 ebreplay -q
		# In each case every unread event was added at most once, and exactly once when it was answered.
		[ "$(rcli xrange $KEY - + | grep -c '"p":1,')" -le 1 ] || fail "killed at $n: doubled"
		! grep -qE '^[0-9]' "$EB_TMP/out" || [ "$(consume g)" = '{"p":1,"n":1}' ] || fail "killed at $n: lost"
		rm -rf "$EB_BUFFER_DIR"
	done
	assert_equal "$rc" 0
	[ $killed -ge 4 ] || fail "only $killed kills"
	between 100 "$(length)" 199
	# After a kill before XTRIM the next process trims.
	redis_flush
	group g
	entries 400
	consume g >/dev/null
	numbered 1 1 100 | timeout 60 ebpub -q t
	between 100 "$(length)" 300
}

# --- cost -------------------------------------------------------------------------------------------------------

@test "ebpub of one event sends no further query while its stream is below maxlen, above it one in a hundred does" {
	policy 'maxlen = 200' 'maxlen-hard = 5000'
	group g
	ebpub -q t '{}'
	assert_equal "$(calls 'xinfo|stream') $(calls 'xinfo|groups') $(calls xlen) $(calls xtrim) $(calls xadd)" '1 0 0 0 1'
	entries 449
	local i
	for ((i = 0; i < 200; i++)); do
		ebpub -q t '{}'
	done
	assert_equal "$(calls xadd)" 650
	assert_equal "$(calls 'xinfo|groups') $(calls xtrim)" '2 2'
	assert_equal "$(calls 'xinfo|stream')" 203
	assert_equal "$(length)" 650
}

@test "a type without the policy: no further query" {
	policy
	group g
	numbered 1 1 20000 | timeout 60 ebpub -q --maxlen 0 other
	ebpub -q other '{}'
	assert_equal "$(calls 'xinfo|stream') $(calls 'xinfo|groups') $(calls xpending) $(calls xlen) $(calls xtrim)" '2 0 0 0 0'
}
