# buffer.bash: helpers for the tests of the buffer, ebpub and ebreplay. Loaded after helper.bash.
#
# The commands reach the file's server through a symlink of the test. `down` removes it, which makes Redis unreachable
# at once; `up` restores it. The buffer's target stays the same.
#
# shellcheck shell=bash disable=SC2016

S=quantum:stream

buffer_setup() {
	redis_resume || :
	redis_alive || redis_restart
	rcli config set maxmemory 0 >/dev/null
	rcli acl setuser default on nopass '~*' '&*' +@all >/dev/null
	redis_flush
	export EB_REDIS_URL=unix://$EB_TMP/r
	B=$EB_BUFFER_DIR
	up
}

up() { ln -sfn "$REDIS_SOCK" "$EB_TMP/r"; }
down() { rm -f "$EB_TMP/r"; }

# values TYPE N: prints the Nth item of each entry in the stream: 0 is the word event_type, 1 its value, 3 the payload, ...
values() {
	rcli --json xrange "$S:$1" - + | jq -r ".[][1][$2]"
}

payloads() { values "$1" 3; }
event_ids() { values "$1" 13; }
length() { rcli xlen "$S:$1"; }

# Prints the buffer's lines, oldest first.
lines() { cat "$B"/*.jsonl; }

# buffered TYPE FROM TO: puts events with the payloads FROM to TO into the buffer.
buffered() {
	down
	seq "$2" "$3" | ebpub -q "$1"
	up
}

# plain TYPE PAYLOAD BUFFERED_AT: prints a line as a plain writer writes it.
plain() {
	jq -nc --arg t "$1" --arg p "$2" --arg at "$3" \
		'{event_type: $t, message: {event_type: $t, payload: $p, trace_id: null, timestamp: $at, source: "s"}, buffered_at: $at}'
}

# at_home: has a buffer that was copied to $B not be known as a copy.
at_home() {
	need python3
	python3 -c 'import sys; sys.path.insert(0, sys.argv[1]); from rig import move_home; move_home(sys.argv[2])' "$TOP/tests/fault" "$B"
}

# equal ID PAYLOAD: prints an event of type a for ebpub -J with all fields given, so that two with the same arguments
# are equal in every field.
equal() {
	printf '{"event_type":"a","event_id":"%s","payload":%s,"correlation_id":"c","timestamp":"2026-01-02T03:04:05.000000Z","source":"s"}\n' "$1" "$2"
}

# leave_in_doubt: leaves event 1 of type a in the stream, and event 2 in doubt in the buffer; its entry is in the stream too.
leave_in_doubt() {
	feed pub ebpub -q -t 0.3 --maxlen 0 a
	echo 1 >&8
	wait_for "[ \"\$(length a)\" = 1 ]"
	redis_pause
	echo 2 >&8
	wait_for "grep -q '\"doubt\":' '$B'/*.jsonl"
	kill -KILL "${BG[pub]}"
	exec 8>&-
	redis_resume
	wait_for "[ \"\$(length a)\" = 2 ]"
}

# executed TYPE N: adds the entry of the Nth in-doubt line, as a late execution of its XADD would.
executed() {
	local kv
	mapfile -t kv < <(grep -h '"doubt":' "$B"/*.jsonl | sed -n "$2p" | jq -r '.message | to_entries[] | .key, .value')
	rcli xadd "$S:$1" '*' "${kv[@]}" >/dev/null
}

# Holds the replay lock until the end of the test, so that no command drains.
hold_replay() {
	mkdir -p "$B"
	chmod 700 "$B"
	(umask 077 && : >>"$B/.replay")
	bg holder flock "$B/.replay" sleep 60
	wait_for "! flock -n '$B/.replay' true"
}

# Releases it. flock's child inherited the lock and holds it until it exits.
release_replay() {
	pkill -KILL -P "${BG[holder]}" || :
	wait_for "flock -n '$B/.replay' true"
}

# feed NAME COMMAND...: like bg, with stdin from a fifo that is open here as descriptor 8; `exec 8>&-` ends the input.
feed() {
	local name=$1
	shift
	mkfifo "$EB_TMP/$name.in"
	bg "$name" bash -c 'f=$1; shift; exec "$@" <"$f"' - "$EB_TMP/$name.in" "$@"
	exec 8>"$EB_TMP/$name.in"
}
