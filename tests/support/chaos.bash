# chaos.bash: what the tests of the heavy promises share (load after helper).
#
#   numbered P FROM TO   payloads {"p":P,"n":N}, one a line
#   ledger P FROM TO     the same for the ledger (faults/ledger.py), as accepted
#   judge KEY...         $LEDGER against these streams; prints the counts
#   redis_hide, redis_show    the server cannot be reached; it runs on untouched
#
# shellcheck shell=bash disable=SC2034

LEDGER=$EB_TMP/ledger

# The seed of all that is random here; give EB_SEED to have a run again.
SEED=${EB_SEED:-$((${EPOCHREALTIME/./} % 30000))}
RANDOM=$SEED

numbered() {
	seq -f "{\"p\":$1,\"n\":%.0f}" "$2" "$3"
}

ledger() {
	seq -f "$1 %.0f" "$2" "$3" >>"$LEDGER"
}

judge() {
	local words=("${@/#/quantum:stream:}")
	touch "$LEDGER"
	timeout 120 python3 "$TOP/tests/fault/ledger.py" "$REDIS_SOCK" "$LEDGER" "${words[@]}" ||
		fail "seed $SEED: not every event once and in order"
}

redis_hide() { mv "$REDIS_SOCK" "$REDIS_SOCK.away"; }
redis_show() { [ ! -e "$REDIS_SOCK.away" ] || mv "$REDIS_SOCK.away" "$REDIS_SOCK"; }

# One-shot: publishes {"p":P,"n":N} as TYPE; in the ledger when accepted.
# shot TYPE P N [OPTION...]
shot() {
	local type=$1 p=$2 n=$3 rc=0
	shift 3
	timeout 60 ebpub -q --maxlen 0 "$@" "$type" "{\"p\":$p,\"n\":$n}" 2>>"$EB_TMP/shots.err" || rc=$?
	# 0, and whatever says with another status that it is in the buffer
	case $rc in
	0 | 75 | 77) echo "$p $n" >>"$LEDGER" ;;
	74) ;;
	*) echo "$p $n ?" >>"$LEDGER" ;;
	esac
	return $rc
}

# No segment is left at the top of the buffer.
no_segments() {
	local left
	left=$(find "$EB_BUFFER_DIR" -maxdepth 1 -name '*.jsonl*')
	[ -z "$left" ] || fail "seed $SEED: left: $left"
	[ ! -d "$EB_BUFFER_DIR/quarantine" ] || left=$(find "$EB_BUFFER_DIR/quarantine" -type f)
	[ -z "$left" ] || fail "seed $SEED: in quarantine: $(cat "$EB_BUFFER_DIR"/quarantine/*)"
}

