#!/usr/bin/env bats
# covers: bin/ebgroup.c lib/redis lib/report lib/cli
# ebgroup(1) against a private server. Large groups, concurrency and kills are in cmd/ebgroup_retire.bats.

# shellcheck disable=SC2016,SC2030,SC2031,SC2154  # bats: a test is a subshell, and sets $stderr; a $ that is a place

load ../support/helper

setup_file() {
	redis_start_tcp
}

setup() {
	need jq
	redis_resume || :
	redis_alive || redis_restart
	redis_flush
}

S=quantum:stream
G=quantum:group:eventbus:t

# fill TYPE FROM TO: adds entries FROM-0 to TO-0.
fill() {
	for ((i = $2; i <= $3; i++)); do
		echo "XADD $S:$1 $i-0 n $i"
	done | rcli >/dev/null
}

# read_as TYPE GROUP CONSUMER N: reads N entries as CONSUMER.
read_as() {
	rcli xreadgroup group "$2" "$3" count "$4" streams "$S:$1" '>' >/dev/null
}

# Adds nine entries; consumer one reads 1 and 2, eb-h-1 reads 3 and 4.
seed() {
	fill t 1 9
	rcli xgroup create "$S:t" "$G" 0
	read_as t "$G" one 2
	read_as t "$G" eb-h-1 2
}

pending_ids() {
	ebgroup pending -j t "$@" | jq -r .id | xargs
}

# Prints everything in the database except the consumers' idle times, which change by themselves.
state() {
	rcli --scan | sort | while read -r k; do
		rcli xrange "$k" - +
		rcli xinfo groups "$k"
		rcli xpending "$k" "$G" - + 1000 | grep -vE '^[0-9]+$'
	done | cksum
}

user_without() {
	rcli acl setuser less reset on '>x' '~*' '+@all' "$@" >/dev/null
	echo "redis://less:x@127.0.0.1:$REDIS_PORT"
}

# --- usage ---------------------------------------------------------------------------

@test "-h prints the usage, -V the version" {
	run -0 --separate-stderr ebgroup -h
	assert_equal "$stderr" ""
	assert_line 'usage: ebgroup [option ...] command ...'
	run -0 ebgroup list --help
	assert_output --partial 'usage: ebgroup '
	run -0 ebgroup -V
	assert_output --regexp '^ebgroup [0-9]+\.[0-9]+'
}

# bats test_tags=novalgrind
@test "usage errors are 64, and nothing is changed" {
	seed
	local words before
	before=$(state)
	for words in '' frobnicate 'list -x' 'list -t x' 'list -p 6379' "list ''" 'consumers' 'pending' 'pending t:x' 'pending --limit x t' \
	    'pending --idle x t' 'consumers -C one t' 'list --idle 1 t' 'list --yes' 'pending --to x t' 'consumers --limit 1 t' \
	    'ack --yes t' 'ack --yes' 'ack --yes t 1' 'ack --yes t 1-0 x' 'ack --yes t - 1-0' 'set-id --yes t' 'set-id --yes t x' \
	    'set-id --yes t 0 0' 'retire --yes t' 'retire --yes t eb-retired' 'retire --yes --to one t one' "reap --yes --to 'a b' t" \
	    'reap --yes --idle x t' 'reap --yes' 'destroy --yes' "pending -g '' t"; do
		eval "run --separate-stderr ebgroup $words"
		assert_equal "$words: $status" "$words: 64"
		assert_equal "$output" ""
		assert_regex "$stderr" '^ebgroup: '
	done
	assert_equal "$(state)" "$before"
}

@test "a pattern is accepted only by list; elsewhere 64 with a hint" {
	seed
	for words in "consumers 't*'" "pending 't*'" "ack --yes 't*' 1-0" "set-id --yes 't*' 0" "retire --yes 't*' one" "reap --yes 't*'" \
	    "destroy --yes t '[t]'"; do
		eval "run -64 ebgroup $words"
		assert_line --partial 'patterns are allowed only with list'
	done
}

@test "no such stream, group or consumer: 1, with the command that lists them" {
	seed
	local command
	for command in consumers pending 'ack --yes' 'set-id --yes' 'retire --yes' 'reap --yes' 'destroy --yes'; do
		local more=
		case $command in ack*) more=1-0 ;; set*) more=0 ;; retire*) more=one ;; esac
		# shellcheck disable=SC2086  # words
		run -1 ebgroup $command none $more
		assert_output "ebgroup: 'none': no stream '$S:none', or no group on it; 'ebgroup list' shows the groups"
		# shellcheck disable=SC2086  # words
		run -1 ebgroup $command -g nobody t $more
		assert_output "ebgroup: 't': no group 'nobody'; 'ebgroup list t' shows the groups, -s or -g selects one"
	done
	run -1 ebgroup retire --yes t ghost
	assert_output "ebgroup: 't': no consumer 'ghost' in group '$G'; 'ebgroup consumers t' lists them"
	run -1 ebgroup list none
	assert_output --partial "no such stream '$S:none'"
}

@test "Redis down is 69, access denied 77, and standard output that cannot be written 74" {
	seed
	for words in list 'consumers t' 'pending t' 'ack --yes t 1-0' 'set-id --yes t 0' 'reap --yes t'; do
		eval "run -69 ebgroup -u unix://$EB_TMP/none $words"
		assert_output --partial 'No such file'
		eval "run -77 ebgroup -u redis://nobody:geheim@127.0.0.1:$REDIS_PORT $words"
		refute_output --partial geheim
	done
	for words in list 'consumers t' 'pending t' 'pending -j t' 'ack --yes t 1-0'; do
		run -74 bash -c "ebgroup $words >/dev/full"
		assert_output --partial 'standard output'
	done
}

@test "a key of another type: named, 1; the other types are processed" {
	seed
	rcli set "$S:w" x
	run -1 --separate-stderr ebgroup consumers -q w t
	assert_regex "$stderr" "^ebgroup: 'w': .*WRONGTYPE"
	assert_equal "${#lines[@]}" 2
	run -1 --separate-stderr ebgroup list w t
	assert_regex "$stderr" WRONGTYPE
	assert_line --regexp '^t '
}

# --- confirmation -----------------------------------------------------------------------

CHANGES=("ack t 1-0" "ack t -" "set-id t 0" "retire t one" "reap --idle 0 t" "destroy t")

@test "a change requires --yes: 64, named, nothing is changed; on a terminal too" {
	seed
	local words before
	before=$(state)
	for words in "${CHANGES[@]}"; do
		# shellcheck disable=SC2086  # words
		run -64 setsid -w ebgroup $words
		assert_output --partial 'confirm with --yes, or use --dry-run'
	done
	if command -v script >/dev/null; then
		run -64 script -qec 'ebgroup destroy t' /dev/null <<<y
		assert_output --partial 'confirm with --yes, or use --dry-run'
	fi
	assert_equal "$(state)" "$before"
}

@test "--dry-run needs no --yes, and changes nothing" {
	seed
	local words before
	before=$(state)
	for words in "${CHANGES[@]}"; do
		# shellcheck disable=SC2086  # words
		run -0 ebgroup --dry-run $words <<<1-0
		[ -n "$output" ]
		# shellcheck disable=SC2086  # words
		run -0 ebgroup -j --dry-run $words <<<1-0
		jq -e . <<<"$output" >/dev/null
	done
	assert_equal "$(state)" "$before"
}

# --- list ---------------------------------------------------------------------------------

@test "list: every group of every stream; -g one of them; -j with ebstat's names" {
	seed
	fill u 1 3
	rcli xgroup create "$S:u" other 2-0
	fill lonely 1 1
	run -0 ebgroup list
	assert_line --regexp '^TYPE +CONSUMERS +PENDING +OLDEST +LAG +LOST +DELIVERED +GROUP$'
	assert_line --regexp "^t +2 +4 +[0-9]+ d +5 +0 +4-0 +$G$"
	assert_line --regexp '^u +0 +0 +- +\? +0 +2-0 +other$'
	assert_equal "${#lines[@]}" 3
	run -0 ebgroup list -g other
	assert_equal "${#lines[@]}" 2
	run -0 ebgroup list -q t
	assert_equal "${#lines[@]}" 1
	run -0 ebgroup list -j t
	assert_equal "$(jq -c 'del(.oldest_pending_ms)' <<<"$output")" \
		"{\"event_type\":\"t\",\"stream\":\"$S:t\",\"group\":\"$G\",\"consumers\":2,\"pending\":4,\"lag\":5,\"lost\":0,\"last_delivered_id\":\"4-0\"}"
	assert_equal "$(ebgroup list -j t | jq -c '[.consumers, .pending, .lag, .lost, .last_delivered_id]')" \
		"$(ebstat -j t | jq -c '.streams[0].groups[0] | [.consumers, .pending, .lag, .lost, .last_delivered_id]')"
}

@test "list: patterns, a stream without groups, none that matches" {
	seed
	fill tt 1 1
	run -0 ebgroup list -j 't*'
	assert_equal "${#lines[@]}" 1
	run -0 --separate-stderr ebgroup list tt
	assert_equal "$output: $stderr" ": ebgroup: '$S:tt' has no groups"
	run -0 --separate-stderr ebgroup list -g x t
	assert_equal "$output: $stderr" ": ebgroup: '$S:t' has no group of that name"
	run -0 --separate-stderr ebgroup list 'z*'
	assert_equal "$output: $stderr" ": ebgroup: no stream matches 'z*'"
	run -0 ebgroup list
	assert_success
	redis_flush
	run -0 ebgroup list
	assert_output ""
}

# --- consumers ----------------------------------------------------------------------------

@test "consumers: pending entries and idle time" {
	seed
	run -0 ebgroup consumers t
	assert_line --regexp '^TYPE +CONSUMER +PENDING +IDLE +INACTIVE$'
	assert_line --regexp '^t +eb-h-1 +2 +[0-9]+ s +(-|[0-9]+ s)$'
	assert_line --regexp '^t +one +2 '
	run -0 ebgroup consumers -j t
	assert_equal "$(jq -s -c 'map([.event_type, .stream, .group, .consumer, .pending, (.idle_ms < 60000), has("inactive_ms")])' <<<"$output")" \
		"[[\"t\",\"$S:t\",\"$G\",\"eb-h-1\",2,true,true],[\"t\",\"$S:t\",\"$G\",\"one\",2,true,true]]"
	run -0 ebgroup consumers --idle 1h t
	assert_output ""
}

# --- pending ------------------------------------------------------------------------------

@test "pending: consumer, idle time, deliveries and attempts of each entry" {
	seed
	rcli xclaim "$S:t" "$G" eb-h-1 0 3-0 idle 3600000 retrycount 4 justid
	run -0 ebgroup pending t
	assert_line --index 0 --regexp '^ID +IDLE +DELIVERED +ATTEMPTS +TYPE +CONSUMER$'
	assert_line --index 1 --regexp '^1-0 +[0-9]+ s +1 +- +t +one$'
	assert_line --index 3 --regexp '^3-0 +60 min +4 +3 +t +eb-h-1$'
	run -0 ebgroup pending -j t
	assert_equal "$(sed -n 3p <<<"$output" | jq -c '[.event_type, .stream, .group, .id, .consumer, .deliveries, .attempts]')" \
		"[\"t\",\"$S:t\",\"$G\",\"3-0\",\"eb-h-1\",4,3]"
	assert_equal "$(sed -n 1p <<<"$output" | jq -c .attempts)" null
	# One hour ago by the server's clock.
	local at
	at=$(sed -n 3p <<<"$output" | jq -r .delivered_at)
	at=$(($(rcli time | head -1) - $(date -d "$at" +%s)))
	((at >= 3600 && at < 3660)) || fail "$at s ago"
	assert_equal "$(pending_ids -C one)" '1-0 2-0'
	assert_equal "$(pending_ids --consumer ghost)" ''
	assert_equal "$(pending_ids --idle 30m)" 3-0
	assert_equal "$(pending_ids --limit 3)" '1-0 2-0 3-0'
	assert_equal "$(pending_ids --limit 0)" ''
}

@test "pending: --limit is for all types together" {
	seed
	fill u 1 3
	rcli xgroup create "$S:u" quantum:group:eventbus:u 0
	read_as u quantum:group:eventbus:u one 3
	assert_equal "$(ebgroup pending -j --limit 6 u t | jq -r .event_type | xargs)" 'u u u t t t'
}

@test "pending: 60 000 entries, each once and in order, in bounded memory" {
	local few many
	rcli eval "for i = 1, 60000 do redis.call('XADD', KEYS[1], '5-' .. i, 'n', i) end
		redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], 0)
		redis.call('XREADGROUP', 'GROUP', ARGV[1], 'one', 'COUNT', 60000, 'STREAMS', KEYS[1], '>') return 1" 1 "$S:t" "$G" >/dev/null
	diff <(ebgroup pending -j t | jq -r .id) <(seq -f '5-%.0f' 60000)
	diff <(ebgroup pending -j --limit 1234 --idle 0.001 -C one t | jq -r .id) <(seq -f '5-%.0f' 1234)
	[ -z "${EB_SANITIZE-}" ] || return 0
	peak_rss "$EB_TMP/few" ebgroup pending --limit 1000 t >/dev/null
	peak_rss "$EB_TMP/many" ebgroup pending t >/dev/null
	few=$(<"$EB_TMP/few") many=$(<"$EB_TMP/many")
	((many < few + 1000)) || fail "$few KiB for 1000, $many KiB for 60000"
}

@test "names in the output cannot move the cursor, and are JSON all the same" {
	fill t 1 2
	rcli xgroup create "$S:t" "$G" 0
	read_as t "$G" $'a\e[2J"\\\xff' 1
	for command in pending consumers 'reap --dry-run --idle 0'; do
		# shellcheck disable=SC2086  # words
		run -0 ebgroup $command t
		refute_output --partial $'\e'
		# shellcheck disable=SC2086  # words
		run -0 ebgroup $command -j t
		assert_equal "$(jq -r '.consumer | length' <<<"$output")" 8
	done
	run -0 ebgroup reap --yes -q --idle 0 t
	assert_equal "$(pending_ids -C eb-retired)" 1-0
}

@test "works without permission for TIME or XINFO GROUPS" {
	seed
	local url
	url=$(user_without -time '-xinfo|groups')
	assert_equal "$(pending_ids -u "$url")" '1-0 2-0 3-0 4-0'
	run -1 ebgroup pending -u "$url" none
	assert_output --partial NOGROUP
	run -0 ebgroup set-id --yes -u "$(user_without '-xinfo|groups' -xrange)" t 2-0
	assert_output "$G: ? -> 2-0"
}

# --- ack ----------------------------------------------------------------------------------

@test "ack: prints how many were pending; IDs that were not are named, 1" {
	seed
	run -0 ebgroup ack --yes t 1-0 3-0
	assert_output '2 acknowledged'
	run -1 --separate-stderr ebgroup ack --yes t 1-0 4-0 8-0
	assert_output '1 acknowledged, 2 not pending'
	assert_equal "${#stderr_lines[@]}" 2
	assert_regex "${stderr_lines[0]}" "^ebgroup: '1-0' is not pending for group '$G'$"
	assert_equal "$(pending_ids)" 2-0
	run -0 ebgroup ack --yes -j t 2-0
	assert_output "{\"event_type\":\"t\",\"stream\":\"$S:t\",\"group\":\"$G\",\"acknowledged\":1,\"not_pending\":0}"
	read_as t "$G" one 1
	run -0 ebgroup ack --yes -q t 5-0
	assert_output ""
}

@test "ack -: IDs from standard input, one a line; a line that is not an ID is named, 65, the others are done" {
	seed
	run -65 --separate-stderr ebgroup ack --yes t - <<<$'1-0\n\n  3-0\r\nnonsense\n4-0'
	assert_output '3 acknowledged'
	assert_equal "$stderr" "ebgroup: line 4: 'nonsense' is not an entry ID"
	assert_equal "$(pending_ids)" 2-0
	run -0 bash -c 'ebgroup pending -j t | jq -r .id | ebgroup ack --yes t -'
	assert_output '1 acknowledged'
	run -0 ebgroup ack --yes t - </dev/null
	assert_output '0 acknowledged'
}

@test "ack: 20 000 IDs from standard input" {
	rcli eval "for i = 1, 20000 do redis.call('XADD', KEYS[1], i .. '-0', 'n', i) end
		redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], 0)
		redis.call('XREADGROUP', 'GROUP', ARGV[1], 'one', 'COUNT', 20000, 'STREAMS', KEYS[1], '>') return 1" 1 "$S:t" "$G" >/dev/null
	run -0 bash -c 'seq -f %.0f-0 20000 | ebgroup ack --yes t -'
	assert_output '20000 acknowledged'
	assert_equal "$(pending_ids)" ""
}

@test "ack -: IDs are acknowledged before it waits for more input" {
	seed
	mkfifo "$EB_TMP/in"
	bg ack bash -c 'exec ebgroup ack --yes t - <"$1"' - "$EB_TMP/in"
	exec 8>"$EB_TMP/in"
	echo 1-0 >&8
	wait_for "[ '2-0 3-0 4-0' = \"\$(ebgroup pending -j t | jq -r .id | xargs)\" ]"
	echo 2-0 >&8
	exec 8>&-
	bg_wait ack
	assert_equal "$status: $(<"$EB_TMP/ack.out")" '0: 2 acknowledged'
}

# --- set-id --------------------------------------------------------------------------------

# at PLACE WANTED NEXT: set-id PLACE; checks the last-delivered ID and the entry that is delivered next.
at() {
	rcli xgroup setid "$S:t" "$G" 5000-0 >/dev/null
	run -0 ebgroup set-id --yes -j t "$1"
	assert_equal "$1: $(jq -c '[.from, .to, .next_id, .done]' <<<"$output")" "$1: [\"5000-0\",\"$2\",$3,true]"
	[ "$2" = '$' ] || assert_equal "$1: $(ebgroup list -j t | jq -r .last_delivered_id)" "$1: $2"
	assert_equal "$1: $(rcli xreadgroup group "$G" probe count 1 streams "$S:t" '>' | sed -n 2p | jq -R .)" \
		"$1: ${3#null}"
	ebgroup ack --yes -q t - <<<"$(ebgroup pending -C probe -j t | jq -r .id)"
}

@test "set-id: an ID becomes the last-delivered ID; a time, 0 or $ is where delivery continues" {
	local i
	for ((i = 1000; i <= 9000; i += 1000)); do echo "XADD $S:t $i-0 n 1"; done | rcli >/dev/null
	rcli xadd "$S:t" 3000-1 n 1 2>/dev/null || :
	rcli xgroup create "$S:t" "$G" 0
	at 0 0-0 '"1000-0"'
	at 3000-0 3000-0 '"4000-0"'
	at 3000 2999-18446744073709551615 '"3000-0"'
	at 1970-01-01T00:00:06.5Z 6499-18446744073709551615 '"7000-0"'
	at '$' '$' null
	run -0 ebgroup set-id --yes t 1970-01-01T00:00:02Z
	assert_output "$G: 9000-0 -> before 2000-0, next 2000-0"
	run -0 ebgroup set-id --yes -q t 0
	assert_output ""
	run -0 ebgroup set-id --yes t 1m
	assert_output --regexp "^$G: 0-0 -> before [0-9]+-0$"
}

@test "set-id: pending entries stay pending" {
	seed
	run -0 ebgroup set-id --yes t '$'
	assert_output "$G: 4-0 -> \$"
	assert_equal "$(pending_ids)" '1-0 2-0 3-0 4-0'
	assert_equal "$(ebgroup list -j t | jq -c '[.last_delivered_id, .lag]')" '["9-0",0]'
}

# --- retire, reap ----------------------------------------------------------------------------

@test "retire: one consumer, of several types" {
	seed
	fill u 1 3
	rcli xgroup create "$S:u" quantum:group:eventbus:u 0
	read_as u quantum:group:eventbus:u one 3
	run -0 ebgroup retire --yes t u one
	assert_line --regexp '^TYPE +CONSUMER +PENDING +IDLE +MOVED +LOST$'
	assert_line --regexp '^t +one +2 +[0-9]+ s +2 +0  deleted$'
	assert_line --regexp '^u +one +3 +[0-9]+ s +3 +0  deleted$'
	assert_equal "$(ebgroup consumers -j t u | jq -r .consumer | xargs)" 'eb-h-1 eb-retired eb-retired'
	# u has no consumer of that name; t is processed all the same.
	run -1 --separate-stderr ebgroup retire --yes --to one -q u t eb-h-1
	assert_equal "$stderr" "ebgroup: 'u': no consumer 'eb-h-1' in group 'quantum:group:eventbus:u'; 'ebgroup consumers u' lists them"
	assert_equal "$(pending_ids -C one)" '3-0 4-0'
}

@test "reap: consumers idle for an hour or --idle; -j; -v reports that there is none" {
	seed
	run -0 ebgroup reap --yes t
	assert_output ""
	run -0 ebgroup reap --yes -v t
	assert_output "ebgroup: 't': no consumer of group '$G' has been idle that long"
	run -0 ebgroup reap --yes -j --idle 0 t
	assert_equal "$(jq -s -c 'map([.event_type, .stream, .group, .consumer, .pending, .to, .moved, .lost, .deleted, .result])' <<<"$output")" \
		"[[\"t\",\"$S:t\",\"$G\",\"eb-h-1\",2,\"eb-retired\",2,0,true,\"deleted\"],[\"t\",\"$S:t\",\"$G\",\"one\",2,\"eb-retired\",2,0,true,\"deleted\"]]"
}

# --- destroy ----------------------------------------------------------------------------------

@test "destroy: removes the group and its pending entries, not the stream" {
	seed
	run -0 ebgroup destroy --yes t
	assert_output "$G: destroyed at 4-0 with 4 pending of 2 consumers"
	assert_equal "$(rcli xinfo groups "$S:t")" ""
	assert_equal "$(rcli xlen "$S:t")" 9
	run -1 ebgroup destroy --yes t
	rcli xgroup create "$S:t" "$G" 0
	run -0 ebgroup destroy --yes -j t
	assert_output "{\"event_type\":\"t\",\"stream\":\"$S:t\",\"group\":\"$G\",\"consumers\":0,\"pending\":0,\"last_delivered_id\":\"0-0\",\"destroyed\":true}"
}

# --- a server that refuses writes -----------------------------------------------------------------

@test "a server out of memory: every subcommand works; a replica: only those that read, 75" {
	seed
	rcli config set maxmemory 1
	run -0 ebgroup reap --yes -q --idle 0 t
	run -0 ebgroup ack --yes -q t 1-0
	run -0 ebgroup set-id --yes -q t 5-0
	rcli config set maxmemory 0
	rcli replicaof 127.0.0.1 9
	assert_equal "$(pending_ids)" '2-0 3-0 4-0'
	for words in 'ack --yes t 2-0' 'set-id --yes t 0' 'retire --yes t eb-retired --to x' 'destroy --yes t'; do
		eval "run -75 ebgroup $words"
		assert_output --partial READONLY
	done
	rcli replicaof no one
	assert_equal "$(pending_ids)" '2-0 3-0 4-0'
}

@test "a connection that is lost: 69, the remaining types are not tried" {
	need python3
	seed
	bg proxy python3 "$TOP/tests/support/proxy.py" "$EB_TMP/p" "$REDIS_SOCK" cut EVAL
	wait_for "test -S '$EB_TMP/p'"
	run -69 --separate-stderr ebgroup reap --yes --idle 0 -u "unix://$EB_TMP/p" t t
	assert_equal "${#stderr_lines[@]}" 1
	assert_line --regexp '^t +one +2 +[0-9]+ s +0 +0  NOT DONE$'
	assert_equal "$(pending_ids)" '1-0 2-0 3-0 4-0'
}

@test "a connection that is lost after XACK was sent: reports how many acknowledgements are unknown" {
	need python3
	seed
	bg proxy python3 "$TOP/tests/support/proxy.py" "$EB_TMP/p" "$REDIS_SOCK" cut XACK
	wait_for "test -S '$EB_TMP/p'"
	run -69 --separate-stderr ebgroup ack --yes -u "unix://$EB_TMP/p" t 1-0 2-0
	assert_output '0 acknowledged, 2 possibly acknowledged'
	run -69 --separate-stderr ebgroup -j ack --yes -u "unix://$EB_TMP/p" t 1-0 2-0
	assert_equal "$(jq -c '[.acknowledged, .possibly_acknowledged]' <<<"$output")" '[0,2]'
}

@test "an invalid argument is reported however long it is" {
	local long
	long=$(printf '%0900d' 0)
	run -64 ebgroup list "$long"
	assert_output --partial "': an event type is 1 to 200 of"
	run -64 ebgroup "$long"
	assert_output --partial "' is not a command; expected list,"
	run -64 ebgroup retire --to "$long" t one
	assert_output --partial "': a consumer's name is 1 to 200 printable characters"
	run -64 ebgroup set-id --yes t "$(printf '\u00e9%.0s' {1..500})"
	assert_output --partial "' is not a place in a stream: expected 0, $, an entry ID"
	iconv -f utf-8 -t utf-8 <<<"$output" >/dev/null
}

@test "characters that turn the direction of writing are shown escaped, in tables and in messages" {
	local c name
	rcli xgroup create "$S:t" other 0 mkstream >/dev/null
	for c in 202A:'\xe2\x80\xaa' 202E:'\xe2\x80\xae' 2066:'\xe2\x81\xa6' 2069:'\xe2\x81\xa9'; do
		name=$(printf 'a%bb' "${c#*:}")
		c=${c%:*}
		rcli xgroup create "$S:t" "$name" 0 mkstream >/dev/null
		run -0 ebgroup list t
		assert_output --partial "a\\u${c}b"
		refute_output --partial "$name"
		rcli xgroup destroy "$S:t" "$name" >/dev/null
		run -1 ebgroup pending -g "$name" t
		assert_output --partial "a\\u${c}b"
		refute_output --partial "$name"
		run ebgroup list "$name*"
		refute_output --partial "$name"
		run -64 ebpub -s "$name" t 1
		assert_output --partial "'a\\u${c}b'"
	done
	# Other text stays as it is: also of the same first byte, and mixed writing.
	name=$(printf 'a\xe2\x80\xa6\xe2\x82\xac\xd7\x90\xe2\x80\xa9\xe2\x81\xaa')
	rcli xgroup create "$S:t" "$name" 0 >/dev/null
	run -0 ebgroup list t
	assert_output --partial "$name"
}
