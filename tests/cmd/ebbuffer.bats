#!/usr/bin/env bats
# covers: bin/ebbuffer.c lib/buffer lib/report
# ebbuffer(1), the other commands that read a buffer without draining it (ebreplay --dry-run, ebstat), and the decision whether an
# event may be published past the buffer; with every kind of file that a buffer may hold.

# shellcheck disable=SC2030,SC2031,SC2154  # bats: a test is a subshell

load ../support/helper
load ../support/buffer

setup_file() {
	redis_start_tcp
}

setup() {
	buffer_setup
}

# Descriptor 8 is the standard input of a feed (buffer.bash).
teardown() {
	exec 8>&-
	eb_teardown
	if mountpoint -q "$EB_TMP/disk"; then
		umount "$EB_TMP/disk" || umount -l "$EB_TMP/disk"
	fi
}

need_strace() {
	need strace
	strace -o /dev/null -e inject=getpid:signal=KILL:when=1 true 2>/dev/null || skip "strace cannot trace here"
}

# Writes a plain writer's file whose lines lack every optional member.
plain_file() {
	mkdir -p "$B"
	chmod 700 "$B"
	{
		plain p 1 2025-12-04T10:30:02Z
		echo
		echo '{"event_type":"p","buffered_at":5}'
		plain p 2 2025-12-04T10:30:01Z
		plain 'no type' 3 2025-12-04T10:30:03Z
	} >"$B/${1:-buffer_plain.jsonl}"
}

# Makes held types: their keys are not streams.
held() {
	local type
	for type; do
		rcli set "$S:$type" x >/dev/null
	done
}

freed() {
	local type
	for type; do
		rcli del "$S:$type" >/dev/null
	done
}

# Prints the state that must not change when nothing may be moved.
state() {
	cat "$B"/*.jsonl "$B/.target" "$B/.roster" "$B/.lock" | cksum
	rcli info keyspace
}

# --- usage ---------------------------------------------------------------------------

@test "-V and --version print the version" {
	run -0 ebbuffer -V
	assert_output --regexp '^ebbuffer [0-9]+\.[0-9]+'
	run -0 ebbuffer --version
	assert_output --regexp '^ebbuffer '
}

@test "usage errors are 64, and nothing is changed" {
	buffered a 1 3
	local words before
	before=$(state)
	for words in '' -x nothing 'list a' 'check a' 'compress a' 'list --limit x' 'list --limit -1' 'check --limit 1' 'list --yes' discard \
	    'discard a --yes' 'discard --dry-run' 'retarget --yes' quarantine 'quarantine nothing' 'quarantine drop' 'quarantine retry --yes' \
	    'list -t x' 'list -p 6379' 'list -u nonsense' 'list --nothing'; do
		eval "run --separate-stderr ebbuffer $words"
		assert_equal "$words: $status" "$words: 64"
		assert_equal "$output" ""
		assert_regex "$stderr" 'see ebbuffer --help'
	done
	assert_equal "$(state)" "$before"
}

@test "no place for a buffer is 78 and names -b" {
	unset EB_BUFFER_DIR XDG_STATE_HOME HOME
	run -78 ebbuffer list
	assert_output --partial '-b'
}

@test "a directory that others can write to is 78" {
	buffered a 1 1
	chmod 777 "$B"
	for o in list check compress retarget 'discard --yes' 'quarantine list'; do
		# shellcheck disable=SC2086  # two words
		run -78 ebbuffer $o
	done
	chmod 700 "$B"
	assert_equal "$(lines | wc -l)" 1
}

@test "stdout that cannot be written is 74" {
	buffered a 1 1
	for o in list check 'list -j'; do
		run -74 bash -c "ebbuffer $o >/dev/full"
		assert_output --partial 'standard output'
	done
}

# --- the commands ------------------------------------------------------------------------

@test "list: one line an event, in order; -j with all its members; --limit" {
	buffered a 1 3
	run -0 ebbuffer list
	assert_equal "${#lines[@]}" 4
	assert_line --index 0 --regexp '^BUFFERED AT +TYPE +EVENT ID +PAYLOAD$'
	assert_line --index 1 --regexp '^20[0-9-]+T[0-9:]+Z  a +[0-9a-f-]{36}    1$'
	run -0 ebbuffer list -q
	assert_equal "${#lines[@]}" 3
	run -0 ebbuffer list -j
	assert_equal "$(jq -c 'keys_unsorted' <<<"$output" | sort -u)" \
		'["event_type","payload","trace_id","correlation_id","timestamp","source","event_id","buffered_at","derived","in_doubt","segment","offset","bytes"]'
	assert_equal "$(jq -r .event_id <<<"$output")" "$(lines | jq -r .message.event_id)"
	# The offset is that of the line.
	local seg off
	seg=$(sed -n 2p <<<"$output" | jq -r .segment)
	off=$(sed -n 2p <<<"$output" | jq -r .offset)
	assert_equal "$(tail -c +$((off + 1)) "$B/$seg.jsonl" | head -1 | jq -r .message.payload)" 2
	assert_equal "$(ebbuffer list -j --limit 2 | wc -l)" 2
}

@test "list cuts the payload to the terminal, on whole characters; -j has all of it" {
	local long
	need script
	long=$(printf 'é%.0s' {1..200})
	down
	ebpub -q a "\"$long\""
	up
	run -0 ebbuffer list
	assert_line --index 1 --regexp '^.{20}  a {15}  .{36}    "(é){16}\.\.\.$'
	run script -qec "stty cols 132; ebbuffer list -q" /dev/null </dev/null
	assert_line --index 0 --regexp '^.{80}"(é){48}\.\.\.'
	assert_equal "$(ebbuffer list -j | head -1 | jq -r .payload)" "$long"
}

@test "list shows what is left, bad lines with 1" {
	buffered a 1 4
	rm -f "$B/.outage"
	run -75 ebreplay --limit 2
	assert_equal "$(ebbuffer list -j | wc -l)" 2
	echo garbage >>"$(ls "$B"/*.jsonl)"
	run -1 ebbuffer list -j
	assert_equal "$(tail -1 <<<"$output" | jq -r '.bad | type')" string
	run -1 ebbuffer list
	assert_output --partial 'BAD: '
}

@test "check counts, finds what is bad: 0 or 1; -j" {
	buffered a 1 4
	run -0 ebbuffer check
	assert_output --regexp '^1 segments, 4 lines, 0 delivered, 0 bad'
	run -0 ebbuffer check -j
	assert_equal "$(jq -c 'keys_unsorted' <<<"$output")" \
		'["segments","lines","delivered","bad","torn","out_of_order","odd_files","suspect","vanished","unreadable"]'
	printf garbage >>"$(ls "$B"/*.jsonl)"
	run -1 ebbuffer check
	assert_output --partial 'BAD: '
	run -1 bash -c 'set -o pipefail; ebbuffer check -j | jq -c "[.lines, .bad, .torn]"'
	assert_output '[5,1,1]'
	assert_equal "$(find "$B" -path '*quarantine/*' | wc -l)" 0
}

@test "check names a segment that vanished: 74" {
	buffered a 1 4
	rm "$B"/*.jsonl
	run -74 bash -c 'set -o pipefail; ebbuffer check -j | jq .vanished'
	assert_output 1
}

@test "looking at a buffer that is not there prints what an empty one would" {
	run -0 ebbuffer list -j
	assert_output ""
	run -0 ebbuffer check -j
	assert_equal "$(jq .lines <<<"$output")" 0
	run -0 ebreplay --dry-run -j
	assert_equal "$(jq .total_events <<<"$output")" 0
	run ! test -e "$B"
}

@test "another -u or -p: 78 and nothing moved; retarget hands the buffer over" {
	buffered a 1 3
	local before
	before=$(state)
	run -78 ebreplay -p other
	assert_output --partial 'ebbuffer retarget'
	run -78 ebreplay -u "redis://127.0.0.1:$REDIS_PORT"
	run -78 ebreplay -u "unix://$EB_TMP/r?db=1"
	assert_equal "$(state)" "$before"
	run -0 ebbuffer retarget -v -p other
	assert_output --partial 'now belongs to'
	run -78 ebreplay
	run -0 ebreplay -p other
	assert_equal "$(rcli xlen other:stream:a) $(length a)" '3 0'
}

@test "compress: closed segments become .gz, are read and drained in order" {
	down
	for n in 1 2 3; do
		seq $((n * 10 - 9)) $((n * 10)) | ebpub -q --segment-size 1K a
	done
	run -0 ebbuffer compress -v
	assert_output --partial '2 segments compressed'
	assert_equal "$(find "$B" -name '*.jsonl.gz' -printf '%m\n' | xargs)" '600 600'
	assert_equal "$(find "$B" -name '*.jsonl' | wc -l)" 1
	assert_equal "$(cat <(zcat "$B"/*.gz) <(lines) | jq -r .message.payload | xargs)" "$(seq 30 | xargs)"
	assert_equal "$(ebbuffer list -j | wc -l)" 30
	run -0 ebbuffer compress
	up
	rm -f "$B/.outage"
	run -75 ebreplay --limit 5
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" "$(seq 30 | xargs)"
	assert_equal "$(find "$B" -name '*.gz' | wc -l)" 0
}

# bats test_tags=nosanitize
@test "an interrupted compress reports what it has done" {
	need strace
	down
	for n in 1 2 3; do
		ebpub -q --segment-size 1 a "$n"
	done
	run -74 strace -f -qq -o /dev/null -e inject=unlinkat:error=EPERM:when=2 ebbuffer compress -v
	assert_output --partial '1 segments compressed'
	assert_output --partial 'Operation not permitted'
}

@test "discard --yes: what is undelivered goes into quarantine, nothing is sent" {
	buffered a 1 3
	run -0 ebbuffer discard -v --yes
	assert_output --partial '3 events moved to'
	assert_equal "$(jq -r '.line | fromjson.message.payload' "$B"/quarantine/*.jsonl | xargs)" '1 2 3'
	assert_equal "$(find "$B" -maxdepth 1 -name '*.jsonl' | wc -l)" 0
	run -0 ebreplay
	assert_equal "$(rcli exists "$S:a")" 0
	run -0 ebpub a 4
	assert_equal "$(ebstat -j | jq .buffer.quarantined)" 3
}

@test "discard leaves delivered lines out of quarantine and counts only the others" {
	buffered a 1 4
	rm -f "$B/.outage"
	run -75 ebreplay --limit 2
	run -0 ebbuffer discard --yes
	assert_equal "$(jq -r '.line | fromjson.message.payload' "$B"/quarantine/*.jsonl | xargs)" '3 4'
}

@test "compress, retarget and discard are 75 while another replay runs" {
	buffered a 1 1
	hold_replay
	for o in compress retarget 'discard --yes'; do
		# shellcheck disable=SC2086  # two words
		run -75 ebbuffer $o
	done
	assert_equal "$(lines | wc -l)" 1
}

@test "a plain writer's file is listed line by line, and no command that reads changes it" {
	plain_file
	cksum "$B/buffer_plain.jsonl" >"$EB_TMP/was"
	assert_equal "$(ebstat -j | jq -c '.buffer | [.file_count, .total_events, .oldest_event]')" '[1,4,"2025-12-04T10:30:01.000000Z"]'
	run -1 ebbuffer list -j
	assert_equal "$(jq -c '[.event_type, .derived, (.bad | type)]' <<<"$output")" '["p",true,"null"]
[null,null,"string"]
["p",true,"null"]
[null,null,"string"]'
	run -0 ebbuffer list -j --limit 1
	assert_equal "${#lines[@]}" 1
	run -1 ebbuffer check -j
	assert_equal "$(jq -c '[.segments, .lines, .bad, .out_of_order]' <<<"$output")" '[1,4,2,0]'
	run -1 ebbuffer check -q
	refute_output --partial segments
	diff "$EB_TMP/was" <(cksum "$B/buffer_plain.jsonl")
	assert_equal "$(length p)" 0
}

@test "an adopted file: blank lines are ignored, and an unreadable file is reported" {
	plain_file buffer_plain.claimed-000001.jsonl
	assert_equal "$(ebbuffer list -j | wc -l)" 4
	assert_equal "$(ebstat -j | jq .buffer.total_events)" 4
	assert_equal "$(ebbuffer check -j | jq -c '[.lines, .bad]')" '[4,2]'
	printf 'no gzip' >"$B/buffer_2025-12-04_10-30-00_000001.jsonl.gz"
	run -74 ebbuffer check -j
	assert_equal "$(jq -c '[.segments, .unreadable]' <<<"$output")" '[2,1]'
	run -1 ebreplay
	assert_output --partial "'buffer_2025-12-04_10-30-00_000001' is damaged"
	assert_equal "$(payloads p | xargs)" '2 1'
}

@test "check sees lines of ours that are out of order, and files that are left alone" {
	buffered a 1 4
	tac "$B"/*.jsonl >"$EB_TMP/reversed"
	cat "$EB_TMP/reversed" >"$(echo "$B"/*.jsonl)"
	mkdir "$B/buffer_zz.jsonl"
	run -1 ebbuffer check -j
	assert_equal "$(jq -c '[.lines, .bad, .out_of_order, .odd_files]' <<<"$output")" '[4,0,3,1]'
}

@test "two held types: both are named, counted, and marked in the list; the rest passes" {
	held a b
	buffered a 1 2
	buffered b 1 3
	buffered c 1 1
	run -75 ebreplay
	assert_equal "$(payloads c)" 1
	assert_equal "$(ebstat -j | jq -c '[.buffer.held[] | [.event_type, .events]]')" '[["a",2],["b",3]]'
	run -0 ebreplay --dry-run
	assert_line --index 0 --partial '5 events in 1 segments'
	assert_line --index 1 --partial "2 of them, 'a', held: "
	assert_line --index 2 --partial "3 of them, 'b', held: "
	run -0 ebbuffer list
	assert_equal "$(grep -c '  held: ' <<<"$output")" 5
	run -0 ebbuffer list -j
	assert_equal "$(jq -c '[.event_type, (.held | type)]' <<<"$output" | sort | uniq -c | xargs)" '2 [a,string] 3 [b,string]'
	# One of them is no longer held, and has no event left.
	freed a
	run -75 ebreplay
	buffered a 3 3
	run -0 ebbuffer list -j
	assert_equal "$(jq -c '[.event_type, (.held | type)]' <<<"$output" | sort | uniq -c | xargs)" '1 [a,null] 3 [b,string]'
	freed b
	run -0 ebreplay
	assert_equal "$(payloads a | xargs) $(payloads b | xargs)" '1 2 3 1 2 3'
}

@test "events in doubt are marked in the list" {
	feed pub ebpub -q -t 0.3 --maxlen 0 a
	echo 1 >&8
	wait_for "[ \"\$(length a)\" = 1 ]"
	redis_pause
	echo 2 >&8
	wait_for "grep -q '\"doubt\":' '$B'/*.jsonl"
	redis_resume
	run -0 ebbuffer list
	assert_line --index 1 --regexp ' in doubt  2$'
	assert_equal "$(ebbuffer list -j | jq .in_doubt)" true
}

# --- publishing past the buffer ---------------------------------------------------------------------

@test "while a type is held others are published directly, whatever kind of file it waits in" {
	held a
	buffered a 1 2
	buffered b 1 1
	plain p 1 2025-12-04T10:30:02Z >"$B/buffer_plain.jsonl"
	plain a 3 2025-12-04T10:30:04Z >>"$B/buffer_plain.jsonl"
	mkdir "$B/buffer_zz.jsonl"
	sleep 1.1
	run -75 ebreplay --wait 2
	run -0 ebpub b 2
	assert_output --regexp '^[0-9]+-'
	run -1 ebpub a 4
	assert_output --partial buffered
	run -0 ebpub p 2
	assert_output --regexp '^[0-9]+-'
	freed a
	rmdir "$B/buffer_zz.jsonl"
	run -0 ebreplay
	assert_equal "$(payloads a | xargs) / $(payloads b | xargs) / $(payloads p | xargs)" '3 1 2 4 / 1 2 / 1 2'
}

@test "while a type in an unsorted file is held, others are delivered, in order" {
	held a
	plain_file
	plain a 3 2025-12-04T10:30:04Z >>"$B/buffer_plain.jsonl"
	run -75 ebreplay --wait 2
	run -0 ebpub p 3
	run -0 ebpub p 4
	freed a
	run ebreplay
	assert_equal "$(payloads a | xargs) / $(payloads p | xargs)" '3 / 2 1 3 4'
}

# Mounts a file system for the buffer that can be made read only; teardown unmounts it.
own_disk() {
	need_root
	DISK=$EB_TMP/disk
	mkdir "$DISK"
	mount -t tmpfs -o size=4M,mode=755 none "$DISK" 2>/dev/null || skip "cannot mount tmpfs"
	B=$DISK/buffer
	export EB_BUFFER_DIR=$B
}

# bats test_tags=nosanitize
@test "a buffer that is read only, with files of all kinds: events of their types do not pass, others do" {
	own_disk
	buffered a 1 1
	plain_file buffer_plain.claimed-000001.jsonl
	{
		echo garbage
		plain c 1 2025-12-04T10:30:04Z
	} >"$B/buffer_other.jsonl"
	mkdir "$B/buffer_zz.jsonl"
	mount -o remount,ro "$DISK"
	for type in a p c; do
		run -74 ebpub $type 9
		assert_output --partial 'Read-only'
	done
	run -0 ebpub b 1
	mount -o remount,rw "$DISK"
	rmdir "$B/buffer_zz.jsonl"
	run -1 ebreplay --wait 5
	run -0 ebreplay
	assert_equal "$(payloads a) $(payloads b) $(payloads c) $(payloads p | xargs)" '1 1 1 2 1'
}

@test "a compressed segment or an adopted file that was delivered in part: the next event is appended after it" {
	down
	seq 300 | ebpub -q --segment-size 64K a
	run -0 ebbuffer compress
	rm -f "$B/.outage"
	up
	run -75 ebreplay --limit 10
	hold_replay
	run -0 ebpub a 301
	assert_output buffered
	release_replay
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" "$(seq 301 | xargs)"
	for i in 1 2 3; do
		plain p $i "2025-12-04T10:30:0${i}Z"
	done >"$B/buffer_plain.jsonl"
	run -75 ebreplay --limit 1
	hold_replay
	run -0 ebpub p 4
	assert_output buffered
	release_replay
	run -0 ebreplay
	assert_equal "$(payloads p | xargs)" '1 2 3 4'
}

# --- discard ----------------------------------------------------------------------------------------

@test "discard beside held types: what was delivered stays out, nothing is held any more" {
	held a
	buffered a 1 2
	buffered b 1 2
	plain_file
	run -75 ebreplay --wait 2
	assert_equal "$(payloads b | xargs)" '1 2'
	run -0 ebbuffer discard --yes
	assert_equal "$(ebstat -j | jq -c '.buffer | [.total_events, .held]')" '[0,[]]'
	assert_equal "$(ebbuffer quarantine list -j | jq -r .event_type | sort | uniq -c | xargs)" '2 a 2 null'
	freed a
	run ebbuffer quarantine retry
	run -0 ebreplay
	assert_equal "$(payloads a | xargs) / $(payloads b | xargs) / $(payloads p | xargs)" '1 2 / 1 2 / 2 1'
}

@test "discard of an adopted file: blank lines are ignored, lines without event_id keep their derived one" {
	plain_file buffer_plain.claimed-000001.jsonl
	run -0 ebbuffer discard --yes
	assert_equal "$(ebbuffer quarantine list -j | jq -r .event_type | sort | uniq -c | xargs)" '2 null 2 p'
	run -1 ebbuffer quarantine retry
	run -0 ebreplay
	assert_equal "$(payloads p | xargs)" '2 1'
}

# cut_off TYPE N COMMAND...: kills COMMAND when TYPE has N entries, before it stores the replies.
cut_off() {
	local type=$1 n=$2 nth
	shift 2
	cp -a "$B" "$EB_TMP/before"
	for nth in 1 2 3 4 5 6 7 8; do
		rm -rf "$B"
		cp -a "$EB_TMP/before" "$B"
		# The writers' hints name the file, the checkpoint names .replay.
		sed -i "s/^inode .*/inode $(printf %020d 0)/" "$B/.lock"
		at_home
		timeout 60 strace -f -o /dev/null -e "inject=pwrite64:signal=KILL:when=$nth" "$@" 2>/dev/null || :
		[ "$(length "$type")" != "$n" ] || return 0
	done
	fail "$type has $(length "$type") entries, not $n"
}

# bats test_tags=nosanitize
@test "discard and retry of events that an interrupted replay had sent or that were in doubt: found, once" {
	need_strace
	leave_in_doubt
	# The entry is lost again: the replay sends it, with an event that never was in doubt.
	rcli xdel "$S:a" "$(rcli --json xrange "$S:a" - + | jq -r '.[1][0]')" >/dev/null
	rm -f "$B/.probe" "$B/.outage"
	buffered a 3 3
	rm -f "$B/.outage"
	cut_off a 3 ebreplay
	run -0 ebbuffer discard --yes
	assert_equal "$(jq -c '.line | fromjson | .doubt.after | type' "$B"/quarantine/*.jsonl | xargs)" 'string string'
	run -0 ebbuffer quarantine retry
	run -0 ebreplay -j
	assert_equal "$(jq -c '[.found, .replayed]' <<<"$output")" '[2,0]'
	assert_equal "$(payloads a | xargs)" '1 2 3'
}

@test "discard and retry of a segment that had vanished and came back: found, once" {
	down
	seq 3 | xargs -n 1 ebpub -q --segment-size 1 a
	rm -f "$B/.outage"
	up
	mv "$(find "$B" -name '*.jsonl' | sort | sed -n 2p)" "$EB_TMP/"
	run -74 ebreplay
	# The killed replay had sent it.
	mapfile -t fields < <(jq -r '.message | to_entries[] | .key, .value' "$EB_TMP"/buffer_*.jsonl)
	rcli xadd "$S:a" '*' "${fields[@]}" >/dev/null
	held z
	buffered z 1 1
	mv "$EB_TMP"/buffer_*.jsonl "$B/"
	# The replay after the retry stops for another reason.
	rcli acl setuser default -xadd -xrange >/dev/null
	run ebreplay
	rcli acl setuser default +xadd +xrange >/dev/null
	assert_equal "$(find "$B" -name '*.own-0.jsonl' | wc -l)" 1
	run -0 ebbuffer discard --yes
	grep -h '"event_type' "$B"/quarantine/*.own-0.jsonl | jq -e '.line | fromjson | .doubt'
	run -0 ebbuffer quarantine retry
	freed z
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 3 2'
}

# bats test_tags=nosanitize
@test "a plain writer's file whose replay was interrupted before it stored the replies: found, once; also in parts" {
	need_strace
	held z
	buffered z 1 1
	rm -f "$B/.outage"
	for i in 1 2 3; do
		plain p $i "2025-12-04T10:30:0${i}Z"
	done >"$B/buffer_plain.jsonl"
	# Adopted, and settled for a second.
	run -75 ebreplay --limit 1
	cut_off p 3 ebreplay
	cp -a "$B" "$EB_TMP/cut"
	run -75 --separate-stderr ebreplay -j --rate 5
	assert_equal "$(jq -c '[.found, .replayed]' <<<"$output")" '[2,0]'
	assert_equal "$(payloads p | xargs)" '1 2 3'
	# The same with discard and retry.
	rm -rf "$B"
	cp -a "$EB_TMP/cut" "$B"
	sed -i "s/^inode .*/inode $(printf %020d 0)/" "$B/.lock"
	at_home
	run -0 ebbuffer discard --yes
	freed z
	run -0 ebbuffer quarantine retry
	run -0 ebreplay
	assert_equal "$(payloads p | xargs) $(payloads z)" '1 2 3 1'
}

# bats test_tags=nosanitize
@test "events in doubt that an interrupted replay had sent: found, once" {
	need_strace
	leave_in_doubt
	rcli xdel "$S:a" "$(rcli --json xrange "$S:a" - + | jq -r '.[1][0]')" >/dev/null
	rm -f "$B/.probe" "$B/.outage"
	buffered a 3 3
	rm -f "$B/.outage"
	cut_off a 3 ebreplay
	run -0 --separate-stderr ebreplay -j
	assert_equal "$(jq -c '[.found, .replayed]' <<<"$output")" '[2,0]'
	assert_equal "$(payloads a | xargs)" '1 2 3'
}

@test "a bad line behind a held type is put into quarantine once, however often it is walked past" {
	local i
	held z
	buffered z 1 1
	echo 'no event' >>"$(echo "$B"/*.jsonl)"
	buffered a 1 1
	{
		plain z 0 2025-12-04T10:30:01Z
		echo 'none either'
		plain b 1 2025-12-04T10:30:03Z
	} >"$B/buffer_plain.jsonl"
	for i in 1 2 3; do
		run ebreplay --wait 2
		assert_equal "$(ebstat -j | jq .buffer.quarantined)" 2
	done
	freed z
	run ebreplay
	run -0 ebreplay
	assert_equal "$(ebstat -j | jq .buffer.quarantined)" 2
	assert_equal "$(payloads z | xargs) $(payloads a) $(payloads b)" '0 1 1 1'
}

@test "lost checkpoint, drained in parts: each part searches the streams" {
	buffered a 1 60
	rm -f "$B/.outage"
	run -75 ebreplay --limit 30
	rm "$B/.progress"
	run -75 ebreplay --limit 10
	assert_output --partial "was lost"
	run -75 ebreplay --limit 10
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" "$(seq 60 | xargs)"
}

# bats test_tags=nosanitize
@test "lost checkpoint and only a bad line left: the checkpoint is valid again afterwards" {
	buffered a 1 1
	run -0 ebreplay
	down
	ebpub -q a 2
	sed -i 's/{/?/' "$B"/*.jsonl
	rm -f "$B/.outage"
	up
	: >"$B/.progress"
	run -1 ebreplay
	assert_output --partial "was lost"
	buffered a 3 3
	run -0 ebreplay
	refute_output --partial "was lost"
}

# --- reading a buffer with errors ----------------------------------------------------------------------------

# failing NAME CALL ERROR COMMAND...: runs COMMAND with system call CALL failing with ERROR on this file of the buffer.
failing() {
	timeout 60 strace -qq -f -o /dev/null -P "$1" -P "$B/$1" -e "inject=$2:error=$3" "${@:4}"
}

@test "a replay that is stopped while it drains a freed type: the type is not held, the rest is counted" {
	held z
	buffered z 1 5
	buffered a 1 2
	rm -f "$B/.outage"
	run -75 ebreplay
	assert_equal "$(ebstat -j | jq -c '[.buffer.held[] | .event_type, .events]')" '["z",5]'
	freed z
	run -75 ebreplay --limit 2
	assert_output ''
	assert_equal "$(ebstat -j | jq -c '[.buffer.total_events, .buffer.held]')" '[3,[]]'
	run -0 ebreplay
	assert_equal "$(payloads z | xargs)" '1 2 3 4 5'
}

@test "a stream of events beside a held type: when it pauses, what else is buffered is drained" {
	held z
	buffered z 1 1
	rm -f "$B/.outage"
	run -75 ebreplay
	buffered b 1 1
	buffered c 1 1
	rm -f "$B/.outage"
	rcli config resetstat >/dev/null
	feed pub timeout 60 ebpub b
	echo 2 >&8
	wait_for "[ \"\$(length c)\" = 1 ] && [ \"\$(length b)\" = 2 ]"
	# Draining is tried again although the type stays held.
	wait_for "[ \"\$(rcli info commandstats | sed -n 's/^cmdstat_xinfo|stream:calls=\([0-9]*\),.*/\1/p')\" -ge 4 ]"
	exec 8>&-
	bg_wait pub
	assert_equal "$(payloads b | xargs) $(payloads c)" '1 2 1'
	assert_equal "$(ebstat -j | jq -c '[.buffer.held[] | .event_type, .events]')" '["z",1]'
	freed z
	run -0 ebreplay
}

# bats test_tags=nosanitize
@test "a plain writer's file that cannot be read: said by list, 74; gone meanwhile, it is left out" {
	need_strace
	plain_file
	buffered a 1 1
	run -74 failing buffer_plain.jsonl openat EACCES ebbuffer list
	assert_output --partial 'Permission denied'
	run -0 failing buffer_plain.jsonl openat ENOENT ebbuffer list -j
	assert_equal "$(jq -r .event_type <<<"$output")" a
	run -0 failing buffer_plain.jsonl openat ENOENT ebstat -j
	assert_equal "$(jq -c '.buffer | [.file_count, .total_events]' <<<"$output")" '[2,1]'
}

# bats test_tags=nosanitize
@test "a buffer that is read only, and a file in it cannot be read, ours or a plain writer's: nothing passes it, 74" {
	local name
	need_strace
	own_disk
	down
	seq 2 | xargs -n 1 ebpub -q --segment-size 1 a
	rm -f "$B/.outage"
	up
	plain c 1 2025-12-04T10:30:04Z >"$B/buffer_plain.jsonl"
	mount -o remount,ro "$DISK"
	run -0 ebpub b 1
	for name in buffer_plain.jsonl "$(find "$B" -name 'buffer_*' -printf '%f\n' | sort | tail -1)"; do
		run -74 failing "$name" openat EIO ebpub b 2
		assert_line --partial 'event 1 is NOT safe'
	done
	mount -o remount,rw "$DISK"
	run -0 ebreplay --wait 5
	assert_equal "$(payloads a | xargs) $(payloads b) $(payloads c)" '1 2 1 1'
}

# bats test_tags=nosanitize
@test "discard beside a plain writer's file whose new name is taken: it stays, and is replayed" {
	need_strace
	plain a 2 2025-12-04T10:30:04Z >"$EB_TMP/buffer_plain.jsonl"
	buffered a 1 1
	rm -f "$B/.outage"
	mv "$EB_TMP/buffer_plain.jsonl" "$B/"
	run -0 strace -qq -f -o /dev/null -e inject=renameat2:error=EEXIST ebbuffer discard --yes
	assert_equal "$(find "$B" -maxdepth 1 -name '*.jsonl' -printf '%f\n')" buffer_plain.jsonl
	assert_equal "$(cat "$B"/quarantine/* | wc -l)" 1
	run -0 ebreplay
	assert_equal "$(payloads a)" 2
}

# bats test_tags=nosanitize
@test "discard that cannot write its state: 74, all is there; then each in quarantine, once" {
	local fault
	need_strace
	mkdir -m 700 "$B"
	seq 4 | while read -r n; do plain p "$n" 2025-12-04T10:30:0$((5 - n))Z; done >"$B/buffer_plain.jsonl"
	buffered a 1 1
	rm -f "$B/.outage"
	cp -a "$B" "$EB_TMP/full"
	for fault in '.lock pwrite64 ENOSPC' '.progress pwrite64 EIO'; do
		rm -rf "$B"
		cp -a "$EB_TMP/full" "$B"
		sed -i "s/^inode .*/inode $(printf %020d 0)/" "$B/.lock"
		# shellcheck disable=SC2086
		run -74 failing $fault ebbuffer discard --yes
		assert_equal "$(ebstat -j | jq .buffer.total_events)" 5 || fail "$fault"
		run -0 ebbuffer discard --yes
		assert_equal "$(cat "$B"/quarantine/* | wc -l)" 5 || fail "$fault"
		assert_equal "$(ebstat -j | jq .buffer.total_events)" 0
	done
	# The file does not exist and cannot be created: discard does not depend on it.
	rm -rf "$B"
	cp -a "$EB_TMP/full" "$B"
	sed -i "s/^inode .*/inode $(printf %020d 0)/" "$B/.lock"
	rm "$B/.progress"
	run strace -qq -f -o /dev/null -e inject=fsync:error=ENOSPC:when=2 ebbuffer discard --yes
	[ "$status" = 0 ] || run -0 ebbuffer discard --yes
	assert_equal "$(cat "$B"/quarantine/* | wc -l)" 5
}

# bats test_tags=nosanitize
@test "discard and retry of events that an interrupted replay had sent, and of later ones: the former are found, the latter added" {
	need_strace
	buffered a 1 2
	rm -f "$B/.outage"
	cut_off a 2 ebreplay
	down
	ebpub -q a 3
	rm -f "$B/.outage"
	up
	plain a 4 2025-12-04T10:30:01Z >"$B/buffer_plain.jsonl"
	run -0 ebbuffer discard --yes
	assert_equal "$(jq -r '.line | fromjson | "\(.message.payload) \(.doubt | type)"' "$B"/quarantine/*.jsonl | sort | paste -sd,)" \
		'1 object,2 object,3 null,4 null'
	run -0 ebbuffer quarantine retry
	run -0 --separate-stderr ebreplay -j
	assert_equal "$(jq -c '[.found, .replayed]' <<<"$output")" '[2,2]'
	assert_equal "$(payloads a | sort | xargs)" '1 2 3 4'
}

# bats test_tags=nosanitize
@test "a plain writer's file whose replay was interrupted twice: found, once" {
	need_strace
	mkdir -m 700 "$B"
	for i in 1 2 3; do
		plain p $i "2025-12-04T10:30:0${i}Z"
	done >"$B/buffer_plain.jsonl"
	run -75 ebreplay --limit 1
	printf '0' >"$B/.lock"
	cut_off p 3 ebreplay
	cp -a "$B" "$EB_TMP/cut"
	# The next replay is killed before it has read any reply.
	timeout 60 strace -f -o /dev/null -e inject=pwrite64:signal=KILL:when=2 ebreplay 2>/dev/null || :
	run ebreplay
	run -0 ebreplay
	assert_equal "$(payloads p | xargs)" '1 2 3'
}

# --- set-aside --------------------------------------------------------------------------------------

# id TYPE PAYLOAD: prints the event_id of a waiting event.
id() {
	ebbuffer list -j 2>/dev/null | jq -r --arg t "$1" --arg p "$2" 'select(.event_type == $t and (.payload | tostring) == $p).event_id'
}

# Makes the quarantine file of the only segment, $aside, so that a write to it can be made to fail.
no_space() {
	local segment
	segment=$(find "$B" -maxdepth 1 -name '*.jsonl' -printf '%f')
	aside=$B/quarantine/$segment
	(umask 077 && : >"$aside")
}

quarantined() {
	jq -r '.line | fromjson.message.payload' "$B"/quarantine/*.jsonl | xargs
}

@test "set-aside: the event is in quarantine with the reason, the others are sent in order, a retry brings it back" {
	buffered a 1 3
	rm -f "$B/.outage"
	run -0 ebbuffer set-aside -v --reason 'poison "x"' "$(id a 2)"
	assert_output "ebbuffer: 1 events moved to '$B/quarantine'"
	assert_equal "$(quarantined)" 2
	assert_equal "$(ebbuffer list -j | jq -c .payload | xargs)" '1 3'
	assert_equal "$(ebbuffer quarantine list -j | jq -r .reason)" 'poison "x"'
	assert_equal "$(ebstat -j | jq -c '.buffer | [.total_events, .quarantined]')" '[2,1]'
	# Each batch stores the checkpoint.
	run -75 ebreplay --limit 1
	assert_equal "$(ebbuffer list -j | jq -c .payload | xargs)" 3
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 3'
	run -0 ebbuffer quarantine retry "$(basename "$B"/quarantine/*.jsonl)"
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 3 2'
	assert_equal "$(ebstat -j | jq -c '.buffer | [.total_events, .quarantined, .possible_duplicates]')" '[0,0,0]'
}

@test "set-aside works on the chain, compressed segments, own and adopted segments, plain files" {
	down
	seq 3 | ebpub -q --segment-size 1 a
	seq 4 6 | ebpub -q --segment-size 1 a
	ebbuffer compress
	bg holder flock "$B/.lock" sleep 60
	wait_for "! flock -n '$B/.lock' true"
	ebpub -q -t 0.05 own 7
	pkill -KILL -P "${BG[holder]}"
	wait_for "flock -n '$B/.lock' true"
	{ plain p 10 2025-12-04T10:30:02; plain p 11 2025-12-04T10:30:01; plain p 12 2025-12-04T10:30:03; } >"$B/buffer_2025-12-04_10-30-00.jsonl"
	{ plain q 20 2025-12-04T10:30:02; plain q 21 2025-12-04T10:30:03; } >"$B/buffer_2025-12-04_10-30-01.claimed-000001.jsonl"
	rm -f "$B/.outage"
	run -0 ebbuffer set-aside "$(id a 2)" "$(id a 6)" "$(id own 7)" "$(id p 11)" "$(id q 20)"
	up
	assert_equal "$(quarantined | tr ' ' '\n' | sort -n | xargs)" '2 6 7 11 20'
	assert_equal "$(ebbuffer list -j | jq .payload | sort -n | xargs)" '1 3 4 5 10 12 21'
	run -0 ebreplay
	assert_equal "$(payloads a | xargs),$(payloads p | xargs),$(payloads q | xargs)" '1 3 4 5,10 12,21'
	run -0 ebbuffer quarantine retry
	run -0 ebreplay
	assert_equal "$(payloads a | xargs),$(payloads own),$(payloads p | xargs),$(payloads q | xargs)" '1 3 4 5 2 6,7,10 12 11,21 20'
	assert_equal "$(ebstat -j | jq .buffer.possible_duplicates)" 0
}

@test "set-aside --match, --dry-run, -j; what does not wait is 1 and named" {
	down
	seq 4 | ebpub -q --source east a
	seq 5 6 | ebpub -q --source west a
	ebpub -q --source west b 7
	run -0 ebbuffer set-aside --dry-run -j --match source=west --match event_type=a
	assert_equal "$(jq -c .payload <<<"$output" | xargs)" '5 6'
	run -0 ebbuffer set-aside --dry-run --match payload=7
	assert_equal "${#lines[@]}" 2
	assert_equal "$(find "$B/quarantine" -type f)" ""
	hold_replay
	run -0 ebbuffer set-aside --dry-run --match payload=7
	run -75 ebbuffer set-aside --match payload=7
	release_replay
	first=$(id a 1)
	run -1 ebbuffer set-aside no-such-event "$first" --match source=west
	assert_output --partial "'no-such-event': no event with this event_id waits in the buffer"
	assert_output --partial "'$first'"
	run -0 --separate-stderr ebbuffer set-aside -j --match source=west --match event_type=a
	assert_equal "$(jq -c . <<<"$output")" '{"set_aside":2,"not_found":0}'
	run -1 --separate-stderr ebbuffer set-aside -j "$first" "$first" no-such-event
	assert_equal "$(jq -c . <<<"$output")" '{"set_aside":1,"not_found":1}'
	assert_equal "$(quarantined | tr ' ' '\n' | sort | xargs)" '1 5 6'
	run -0 ebbuffer set-aside --match source=nowhere
	for words in set-aside 'set-aside --match nothing' 'set-aside --match =x' 'set-aside --match color=red' 'set-aside --reason= x' 'list --match a=b'; do
		# shellcheck disable=SC2086  # several words
		run -64 ebbuffer $words
	done
	run -1 ebbuffer -b "$EB_TMP/none" set-aside x
	assert [ ! -e "$EB_TMP/none" ]
}

@test "set-aside beside a held type, and of an event of a held type" {
	held x
	buffered x 1 3
	buffered y 1 3
	rm -f "$B/.outage"
	run -75 ebreplay
	buffered y 4 6
	rm -f "$B/.outage"
	run -0 ebbuffer set-aside "$(id x 1)" "$(id x 3)" "$(id y 5)"
	run -75 ebreplay
	assert_equal "$(payloads y | xargs)" '1 2 3 4 6'
	freed x
	run -0 ebreplay
	assert_equal "$(payloads x | xargs)" 2
	assert_equal "$(quarantined)" '1 3 5'
}

# bats test_tags=nosanitize
@test "set-aside that was killed: the next replay completes it, without a second copy; also from a full disk" {
	need_strace
	buffered a 1 3
	rm -f "$B/.outage"
	two=$(id a 2)
	cp -a "$B" "$EB_TMP/before"
	# before its second store of the checkpoint
	run strace -qq -o /dev/null -e inject=pwrite64:signal=KILL:when=2 ebbuffer set-aside --reason why "$two"
	assert_equal "$(quarantined)" 2
	assert_equal "$(ebstat -j | jq .buffer.total_events)" 3
	run -0 ebreplay
	assert_output --partial 'set-aside was interrupted'
	assert_equal "$(payloads a | xargs)" '1 3'
	assert_equal "$(quarantined)" 2
	assert_equal "$(ebbuffer quarantine list -j | jq -r .reason)" why
	run -0 ebbuffer quarantine retry
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 3 2'
	# before quarantine has it; then there is no space for it
	redis_flush
	rm -rf "$B"
	cp -a "$EB_TMP/before" "$B"
	sed -i "s/^inode .*/inode $(printf %020d 0)/" "$B/.lock"
	no_space
	run strace -qq -o /dev/null -P "$aside" -e inject=write:signal=KILL ebbuffer set-aside "$two"
	assert [ ! -s "$aside" ]
	run -0 strace -qq -f -o /dev/null -P "$aside" -e inject=write:error=ENOSPC ebreplay
	assert_output --partial '1 events were not set aside'
	assert_equal "$(payloads a | xargs)" '1 2 3'
}

# bats test_tags=nosanitize
@test "set-aside with no space for quarantine: 74, the event still waits and is sent" {
	need_strace
	buffered a 1 2
	rm -f "$B/.outage"
	no_space
	run -74 strace -qq -o /dev/null -P "$aside" -e inject=write:error=ENOSPC ebbuffer set-aside "$(id a 1)"
	assert_output --partial '1 events stay in the buffer'
	assert_equal "$(ebstat -j | jq .buffer.total_events)" 2
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2'
}
