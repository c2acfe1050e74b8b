#!/usr/bin/env bats
# What is in quarantine: shown, put back, dropped.

# shellcheck disable=SC2030,SC2031,SC2154  # bats: a test is a subshell

load helper
load buffer

setup_file() {
	redis_start
}

setup() {
	buffer_setup
}

Q=quarantine

files() { find "$B/$Q" -type f -printf '%f\n' | sort; }

# Three events put aside by hand, one torn line.
four_aside() {
	buffered a 1 3
	printf '{"event_type":"a","mess' >>"$(echo "$B"/*.jsonl)"
	run -0 ebreplay --discard --yes
	assert_equal "$(cat "$B/$Q"/* | wc -l)" 4
}

@test "list: each line with its reason, type, id and place; -j the same for programs" {
	four_aside
	run -0 ebreplay --quarantine list
	assert_equal "${#lines[@]}" 5
	assert_line --index 0 --regexp '^QUARANTINED AT +TYPE +EVENT ID +BYTES +REASON$'
	assert_line --index 1 --regexp '^20[0-9-]+T[0-9:.]+Z  a +[0-9a-f-]{36} +[0-9]+  discarded by hand .*\(buffer_.*\.jsonl at 0\)$'
	assert_line --index 4 --regexp '  -  .*  discarded by hand'
	run -0 ebreplay -q --quarantine list
	assert_equal "${#lines[@]}" 4
	run -0 ebreplay -j --quarantine list
	assert_equal "$(jq -c 'keys' <<<"$output" | sort -u)" \
		'["bytes","event_id","event_type","file","offset","quarantined_at","reason","segment"]'
	assert_equal "$(jq -c .event_type <<<"$output" | xargs)" 'a a a null'
	assert_equal "$(jq .offset <<<"$output" | head -1)" 0
}

@test "list: nothing there, and no buffer at all" {
	run -0 ebreplay -j --quarantine list
	assert_output ""
	mkdir -m 700 "$B"
	run -0 ebreplay -j --quarantine list
	assert_output ""
}

@test "retry: events come back into the buffer behind what is there, with their ids; the rest stays, status 1" {
	local ids
	buffered a 1 3
	ids=$(jq -r .message.event_id "$B"/*.jsonl)
	printf '{"event_type":"a","mess' >>"$(echo "$B"/*.jsonl)"
	run -0 ebreplay --discard --yes
	buffered a 4 4
	run -1 ebreplay -v --quarantine retry
	assert_line "ebreplay: 3 events put back into the buffer"
	assert_line "ebreplay: 1 lines are no events and stay in '$B/$Q'"
	assert_equal "$(ebstat -j | jq -c '[.buffer.total_events, .buffer.quarantined]')" '[4,1]'
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '4 1 2 3'
	assert_equal "$(event_ids a | tail -3)" "$ids"
	assert_equal "$(find "$B/$Q" -name '*retrying' | wc -l)" 0
	# The piece is as it was.
	assert_equal "$(jq -r .line "$B/$Q"/*)" '{"event_type":"a","mess'
	run -1 ebreplay --quarantine retry
	run -0 ebreplay
	assert_equal "$(length a)" 4
}

@test "retry: what Redis refused for good goes when it is larger-minded" {
	rcli config set proto-max-bulk-len 1mb >/dev/null
	head -c 2000000 /dev/zero | tr '\0' 1 | sed 's/^/"/; s/$/"/' >"$EB_TMP/big"
	run -1 --separate-stderr ebpub -v big - <"$EB_TMP/big"
	assert_output refused
	run -0 ebreplay -j --quarantine list
	assert_equal "$(jq -r '"\(.file) \(.event_type)"' <<<"$output")" 'refused.jsonl big'
	rcli config set proto-max-bulk-len 512mb >/dev/null
	run -0 ebreplay --quarantine retry
	assert_equal "$(ebstat -j | jq -c '[.buffer.total_events, .buffer.quarantined]')" '[1,0]'
	run -0 ebreplay
	assert_equal "$(values big 3 | cksum)" "$(printf '%s\n' "$(<"$EB_TMP/big")" | cksum)"
}

@test "retry: only the files named; a name that is none is said" {
	four_aside
	sleep 1.1
	buffered b 1 1
	run -0 ebreplay --discard --yes
	assert_equal "$(files | wc -l)" 2
	run -0 ebreplay --quarantine retry "$(files | tail -1)"
	assert_equal "$(jq -r .event_type "$B"/*.jsonl)" b
	assert_equal "$(files | wc -l)" 1
	run -64 ebreplay --quarantine retry no.jsonl
	assert_output --partial "'no.jsonl': no file of '$B/quarantine'"
	run -64 ebreplay --quarantine drop --yes ../.lock
}

@test "retry: a plain writer's event keeps the id that it was given" {
	mkdir -m 700 "$B"
	plain p '{"x":1}' 2025-12-04T10:30:00Z >"$B/other.jsonl"
	sleep 1.1
	run ebreplay --list -j
	run -0 ebreplay --discard --yes
	run -0 ebreplay --quarantine retry
	run -0 ebreplay
	assert_equal "$(payloads p)" '{"x":1}'
	assert_equal "$(event_ids p | wc -l)" 1
}

@test "retry: what a cut-off drain had sent is looked up first" {
	buffered a 1 3
	# A run that is killed when its batch has been executed, before it could record that.
	need strace
	strace -f -o /dev/null -e inject=unlinkat:signal=KILL:when=2 ebreplay 2>/dev/null || :
	[ "$(length a)" = 3 ] || skip "strace cannot trace here"
	cp -a "$B" "$EB_TMP/cut"
	grep -q ^going "$B/.progress"
	run -0 ebreplay --discard --yes
	run ebreplay --quarantine retry
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3'
}

# bats test_tags=nosanitize
@test "retry killed before each system call, and run again: each event once" {
	local calls c name n kills=0
	need strace
	strace -o /dev/null -e inject=getpid:signal=KILL:when=1 true 2>/dev/null || skip "strace cannot trace here"
	four_aside
	cp -a "$B" "$EB_TMP/full"
	strace -f -o "$EB_TMP/trace" ebreplay --quarantine retry || :
	mapfile -t calls < <(sed -nE 's/^[0-9]+ +([a-z_0-9]+)\((.*)/\1 \2/p' "$EB_TMP/trace" |
		awk '{ n[$1]++ } /SIGPIPE/ { main = 1 } main { print $1, n[$1] }')
	for c in "${calls[@]}"; do
		name=${c% *} n=${c#* }
		rm -rf "$B"
		cp -a "$EB_TMP/full" "$B"
		redis_flush
		status=0
		strace -f -o /dev/null -e "inject=$name:signal=KILL:when=$n" ebreplay --quarantine retry 2>/dev/null || status=$?
		[ $status = 1 ] || kills=$((kills + 1))
		# Some of them are delivered in between.
		[ $((n % 2)) = 0 ] || ebreplay 2>/dev/null || fail "$c: ebreplay: $?"
		status=0
		ebreplay --quarantine retry 2>/dev/null || status=$?
		[ $status = 1 ] || fail "$c: retry again: $status"
		ebreplay 2>/dev/null || fail "$c: ebreplay: $?"
		assert_equal "$(payloads a | xargs)" '1 2 3'
		assert_equal "$(cat "$B/$Q"/* | wc -l)" 1
	done
	echo "# killed before $kills of ${#calls[@]} system calls" >&3
	[ $kills -gt 50 ]
}

@test "drop: wants --yes; deletes, and says how much" {
	four_aside
	run -64 ebreplay --quarantine drop
	assert_output --partial 'say --yes too'
	assert_equal "$(cat "$B/$Q"/* | wc -l)" 4
	run -0 ebreplay -v --quarantine drop --yes
	assert_output "ebreplay: 4 lines dropped from '$B/$Q'"
	assert_equal "$(files)" ""
	run -0 ebhealth
}

@test "a file that is no record of ours is left alone by retry" {
	four_aside
	echo 'some words' >>"$(echo "$B/$Q"/*.jsonl)"
	run -1 ebreplay --quarantine retry
	assert_output --partial '5 lines'
	assert_equal "$(cat "$B/$Q"/* | wc -l)" 5
	assert_equal "$(ebreplay -j --quarantine list | jq -r .reason | tail -1)" 'no record of ours'
}

@test "another replay is running: 75" {
	four_aside
	hold_replay
	run -75 ebreplay --quarantine retry
	run -75 ebreplay --quarantine drop --yes
	run -0 ebreplay --quarantine list
	let_replay
}

# bats test_tags=novalgrind
@test "two publishers refused at once: both are kept" {
	local pids=()
	rcli config set proto-max-bulk-len 1mb >/dev/null
	head -c 1100000 /dev/zero | tr '\0' 1 | sed 's/^/"/; s/$/"/' >"$EB_TMP/big"
	for _ in 1 2 3 4 5 6 7 8; do
		ebpub -q big - <"$EB_TMP/big" 2>/dev/null 3>&- 4>&- &
		pids+=($!)
	done
	wait "${pids[@]}" || :
	rcli config set proto-max-bulk-len 512mb >/dev/null
	assert_equal "$(ebreplay -j --quarantine list | jq -r .event_id | sort -u | wc -l)" 8
}
