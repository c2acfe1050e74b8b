# handle.bash: helpers for the tests of ebsub -- COMMAND. Loaded after helper.bash.
#
#   handle_setup            empties the server; $LOG is an empty file for the commands to write to
#   add TYPE FROM TO        adds entries FROM-0 to TO-0 with their number as payload
#   pending TYPE            prints the number of pending entries
#   counts TYPE             prints "ID COUNT" for each pending entry, one a line
#   dead FIELD              prints dead_FIELD of all dead letters of type t, in one line
#   proxy MODE ARGUMENT     starts proxy.py; $PROXY is its URL
#   ticks NAME              prints the CPU time of a process of bg, in hundredths of a second
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
