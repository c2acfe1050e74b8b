#!/usr/bin/env bats
# covers: lib/cli bin
# Standard output, standard error and standard input of all commands: non-blocking pipes, and files that end in a torn record.
# shellcheck disable=SC2154  # bats

load ../support/helper
load ../support/buffer

setup_file() {
	redis_start
}

setup() {
	buffer_setup
}

# nonblocking COMMAND...: runs COMMAND with non-blocking pipes.
nonblocking() {
	timeout 60 python3 "$TOP/tests/support/nonblock.py" "$@"
}

@test "ebpub: each answer arrives on a non-blocking pipe that is read late" {
	seq 20000 >"$EB_TMP/in"
	nonblocking ebpub t <"$EB_TMP/in" >"$EB_TMP/out"
	assert_equal "$(grep -cxE '[0-9]+-[0-9]+' "$EB_TMP/out")" 20000
	nonblocking ebpub -j t <"$EB_TMP/in" >"$EB_TMP/out"
	assert_equal "$(jq -s 'map(select(.result == "added")) | length' "$EB_TMP/out")" 20000
}

# Prints how many words and bytes stdin has, without times that differ from run to run.
size() {
	sed -E 's/"rtt_ms":[^,}]*//g; s/[0-9.]+ ?(ms|s|seconds)\b//g' | wc
}

@test "lists, tables, JSON and help arrive whole on a non-blocking pipe" {
	local i
	for i in {1..60}; do
		echo "xgroup create $S:t.$i a-group-with-a-long-name-to-fill-the-pipe.$i 0 mkstream"
		seq -f "xadd quantum:dlq:t.$i * event_type t.$i payload %.0f" 5
	done | rcli >/dev/null
	buffered a 1 300
	for c in 'ebbuffer list' 'ebbuffer list -j' 'ebdead list' 'ebdead list -j' 'ebdead list --payload' ebstat 'ebstat -j' \
	    'ebpub --help' 'ebgroup --help' 'ebsub --peek t.*'; do
		read -ra words <<<"$c"
		run -0 --separate-stderr "${words[@]}"
		whole=$(size <<<"$output")
		run -0 --separate-stderr nonblocking "${words[@]}" </dev/null
		assert_equal "$c: $(size <<<"$output")" "$c: $whole"
	done
}

@test "messages arrive on a non-blocking standard error" {
	seq -f 'no JSON at all %.0f' 3000 >"$EB_TMP/in"
	run -65 nonblocking ebpub -q t <"$EB_TMP/in"
	assert_equal "$(grep -c ': refused$' <<<"$output")" 3000
}

@test "a non-blocking standard input is waited for: ebpub by line and whole, ebgroup ack" {
	run -0 nonblocking ebpub -q t < <(seq 2)
	run -0 nonblocking ebpub -q t - <<<'[3,4]'
	assert_equal "$(payloads t | xargs)" '1 2 [3,4]'
	run -0 ebsub -s svc -e t
	rcli xgroup setid "$S:t" quantum:group:svc:t 0 >/dev/null
	rcli xreadgroup group quantum:group:svc:t c streams "$S:t" '>' >/dev/null
	rcli --json xrange "$S:t" - + | jq -r '.[][0]' >"$EB_TMP/ids"
	run -0 nonblocking ebgroup -s svc ack --yes t - <"$EB_TMP/ids"
	assert_equal "$(rcli xpending "$S:t" quantum:group:svc:t | head -1)" 0
}

@test "a reader that does not read: SIGTERM ends ebpub, blocking or not" {
	local rc
	for how in '' 'import os; os.set_blocking(1, False);'; do
		rc=0
		python3 - "$how" <<-'PY' || rc=$?
			import os, signal, subprocess, sys, time
			reader, writer = os.pipe()
			if sys.argv[1]:
			    os.set_blocking(writer, False)
			p = subprocess.Popen(["ebpub", "t"], stdin=subprocess.PIPE, stdout=writer, stderr=subprocess.DEVNULL)
			p.stdin.write(b"1\n" * 20000)
			p.stdin.flush()
			time.sleep(1)
			p.send_signal(signal.SIGTERM)
			sys.exit(0 if p.wait(10) == 128 + signal.SIGTERM else 1)
		PY
		assert_equal "$rc" 0
	done
}

@test "records that are appended to a file do not share a line with a torn one: answers, dead letters, JSON" {
	cd "$EB_TMP"
	printf '17648442' >out
	run -0 bash -c 'seq 2 | ebpub t >>out'
	assert_equal "$(wc -l <out)" 3
	assert_equal "$(head -1 out)" 17648442
	rcli xadd quantum:dlq:t '*' event_type t payload 7 >/dev/null
	printf '{"id":"1' >out
	run -0 bash -c 'ebdead list -j t >>out; ebstat -j >>out; ebhealth -j >>out'
	assert_equal "$(wc -l <out)" 4
	assert_equal "$(tail -n +2 out | jq -c type | xargs)" 'object object object'
	printf 'torn' >out
	run -0 bash -c 'ebdead list --payload -0 t >>out'
	assert_equal "$(tr '\0' , <out)" 'torn,7,'
	# A text for people goes on behind what stands there.
	printf 'now: ' >out
	run -0 bash -c 'ebhealth >>out'
	assert_equal "$(wc -l <out)" 1
	printf 'id: ' >out
	run -0 bash -c 'ebpub t 1 >>out'
	assert_equal "$(wc -l <out)" 1
}
