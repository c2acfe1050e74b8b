#!/usr/bin/env bats
# covers: bin/ebsub.c lib/consume lib/redis lib/event
# ebsub(1) against a private server.

# shellcheck disable=SC2030,SC2031,SC2154  # bats: a test is a subshell, and sets \$stderr

load ../support/helper

setup_file() {
	redis_start_tcp --appendonly yes --appendfsync always
}

setup() {
	redis_wait || redis_restart
	redis_flush
	HOST=$(hostname | tr -c 'A-Za-z0-9._\n-' _)
}

S=quantum:stream
G=quantum:group:eventbus

# add TYPE FROM TO: adds entries as ebpub makes them, with the IDs FROM-0 to TO-0 and the payload {"n":N}.
add() {
	local i
	for ((i = $2; i <= $3; i++)); do
		echo "XADD $S:$1 $i-0 event_type $1 payload {\\\"n\\\":$i} trace_id tr$i correlation_id co$i" \
			"timestamp 2025-12-04T10:30:00.000000Z source src event_id ev$i"
	done | sed 's/{\\"n\\":\([0-9]*\)}/"{\\"n\\":\1}"/' | rcli >/dev/null
}

# numbers FROM TO: prints what --payload prints for them.
numbers() {
	seq -f '{"n":%.0f}' "$1" "$2"
}

# group TYPE FIELD [GROUP]: prints a field of XINFO GROUPS.
group() {
	rcli xinfo groups "$S:$1" | grep -A 11 -Fx "${3:-$G:$1}" | grep -A 1 -Fx "$2" | tail -1
}

pending() {
	group "$1" pending "${2:-}"
}

unread() {
	group "$1" lag "${2:-}"
}

# blocked TYPE...: waits until as many readers as types are blocked.
blocked() {
	wait_for "[ \$(rcli client list | grep -c cmd=xread) = $1 ]"
}

# --- usage ---------------------------------------------------------------------------

@test "-h: usage on stdout, 0; -V: the version" {
	run --separate-stderr ebsub -h
	assert_success
	assert_line --regexp '^usage: ebsub .* type \.\.\.$'
	assert_line --regexp '^       ebsub --peek .* type \.\.\.$'
	assert_equal "$stderr" ""
	run ebsub --version
	assert_success
	assert_output --regexp '^ebsub [0-9]'
}

# bats test_tags=novalgrind
@test "usage errors are 64 and say what is wrong" {
	local words
	while read -r words; do
		# shellcheck disable=SC2086
		run --separate-stderr ebsub $words
		assert_equal "$words: $status" "$words: 64"
		assert_equal "$output" ""
		assert_regex "$stderr" '^ebsub: .*'
		assert_regex "$stderr" 'see ebsub --help$'
	done <<'END'
-q
--no-such-option t
-n x t
-n 0 t
-n -1 t
-W x t
-t x t
-f %y t
-f x% t
-f x\q t
-f x\ t
--from tomorrow t
--to 5 t
--last 5 t
--follow t
--peek --last x t
--peek --follow --to 5 t
--peek --follow --to $ t
--peek --follow -e t
--to $ t
--peek -g x t
--peek -C x t
-j --payload t
-j -f %i t
--payload -f %i t
-g  t --from
a/b
-- -x
.. a b:c
ai.*
END
}

@test "a pattern is refused with the hint at --peek" {
	run ebsub 'ai.*'
	assert_equal "$status" 64
	assert_output --partial "--peek"
	run ebsub -f '%y' t
	assert_output --partial "'%y'"
}

@test "types may follow --, when none precedes it" {
	add t 1 1
	run ebsub -e --payload -- t
	assert_success
	assert_output '{"n":1}'
}

# --- reading -----------------------------------------------------------------------------

@test "one JSON line per event, acknowledged" {
	add t 1 3
	run --separate-stderr ebsub -e t
	assert_success
	assert_equal "$stderr" ""
	assert_line -n 0 '{"id":"1-0","stream":"quantum:stream:t","event_type":"t","payload":{"n":1},"trace_id":"tr1","correlation_id":"co1","timestamp":"2025-12-04T10:30:00.000000Z","source":"src","event_id":"ev1","deliveries":1}'
	assert_equal "${#lines[@]}" 3
	assert_equal "$(pending t) $(unread t)" "0 0"
	assert_equal "$(rcli xinfo consumers $S:t $G:t | sed -n 2p)" "eb-$HOST-1"
	run ebsub -j -e t
	assert_success
	assert_output ""
}

@test "a new stream and group are made, from the beginning" {
	bg sub ebsub --payload -n 2 fresh
	blocked 1
	assert_equal "$(group fresh last-delivered-id)" 0-0
	add fresh 1 2
	bg_wait sub
	assert_equal "$status" 0
	assert_equal "$(cat "$EB_TMP/sub.out")" "$(numbers 1 2)"
}

@test "the service and the prefix name the group, -g names it exactly" {
	add t 1 2
	run ebsub -e -s other --payload t
	assert_output "$(numbers 1 2)"
	assert_equal "$(pending t quantum:group:other:t)" 0
	run ebsub -e -g 'my group' --payload t
	assert_output "$(numbers 1 2)"
	assert_equal "$(pending t 'my group')" 0
	rcli xadd pre:stream:t '*' payload 1
	run ebsub -e -p pre --payload t
	assert_output 1
	assert_equal "$(rcli exists pre:stream:t)" 1
}

@test "-n reads so many and takes no more" {
	add t 1 100
	run ebsub -n 7 --payload t
	assert_success
	assert_output "$(numbers 1 7)"
	assert_equal "$(pending t) $(unread t)" "0 93"
	run ebsub -n 1 --payload t
	assert_output "$(numbers 8 8)"
}

@test "-n counts over all types, and a quiet type does not hold the rest up" {
	add a 1 10
	add b 1 10
	run ebsub -n 15 -f '%t' a b quiet
	assert_success
	assert_equal "${#lines[@]}" 15
	assert_equal "$(($(pending a) + $(pending b))) $(($(unread a) + $(unread b)))" "0 5"
	bg sub ebsub -n 2 --payload x y z
	wait_for "rcli exists $S:z | grep 1"
	add z 1 3
	bg_wait sub
	assert_equal "$status" 0
	assert_equal "$(cat "$EB_TMP/sub.out")" "$(numbers 1 2)"
	assert_equal "$(pending z) $(unread z)" "0 1"
	for t in p q; do
		bg sub ebsub -n 1 -f %t p q
		wait_for "rcli exists $S:q | grep 1"
		add "$t" 1 1
		bg_wait sub
		assert_equal "$(cat "$EB_TMP/sub.out")" "$t"
	done
}

@test "-e ends when nothing is left: 0; with -n not reached: 124" {
	run ebsub -e nothing
	assert_success
	add t 1 3
	run ebsub -e -n 5 --payload t
	assert_equal "$status" 124
	assert_output "$(numbers 1 3)"
	add t 4 8
	run ebsub -e -n 5 --payload t
	assert_success
	assert_output "$(numbers 4 8)"
}

# bats test_tags=novalgrind
@test "-W ends after so long without an event: 124 when none came or -n was not reached" {
	local start=${EPOCHREALTIME/./}
	run ebsub -W 0.5 t
	assert_equal "$status" 124
	(((${EPOCHREALTIME/./} - start) / 1000 >= 500 && (${EPOCHREALTIME/./} - start) / 1000 < 2500))
	add t 1 2
	run ebsub --idle-timeout 300ms --payload t
	assert_success
	assert_output "$(numbers 1 2)"
	add t 3 3
	run ebsub -W 0.3 -n 2 --payload t
	assert_equal "$status" 124
	assert_output "$(numbers 3 3)"
	add t 4 5
	run ebsub -W 30 -n 2 --payload t
	assert_success
}

@test "thousands of events come in order, from several types" {
	rcli eval "for i = 1, 5000 do for _, t in ipairs({'a', 'b'}) do
		redis.call('XADD', 'quantum:stream:' .. t, i .. '-0', 'payload', t .. i) end end" 0
	ebsub -e --payload a b >"$EB_TMP/out"
	diff <(grep a "$EB_TMP/out") <(seq -f a%.0f 5000)
	diff <(grep b "$EB_TMP/out") <(seq -f b%.0f 5000)
	assert_equal "$(pending a) $(unread a) $(pending b) $(unread b)" "0 0 0 0"
	assert_equal "$(wc -l <"$EB_TMP/out")" 10000
}

@test "an event is printed at once, while it waits for the next" {
	bg sub ebsub --payload a b
	blocked 2
	for i in 1 2 3; do
		add b "$i" "$i"
		wait_for "[ \$(wc -l <'$EB_TMP/sub.out') = $i ]" 3
	done
	assert_equal "$(cat "$EB_TMP/sub.out")" "$(numbers 1 3)"
}

# --- what is printed --------------------------------------------------------------------

@test "entries by others: flat, without payload, not JSON, not UTF-8: shown and acknowledged" {
	rcli xadd $S:t 1-0 foo bar n 5
	rcli xadd $S:t 2-0 payload 'no json'
	rcli xadd $S:t 3-0 payload "$(printf '\377\376')" extra yes
	rcli xadd $S:t 4-0 event_type other payload '[1.5]'
	run ebsub -e t
	assert_success
	assert_equal "${#lines[@]}" 4
	assert_equal "$(jq -c '[.id, .event_type, .fields, .payload_text, .payload_base64, .payload]' <<<"$output")" \
		'["1-0","t",{"foo":"bar","n":"5"},null,null,null]
["2-0","t",null,"no json",null,null]
["3-0","t",{"extra":"yes"},null,"//4=",null]
["4-0","other",null,null,null,[1.5]]'
	assert_equal "$(pending t) $(unread t)" "0 0"
	run ebsub --peek --payload t
	assert_line -n 0 '{"foo":"bar","n":"5"}'
	assert_line -n 1 'no json'
}

@test "a pretty-printed payload: one JSON line, and its exact bytes with --payload" {
	local pretty
	pretty=$(printf '{\n  "a": 1.10,\r\n  "b": [9007199254740993,\t"\\u0000"]\n}')
	rcli -x xadd $S:t 1-0 payload < <(printf %s "$pretty")
	run ebsub --peek t
	assert_equal "${#lines[@]}" 1
	assert_output --partial '"payload":{   "a": 1.10,    "b": [9007199254740993,	"\u0000"] }'
	ebsub -e --payload t | cmp - <(printf '%s\n' "$pretty")
}

@test "-f: every letter, every escape" {
	add t 1 1
	run ebsub -e -f 'i=%i t=%t p=%p T=%T r=%r c=%c s=%s e=%e k=%k d=%d %%' t
	assert_output 'i=1-0 t=t p={"n":1} T=2025-12-04T10:30:00.000000Z r=tr1 c=co1 s=src e=ev1 k=quantum:stream:t d=1 %'
	ebsub --peek -f '%i\t%d|\n\r\\\0' t >"$EB_TMP/out"
	cmp "$EB_TMP/out" <(printf '1-0\t|\n\r\\\0\n')
	rcli xadd $S:flat 1-0 foo bar
	run ebsub --peek --format '%t %p%e' flat
	assert_output 'flat {"foo":"bar"}'
}

@test "-0 ends each record with a NUL" {
	add t 1 2
	ebsub -e -0 --payload t >"$EB_TMP/out"
	cmp "$EB_TMP/out" <(printf '{"n":1}\0{"n":2}\0')
	ebsub --peek --null -f %i t | cmp - <(printf '1-0\0002-0\0')
}

# --- where it starts -------------------------------------------------------------------------

@test "--from: the beginning, the end, an ID, a time, so long ago" {
	local now=$((${EPOCHREALTIME/./} / 1000))
	add t 1 5
	run ebsub -e -g g0 --from 0 --payload t
	assert_output "$(numbers 1 5)"
	run ebsub -e -g g1 --from '$' --payload t
	assert_output ""
	run ebsub -e -g g2 --from 4-0 --payload t
	assert_output "$(numbers 4 5)"
	run ebsub -e -g g3 --from 5 --payload t
	assert_output "$(numbers 5 5)"
	run ebsub -e -g g4 --from 1970-01-01T00:00:00.003Z --payload t
	assert_output "$(numbers 3 5)"
	add t $((now - 700000)) $((now - 700000))
	add t $((now - 500000)) $((now - 500000))
	run ebsub -e -g g5 --from 10m --payload t
	assert_output "$(numbers $((now - 500000)) $((now - 500000)))"
}

@test "--from on a group that is there has no effect, and that is said" {
	add t 1 3
	ebsub -e -n 1 t
	run --separate-stderr ebsub -e --from 0 --payload t
	assert_success
	assert_output "$(numbers 2 3)"
	assert_regex "$stderr" "^ebsub: --from has no effect: group '$G:t' already exists$"
	run --separate-stderr ebsub -e t
	assert_equal "$stderr" ""
}

# --- consumers -----------------------------------------------------------------------------

@test "own pending entries come first, once, with the number of their deliveries" {
	add t 1 5
	rcli xgroup create $S:t $G:t 0
	rcli xreadgroup group $G:t "eb-$HOST-1" count 2 streams $S:t '>'
	rcli xreadgroup group $G:t other count 1 streams $S:t '>'
	run ebsub -e -f '%i %d' t
	assert_output "1-0 2
2-0 2
4-0 1
5-0 1"
	assert_equal "$(pending t)" 1
}

@test "deliveries of pending entries are left out where they may not be asked" {
	add t 1 2
	rcli xgroup create $S:t $G:t 0
	rcli xreadgroup group $G:t me count 1 streams $S:t '>'
	rcli acl setuser worker reset on '>w' "~$S:*" +xreadgroup +xack
	run --separate-stderr ebsub -u "redis://worker:w@127.0.0.1:$REDIS_PORT" -C me -n 2 t
	assert_equal "$(jq -c '[.id, .deliveries]' <<<"$output")" '["1-0",null]
["2-0",1]'
	rcli xgroup setid $S:t $G:t 0
	rcli xreadgroup group $G:t me count 1 streams $S:t '>'
	run --separate-stderr ebsub -u "redis://worker:w@127.0.0.1:$REDIS_PORT" -C me -n 2 -f '%i:%d' t
	assert_output "1-0:
2-0:1"
}

# left TYPE CONSUMER COUNT: reads entries as another consumer, without acknowledging them.
left() {
	rcli xreadgroup group "$G:$1" "$2" count "$3" streams "$S:$1" '>' >/dev/null
}

@test "entries of another consumer are claimed after --claim-idle, and delivered with their count" {
	add t 1 10
	rcli xgroup create $S:t $G:t 0
	left t worker-7 4
	left t eb-elsewhere-1 2
	run ebsub -e -f '%i %d' --claim-idle 1h t
	assert_output "$(printf '%s-0 1\n' 7 8 9 10)"
	assert_equal "$(pending t)" 6
	sleep 0.3
	run --separate-stderr ebsub -e -f '%i %d' --claim-idle 100ms t
	assert_success
	assert_output "$(printf '%s-0 2\n' 1 2 3 4 5 6)"
	assert_equal "$(pending t)" 0
}

# older FILE NAME...: moves these consumers' seen-time back by two days, in a dump without a checksum.
older() {
	python3 - "$@" <<'PY'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
for name in sys.argv[2:]:
    at = data.index(bytes([len(name)]) + name.encode()) + 1 + len(name)
    seen = int.from_bytes(data[at:at + 8], "little") - 2 * 86400000
    data[at:at + 8] = seen.to_bytes(8, "little")
open(sys.argv[1], "wb").write(data)
PY
}

@test "names of this host that were idle for a day and hold nothing are deleted, and no others" {
	need python3
	local c dir=$EB_TMP/old old="redis-cli -s $EB_TMP/old/s"
	mkdir "$dir"
	server() {
		bg old redis-server --port 0 --unixsocket "$dir/s" --dir "$dir" --rdbchecksum no --save ''
		wait_for "$old ping | grep -q PONG"
	}
	server
	$old xadd $S:t 1-0 a b
	$old xgroup create $S:t g 0
	for c in "eb-$HOST-1" "eb-$HOST-7" "eb-$HOST-9" "eb-$HOST-x" other-3; do $old xgroup createconsumer $S:t g "$c"; done
	$old xreadgroup group g "eb-$HOST-8" streams $S:t '>'
	$old save
	$old shutdown nosave || :
	bg_wait old
	older "$dir/dump.rdb" "eb-$HOST-1" "eb-$HOST-7" "eb-$HOST-8" "eb-$HOST-x" other-3
	server
	run --separate-stderr ebsub -e -g g --claim-idle 0 -u "unix://$dir/s" t
	assert_success
	assert_equal "$($old xinfo consumers $S:t g | grep -A1 -x name | grep -vx -e name -e -- | sort | paste -sd' ')" \
		"eb-$HOST-1 eb-$HOST-8 eb-$HOST-9 eb-$HOST-x other-3"
}

@test "--claim-idle 0: entries of other consumers are not claimed" {
	add t 1 3
	rcli xgroup create $S:t $G:t 0
	left t worker-7 2
	run ebsub -e -f %i --claim-idle 0 t
	assert_output 3-0
	assert_equal "$(pending t)" 2
}

@test "thousands of entries of other consumers are claimed page by page; deleted ones are reported once" {
	add t 1 3000
	rcli xgroup create $S:t $G:t 0
	left t worker-7 3000
	rcli xtrim $S:t maxlen 2900 >/dev/null
	sleep 0.2
	run --separate-stderr ebsub -e -f %i --claim-idle 100ms t
	assert_success
	assert_equal "$output" "$(seq -f %.0f-0 101 3000)"
	assert_equal "$(sed -n 's/.* \([0-9]*\) pending entr.*/\1/p' <<<"$stderr" | awk '{ n += $1 } END { print n + 0 }')" 100
	assert_equal "$(pending t)" 0
}

@test "while it follows, it claims entries of other consumers every --claim-idle" {
	add t 1 3
	rcli xgroup create $S:t $G:t 0
	bg sub ebsub -f %i --claim-idle 1s t
	wait_for "[ \$(wc -l <'$EB_TMP/sub.out') = 3 ]"
	add t 4 5
	wait_for "[ \$(wc -l <'$EB_TMP/sub.out') = 5 ]"
	# Another consumer gets the entry before the one that waits for it.
	printf '%s\n' multi "xadd $S:t 6-0 payload 6" "xreadgroup group $G:t worker-7 streams $S:t >" exec | rcli >/dev/null
	assert_equal "$(rcli xpending $S:t $G:t - + 1 worker-7 | head -1)" 6-0
	wait_for "[ \$(wc -l <'$EB_TMP/sub.out') = 6 ]"
	kill "${BG[sub]}"
	bg_wait sub
	assert_equal "$(pending t)" 0
}

@test "without permission for XPENDING and XCLAIM, entries of other consumers stay, reported once" {
	add t 1 4
	rcli xgroup create $S:t $G:t 0
	left t worker-7 2
	rcli acl setuser poor on '>pw' '~*' '+@all' -xpending -xclaim >/dev/null
	sleep 0.2
	run --separate-stderr ebsub -v -e -f %i --claim-idle 100ms -u "redis://poor:pw@127.0.0.1:$REDIS_PORT" t
	rcli acl deluser poor >/dev/null
	assert_success
	assert_output "$(printf '%s-0\n' 3 4)"
	assert_equal "$(grep -c 'are not taken over' <<<"$stderr")" 1
}

@test "with thousands of own pending entries each comes once" {
	rcli eval "for i = 1, 3000 do redis.call('XADD', 'quantum:stream:t', i .. '-0', 'payload', i) end" 0
	rcli xgroup create $S:t $G:t 0
	rcli xreadgroup group $G:t me count 2500 streams $S:t '>' >/dev/null
	ebsub -e -C me -f '%p %d' t >"$EB_TMP/out"
	diff "$EB_TMP/out" <(seq -f '%.0f 2' 2500; seq -f '%.0f 1' 2501 3000)
	assert_equal "$(pending t)" 0
}

@test "pending entries that are gone are acknowledged and counted" {
	add t 1 5
	rcli xgroup create $S:t $G:t 0
	rcli xreadgroup group $G:t me count 4 streams $S:t '>'
	rcli xdel $S:t 1-0 3-0 4-0
	run --separate-stderr ebsub -e -C me --payload t
	assert_success
	assert_output "$(numbers 2 2; numbers 5 5)"
	assert_equal "$stderr" "ebsub: 3 pending entries of '$S:t' are lost: trimmed or deleted before they were handled"
	assert_equal "$(pending t)" 0
}

@test "the number of deleted entries is reported once, with singular and plural" {
	rcli eval "for i = 1, 2000 do redis.call('XADD', '$S:t', i .. '-0', 'payload', i) end" 0
	rcli xgroup create $S:t $G:t 0
	rcli xreadgroup group $G:t me count 2000 streams $S:t '>' >/dev/null
	rcli xtrim $S:t minid 1901
	run --separate-stderr ebsub -e -C me --payload t
	assert_output "$(seq 1901 2000)"
	assert_equal "$stderr" "ebsub: 1900 pending entries of '$S:t' are lost: trimmed or deleted before they were handled"
	rcli xadd $S:t 2001-0 a b
	rcli xreadgroup group $G:t me streams $S:t '>' >/dev/null
	rcli xdel $S:t 2001-0
	run --separate-stderr ebsub -e -C me --payload t
	assert_equal "$stderr" "ebsub: 1 pending entry of '$S:t' is lost: trimmed or deleted before it was handled"
}

@test "names of consumers: the lowest number that is free" {
	bg one ebsub t
	blocked 1
	bg two ebsub t
	blocked 2
	assert_equal "$(rcli xinfo consumers $S:t $G:t | grep -o "eb-$HOST-[0-9]*" | sort | xargs)" "eb-$HOST-1 eb-$HOST-2"
	kill "${BG[one]}"
	bg_wait one
	bg three ebsub t
	blocked 2
	assert_equal "$(rcli xinfo groups $S:t | grep -A1 -x consumers | tail -1)" 2
	assert_equal "$(stat -c %a "$XDG_STATE_HOME/eventbus/consumers")" 700
}

@test "no state directory: a name with the pid, and a warning" {
	mkdir -p "$HOME"
	: >"$EB_TMP/file"
	export XDG_STATE_HOME=$EB_TMP/file
	add t 1 1
	run --separate-stderr ebsub -e --payload t
	assert_success
	assert_output "$(numbers 1 1)"
	assert_regex "$stderr" 'not be resumed by the next'
	run --separate-stderr env -u HOME -u XDG_STATE_HOME -u EB_BUFFER_DIR ebsub -e t
	assert_success
	assert_regex "$stderr" 'set STATE_DIRECTORY, XDG_STATE_HOME or HOME'
	assert_regex "$(rcli xinfo consumers $S:t $G:t | sed -n 2p)" "^eb-$HOST-[0-9]{2,}$"
}

# --- --peek ---------------------------------------------------------------------------------

@test "--peek leaves no trace" {
	add t 1 3
	run --separate-stderr ebsub --peek t
	assert_success
	assert_equal "${#lines[@]}" 3
	assert_equal "$(jq -c .deliveries <<<"${lines[0]}")" null
	assert_equal "$stderr" ""
	assert_equal "$(rcli xinfo groups $S:t)" ""
	run ebsub --peek missing
	assert_success
	assert_output --partial "stream 'quantum:stream:missing' does not exist"
	assert_equal "$(rcli exists $S:missing)" 0
	[ ! -e "$XDG_STATE_HOME/eventbus" ]
}

@test "--peek with --last, --from, --to, -n" {
	add t 1 50
	run ebsub --peek --last 3 --payload t
	assert_output "$(numbers 48 50)"
	run ebsub --peek --last 100 --payload t
	assert_output "$(numbers 1 50)"
	run ebsub --peek --last 0 t
	assert_output ""
	run ebsub --peek --from 20-0 --to 22-0 --payload t
	assert_output "$(numbers 20 22)"
	run ebsub --peek --to 1970-01-01T00:00:00.002Z --payload t
	assert_output "$(numbers 1 2)"
	run ebsub --peek --last 2 --to 10 --payload t
	assert_output "$(numbers 9 10)"
	run ebsub --peek --last 10 --from 49 --payload t
	assert_output "$(numbers 49 50)"
	run ebsub --peek --from 10 -n 2 --payload t
	assert_success
	assert_output "$(numbers 10 11)"
	run ebsub --peek --from 60 --payload t
	assert_output ""
	run ebsub --peek -n 60 t
	assert_success
	run ebsub --peek -e -n 60 t
	assert_equal "$status" 124
}

@test "--peek stops at the end of the stream as it was at the start, whatever is added meanwhile" {
	add t 1 900
	add u 1 3
	mkfifo "$EB_TMP/fifo"
	for words in '' "--to $" '--last 900' '--to 99999999999999'; do
		rcli config resetstat
		# shellcheck disable=SC2086
		bg sub bash -c "exec ebsub --peek $words -f '%t %i %e%k%k%k%k%k%k%k%k%k%k%k%k%k%k%k%k' t u >'$EB_TMP/fifo'"
		exec 7<"$EB_TMP/fifo"
		# It blocks in the middle because the pipe is full.
		wait_for "[ \$(rcli info commandstats | grep -c 'cmdstat_xread:') = 1 ]"
		rcli xadd $S:t '*' late 1
		bg out cat <&7
		exec 7<&-
		bg_wait sub
		bg_wait out
		assert_equal "$words: $status" "$words: 0"
		assert_equal "$(cut -d' ' -f1,2 "$EB_TMP/out.out")" "$(seq -f 't %.0f-0' 900; seq -f 'u %.0f-0' 3)"
		rcli xdel $S:t "$(rcli xrevrange $S:t + - count 1 | head -1)"
	done
	# The same while a publisher is faster than the reader.
	bg pub timeout 60 bash -c "yes 'xadd $S:t * a b' | $(redis_cli_program) -s '$REDIS_SOCK'"
	wait_for "[ \$(rcli xlen $S:t) -gt 2000 ]"
	run -0 timeout 20 bash -c 'ebsub --peek -f %i t | tail -1'
	kill "${BG[pub]}"
}

@test "--peek --last goes back over many pages" {
	rcli eval "for i = 1, 5000 do redis.call('XADD', 'quantum:stream:t', i .. '-0', 'payload', i) end" 0
	ebsub --peek --last 4321 --payload t >"$EB_TMP/out"
	diff "$EB_TMP/out" <(seq 680 5000)
}

@test "--peek prints type after type; a pattern stands for all that match, by name" {
	add ai.b 1 600
	add ai.a 1 600
	add bi.c 1 1
	run ebsub --peek -f '%t %p' ai.b ai.a
	assert_equal "$output" "$(numbers 1 600 | sed 's/^/ai.b /'; numbers 1 600 | sed 's/^/ai.a /')"
	run ebsub --peek --last 1 -f '%t' 'ai.*' bi.c ai.a
	assert_output "ai.a
ai.b
bi.c"
	run ebsub --peek 'none.*'
	assert_success
	assert_output --partial "'none.*': no such stream"
	rcli xadd "$S:no type" '*' a b
	run ebsub --peek 'no*'
	assert_success
	assert_output --partial "'no*': no such stream"
}

@test "--peek --follow goes on with what comes" {
	add t 1 3
	bg sub ebsub --peek --follow --last 1 --payload -n 4 t u
	blocked 2
	add t 4 5
	wait_for "[ \$(wc -l <'$EB_TMP/sub.out') = 3 ]"
	add u 1 1
	bg_wait sub
	assert_equal "$status" 0
	assert_equal "$(cat "$EB_TMP/sub.out")" "$(numbers 3 5; numbers 1 1)"
	run ebsub --peek --follow -W 0.3 --from '$' t
	assert_equal "$status" 124
	assert_output ""
	assert_equal "$(rcli xinfo groups $S:t)" ""
}

# --- output that fails -----------------------------------------------------------------------

@test "a closed pipe: 74, and nothing acknowledged that could not be written" {
	add t 1 2000
	# Starts after the reader has exited.
	run bash -c "(trap '' PIPE; while echo; do :; done 2>/dev/null; exec ebsub --payload t) 2>'$EB_TMP/err' | true
		exit \${PIPESTATUS[0]}"
	assert_equal "$status" 74
	assert_equal "$(cat "$EB_TMP/err")" "ebsub: write to stdout: Broken pipe"
	run ebsub -e -n 5 --payload t
	assert_output "$(numbers 1 5)"
	run bash -c "ebsub --payload t | head -3 >'$EB_TMP/out'; exit \${PIPESTATUS[0]}"
	assert_equal "$status" 74
	assert_equal "$(cat "$EB_TMP/out")" "$(numbers 6 8)"
}

@test "a reader that goes away while nothing comes is noticed" {
	run timeout 10 bash -c "ebsub t 2>/dev/null | true; exit \${PIPESTATUS[0]}"
	assert_equal "$status" 74
}

# bats test_tags=novalgrind
@test "a full or closed output: 74, nothing acknowledged" {
	add t 1 10
	run bash -c 'ebsub -e t >/dev/full'
	assert_equal "$status" 74
	assert_output --partial "write to stdout: No space left on device"
	assert [ "$(pending t)" -gt 0 ]
	assert_equal "$(($(pending t) + $(unread t)))" 10
	run bash -c 'ebsub -e t >&-'
	assert_equal "$status" 74
	run ebsub -e --payload t
	assert_output "$(numbers 1 10)"
}

@test "a file that takes only a part: whole records are acknowledged, a torn one is cut off and comes again" {
	rcli eval "for i = 1, 300 do redis.call('XADD', 'quantum:stream:t', i .. '-0', 'payload', i .. string.rep('x', 90)) end" 0
	run bash -c "ulimit -f 4; ebsub -e --payload t >'$EB_TMP/out'"
	assert_equal "$status" 74
	assert_output --partial "File too large"
	run cat "$EB_TMP/out"
	assert [ "${#lines[@]}" -gt 10 ]
	assert [ "${#lines[@]}" -lt 300 ]
	assert_equal "$(tail -c 1 "$EB_TMP/out")" ""
	ebsub -e --payload t >>"$EB_TMP/out"
	diff <(tr -d x <"$EB_TMP/out") <(seq 300)
}

@test "a line that a killed ebsub left torn at the end of a file stays one of its own" {
	seq 2 | ebpub -q t
	printf '{"id":"1-1","stream":"quantum:str' >"$EB_TMP/out"
	run -0 bash -c "ebsub -e t >>'$EB_TMP/out'"
	assert_equal "$(wc -l <"$EB_TMP/out")" 3
	assert_equal "$(tail -n +2 "$EB_TMP/out" | jq -c .payload | xargs)" '1 2'
}

@test "a torn record is ended in each format, into each kind of descriptor, with the end of records" {
	seq 12 | ebpub -q t
	cd "$EB_TMP"
	torn() { printf 'torn' >out; }
	torn
	run -0 bash -c 'ebsub -n 1 --payload t >>out'
	assert_equal "$(cat out)" $'torn\n1'
	torn
	run -0 bash -c 'ebsub -n 1 -f %p t >>out'
	assert_equal "$(cat out)" $'torn\n2'
	torn
	run -0 bash -c 'ebsub -n 1 -0 --payload t >>out'
	assert_equal "$(tr '\0' , <out)" 'torn,3,'
	# ended already, with the end that was asked for
	run -0 bash -c 'ebsub -n 1 -0 --payload t >>out'
	assert_equal "$(tr '\0' , <out)" 'torn,3,4,'
	# without O_APPEND, behind what another process wrote into the same open file
	run -0 bash -c '{ printf torn; ebsub -n 1 --payload t; ebsub -n 1 --payload t; } >out'
	assert_equal "$(cat out)" $'torn\n5\n6'
	# an empty file has nothing to end
	: >out
	run -0 bash -c 'ebsub -n 1 --payload t >>out'
	assert_equal "$(cat out)" 7
	# from a position within the file
	printf '123\n567\n' >out
	run -0 bash -c '{ dd bs=4 count=1 status=none <&1 >/dev/null; ebsub -n 1 --payload t; } 1<>out'
	assert_equal "$(cat out)" $'123\n8\n7'
}

# bats test_tags=nosanitize
@test "a file that cannot be read back: the first record begins behind a newline, JSON or not" {
	need strace
	strace -o /dev/null true || skip "strace may not trace"
	seq 4 | ebpub -q t
	cd "$EB_TMP"
	for format in -j --payload; do
		printf torn >out
		strace -qq -o trace -e trace=openat -e inject=openat:error=EACCES -P /proc/self/fd/1 ebsub -n 1 "$format" t >>out
		grep -q INJECTED trace
		assert_equal "$(head -1 out)" torn
		assert_equal "$(wc -l <out)" 2
		strace -qq -o trace -e inject=openat:error=EACCES -P /proc/self/fd/1 ebsub -n 1 "$format" t >>out
		assert_equal "$(grep -c . out)" 3
	done
	assert_equal "$(grep . out | xargs)" 'torn 3 4'
}

# bats test_tags=nosanitize
@test "into a file: written, then fdatasync, then acknowledged; --no-sync leaves it out" {
	need strace
	strace -o /dev/null true || skip "strace may not trace"
	add t 1 3
	strace -f -e trace=write,fdatasync,sendto -s 4096 -o "$EB_TMP/trace" ebsub -e t >"$EB_TMP/out"
	run grep -oE '^[0-9]+ +(write\(1|fdatasync\(1|sendto.*XACK)' "$EB_TMP/trace"
	assert_equal "$(sed -E 's/^[0-9]+ +//; s/\(.*XACK/ XACK/' <<<"$output")" "write(1
fdatasync(1
sendto XACK"
	add t 4 6
	strace -f -e trace=write,fdatasync,sendto -s 4096 -o "$EB_TMP/trace" ebsub -e --no-sync t >>"$EB_TMP/out"
	run ! grep fdatasync "$EB_TMP/trace"
	strace -f -e inject=fdatasync:error=EIO -o /dev/null ebsub -e -g other t >"$EB_TMP/out" || status=$?
	assert_equal "$status" 74
	assert [ "$(pending t other)" -gt 0 ]
	assert_equal "$(($(pending t other) + $(unread t other)))" 6
}

# The next batch is requested before this one is written; its reply waits while the pipe is full.
@test "a reader slower than the time-out is not taken for a silent server: each event once, no message" {
	seq 3000 | sed "s/.*/[&,\"$(printf 'x%.0s' {1..3000})\"]/" | ebpub -q --maxlen 0 t
	ebsub -e -t 1 --payload t 2>"$EB_TMP/err" | { sleep 2.5; cat; } >"$EB_TMP/out"
	assert_equal "$(cat "$EB_TMP/err")" ""
	diff <(jq '.[0]' "$EB_TMP/out") <(seq 3000)
	assert_equal "$(rcli xinfo groups $S:t | grep -A 1 -x pending | tail -1)" 0
}

# given: prints how many requested batches are not acknowledged.
given() {
	rcli info commandstats | sed -n 's/^cmdstat_\(xreadgroup\|xack\):calls=\([0-9]*\).*/\1 \2/p' |
		awk '{ n += $1 == "xack" ? -$2 : $2 } END { print n + 0 }'
}

# The first request, for own pending entries, has no acknowledgement.
@test "with a reader that takes seconds for a batch the next one is not requested ahead" {
	seq 3000 | sed "s/.*/[&,\"$(printf 'x%.0s' {1..3000})\"]/" | ebpub -q --maxlen 0 t
	mkfifo "$EB_TMP/fifo"
	rcli config resetstat >/dev/null
	bg sub bash -c "exec ebsub --payload t >'$EB_TMP/fifo'"
	exec 7<"$EB_TMP/fifo"
	wait_for "[ \$(given) = 3 ]"
	sleep 1.2
	# The batch that is being written, half a million bytes, and a part of the next.
	for _ in {1..27}; do
		head -c 20000 <&7 >/dev/null
		sleep 0.02
		[ "$(given)" != 2 ] || break
	done
	sleep 0.3
	assert_equal "$(given)" 2
	exec 7<&-
	bg_wait sub
}

@test "-n reads no more than its number, with requests ahead too" {
	seq 3000 | ebpub -q --maxlen 0 t
	run -0 ebsub -n 1234 --payload t
	assert_equal "${#lines[@]}" 1234
	assert_equal "$(rcli xinfo groups $S:t | grep -A 1 -x pending | tail -1)" 0
	run -0 ebsub -e --payload t
	assert_equal "${lines[0]} ${#lines[@]}" "1235 1766"
}

# bats test_tags=nosanitize
@test "the next batch is requested before the acknowledgement, so that the server works during the writes" {
	need strace
	seq 3000 | ebpub -q --maxlen 0 t
	strace -qq -s 200 -e trace=sendto,write -o "$EB_TMP/calls" ebsub -e --payload t >/dev/null
	grep -v 'write(2' "$EB_TMP/calls" | grep -A 1 'XREADGROUP.*COUNT.*500' | grep -q '^write(1'
}

# --- signals ------------------------------------------------------------------------------------

@test "SIGTERM and SIGINT: what was under way is printed and acknowledged, 0" {
	local sig
	for sig in TERM INT; do
		# An ignored SIGINT, as in a background job, stays ignored.
		bg sub env --default-signal ebsub --payload t$sig u$sig
		blocked 2
		add "t$sig" 1 3
		kill -$sig "${BG[sub]}"
		bg_wait sub 5
		assert_equal "$status" 0
		assert_equal "$(pending t$sig)" 0
		run ebsub -e --payload t$sig
		assert_equal "$(cat "$EB_TMP/sub.out" - <<<"$output" | grep .)" "$(numbers 1 3)"
	done
}

@test "SIGINT that is ignored stays so" {
	bg sub bash -c "trap '' INT; exec ebsub --payload t"
	blocked 1
	kill -INT "${BG[sub]}"
	add t 1 1
	wait_for "grep -q . '$EB_TMP/sub.out'"
	kill -0 "${BG[sub]}"
}

@test "SIGTERM while nobody reads the pipe: whole records are acknowledged, the rest comes again, 143" {
	local pad
	pad=$(printf 'x%.0s' {1..200})
	rcli eval "for i = 1, 2000 do redis.call('XADD', 'quantum:stream:t', i .. '-0', 'payload', i .. '$pad') end" 0
	mkfifo "$EB_TMP/fifo"
	bg sub bash -c "exec ebsub --payload -n 2000 t >'$EB_TMP/fifo'"
	exec 7<"$EB_TMP/fifo"
	wait_for "[ \$(pending t) -ge 200 ]"
	kill -TERM "${BG[sub]}"
	bg_wait sub 10
	assert_equal "$status" 143
	cat <&7 >"$EB_TMP/out"
	exec 7<&-
	ebsub -e --payload t >"$EB_TMP/rest"
	diff <(tr -d x < <(head -n -1 "$EB_TMP/out"; [ -n "$(tail -c 1 "$EB_TMP/out")" ] || tail -n 1 "$EB_TMP/out"; cat "$EB_TMP/rest")) <(seq 2000)
	assert_equal "$(pending t)" 0
}

@test "a second signal ends it at once, 128+n" {
	bg sub ebsub t
	blocked 1
	redis_pause
	kill -TERM "${BG[sub]}"
	sleep 0.2
	kill -TERM "${BG[sub]}"
	bg_wait sub 5
	redis_resume
	assert_equal "$status" 143
}

# --- servers that fail ------------------------------------------------------------------------------

@test "a password that was changed on the server and in its file: a running ebsub takes the new one" {
	rcli acl setuser part reset on '>first' '~*' '&*' '+@all' >/dev/null
	echo first >"$EB_TMP/password"
	export EB_REDIS_PASSWORD_FILE=$EB_TMP/password
	add a 1 1
	bg sub ebsub -u "redis://part@127.0.0.1:$REDIS_PORT" --payload a
	wait_for "[ -s '$EB_TMP/sub.out' ]"
	rcli acl setuser part resetpass '>second' >/dev/null
	echo second >"$EB_TMP/password"
	rcli client kill user part >/dev/null
	add a 2 2
	wait_for "[ \"\$(wc -l <'$EB_TMP/sub.out')\" = 2 ]"
	kill "${BG[sub]}"
	bg_wait sub
}

# entry_at TYPE TIME [ZONE]: adds an entry with the ID of that time.
entry_at() {
	rcli xadd "$S:$1" "$(TZ=${3:-UTC} date -d "$2" +%s)000-0" payload "\"$2\"" >/dev/null
}

@test "--from: a time without a zone is local time, a date alone is its beginning" {
	local n=0 from
	export TZ=America/New_York
	entry_at t '2025-12-03 23:59:59' "$TZ"
	entry_at t '2025-12-04 00:00:00' "$TZ"
	entry_at t '2025-12-04 10:29:59' "$TZ"
	entry_at t '2025-12-04 10:30:00' "$TZ"
	for from in '2025-12-04 10:30' 2025-12-04T10:30:00 2025-12-04T10:30:00.000 2025-12-04T15:30:00Z 2025-12-04T15:30Z \
		2025-12-04T10:30:00-05:00 '2025-12-04 16:30+0100'; do
		run -0 ebsub -e -g g$((++n)) --from "$from" --payload t
		assert_output '"2025-12-04 10:30:00"'
	done
	run -0 ebsub -e -g day --from 2025-12-04 --payload t
	assert_equal "${lines[0]}" '"2025-12-04 00:00:00"'
	for from in 2025-02-30 2025-13-01 10:30 tomorrow 2025-12-04T '2025-12-04 ' 2025-12-04T25:00 Today; do
		run -64 ebsub -e -g h --from "$from" --payload t
		assert_output --partial "'$from' is not a place in a stream"
	done
}

# bats test_tags=nosanitize
@test "--from today and yesterday: the local midnight, also over a change of the clocks" {
	need_clock
	export TZ=Europe/Berlin
	entry_at t '2025-03-29 23:59:59' "$TZ"
	entry_at t '2025-03-30 00:00:00' "$TZ"
	entry_at t '2025-03-30 23:59:59' "$TZ"
	entry_at t '2025-03-31 00:00:00' "$TZ"
	run -0 clock_at '2025-03-31 09:00:00' ebsub -e -g g1 --from today --payload t
	assert_output '"2025-03-31 00:00:00"'
	run -0 clock_at '2025-03-31 09:00:00' ebsub -e -g g2 --from yesterday --payload t
	assert_equal "${lines[0]} ${#lines[@]}" '"2025-03-30 00:00:00" 3'
}

@test "not reachable at the start: 69; wrong password: 77; TLS: 78" {
	run ebsub -u "unix://$EB_TMP/none" t
	assert_equal "$status" 69
	assert_output "ebsub: connect to 'unix://$EB_TMP/none?db=0': No such file or directory"
	run ebsub --peek -u "unix://$EB_TMP/none" t 'p*'
	assert_equal "$status" 69
	rcli acl setuser bob on '>sesame' '~*' '+@all'
	EB_REDIS_PASSWORD=hunter2 run ebsub -u "unix://bob@$REDIS_SOCK" -e t
	[ "$status" = 64 ] || assert_equal "$status" 77
	refute_output --partial hunter2
	run ebsub -u rediss://localhost t
	assert_equal "$status" 78
}

@test "permission to acknowledge is missing: 77, and it comes again" {
	add t 1 2
	rcli acl setuser noack on nopass '~*' '+@all' -xack
	rcli acl setuser default -xack
	run ebsub -e --payload t
	rcli acl setuser default +xack
	assert_equal "$status" 77
	assert_output --partial "NOPERM"
	assert_equal "$(pending t)" 2
}

@test "a group that is there is read where none could be made: no memory, rights to read and acknowledge only" {
	add t 1 9
	ebsub -n 3 t
	rcli config set maxmemory 1
	run --separate-stderr ebsub -n 3 --payload t
	assert_output "$(numbers 4 6)"
	assert_success
	run ebsub -n 1 -s other t
	rcli config set maxmemory 0
	assert_equal "$status" 75
	assert_output --partial "create group 'quantum:group:other:t': OOM"
	rcli acl setuser worker reset on '>w' "~$S:*" +xreadgroup +xack
	run --separate-stderr ebsub -u "redis://worker:w@127.0.0.1:$REDIS_PORT" -n 3 --payload t
	assert_output "$(numbers 7 9)"
	assert_success
	assert_equal "$stderr" ""
	assert_equal "$(pending t) $(unread t)" "0 0"
	run timeout 20 ebsub -u "redis://worker:w@127.0.0.1:$REDIS_PORT" -n 1 -s other t
	assert_equal "$status" 77
	assert_output --partial "create group 'quantum:group:other:t': NOPERM"
}

@test "a key of another kind is an error that names it" {
	rcli set $S:t string
	run ebsub -e t
	assert_equal "$status" 1
	assert_output --partial "WRONGTYPE"
	run ebsub --peek t
	assert_equal "$status" 1
}

@test "it reconnects when the server dies and comes back, without loss" {
	bg sub ebsub --payload a b
	blocked 2
	add a 1 3
	wait_for "[ \$(wc -l <'$EB_TMP/sub.out') = 3 ]"
	wait_for "[ \$(pending a) = 0 ]"
	redis_kill
	wait_for "grep -q 'trying again' '$EB_TMP/sub.err'"
	sleep 1
	redis_restart
	add a 4 6
	wait_for "[ \$(wc -l <'$EB_TMP/sub.out') = 6 ]"
	add b 7 7
	wait_for "[ \$(wc -l <'$EB_TMP/sub.out') = 7 ]"
	assert_equal "$(cat "$EB_TMP/sub.out")" "$(numbers 1 7)"
	assert_equal "$(grep -c 'trying again' "$EB_TMP/sub.err")" 1
	assert_equal "$(grep -c 'connected again after' "$EB_TMP/sub.err")" 1
	kill "${BG[sub]}"
	bg_wait sub
	assert_equal "$status" 0
}

@test "handled, but XACK cut off: acknowledged after the outage, not delivered again" {
	local pad
	pad=$(printf 'x%.0s' {1..200})
	rcli eval "for i = 1, 2000 do redis.call('XADD', 'quantum:stream:t', i .. '-0', 'payload', i .. '$pad') end" 0
	mkfifo "$EB_TMP/fifo"
	bg sub bash -c "exec ebsub --payload -n 2000 t >'$EB_TMP/fifo'"
	exec 7<"$EB_TMP/fifo"
	# The pipe is full: it blocks in the middle of writing this batch.
	wait_for "[ \$(pending t) -ge 200 ]"
	redis_kill
	bg out cat <&7
	exec 7<&-
	wait_for "grep -q 'trying again' '$EB_TMP/sub.err'"
	redis_restart
	bg_wait sub
	assert_equal "$status" 0
	bg_wait out
	diff <(tr -d x <"$EB_TMP/out.out") <(seq 2000)
	assert_equal "$(pending t)" 0
}

@test "a server that hangs is disconnected after the time-out, and read again when it continues" {
	bg sub ebsub -t 0.3 --payload t
	blocked 1
	redis_pause
	wait_for "grep -q 'gave no answer' '$EB_TMP/sub.err'"
	redis_resume
	add t 1 2
	wait_for "[ \$(wc -l <'$EB_TMP/sub.out') = 2 ]"
	assert_equal "$(cat "$EB_TMP/sub.out")" "$(numbers 1 2)"
}

@test "an outage with -e lasts no longer than the time-out: 69; with -W until it: 69" {
	rcli eval "for i = 1, 20000 do redis.call('XADD', 'quantum:stream:t', '*', 'payload', i) end" 0
	mkfifo "$EB_TMP/fifo"
	bg sub bash -c "exec ebsub -t 0.5 -e t >'$EB_TMP/fifo'"
	exec 7<"$EB_TMP/fifo"
	redis_kill
	bg reader cat <&7
	exec 7<&-
	bg_wait sub 10
	assert_equal "$status" 69
	redis_restart
	bg sub ebsub -W 1 t2
	blocked 1
	redis_kill
	bg_wait sub 10
	redis_restart
	assert_equal "$status" 69
}

# proxy MODE ARGUMENT: starts tests/support/proxy.py and sets EB_REDIS_URL to it.
proxy() {
	need python3
	bg proxy python3 "$TOP/tests/support/proxy.py" "$EB_TMP/p" "$REDIS_SOCK" "$@"
	wait_for "test -S '$EB_TMP/p'"
	EB_REDIS_URL=unix://$EB_TMP/p
}

@test "a connection that is lost during XINFO GROUPS: 69, and why" {
	add t 1 1
	proxy cut GROUPS
	run -69 ebsub -n 1 t
	assert_output "ebsub: '$EB_REDIS_URL?db=0' closed the connection"
}

@test "a connection that is lost while consumers of this host are looked at: 69, and why" {
	add t 1 1
	proxy cut DELCONSUMER
	run -69 ebsub -n 1 t
	assert_output "ebsub: '$EB_REDIS_URL?db=0' closed the connection"
}

@test "a server that takes connections and cuts every read is tried at growing intervals" {
	local n
	proxy cut BLOCK
	bg sub ebsub --payload t
	wait_for "[ \$(grep -c 'trying again' '$EB_TMP/sub.err') -ge 4 ]"
	rcli config resetstat
	sleep 3
	n=$(rcli info commandstats | sed -n 's/^cmdstat_xgroup|create:calls=\([0-9]*\).*/\1/p')
	((${n:-0} <= 8)) || fail "$n attempts in 3 s"
}

# bats test_tags=novalgrind
@test "the last event of -n comes with the answer under way when -W runs out: 0" {
	proxy late 2
	local try calls=2
	# Since 7.2 a blocked call is counted when it is answered.
	[[ $(rcli info server) != *redis_version:7.0* ]] || calls=3
	# The third read (after own entries, and one without result) blocks at the server for a second and is answered
	# after -W has run out. On a busy machine the event may be added too late to be in that reply.
	for try in 1 2 3 4 5; do
		rcli config resetstat
		bg sub ebsub -t 20 -W 6 -n 1 --claim-idle 0 --payload t
		wait_for "rcli info commandstats | grep xreadgroup:calls=$calls && rcli client list | grep 'flags=b.*cmd=xread'"
		add t "$try" "$try"
		bg_wait sub
		[ ! -s "$EB_TMP/sub.out" ] || break
	done
	assert_equal "$(wc -l <"$EB_TMP/sub.out"): $status" "1: 0"
}

@test "-W counts from when it began to ask, and no type is left unasked" {
	local i
	add w 1 5
	run ebsub -W 0 --payload w
	assert_success
	assert_output "$(numbers 1 5)"
	for ((i = 1; i <= 20; i++)); do rcli xgroup create $S:n.$i $G:n.$i 0 mkstream; done >/dev/null
	add n.20 1 1
	# shellcheck disable=SC2046
	run ebsub -W 1 -n 1 --payload $(seq -f n.%.0f 20)
	assert_success
	assert_output "$(numbers 1 1)"
	add w 6 8
	proxy late 0.3
	run ebsub -W 0.5 --payload w
	assert_success
	assert_output "$(numbers 6 8)"
}

# bats test_tags=novalgrind
@test "-n 1 of sixty types: an event of the last type is read soon" {
	local types i start
	mapfile -t types < <(seq -f m.%.0f 60)
	for i in "${types[@]}"; do rcli xgroup create "$S:$i" "$G:$i" 0 mkstream; done >/dev/null
	add m.60 1 1
	start=${EPOCHREALTIME/./}
	run ebsub -n 1 --payload "${types[@]}"
	assert_output "$(numbers 1 1)"
	(((${EPOCHREALTIME/./} - start) / 1000 < 4000)) || fail "took $(((${EPOCHREALTIME/./} - start) / 1000)) ms"
}

@test "the group destroyed under it: made again at the last ID seen" {
	add t 1 3
	bg sub ebsub --payload t
	wait_for "[ \$(wc -l <'$EB_TMP/sub.out') = 3 ]"
	blocked 1
	printf '%s\n' multi "xgroup destroy $S:t $G:t" "xadd $S:t 4-0 payload four" "xadd $S:t 5-0 payload five" exec | rcli
	wait_for "[ \$(wc -l <'$EB_TMP/sub.out') = 5 ]"
	assert_equal "$(tail -2 "$EB_TMP/sub.out" | xargs)" "four five"
	assert_equal "$(grep -c "group '$G:t' had vanished; created again at 3-0" "$EB_TMP/sub.err")" 1
}

@test "a group that was there and vanished before anything came does not start all over" {
	add t 1 3
	ebsub -e t
	bg sub ebsub --payload t
	blocked 1
	printf '%s\n' multi "xgroup destroy $S:t $G:t" "xadd $S:t 4-0 payload four" exec | rcli
	wait_for "grep -q four '$EB_TMP/sub.out'"
	assert_equal "$(cat "$EB_TMP/sub.out")" four
}

@test "group created at $, then destroyed: nothing is skipped" {
	add t 1 3
	bg sub ebsub --from '$' --payload t
	blocked 1
	printf '%s\n' multi "xgroup destroy $S:t $G:t" "xadd $S:t 4-0 payload four" exec | rcli
	wait_for "grep -q four '$EB_TMP/sub.out'"
	assert_equal "$(cat "$EB_TMP/sub.out")" four
}

@test "group created at $ of an empty stream, then destroyed: nothing is skipped" {
	bg sub ebsub --from '$' --payload t
	blocked 1
	printf '%s\n' multi "xgroup destroy $S:t $G:t" "xadd $S:t 4-0 payload four" exec | rcli
	wait_for "grep -q 'had vanished; created again at 0-0' '$EB_TMP/sub.err'"
	wait_for "grep -q four '$EB_TMP/sub.out'"
	assert_equal "$(cat "$EB_TMP/sub.out")" four
}

@test "the stream deleted, the database flushed under it" {
	add t 1 3
	bg sub ebsub --payload t
	wait_for "[ \$(wc -l <'$EB_TMP/sub.out') = 3 ]"
	blocked 1
	rcli del $S:t
	wait_for "grep -q 'had vanished' '$EB_TMP/sub.err'"
	add t 4 4
	wait_for "[ \$(wc -l <'$EB_TMP/sub.out') = 4 ]"
	rcli flushall
	wait_for "[ \$(grep -c 'had vanished' '$EB_TMP/sub.err') = 2 ]"
	add t 5 6
	wait_for "[ \$(wc -l <'$EB_TMP/sub.out') = 6 ]"
	assert_equal "$(cat "$EB_TMP/sub.out")" "$(numbers 1 6)"
}

# --- large entries ---------------------------------------------------------------------------

# large TYPE FROM TO BYTES: adds entries FROM-0 to TO-0 with a payload of BYTES bytes.
large() {
	rcli eval "for i = $2, $3 do redis.call('XADD', '$S:$1', i .. '-0', 'payload', string.rep('x', $4)) end" 0
}

@test "entries too large for an answer of many are read one by one" {
	rcli config set appendonly no
	rcli config set client-output-buffer-limit 'normal 8mb 0 0'
	large t 1 300 1
	large t 301 330 3000000
	large t 331 400 1
	run --separate-stderr timeout 60 ebsub -n 400 -f %i t
	rcli config set client-output-buffer-limit 'normal 0 0 0'
	assert_success
	assert_equal "$output" "$(seq -f %.0f-0 400)"
	assert_equal "$(pending t) $(unread t)" "0 0"
	redis_flush
	rcli config set appendonly yes
}

# bats test_tags=nosanitize
@test "a change from small entries to large ones does not fill the memory" {
	[ -x /usr/bin/time ] || skip "needs GNU time"
	rcli config set appendonly no
	large t 1 3000 1
	large t 3001 3060 3000000
	run --separate-stderr peak_rss "$EB_TMP/rss" timeout 60 ebsub -n 3060 -f %i t
	assert_success
	assert_equal "$output" "$(seq -f %.0f-0 3060)"
	assert [ "$(tail -1 "$EB_TMP/rss")" -lt 65536 ]
	assert_equal "$(pending t) $(unread t)" "0 0"
	run --separate-stderr peak_rss "$EB_TMP/rss" timeout 60 ebsub --peek -f %i t
	assert_success
	assert_equal "$output" "$(seq -f %.0f-0 3060)"
	assert [ "$(tail -1 "$EB_TMP/rss")" -lt 65536 ]
	redis_flush
	rcli config set appendonly yes
}

# bats test_tags=novalgrind
@test "an entry with half a million fields is an entry" {
	add t 1 3
	{ printf 'XADD %s:t 4-0' $S; seq 530000 | sed 's/.*/ f x/' | tr -d '\n'; echo; } | rcli
	assert_equal "$(rcli xlen $S:t)" 4
	run -0 timeout 30 ebsub -e -f %i t
	assert_output "1-0
2-0
3-0
4-0"
	assert_equal "$(ebstat -j t | jq -c '[.redis.up, .streams[0].length]')" '[true,4]'
}

# --- messages ----------------------------------------------------------------------------------------

@test "on a terminal it says what it does; with -s or -q it does not" {
	need script
	run script -qec "ebsub -e fresh" /dev/null
	assert_output --partial "reading as group '$G:fresh'"
	assert_output --partial "--peek reads without a group"
	assert_output --partial "stream '$S:fresh' is new"
	run script -qec "ebsub -e -s svc fresh2" /dev/null
	refute_output --partial "reading as group"
	assert_output --partial "is new"
	run script -qec "ebsub -q -e fresh3" /dev/null
	assert_output ""
	run ebsub -v -e fresh4
	assert_output --partial "reading as group"
	assert_output --partial "is new"
}

# bats test_tags=nosanitize
@test "a million events below 16 MB resident" {
	need time
	rcli config set appendonly no
	rcli eval "for i = 1, 1000000 do redis.call('XADD', 'quantum:stream:t', i .. '-0', 'event_type', 't', 'payload',
		'{\"symbol\":\"BTCUSDT\",\"confidence\":0.85}', 'trace_id', '', 'event_id', i) end" 0
	peak_rss "$EB_TMP/rss" ebsub -e -f %e t >"$EB_TMP/out"
	cmp "$EB_TMP/out" <(seq 1000000)
	assert [ "$(cat "$EB_TMP/rss")" -lt 16384 ]
	redis_flush
	rcli config set appendonly yes
}
