#!/usr/bin/env bats
# What may stand where Redis should (peer.py): what each command says and does (see matrix.bash). States of a
# real server are in states.bats.

# shellcheck disable=SC2030,SC2031,SC2154  # bats: a test is a subshell

load helper
load chaos
load matrix

setup_file() {
	redis_start
}

setup() {
	need python3
	redis_alive || redis_restart
}

# peer MODE [WORD]: stands where all look for Redis.
peer() {
	rm -f "$EB_TMP/peer"
	bg peer python3 "$TOP/tests/peer.py" "$EB_TMP/peer" "$REDIS_SOCK" "$@"
	wait_for "test -S '$EB_TMP/peer'"
	aim "$EB_TMP/peer"
	# Those who are connected come to it too.
	rcli client kill type normal
}

away() {
	aim
	kill -KILL "${BG[peer]}"
}

NOT='is not Redis'
SLOW='no answer within 0.3 s'

@test "what is no Redis: in doubt or not executed, buffered; kept; reconnected" {
	row silent 'peer silent' away \
		'0 ^buffered$' "75 $SLOW" "69 $SLOW" "0 DOWN: .*$SLOW" '2 redis down .no-answer.' on
	row dribble 'peer dribble' away \
		'0 ^buffered$' "75 $SLOW" "69 $SLOW" "0 DOWN: .*$SLOW" '2 redis down .no-answer.' on
	row garbage 'peer garbage' away \
		'0 ^buffered$' "75 $NOT" "69 $NOT" "0 DOWN: .*$NOT" '2 redis down .not-redis.' on
	row 'HTTP server' 'peer http' away \
		'0 ^buffered$' "75 $NOT" "69 $NOT" "0 DOWN: .*$NOT" '2 redis down .not-redis.' on
	row 'huge string' 'peer bulk' away \
		'0 ^buffered$' "75 $NOT" "69 $NOT" "0 DOWN: .*$NOT" '2 redis down .not-redis.' on
	row 'huge array' 'peer multi' away \
		'0 ^buffered$' "75 $NOT" "69 $NOT" "0 DOWN: .*$NOT" '2 redis down .not-redis.' on
	row 'closes at once' 'peer close' away \
		'0 ^buffered$' '75 closed the connection' '69 closed the connection' '0 DOWN: .*closed' '2 redis down .cut.' on
	row 'a reply too many' 'peer extra' away \
		'0 ^buffered$' "75 $NOT" "69 $NOT" "0 DOWN: .*$NOT" '2 redis down .not-redis.' on
	rows_done
}

@test "a reply too many behind the answer to one command" {
	local word
	for word in XADD XINFO XGROUP XREADGROUP; do
		row "extra behind $word" "peer extra-to $word" away '0 .*' '0 .*' '0 .*' '0 .*' '0 .*' on
	done
	rows_done
}

@test "the connection ends at one command" {
	local word
	for word in CLIENT XADD XINFO XGROUP XREADGROUP XRANGE; do
		row "cut at $word" "peer cut $word" away '0 .*' '0 .*' '0 .*' '0 .*' '0 .*' on
	done
	rows_done
}
