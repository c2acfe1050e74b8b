#!/usr/bin/env bats
# covers: lib/base
load ../support/helper

parse() { "$PROBE/probe" clock-parse "$1"; }

same() {	# a time, the microseconds
	run parse "$1"
	assert_success
	assert_output "$2"
}

none() {
	run parse "$1"
	assert_failure 1
}

@test "what Python and RFC 3339 print is read" {
	same 2025-12-04T10:30:00Z 1764844200000000
	same 2025-12-04T10:30:00.123456Z 1764844200123456
	same 2025-12-04T10:30:00.1Z 1764844200100000
	same 2025-12-04T10:30:00.1234567899Z 1764844200123456
	same '2025-12-04 10:30:00' 1764844200000000
	same 2025-12-04T10:30 1764844200000000
	same 2025-12-04T10:30:00.5 1764844200500000
	same 2025-12-04T10:30:00+00:00 1764844200000000
	same 2025-12-04T11:30:00+01:00 1764844200000000
	same 2025-12-04T05:00:00-0530 1764844200000000
	same 2025-12-04t10:30:00z 1764844200000000
	same 1970-01-01T00:00:00Z 0
	same 1969-12-31T23:59:59.999999Z -1
	same 2024-02-29T00:00:00Z 1709164800000000
	same 2000-02-29T00:00:00Z 951782400000000
	same 2016-12-31T23:59:60Z 1483228800000000
	same 0000-01-01T00:00:00Z -62167219200000000
	same 9999-12-31T23:59:59.999999Z 253402300799999999
}

@test "what is no time is refused" {
	for s in '' x 2025 2025-12-04 2025-12-04T 2025-12-04T10 2025-13-01T00:00:00Z 2025-00-01T00:00:00Z 2025-12-00T00:00:00Z \
		2025-12-32T00:00:00Z 2025-02-29T00:00:00Z 1900-02-29T00:00:00Z 2025-04-31T00:00:00Z 2025-12-04T24:00:00Z \
		2025-12-04T10:60:00Z 2025-12-04T10:30:61Z 2025-12-04T10:30:00.Z 2025-12-04T10:30:00,5Z 2025-12-04T10:30:00ZZ \
		2025-12-04T10:30:00+1 2025-12-04T10:30:00+01: 2025-12-04T10:30:00+24:00 2025-12-04T10:30:00+01:60 \
		'2025-12-04T10:30:00 Z' ' 2025-12-04T10:30:00Z' 2025-1-04T10:30:00Z 25-12-04T10:30:00Z 2025-12-04_10:30:00 \
		-2025-12-04T10:30:00Z 2025-12-04T10:30:-1Z 1764844200; do
		none "$s"
	done
}

@test "strict RFC 3339 wants T, seconds and a zone" {
	for s in 2025-12-04T10:30:00Z 2025-12-04T10:30:00.5+01:00 2025-12-04t10:30:00.123456789z; do
		run "$PROBE/probe" clock-rfc3339 "$s"
		assert_success
	done
	for s in '2025-12-04 10:30:00Z' 2025-12-04T10:30Z 2025-12-04T10:30:00 2025-12-04T10:30:00+0100 2025-12-04; do
		run "$PROBE/probe" clock-rfc3339 "$s"
		assert_failure 1
	done
}

@test "times are printed with six digits, clamped to four-digit years" {
	run "$PROBE/probe" clock-format 1764844200123456
	assert_output 2025-12-04T10:30:00.123456Z
	run "$PROBE/probe" clock-format -1
	assert_output 1969-12-31T23:59:59.999999Z
	run "$PROBE/probe" clock-format 9223372036854775807
	assert_output 9999-12-31T23:59:59.999999Z
	run "$PROBE/probe" clock-format -9223372036854775808
	assert_output 0000-01-01T00:00:00.000000Z
}

@test "printed times are read back, and agree with date(1)" {
	for us in 0 951782399999999 951782400000000 1709251199000001 4102444800000000 -2203891200000000 -62135596800000000; do
		t=$("$PROBE/probe" clock-format "$us")
		same "$t" "$us"
		s=$((us / 1000000))
		((us % 1000000 < 0)) && s=$((s - 1))
		assert_equal "${t%.*}" "$(date -u -d "@$s" +%Y-%m-%dT%H:%M:%S)"
	done
}

@test "spans for people" {
	for pair in -5:'0 s' 0:'0 s' 999:'0 s' 12000:'12 s' 119999:'119 s' 120000:'2 min' 7199000:'119 min' 7200000:'2 h' \
		172799000:'47 h' 172800000:'2 d' 864000000:'10 d'; do
		run "$PROBE/probe" clock-span "${pair%%:*}"
		assert_output "${pair#*:}"
	done
}
