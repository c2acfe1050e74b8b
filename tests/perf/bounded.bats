#!/usr/bin/env bats
# covers: lib/buffer lib/drain lib/consume
# Memory that does not grow with the number of events, and streams that keep needed entries.

# shellcheck disable=SC2030,SC2031,SC2154  # bats: a test is a subshell

load ../support/helper
load ../support/chaos

setup_file() {
	redis_start
}

setup() {
	redis_show
	redis_alive || redis_restart
	redis_flush
}

# small FILE: checks that the peak in FILE (peak_rss) is below 16 MB.
small() {
	local kib
	kib=$(tail -1 "$EB_TMP/$1")
	echo "# $1: $kib KiB" >&3
	[ "$kib" -lt 16384 ] || fail "$1: $kib KiB resident"
}

# events N: publishes, buffers, replays and reads N events, each below 16 MB.
events() {
	[ -x /usr/bin/time ] || skip "needs GNU time"
	run -0 bash -c "$(declare -f peak_rss numbered)
		numbered 1 1 $1 | peak_rss '$EB_TMP/streamed' timeout 600 ebpub -q --maxlen 0 many"
	small streamed
	assert_equal "$(rcli xlen quantum:stream:many)" "$1"
	run -0 bash -c "$(declare -f peak_rss)
		peak_rss '$EB_TMP/read' timeout 600 ebsub -q -g g -n $1 --payload many | cksum"
	small read
	assert_output "$(numbered 1 1 "$1" | cksum)"
	assert_equal "$(rcli xpending quantum:stream:many g | head -1)" 0
	redis_flush
	redis_hide
	run -0 bash -c "$(declare -f peak_rss numbered)
		numbered 1 1 $1 | peak_rss '$EB_TMP/buffered' timeout 600 ebpub -q --maxlen 0 many"
	small buffered
	redis_show
	run -0 peak_rss "$EB_TMP/shown" timeout 600 ebstat -j
	small shown
	assert_equal "$(jq .buffer.total_events <<<"$output")" "$1"
	run -0 peak_rss "$EB_TMP/replayed" timeout 600 ebreplay
	small replayed
	no_segments
	run -0 bash -c "timeout 600 ebsub -q -g g2 -e --payload many | cksum"
	assert_output "$(numbered 1 1 "$1" | cksum)"
}

# bats test_tags=nosanitize
@test "50 000 events streamed, read, buffered, replayed: each process below 16 MB" {
	events 50000
}

# bats test_tags=nosanitize,long
@test "1 000 000 events streamed, read, buffered, replayed: each process below 16 MB" {
	events 1000000
}

# Makes a buffer of 50 000 events for a stream with the default limit of 10 000, and a group that has read nothing.
fifty_thousand() {
	redis_hide
	numbered 1 1 50000 | timeout 60 ebpub -q much
	redis_show
	rcli xgroup create quantum:stream:much g 0 mkstream >/dev/null
}

@test "a replay into a full stream stops at its limit and one node; nothing is pushed out" {
	fifty_thousand
	run -75 timeout 60 ebreplay
	assert_output --partial "'much' is held: "
	local n
	n=$(rcli xlen quantum:stream:much)
	[ "$n" -ge 10000 ] && [ "$n" -le 10100 ] || fail "$n entries"
	# Another replay, and a publisher that drains, add no more.
	run -75 timeout 60 ebreplay
	run timeout 60 ebpub much '{"p":1,"n":50001}'
	assert_line buffered
	[ "$(rcli xlen quantum:stream:much)" -le 10100 ]
	assert_equal "$(rcli xinfo stream quantum:stream:much | grep -A1 -x entries-added | tail -1)" "$(rcli xlen quantum:stream:much)"
	assert_equal "$(ebstat -j | jq -c '[.buffer.held[0].event_type, .buffer.held[0].events, .buffer.total_events]')" \
		"[\"much\",$((50001 - n)),$((50001 - n))]"
	run -0 bash -c 'timeout 60 ebsub -q -g g -e --payload much | cksum'
	assert_output "$(numbered 1 1 "$n" | cksum)"
}

@test "with a consumer running, all 50 000 are delivered once and in order" {
	fifty_thousand
	local runs=1 rc=75
	run -75 timeout 60 ebreplay
	bg sub timeout 120 ebsub -q -g g -n 50000 --payload much
	while [ $rc = 75 ] && [ $runs -lt 2000 ]; do
		rc=0
		timeout 60 ebreplay 2>"$EB_TMP/replay.err" || rc=$?
		runs=$((runs + 1))
		[ "$(rcli xlen quantum:stream:much)" -le 10100 ] || fail "$(rcli xlen quantum:stream:much) entries"
	done
	echo "# $runs runs of ebreplay" >&3
	[ $rc = 0 ] || fail "ebreplay: $rc $(cat "$EB_TMP/replay.err")"
	bg_wait sub 60
	assert_equal "$status" 0
	cmp "$EB_TMP/sub.out" <(numbered 1 1 50000)
	no_segments
}

@test "--wait with a consumer running: one run drains all" {
	fifty_thousand
	bg sub timeout 120 ebsub -q -g g -n 50000 --payload much
	run -0 timeout 100 ebreplay -q --wait 90
	bg_wait sub 60
	assert_equal "$status" 0
	cmp "$EB_TMP/sub.out" <(numbered 1 1 50000)
	no_segments
}

@test "pending entries are needed too: what was read and not acknowledged stays" {
	fifty_thousand
	# 300 entries are read, none acknowledged; then all others are read and acknowledged.
	run -75 timeout 60 ebreplay
	rcli xreadgroup group g c count 300 streams quantum:stream:much '>' >/dev/null
	timeout 60 ebsub -q -g g -e -C other much >/dev/null
	run -75 timeout 60 ebreplay
	assert_equal "$(rcli xrange quantum:stream:much - + count 1 | grep -c '"n":1}')" 1
	[ "$(rcli xlen quantum:stream:much)" -le 10100 ]
	assert_equal "$(rcli xpending quantum:stream:much g | head -1)" 300
	# --force trims needed entries.
	run timeout 60 ebreplay --force
	assert_equal "$status" 0
	no_segments
}

# cpu COMMAND...: runs COMMAND and prints the CPU time that it took, in ms.
cpu() {
	local TIMEFORMAT='%U %S'
	{ time timeout 300 "$@" >"$EB_TMP/cpu.out" 2>&1 || :; } 2>&1 | awk '{ print ($1 + $2) * 1000 }'
}

# held_cost N: prints the CPU time of commands on a buffer with N held types of one event each, a line each.
held_cost() {
	redis_flush
	redis_hide
	seq "$1" | jq -c '{event_type: "t.\(.)", payload: .}' | ebpub -Jq
	redis_show
	seq "$1" | sed 's/.*/set quantum:stream:t.& x/' | rcli >/dev/null
	cpu ebreplay
	cpu ebreplay
	cpu ebstat -j
	jq -e ".buffer.total_events == $1 and (.buffer.held | length == $1 and all(.events == 1))" "$EB_TMP/cpu.out" >/dev/null
	cpu ebpub other 1
	cpu ebbuffer list
	assert_equal "$(wc -l <"$EB_TMP/cpu.out")" $(($1 + 1))
	seq "$1" | sed 's/.*/del quantum:stream:t.&/' | rcli >/dev/null
	cpu ebreplay
	no_segments
}

# bats test_tags=nosanitize
@test "ten times as many held types cost about ten times as much: replays, ebstat, a publisher, a list, a replay of freed types" {
	held_cost 1200 >"$EB_TMP/few"
	held_cost 12000 >"$EB_TMP/many"
	paste "$EB_TMP/few" "$EB_TMP/many" >&3
	run awk '$2 > 10 * $1 + 1500' <(paste "$EB_TMP/few" "$EB_TMP/many")
	assert_output ""
}
