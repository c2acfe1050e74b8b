#!/usr/bin/env bats
# covers: lib/buffer lib/drain lib/publish
# The buffer beside other people's files: files of other names, of plain writers that have them open or left them empty,
# with several links, or many of them.

# shellcheck disable=SC2030,SC2031,SC2154  # bats: a test is a subshell

load ../support/helper
load ../support/buffer

setup_file() {
	redis_start
}

setup() {
	buffer_setup
	mkdir -m 700 "$B"
}

PLAIN=buffer_2025-12-04_10-30-00

# write_plain TYPE FROM TO: prints lines of a plain writer, whose payloads and seconds are FROM to TO.
write_plain() {
	local n
	for n in $(seq "$2" "$3"); do
		plain "$1" "$n" "2025-12-04T10:30:$(printf %02d "$n")Z"
	done
}

# Prints the names of the segments.
segments() {
	find "$B" -maxdepth 1 -name '*.jsonl*' -printf '%f\n' | sort
}

foreign() {
	ebstat -j | jq .buffer.foreign_files
}

# --- files of other names --------------------------------------------------------------------

@test "files of other names are left alone, said once, counted as foreign, and delay nothing" {
	local name
	for name in clm_trades.jsonl trips.claimed-2024.jsonl trips.claimed-20240102.jsonl old.jsonl.gz \
		${PLAIN}_000001.x.suspect.jsonl x${PLAIN}.jsonl; do
		write_plain a 1 2 >"$B/$name"
	done
	mkdir "$B/folder.jsonl"
	find "$B" -type f -exec cksum {} + | sort >"$EB_TMP/was"
	run -0 ebpub a '"direct"'
	assert_output --regexp '^[0-9]+-'
	run -0 ebreplay -j
	assert_equal "$(jq .left <<<"$output")" false
	buffered b 1 1
	run -0 ebreplay
	assert_output --regexp '^ebreplay: 7 files left alone, not named as a buffer file: .*, \.\.\.: see ebbuffer adopt$'
	run -0 ebreplay -v
	assert_output --partial '7 files left alone'
	diff "$EB_TMP/was" <(find "$B" -type f -name '*.jsonl*' -exec cksum {} + | sort)
	assert_equal "$(payloads a)" '"direct"'
	assert_equal "$(foreign)" 7
	assert_equal "$(ebstat -j | jq -c '.buffer | [.file_count, .total_events, .odd_files]')" '[0,0,0]'
	run -0 ebstat
	assert_line --regexp '^foreign +7 files not of the buffer: left alone$'
	ebhealth -w events=none >/dev/null
}

@test "files of other names neither keep the target of the buffer nor block discard" {
	write_plain a 1 1 >"$B/data.jsonl"
	buffered a 1 1
	run -0 ebreplay
	down
	run -0 ebpub -p other a 2
	assert_output buffered
	run -0 ebbuffer -p other discard --yes
	assert_equal "$(segments)" data.jsonl
}

@test "ebbuffer adopt takes over a file of any name, in the buffer or elsewhere; its other lines are exported byte for byte" {
	local name q
	write_plain a 1 1 >"$B/clm_trades.jsonl"
	printf 'no event\n{"a": "\\u00e9"}\nb\377d\tline \n' >>"$B/clm_trades.jsonl"
	sed 1d "$B/clm_trades.jsonl" >"$EB_TMP/others"
	write_plain a 2 2 >"$EB_TMP/.old_buffer"
	run -0 ebbuffer adopt clm_trades.jsonl "$EB_TMP/.old_buffer"
	assert_equal "$(segments | sed 's/[0-9]\{6,\}/N/' | xargs)" \
		'buffer_.old_buffer.claimed-N.jsonl buffer_clm_trades.claimed-N.jsonl'
	[ ! -e "$EB_TMP/.old_buffer" ]
	assert_equal "$(foreign)" 0
	run -1 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2'
	q=$(cd "$B/quarantine" && echo ./*)
	ebbuffer quarantine export "${q#./}" | cmp - "$EB_TMP/others"
	ebbuffer quarantine export | cmp - "$EB_TMP/others"
	run -64 ebbuffer quarantine export no.jsonl
	run -74 sh -c 'ebbuffer quarantine export >/dev/full'
	# the predecessor's file from a buffer that does not exist yet
	write_plain a 3 3 >"$EB_TMP/events.jsonl"
	(cd "$EB_TMP" && ebbuffer -b "$EB_TMP/new" adopt events.jsonl)
	run -0 ebreplay -b "$EB_TMP/new"
	assert_equal "$(payloads a | xargs)" '1 2 3'
}

@test "ebbuffer adopt refuses what is no file, another's, compressed, or the buffer's already" {
	need_root
	buffered a 1 1
	mkdir "$B/folder.jsonl"
	mkfifo "$EB_TMP/fifo"
	: >"$B/root.jsonl"
	chown 1 "$B/root.jsonl"
	: >"$B/x.jsonl.gz"
	for name in nothing.jsonl folder.jsonl "$EB_TMP/fifo" root.jsonl x.jsonl.gz "$(basename "$B"/buffer_*)" \
		"$B/$(basename "$B"/buffer_*)" "$B/.lock" "$EB_TMP/none/x"; do
		run -64 ebbuffer adopt "$name"
		assert_output --partial "'$name' cannot be adopted: "
	done
	run -0 ebreplay
	assert_equal "$(payloads a)" 1
}

@test "a copy of a segment that is adopted, after its events were delivered or beside them: each once" {
	buffered a 1 3
	cp "$B"/buffer_*.jsonl "$EB_TMP/backup.jsonl"
	cp "$B"/buffer_*.jsonl "$B/buffer_copy.jsonl"
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3'
	run -0 ebbuffer adopt "$EB_TMP/backup.jsonl"
	run -0 --separate-stderr ebreplay -j
	assert_equal "$(jq -c '[.found, .replayed]' <<<"$output")" '[3,0]'
	assert_equal "$(payloads a | xargs)" '1 2 3'
	# one of an event that is not there is sent
	buffered a 4 4
	mv "$B"/buffer_*.jsonl "$EB_TMP/moved.jsonl"
	run -74 ebreplay
	run -0 ebbuffer adopt "$EB_TMP/moved.jsonl"
	run ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3 4'
}

@test "a file that an earlier version adopted is delivered; one that only looks so is foreign" {
	write_plain a 1 1 >"$B/x.claimed-1764844200.jsonl"
	write_plain a 2 2 >"$B/y.claimed-1764844201.jsonl"
	printf '+x.claimed-1764844200 .\n' >"$B/.roster"
	chmod 600 "$B/.roster"
	run -0 ebreplay
	assert_equal "$(payloads a)" 1
	assert_equal "$(segments)" y.claimed-1764844201.jsonl
}

# --- names that look like ours -----------------------------------------------------------------

@test "a name with .bad-, .retrying, .own- or .claimed- in it hides no line in quarantine" {
	local name n=0
	for name in import.bad-rows x.bad-5 x.bad-5.jsonl x.1.retrying x.own-0 x.claimed-7; do
		n=$((n + 1))
		{
			echo "no event $n"
			plain a "$n" 2025-12-04T10:30:0${n}Z
		} >"$B/buffer_$name.jsonl"
	done
	run -1 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3 4 5 6'
	assert_equal "$(ebstat -j | jq .buffer.quarantined)" 6
	run ! ebhealth
	assert_equal "$(ebbuffer quarantine export | sort | xargs)" \
		"$(for n in 1 2 3 4 5 6; do echo "no event $n"; done | xargs)"
	run -1 ebbuffer quarantine retry
	assert_output --partial "6 lines kept"
	assert_equal "$(ebstat -j | jq .buffer.quarantined)" 6
}

@test "a discarded event of a file with .bad- in its name is retried" {
	write_plain a 1 2 >"$B/buffer_import.bad-rows.jsonl"
	run -0 ebbuffer discard --yes
	assert_equal "$(ebstat -j | jq .buffer.quarantined)" 2
	run -0 ebbuffer quarantine retry
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2'
}

@test "old dot files of others with a part of our names are left alone" {
	local name
	for name in .t77 .p1 .o5 .c12 .own-5x .progress .target.; do
		echo theirs >"$B/$name"
		touch -d -3hours "$B/$name"
	done
	mv "$B/.progress" "$B/.progress.5.old"
	touch -d -3hours "$B/.progress.5.old"
	run -0 ebreplay
	run -0 ebpub a 1
	assert_equal "$(cd "$B" && cat .t77 .p1 .o5 .c12 .own-5x .target. .progress.5.old | uniq -c | xargs)" '7 theirs'
}

# --- empty files ---------------------------------------------------------------------------------

@test "an empty plain file delays nothing, and is removed once it has rested" {
	: >"$B/$PLAIN.jsonl"
	run -0 ebpub a 1
	assert_output --regexp '^[0-9]+-'
	run -0 ebpub a 2
	assert_output --regexp '^[0-9]+-'
	[ -e "$B/$PLAIN.jsonl" ]
	down
	run -0 ebreplay
	assert_equal "$(segments)" ''
	up
	run -0 ebhealth
}

@test "an empty plain file that its writer has open stays, and what is written to it arrives" {
	exec 7>>"$B/$PLAIN.jsonl"
	touch -d -10sec "$B/$PLAIN.jsonl"
	run -0 ebreplay
	assert_regex "$(segments)" "^$PLAIN.claimed-[0-9]+.jsonl\$"
	run -0 ebpub a '"direct"'
	assert_output --regexp '^[0-9]+-'
	write_plain a 1 1 >&7
	exec 7>&-
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" 'direct 1'
	assert_equal "$(segments)" ''
}

@test "empty plain files beside events: the events go at once, another target may have the buffer" {
	local i took
	for i in 1 2 3; do
		: >"$B/buffer_$i.jsonl"
		touch -d -10sec "$B/buffer_$i.jsonl"
	done
	down
	run -0 ebpub a 1
	up
	took=${EPOCHREALTIME/./}
	run -0 ebreplay
	[ $((${EPOCHREALTIME/./} - took)) -lt 900000 ] || [ -n "${EB_SANITIZE:-}" ]
	assert_equal "$(payloads a)" 1
	run -0 ebpub -p other a 2
	assert_output --regexp '^[0-9]+-'
}

# --- several links -------------------------------------------------------------------------------

@test "a buffer that a backup tool linked (cp -al) goes on as before" {
	buffered a 1 3
	write_plain a 4 4 >"$B/$PLAIN.jsonl"
	cp -al "$B" "$EB_TMP/keep"
	down
	run -0 ebpub a 5
	assert_output buffered
	up
	assert_equal "$(ebstat -j | jq -c '.buffer | [.total_events, .odd_files]')" '[5,0]'
	run -0 --separate-stderr ebreplay -j
	assert_equal "$(jq -c .left <<<"$output")" false
	assert_equal "$(payloads a | sort | xargs)" '1 2 3 4 5'
	run -0 ebpub a 6
	assert_output --regexp '^[0-9]+-'
	assert_equal "$(ebstat -j | jq .buffer.total_events)" 0
}

@test "a linked segment: a new event does not pass its events" {
	buffered a 1 1
	ln "$B"/buffer_*.jsonl "$EB_TMP/keep"
	run -0 ebpub a 2
	assert_equal "$(payloads a | xargs)" '1 2'
	assert_equal "$(segments)" ''
}

@test "a segment that belongs to another user is named with the reason, and no event passes it in silence" {
	need_root
	buffered a 1 1
	chown 1 "$B"/buffer_*.jsonl
	run -0 ebpub a 2
	assert_output buffered
	run -75 ebreplay
	assert_output --partial ": ignored, it belongs to another user: it may hold events that are earlier"
	assert_equal "$(ebreplay -qj | jq .left)" true
	run -1 ebhealth
	assert_output --partial '1 file in the buffer ignored: not a regular file, or owned by another user'
	chown 0 "$B"/buffer_*.jsonl
	run -0 ebreplay
	assert_equal "$(payloads a | sort | xargs)" '1 2'
}

# --- a plain writer that keeps its file open ---------------------------------------------------------

@test "a plain writer that keeps its file open: what it appends after the adoption arrives, in order" {
	exec 7>>"$B/$PLAIN.jsonl"
	write_plain a 1 2 >&7
	run -0 ebreplay
	assert_regex "$(segments)" "^$PLAIN.claimed-[0-9]+.jsonl\$"
	# delivered so far: nothing waits
	assert_equal "$(ebstat -j | jq .buffer.total_events)" 0
	run -0 ebpub b 1
	assert_output --regexp '^[0-9]+-'
	write_plain a 3 20 >&7
	run -0 ebpub a 21
	assert_equal "$(payloads a | xargs)" "$(seq 21 | xargs)"
	exec 7>&-
	run -0 ebreplay
	assert_equal "$(segments)" ''
	assert_equal "$(length a)" 21
}

@test "a stream of events does not pass what a plain writer appends to a file that was there before" {
	local file
	for file in empty adopted; do
		redis_flush
		exec 7>>"$B/buffer_$file.jsonl"
		[ $file = empty ] || write_plain b 1 1 >&7
		run -0 ebreplay
		feed $file ebpub a
		echo 2 >&8
		wait_for "[ \"\$(length a)\" = 1 ]"
		write_plain a 3 3 >&7
		echo 4 >&8
		exec 8>&- 7>&-
		bg_wait $file
		run -0 ebreplay
		assert_equal "$(payloads a | xargs)" '2 3 4'
	done
}

@test "half a line in a file that is open for writing waits for its other half" {
	local line
	line=$(write_plain a 2 2)
	exec 7>>"$B/$PLAIN.jsonl"
	write_plain a 1 1 >&7
	printf %s "${line:0:50}" >&7
	run -75 ebreplay
	assert_equal "$(payloads a)" 1
	printf '%s\n' "${line:50}" >&7
	run -0 ebreplay
	exec 7>&-
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2'
	assert_equal "$(ebstat -j | jq .buffer.quarantined)" 0
	assert_equal "$(segments)" ''
}

@test "an unsorted file that is open for writing is read on" {
	exec 7>>"$B/$PLAIN.jsonl"
	write_plain a 1 3 | tac >&7
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3'
	run -0 ebpub b 1
	assert_output --regexp '^[0-9]+-'
	write_plain a 4 5 >&7
	exec 7>&-
	run -0 ebreplay
	assert_equal "$(payloads a | xargs)" '1 2 3 4 5'
	assert_equal "$(segments)" ''
}

@test "discard leaves a file that is open for writing: what is appended later arrives" {
	exec 7>>"$B/$PLAIN.jsonl"
	write_plain a 1 2 >&7
	run -0 ebbuffer discard --yes
	assert_equal "$(ebstat -j | jq -c '.buffer | [.total_events, .quarantined]')" '[0,2]'
	write_plain a 3 3 >&7
	exec 7>&-
	run -0 ebreplay
	assert_equal "$(payloads a)" 3
	assert_equal "$(segments)" ''
}

# bats test_tags=nosanitize
@test "where the file system does not tell who has a file open, it stays until it has rested for a minute" {
	need strace
	strace -o /dev/null true || skip "strace may not trace"
	file=$B/$PLAIN.claimed-1764844200.jsonl
	write_plain a 1 1 >"$file"
	run -0 strace -qq -f -o /dev/null -P "$file" -e inject=fcntl:error=EINVAL ebreplay
	assert_equal "$(payloads a)" 1
	assert_equal "$(segments)" "${file##*/}"
	touch -d -2min "$file"
	run -0 strace -qq -f -o /dev/null -P "$file" -e inject=fcntl:error=EINVAL ebreplay
	assert_equal "$(segments)" ''
	assert_equal "$(payloads a)" 1
}

# --- many files --------------------------------------------------------------------------------------

# drained N: drains N files of one event each; prints the time in ms of the processor, and the peak of memory in KiB.
drained() {
	python3 - "$1" "$B" <<-'END'
		import json, os, resource, subprocess, sys
		for i in range(int(sys.argv[1])):
		    t = "2025-12-04T%02d:%02d:%02dZ" % (i // 3600, i // 60 % 60, i % 60)
		    name = "buffer_" + t[:-1].replace("T", "_").replace(":", "-")
		    with open("%s/%s.jsonl" % (sys.argv[2], name), "w") as f:
		        f.write(json.dumps({"event_type": "a", "message": {"event_type": "a", "payload": str(i)}, "buffered_at": t}) + "\n")
		subprocess.run(["ebreplay", "--maxlen", "0"], check=True)
		used = resource.getrusage(resource.RUSAGE_CHILDREN)
		print(int(1000 * (used.ru_utime + used.ru_stime)), used.ru_maxrss)
	END
}

# bats test_tags=nosanitize
@test "many plain files: time near-linear, below 1.5 KiB of memory for each, all in order" {
	local few many
	need python3
	read -ra few <<<"$(drained 1000)"
	redis_flush
	read -ra many <<<"$(drained 9000)"
	echo "# 1000 files: ${few[*]}, 9000 files: ${many[*]} (ms, KiB)" >&3
	[ $(((many[1] - few[1]) * 2)) -lt $((8000 * 3)) ] || fail "memory"
	[ "${many[0]}" -lt $((14 * few[0])) ] || fail "time"
	assert_equal "$(payloads a | cksum)" "$(seq 0 8999 | cksum)"
	assert_equal "$(segments)" ''
}

@test "many plain files with interleaved lines, some unsorted: merged in order" {
	need python3
	python3 - "$B" <<-'END'
		import json, sys
		for i in range(300):
		    lines = []
		    for n in range(i, 1500, 300):
		        t = "2025-12-04T10:%02d:%02dZ" % (n // 60, n % 60)
		        lines.append(json.dumps({"event_type": "a", "message": {"event_type": "a", "payload": str(n)}, "buffered_at": t}) + "\n")
		    with open("%s/buffer_%d.jsonl" % (sys.argv[1], 7 * i % 300), "w") as f:
		        f.writelines(reversed(lines) if i % 10 == 0 else lines)
	END
	run -75 ebreplay --limit 700
	run -0 ebreplay
	assert_equal "$(payloads a | cksum)" "$(seq 0 1499 | cksum)"
	assert_equal "$(segments)" ''
}
