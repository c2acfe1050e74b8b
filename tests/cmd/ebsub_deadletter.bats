#!/usr/bin/env bats
# covers: lib/handle lib/event
# ebsub -- COMMAND: dead letters.

# shellcheck disable=SC2016,SC2030,SC2031,SC2086,SC2154  # bats: a test is a subshell; commands expand their own words; no key has spaces

load ../support/helper
load ../support/handle

setup_file() {
	redis_start_tcp
}

setup() {
	handle_setup
}

# --- dead letters -----------------------------------------------------------------------------------------------

# two_deadletters WORD: holds one ebsub before its request with WORD for an entry to be dead-lettered, until another ebsub has claimed
# the entry and dead-lettered it.
two_deadletters() {
	add t 1 1
	proxy hold "$1"
	bg one ebsub -u "$PROXY" -t 60 --claim-idle 500ms --max-deliveries 1 t -- false
	wait_for "grep -q held '$EB_TMP/proxy.out'"
	bg two ebsub --claim-idle 500ms --max-deliveries 1 -v t -- true
	wait_for "[ \$(rcli xlen $D:t) = 1 ]"
	wait_for "[ \$(pending t) = 0 ]"
	touch "$EB_TMP/p.go"
	kill "${BG[one]}" "${BG[two]}"
	bg_wait one
	bg_wait two
	assert_equal "$(rcli xlen $D:t) $(dead attempts)" "1 1"
}

@test "two ebsub that dead-letter the same entry: one dead letter" {
	two_deadletters dead_time
}

@test "the same without EVAL" {
	rcli acl setuser default -eval >/dev/null
	two_deadletters $'XADD\r'
}

@test "without EVAL: dead-lettered by single commands, once, with all its fields" {
	rcli acl setuser default -eval -evalsha >/dev/null
	add t 1 3
	run ebsub -e --max-deliveries 1 t -- false
	assert_equal "$status" 1
	assert_equal "$(pending t): $(dead id): $(dead attempts)" "0: 1-0 2-0 3-0: 1 1 1"
	# Killed between adding the dead letter and XACK: the next run finds the dead letter.
	add t 4 4
	proxy hold $'XACK\r'
	bg sub ebsub -u "$PROXY" -t 60 --max-deliveries 1 t -- false
	wait_for "grep -q held '$EB_TMP/proxy.out'"
	kill -KILL "${BG[sub]}"
	bg_wait sub
	assert_equal "$(counts t): $(rcli xlen $D:t)" "4-0 2: 4"
	run ebsub -e --max-deliveries 1 t -- false
	assert_equal "$(pending t): $(dead id)" "0: 1-0 2-0 3-0 4-0"
}

@test "without EVAL: the last dead letter that -n waits for ends ebsub at once, and a refused one is tried again after 1 s" {
	rcli acl setuser default -eval -evalsha >/dev/null
	add t 1 1
	run -1 timeout 10 ebsub -n 1 --max-deliveries 1 t -- false
	assert_equal "$(pending t) $(dead id)" "0 1-0"
	add t 2 2
	rcli config set maxmemory 1 >/dev/null
	bg sub ebsub -n 1 --max-deliveries 1 t -- sh -c 'echo >>"$LOG"; false'
	wait_for "[ -s '$LOG' ]"
	sleep 0.5
	assert_equal "$(counts t)" "2-0 2"
	rcli config set maxmemory 0 >/dev/null
	bg_wait sub 10
	assert_equal "$status $(pending t) $(dead id)" "1 0 1-0 2-0"
}

@test "a dead-letter key of another kind: the entry stays pending, the key is named, 1; with EVAL and without" {
	local rights
	for rights in +eval -eval; do
		redis_flush
		rcli acl setuser default $rights >/dev/null
		add t 1 2
		rcli set $D:t string >/dev/null
		run ebsub -e --max-deliveries 1 t -- sh -c '[ $EB_ID = 2-0 ]'
		assert_equal "$status" 1
		assert_output --regexp "in '$D:t': .*WRONGTYPE"
		assert_output --partial "the entry stays pending"
		assert_equal "$(counts t)" "1-0 2"
		rcli del $D:t >/dev/null
		run ebsub -e --max-deliveries 1 t -- true
		assert_equal "$status" 1
		assert_equal "$(pending t) $(dead id)" "0 1-0"
	done
}

@test "no memory or no permission for a dead letter: the entry stays pending, and is dead-lettered later" {
	add t 1 1
	rcli xgroup create $S:t $G:t 0 >/dev/null
	rcli config set maxmemory 1 >/dev/null
	bg sub ebsub -e --max-deliveries 1 t -- sh -c 'echo >>"$LOG"; false'
	wait_for "[ -s '$LOG' ]"
	sleep 0.5
	assert_equal "$(counts t)" "1-0 2"
	rcli config set maxmemory 0 >/dev/null
	bg_wait sub
	assert_equal "$status $(pending t) $(dead id)" "1 0 1-0"
	rcli acl setuser bob reset on '>b' "~$S:*" '+@all' >/dev/null
	add t 2 2
	run ebsub -u "redis://bob:b@127.0.0.1:$REDIS_PORT" -e --max-deliveries 1 t -- false
	assert_equal "$status" 1
	assert_output --partial "$D:t"
	assert_output --partial "the entry stays pending"
	assert_equal "$(counts t)" "2-0 2"
	rcli acl deluser bob >/dev/null
}

@test "an entry with very many fields is dead-lettered" {
	{ printf 'XADD %s:t 1-0' $S; seq 10000 | sed 's/.*/ f& x/' | tr -d '\n'; echo; } | rcli >/dev/null
	run ebsub -e t -- sh -c 'exit 65'
	assert_equal "$status" 1
	assert_equal "$(pending t) $(dead id) $(rcli xrange $D:t - + | wc -l)" "0 1-0 20017"
}
