# handle.bash: what the tests of ebsub -- COMMAND share (load after helper).
#
#   handle_setup            a server with nothing in it, $LOG an empty file that commands write to
#   add TYPE FROM TO        entries FROM-0 to TO-0, their number as payload
#   pending TYPE            how many are pending
#   counts TYPE             "ID COUNT" of each that is pending, a line each
#   dead FIELD              dead_FIELD of all dead letters of t, in one line
#   proxy MODE ARGUMENT     $PROXY leads to the server through it (proxy.py)
#   ticks NAME              the processor time, in hundredths of a second, of a process of bg
#
# shellcheck shell=bash disable=SC2034,SC2154

S=quantum:stream
G=quantum:group:eventbus
D=quantum:dlq

handle_setup() {
	redis_alive || redis_restart
	redis_resume
	redis_flush
	rcli acl setuser default +@all >/dev/null
	rcli config set maxmemory 0 >/dev/null
	LOG=$EB_TMP/log
	: >"$LOG"
	export LOG
}

add() {
	local i
	for ((i = $2; i <= $3; i++)); do
		echo "XADD $S:$1 $i-0 event_type $1 payload $i event_id ev$i"
	done | rcli >/dev/null
}

pending() {
	rcli xpending $S:"$1" $G:"$1" | head -1
}

counts() {
	rcli xpending $S:"$1" $G:"$1" - + 100000 | paste -d ' ' - - - - | awk '{ print $1, $4 }'
}

dead() {
	rcli xrange $D:t - + | grep -A 1 -x "dead_$1" | grep -vx -e "dead_$1" -e -- | xargs
}

proxy() {
	need python3
	bg proxy python3 "$TOP/tests/support/proxy.py" "$EB_TMP/p" "$REDIS_SOCK" "$@"
	wait_for "test -S '$EB_TMP/p'"
	PROXY=unix://$EB_TMP/p
}

ticks() {
	local user system
	read -r user system < <(cut -d' ' -f14,15 "/proc/${BG[$1]}/stat")
	echo $((user + system))
}
