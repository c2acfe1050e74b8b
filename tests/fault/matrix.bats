#!/usr/bin/env bats
# covers: lib/redis lib/publish lib/drain lib/consume lib/report
# Misbehaving servers (peer.py): how each command ends, and that no event is lost (matrix.bash). States of a real server are in
# fault/states.bats.

# shellcheck disable=SC2030,SC2031,SC2154  # bats: a test is a subshell

load ../support/helper
load ../support/chaos
load ../support/matrix

setup_file() {
	redis_start
}

setup() {
	need python3
	redis_alive || redis_restart
}

# peer MODE [WORD]: starts peer.py in Redis' place.
peer() {
	rm -f "$EB_TMP/peer"
	bg peer python3 "$TOP/tests/support/peer.py" "$EB_TMP/peer" "$REDIS_SOCK" "$@"
	wait_for "test -S '$EB_TMP/peer'"
	aim "$EB_TMP/peer"
	# Closes open connections, so that their clients connect to it too.
	rcli client kill type normal
}

away() {
	aim
	kill -KILL "${BG[peer]}"
}

NOT='is not Redis'
SLOW='no answer within 0.3 s'
GONE='closed the connection|connection lost'
EXTRA='protocol out of step'
ID='^[0-9]+-[0-9]+$'

@test "servers that are not Redis: nothing is executed; buffered, kept, reconnected" {
	row silent 'peer silent' away \
		'0 ^buffered$' "75 $SLOW" "69 $SLOW" "0 DOWN: .*$SLOW" '2 redis down .no-answer.' on
	row dribble 'peer dribble' away \
		'0 ^buffered$' "75 $SLOW" "69 $SLOW" "0 DOWN: .*$SLOW" '2 redis down .no-answer.' on
	row 'huge string' 'peer bulk' away \
		'0 ^buffered$' "75 $SLOW" "69 $SLOW" "0 DOWN: .*$SLOW" '2 redis down .no-answer.' on
	row 'huge array' 'peer multi' away \
		'0 ^buffered$' "75 $NOT" "69 $NOT" "0 DOWN: .*$NOT" '2 redis down .not-redis.' on
	row garbage 'peer garbage' away \
		'0 ^buffered$' "75 $NOT" "69 $NOT" "0 DOWN: .*$NOT" '2 redis down .not-redis.' on
	row 'HTTP server' 'peer http' away \
		'0 ^buffered$' "75 $NOT" "69 $NOT" "0 DOWN: .*$NOT" '2 redis down .not-redis.' on
	row 'closes at once' 'peer close' away \
		'0 ^buffered$' "75 $GONE" "69 $GONE" "0 DOWN: .*($GONE)" '2 redis down .cut.' on
	rows_done
}

@test "Redis with an extra reply: in doubt, searched for, once" {
	row 'extra behind all' 'peer extra' away \
		'0 ^buffered$' "75 $EXTRA|$NOT" "69 $EXTRA|$NOT" "0 DOWN: .*($EXTRA|$NOT)" '2 redis down .not-redis.' on
	row 'extra behind XINFO' 'peer extra-to XINFO' away \
		'0 -' "75 $EXTRA" "69 $EXTRA" "75 INCOMPLETE .*($EXTRA)" '0 -' on
	row 'extra behind XADD' 'peer extra-to XADD' away \
		'0 -' "75 $EXTRA" '0 -' '0 -' '2 redis down .not-redis.' on
	row 'extra behind XGROUP' 'peer extra-to XGROUP' away \
		"0 $ID" '0 -' "69 $EXTRA" '0 up' '0 -' on '0 -'
	rows_done
}

@test "Redis with a connection cut at some request: in doubt or not, once" {
	row 'cut at CLIENT' 'peer cut CLIENT' away \
		'0 ^buffered$' "75 $GONE" "69 $GONE" "0 DOWN: .*($GONE)" '2 redis down .cut.' on
	row 'cut at XINFO' 'peer cut XINFO' away \
		'0 ^buffered$' "75 $GONE" "69 $GONE" "75 INCOMPLETE .*($GONE)" '0 -' on
	row 'cut at XADD' 'peer cut XADD' away \
		'0 ^buffered$' "75 $GONE" '0 -' '0 -' '2 redis down .cut.' on
	row 'cut at XGROUP' 'peer cut XGROUP' away \
		"0 $ID" '0 -' "69 $GONE" '0 up' '0 -' on '0 -'
	rows_done
}

# Each connection works until the first request after the handshake.
@test "a server that answers only the handshake: retried at growing intervals, -e ends" {
	local mode
	for mode in 'cut XREADGROUP' 'extra-to XREADGROUP'; do
		row "$mode" "peer $mode" away \
			"0 $ID" '0 -' "69 $GONE|$EXTRA" '0 up' '0 -' on '0 -'
		assert_equal "$(grep -c 'trying again' "$EB_TMP/follower.err")" 1
		assert_equal "$(grep -c 'connected again' "$EB_TMP/follower.err")" 1
	done
	rows_done
}
