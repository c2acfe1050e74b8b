#!/usr/bin/env bats
# covers: lib/base
load ../support/helper

hex='[0-9a-f]'

@test "version 4" {
	"$PROBE/probe" uuid v4 5000 >"$EB_TMP/u"
	run grep -cvE "^$hex{8}-$hex{4}-4$hex{3}-[89ab]$hex{3}-$hex{12}\$" "$EB_TMP/u"
	assert_output 0
	assert_equal "$(sort -u "$EB_TMP/u" | wc -l)" 5000
}

@test "version 7 sorts in the order of creation and contains the time" {
	"$PROBE/probe" uuid v7 200000 >"$EB_TMP/u"
	run grep -cvE "^$hex{8}-$hex{4}-7$hex{3}-[89ab]$hex{3}-$hex{12}\$" "$EB_TMP/u"
	assert_output 0
	sort -c -u "$EB_TMP/u"
	now=$(date +%s%3N)
	ms=$((16#$(head -1 "$EB_TMP/u" | cut -c1-8,10-13)))
	((ms <= now && ms > now - 60000))
	last=$((16#$(tail -1 "$EB_TMP/u" | cut -c1-8,10-13)))
	((last < now + 1000))
}

@test "two processes make different UUIDs" {
	for ((i = 0; i < 50; i++)); do "$PROBE/probe" uuid v7 20; done | sort | uniq -d >"$EB_TMP/twice"
	[ ! -s "$EB_TMP/twice" ]
}

@test "derived UUIDs never change" {
	run "$PROBE/probe" uuid-derived a b
	assert_output 'a68d6315-038b-8822-836d-bc79783ec15a'
	run "$PROBE/probe" uuid-derived a c
	refute_output 'a68d6315-038b-8822-836d-bc79783ec15a'
	assert_equal "$("$PROBE/probe" uuid-derived a bc)" "$("$PROBE/probe" uuid-derived a bc)"
	[ "$("$PROBE/probe" uuid-derived ab c)" != "$("$PROBE/probe" uuid-derived a bc)" ]
}
