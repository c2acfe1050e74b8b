#!/usr/bin/env bats
# covers: lib/buffer lib/drain lib/publish lib/consume
# nemesis.py: publishers, replays and subscribers under a random schedule of faults.
#
# A failed run prints its seed and a command that repeats its schedule.

# shellcheck disable=SC2030,SC2031,SC2154  # bats: a test is a subshell

load ../support/helper

setup() {
	need python3
}

# Runs nemesis.py; fails when it found something.
nemesis() {
	python3 "$TOP/tests/fault/nemesis.py" "$@" 3>&- 4>&-
}

# Prints its summary.
show() {
	sed 's/^/# /' "$@" >&3
}

@test "a random schedule of faults over publishers, replays and subscribers: each event once and in order, each given out" {
	local seconds=20
	[ -z "${EB_SANITIZE:-}" ] || seconds=10
	run nemesis --seconds $seconds ${EB_SEED:+--seed "$EB_SEED"}
	show <<<"$output"
	assert_success
	assert_line --regexp 'lost=0 doubled=0'
	assert_line --regexp 'left=0 held=0 '
	[[ $output =~ accepted=([0-9]+) ]]
	[ "${BASH_REMATCH[1]}" -gt 100 ]
}

# run_seeds NUMBER: runs ten seeds, one after the other.
run_seeds() {
	local i bad=0
	for ((i = 0; i < 10; i++)); do
		nemesis --seconds 90 --seed $((BASE + 10 * $1 + i)) || bad=1
	done
	return $bad
}

# bats test_tags=long,nosanitize
@test "30 minutes of random faults: 20 seeds, two at a time" {
	local n
	BASE=${EB_SEED:-$((RANDOM * 10))}
	for n in 0 1; do
		bg seeds$n run_seeds $n
	done
	for n in 0 1; do
		bg_wait seeds$n 1700
		show "$EB_TMP/seeds$n.out"
		[ "$status" = 0 ] || touch "$EB_TMP/bad"
	done
	[ ! -e "$EB_TMP/bad" ]
	assert_equal "$(cat "$EB_TMP"/seeds?.out | grep -c 'nothing found$')" 20
}
