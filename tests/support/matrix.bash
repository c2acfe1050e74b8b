# matrix.bash: runs all six commands at once against one state of the server, or against a peer in its place.
# Loaded after helper.bash and chaos.bash.
#
#   row NAME ENTER HEAL PUB REPLAY SUB STAT HEALTH FOLLOW [GROUP]
#
# ENTER and HEAL are shell code that enters and leaves the state. PUB to HEALTH give the expected end of each command:
# "STATUS REGEXP", with REGEXP matched against all of its output ("-" accepts any output). GROUP is the same for an
# ebgroup on the follower's group; its default is SUB. FOLLOW is for an ebsub that follows from before ENTER: "on" when
# it must go on and get every event, "none" when it is not checked, else "STATUS REGEXP". The six commands must end in time.
#
# After HEAL every event must be in its stream once and in order and be delivered to each group, and buffer and
# quarantine must be empty. rows_done fails when a row failed.
#
# ebpub has an empty buffer, so that it connects to the server; ebreplay has one with three events. All use $TARGET,
# by default the symlink $EB_TMP/r (aim, miss), and a time-out of $WAIT seconds, by default 0.3.
#
# shellcheck shell=bash disable=SC2034,SC2119,SC2120

ROWS=0
BAD_ROWS=
AT=$EB_TMP/row
K=quantum:stream:m

aim() { ln -sfn "${1:-$REDIS_SOCK}" "$EB_TMP/r"; }
miss() { rm -f "$EB_TMP/r"; }

complain() {
	BAD_ROWS+="$NAME: $*"$'\n'
}

# Gives ebreplay a buffer with three events for this target; built once, copied for each row.
fill_buffer() {
	local full=$EB_TMP/full.${EB_REDIS_URL//[^a-z0-9]/_}
	if [ ! -d "$full" ]; then
		numbered 1 1 3 | timeout 20 ebpub -q -u "unix://$EB_TMP/none" -b "$full" --maxlen 0 m
		timeout 20 ebbuffer retarget -q -b "$full"
	fi
	cp -a "$full" "$AT/replay"
}

prepare() {
	rm -rf "$AT" "$LEDGER"
	mkdir -p "$AT"
	aim
	redis_flush
	export EB_REDIS_URL=${TARGET:-unix://$EB_TMP/r}
	fill_buffer
	bg follower ebsub -t 0.3 -g follow --payload m
	wait_for "rcli client list | grep -q 'cmd=xreadgroup.*'" || complain "no follower: $(<"$EB_TMP/follower.err")"
}

# run_one WHICH COMMAND...: keeps the command's output and status as WHICH.
run_one() {
	local which=$1 rc=0
	shift
	timeout 20 "$@" >"$AT/$which.out" 2>&1 || rc=$?
	echo $rc >"$AT/$which.status"
}

run_all() {
	local pids=() p began=${EPOCHREALTIME/./}
	run_one pub ebpub -t "${WAIT:-0.3}" --maxlen 0 -b "$AT/pub" m "${PAYLOAD:-{\"p\":2,\"n\":1\}}" 3>&- 4>&- & pids+=($!)
	run_one replay ebreplay -t "${WAIT:-0.3}" -b "$AT/replay" 3>&- 4>&- & pids+=($!)
	run_one sub ebsub -t "${WAIT:-0.3}" -e -g once --payload m 3>&- 4>&- & pids+=($!)
	run_one group ebgroup -t "${WAIT:-0.3}" -g follow consumers m 3>&- 4>&- & pids+=($!)
	run_one stat ebstat -t "${WAIT:-0.3}" -b "$AT/none" 3>&- 4>&- & pids+=($!)
	run_one health ebhealth -t "${WAIT:-0.3}" -b "$AT/none" 3>&- 4>&- & pids+=($!)
	for p in "${pids[@]}"; do
		wait "$p"
	done
	began=$(((${EPOCHREALTIME/./} - began) / 1000))
	[ $began -lt 6000 ] || complain "took $began ms"
}

# check_one WHICH "STATUS REGEXP": checks the status and output of one command.
check_one() {
	local status=${2%% *} regexp=${2#* } got
	got=$(<"$AT/$1.status")
	[ "$got" = "$status" ] || complain "$1: status $got, not $status: $(tail -3 "$AT/$1.out")"
	[ "$regexp" = - ] || grep -qE -e "$regexp" "$AT/$1.out" || complain "$1: no '$regexp' in: $(tail -3 "$AT/$1.out")"
}

check_follower() {
	if [ "$1" = on ]; then
		wait_for "[ \$(grep -c '\"p\"' '$EB_TMP/follower.out') -ge 4 ]" 15 ||
			complain "follower: got $(grep -c '"p"' "$EB_TMP/follower.out"): $(tail -3 "$EB_TMP/follower.err")"
		kill -TERM "${BG[follower]}" 2>/dev/null
		bg_wait follower || complain "follower does not end"
		[ "$status" = 0 ] || complain "follower: $status $(<"$EB_TMP/follower.err")"
		return
	fi
	bg_wait follower 15 || { complain "follower goes on"; return; }
	echo "$status" >"$AT/follower.status"
	cat "$EB_TMP/follower.out" "$EB_TMP/follower.err" >"$AT/follower.out"
	check_one follower "$1"
}

# Checks, with the server healed, that all events arrive and nothing is left over.
check_all_delivered() {
	local b rc left
	ledger 1 1 3
	! grep -qE '^(buffered|[0-9]+-[0-9]+)$' "$AT/pub.out" || ledger 2 1 1
	for b in pub replay; do
		rc=0
		timeout 30 ebreplay -t 5 --wait 10 -b "$AT/$b" >"$AT/last" 2>&1 || rc=$?
		[ $rc = 0 ] || complain "ebreplay of $b afterwards: $rc $(<"$AT/last")"
		left=$(find "$AT/$b" -name '*.jsonl*' -o -path '*/quarantine/*' 2>/dev/null)
		[ -z "$left" ] || complain "left: $left"
	done
	check_streams m >"$AT/last" 2>&1 || complain "$(<"$AT/last")"
	rc=0
	timeout 20 ebsub -t 5 -e -g once --payload m >>"$AT/sub.out" 2>&1 || rc=$?
	[ $rc = 0 ] || complain "ebsub afterwards: $rc $(<"$AT/sub.out")"
	[ "$(grep '"p"' "$AT/sub.out" | sort -u | wc -l)" = "$(wc -l <"$LEDGER")" ] ||
		complain "ebsub, all in all: $(<"$AT/sub.out")"
}

row() {
	NAME=$1
	ROWS=$((ROWS + 1))
	prepare
	eval "$2" >/dev/null
	run_all
	check_one pub "$4"
	check_one replay "$5"
	check_one sub "$6"
	check_one group "${10-$6}"
	check_one stat "$7"
	check_one health "$8"
	case $9 in
	on) ;;
	none) kill -KILL "${BG[follower]}" ;;
	*) check_follower "$9" ;;
	esac
	eval "$3" >/dev/null
	check_all_delivered
	[ "$9" != on ] || check_follower on
}

rows_done() {
	echo "# $ROWS states" >&3
	[ -z "$BAD_ROWS" ] || fail "$BAD_ROWS"
}
