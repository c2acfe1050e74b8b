#!/usr/bin/env bats
# covers: scripts/bench
# scripts/bench: all rows are printed, and a contender that did not do its work gives no result. Speed is not checked.

# bats file_tags=nosanitize

# shellcheck disable=SC2154  # bats

load ../support/helper

bench() {
	PATH=${BENCH_PATH:-$PATH} "$TOP/scripts/bench" -n 2000 -r 1 "$@" 3>&- 4>&-
}

# Skips the test unless the build is the one in build/: others count branches or run under sanitizers.
plain() { [ "${EB_BUILD:-$TOP/build}" -ef "$TOP/build" ] || skip "needs the build in build/"; }

# rows PART: runs a part; each line of stdin is an expected row: contender, peer, bar. In a peer * matches anything.
rows() {
	local contender peer bar
	run -0 --separate-stderr bench -j "$1"
	jq -e . <<<"$output" >/dev/null
	jq -se '.[0].head | .redis and .kernel and .buffer' <<<"$output" >/dev/null
	jq -se --arg part "$1" '.[1:] | length > 0 and all(.part == $part)' <<<"$output" >/dev/null
	while IFS='|' read -r contender peer bar; do
		jq -se --arg c "$contender" --arg p "^${peer//\*/.*}\$" --arg b "$bar" 'any(.contender == $c and (.peer | test($p)) and
			(.bar // "") == $b and .ratio > 0 and .least <= .ratio and .ratio <= .most and .events_per_second > 0 and .peak_mib > 0
			and (.verdict // "") == if $b == "" then "" elif .verdict == "ok" then "ok" else "below" end)' \
			<<<"${output#*$'\n'}" >/dev/null || { echo "no row $contender | $peer | $bar in:" "$output"; return 1; }
	done
}

@test "stream" {
	need redis-benchmark redis-cli
	rows stream <<'EOR'
ebpub, unix|the better of redis-benchmark, redis-cli --pipe|>= 1
ebpub, unix|redis-benchmark|
ebpub, unix|redis-cli --pipe|
ebpub, unix|bare hiredis, [0-9]*|
ebpub, unix|bare hiredis, [0-9]*: CPU|<= 0.7
ebpub, TCP|the better of redis-benchmark, redis-cli --pipe|>= 1
ebpub, TCP|bare hiredis, [0-9]*: CPU|<= 0.7
EOR
}

@test "oneshot" {
	need redis-cli
	rows oneshot <<'EOR'
ebpub, one event, unix|redis-cli XADD|<= 0.5
ebpub, one event, unix|bare connect, XADD, exit|<= 1.5
ebpub, one event, TCP|redis-cli XADD|<= 0.5
ebpub, one event, TCP|bare connect, XADD, exit|<= 1.5
EOR
}

@test "buffer" {
	rows buffer <<'EOR'
ebpub, Redis away|dd conv=fdatasync|>= 0.6 or 0.5 M/s
ebpub, one event|bare open, write, fdatasync, exit|<= 1.3
EOR
}

@test "crowd" {
	rows crowd <<'EOR'
ebpub, 16 at once: gain|bare open, write, fdatasync, exit: gain|>= 0.85
EOR
}

@test "replay" {
	rows replay <<'EOR'
ebreplay, unix|bare hiredis, [0-9]*|>= 0.9
ebreplay, TCP|bare hiredis, [0-9]*|>= 0.9
EOR
}

@test "subscribe" {
	rows subscribe <<'EOR'
ebsub, JSON, unix|bare hiredis, [0-9]*|>= 0.9
ebsub, --payload, unix|bare hiredis, [0-9]*|>= 0.9
ebsub, JSON, TCP|bare hiredis, [0-9]*|>= 0.9
ebsub, --payload, TCP|bare hiredis, [0-9]*|>= 0.9
EOR
}

@test "handle" {
	rows handle <<'EOR'
ebsub --worker|ebsub that prints|>= 0.5
ebsub -- true|ebsub that prints|
EOR
}

@test "latency" {
	rows latency <<'EOR'
ebpub to ebsub, unix: median|bare XADD, blocked XREADGROUP|<= 1.3
ebpub to ebsub, unix: 99th percentile|bare XADD, blocked XREADGROUP|
ebpub to ebsub, TCP: median|bare XADD, blocked XREADGROUP|<= 1.3
EOR
}

@test "stat" {
	rows stat <<'EOR'
ebstat|wc -l|<= 2
EOR
}

@test "startup" {
	rows startup <<'EOR'
ebpub -V|true|<= 1.5
EOR
}

@test "growth" {
	plain
	rows growth <<'EOR'
ebpub, stream, 5000|500 events: memory|<= 1.1, < 16 MiB
ebpub, Redis away, 5000|500 events: memory|<= 1.1, < 16 MiB
ebreplay, 5000|500 events: memory|<= 1.1, < 16 MiB
ebsub, JSON, 5000|500 events: memory|<= 1.1, < 16 MiB
ebsub, --payload, 5000|500 events: memory|<= 1.1, < 16 MiB
ebstat, 5000|500 events: memory|<= 1.1, < 16 MiB
ebreplay, 100 segments|1 segments|<= 1.2, < 16 MiB
ebstat, 100 segments|1 segments|<= 1.2, < 16 MiB
EOR
	! command -v valgrind >/dev/null ||
		[ "$(jq -s '[.[] | select(.of == "instructions" and .bar == "<= 10.5")] | length' <<<"$output")" = 6 ]
}

@test "cost: all paths are counted" {
	plain
	need strace
	run -0 --separate-stderr bench -j cost
	jq -se '[.[1:][] | {(.path): .}] | add |
		(["ebpub, stream", "ebpub, Redis away", "ebreplay", "ebsub, JSON", "ebsub, --payload", "ebstat", "bare XADD, 500"] -
			keys | length == 0) and
		all(.[]; .system_calls != null) and
		.["ebpub, one event, Redis away, whole"].fdatasyncs >= 1 and
		.["ebpub, stream"].fdatasyncs == 0 and .["ebreplay"].fdatasyncs > 0' <<<"$output"
}

@test "a table for people: the head, the rows, the counts" {
	run -0 --separate-stderr bench startup
	assert_line --regexp '^kernel  '
	assert_line --regexp '^part +contender +beside +ratio +\(least to most\) +bar +verdict +events/s +its peer +us tool +its peer +us server +MiB$'
	assert_line --regexp '^startup +ebpub -V +true +[0-9.]+ +\([0-9.]+ to [0-9.]+\) +<= 1\.5 +(ok|below) '
}

@test "a contender that did not do or print all of its work gives no result" {
	mkdir -p "$EB_TMP/build"
	cp -r "$EB_BUILD/bin" "$EB_BUILD/tests" "$EB_TMP/build"
	ln -sf "$(type -P true)" "$EB_TMP/build/bin/ebpub"
	EB_BUILD=$EB_TMP/build run -1 --separate-stderr bench startup
	assert_regex "$stderr" 'bench: startup: lines printed: .*: 0, not 100'
	printf '#!/bin/sh\nwhile read -r l; do echo 1-1; done\n' >"$EB_TMP/ebpub"
	mv -f "$EB_TMP/ebpub" "$EB_TMP/build/bin/ebpub"
	chmod 755 "$EB_TMP/build/bin/ebpub"
	EB_BUILD=$EB_TMP/build run -1 --separate-stderr bench stream startup
	assert_regex "$stderr" 'bench: stream: .*no such key'
	run ! ls -d "$EB_TMP"/build/bench.*
}

@test "a missing tool is reported, and the other rows are printed" {
	local c
	mkdir "$EB_TMP/few"
	for c in sh env cat wc true redis-server valkey-server redis-cli; do
		! type -P $c >/dev/null || ln -s "$(type -P $c)" "$EB_TMP/few/$c"
	done
	BENCH_PATH=$EB_TMP/few run -0 --separate-stderr bench -j stream cost
	assert_regex "$stderr" 'bench: no redis-benchmark and no valkey-benchmark: left out'
	assert_regex "$stderr" 'bench: no strace: left out'
	assert_regex "$stderr" 'bench: no valgrind: left out'
	jq -se 'any(.contender == "ebpub, unix") and all(.[]; .system_calls == null)' <<<"$output"
}

@test "a plot, or the reason why there is none" {
	run -0 --separate-stderr bench --plot "$EB_TMP/plot.svg" startup
	if command -v gnuplot; then
		run -0 head -c 400 "$EB_TMP/plot.svg"
		assert_output --partial '<svg'
	else
		assert_equal "$stderr" 'bench: no gnuplot: left out'
	fi
}

@test "usage" {
	run -2 bench nothing
	assert_output --partial "no part 'nothing': stream oneshot"
	run -2 bench -r 0
	run -0 bench -h
	assert_output --partial 'cost       system calls'
}
