# chaos.bash: helpers for the tests that compare accepted events with the streams. Loaded after helper.bash.
#
#   numbered P FROM TO   prints the payloads {"p":P,"n":N}, one a line
#   ledger P FROM TO     adds these events to the ledger (fault/ledger.py) as accepted
#   check_streams TYPE...        compares $LEDGER with these types' streams; prints the counts
#   redis_hide, redis_show    make the running server unreachable and reachable again
#
# shellcheck shell=bash disable=SC2034

LEDGER=$EB_TMP/ledger

# The seed of all random choices; EB_SEED=N repeats a run.
SEED=${EB_SEED:-$((${EPOCHREALTIME/./} % 30000))}
RANDOM=$SEED

numbered() {
	seq -f "{\"p\":$1,\"n\":%.0f}" "$2" "$3"
}

ledger() {
	seq -f "$1 %.0f" "$2" "$3" >>"$LEDGER"
}

check_streams() {
	local words=("${@/#/quantum:stream:}")
	touch "$LEDGER"
	timeout 120 python3 "$TOP/tests/fault/ledger.py" "$REDIS_SOCK" "$LEDGER" "${words[@]}" ||
		fail "seed $SEED: not every event once and in order"
}

redis_hide() { mv "$REDIS_SOCK" "$REDIS_SOCK.away"; }
redis_show() { [ ! -e "$REDIS_SOCK.away" ] || mv "$REDIS_SOCK.away" "$REDIS_SOCK"; }

# shot TYPE P N [OPTION...]: publishes {"p":P,"n":N} with an ebpub of its own; adds the event to the ledger when accepted.
shot() {
	local type=$1 p=$2 n=$3 rc=0
	shift 3
	timeout 60 ebpub -q --maxlen 0 "$@" "$type" "{\"p\":$p,\"n\":$n}" 2>>"$EB_TMP/shots.err" || rc=$?
	# 75 and 77 also mean that the event is in the buffer.
	case $rc in
	0 | 75 | 77) echo "$p $n" >>"$LEDGER" ;;
	74) ;;
	*) echo "$p $n ?" >>"$LEDGER" ;;
	esac
	return $rc
}

# Fails when a segment, or a file in quarantine, is left in the buffer.
no_segments() {
	local left
	left=$(find "$EB_BUFFER_DIR" -maxdepth 1 -name '*.jsonl*')
	[ -z "$left" ] || fail "seed $SEED: left: $left"
	[ ! -d "$EB_BUFFER_DIR/quarantine" ] || left=$(find "$EB_BUFFER_DIR/quarantine" -type f)
	[ -z "$left" ] || fail "seed $SEED: in quarantine: $(cat "$EB_BUFFER_DIR"/quarantine/*)"
}

