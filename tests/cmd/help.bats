#!/usr/bin/env bats
# covers: lib/cli bin
# What the front end of lib/cli gives every command: --help, --version, and the texts about wrong options.

# shellcheck disable=SC2154  # bats

load ../support/helper

setup_file() {
	redis_start
}

setup() {
	rm -rf "$EB_BUFFER_DIR"
	redis_alive || redis_restart
	redis_flush
	cd "$BATS_TEST_TMPDIR" || return
}

commands() {
	local c
	for c in "$TOP"/bin/*.c; do
		basename "$c" .c
	done
}

# wrong TEXT WORD...: the command fails with 64, this text and the hint at --help, and prints nothing.
wrong() {
	run -64 --separate-stderr "${@:2}"
	assert_equal "$output" ""
	assert_equal "$stderr" "$2: $1"$'\n'"$2: see $2 --help"
}

# --- help ---------------------------------------------------------------------------

@test "every command answers -h, --help, -V and --version" {
	for c in $(commands); do
		run -0 --separate-stderr "$c" --version
		assert_output --regexp "^$c [0-9]+\.[0-9]+"
		assert_equal "$("$c" -V)$stderr" "$output"
		run -0 --separate-stderr "$c" --help
		assert_equal "$("$c" -h)$stderr" "$output"
		assert_line --regexp "^usage: $c "
		assert_equal "${lines[-1]}" "Manual page: $c(1)"
	done
}

@test "an operand behind -h or -V is a mistake, 64, and nothing is done" {
	local c o
	for c in ebpub ebsub ebreplay ebstat ebhealth; do
		for o in -h -V --help --version '-q -h' '-h -q' 'a -h' '-V -u redis://h'; do
			eval "run --separate-stderr $c $o localhost t '{}'"
			if [ "$c" = ebhealth ]; then # UNKNOWN for monitors
				assert_equal "$status" 3
			else
				assert_equal "$status $output" '64 '
			fi
			assert_regex "$stderr" "$c: -[hV] takes no 'localhost': it prints"
		done
	done
	run -0 ebgroup -h list
	run -0 ebpub t -h
	run -64 ebpub -h 127.0.0.1 t '{"x":1}'
	assert_output --partial 'give the host with -u redis://HOST:6379/0'
	assert_equal "$(rcli exists quantum:stream:t)" 0
}

@test "no line of --help is longer than 80 columns, and each text is one line" {
	for c in $(commands); do
		"$c" --help | awk -v c="$c" 'length($0) > 80 { print c ": " $0; bad = 1 } END { exit bad }'
		assert_equal "$c $("$c" --help | sed -n '/^$/q;p' | wc -l)" "$c 2"
		assert_equal "$c $("$c" --help | grep -c '^Exit status: ')" "$c 1"
	done
}

@test "--help lists every option of the table under a heading" {
	for c in $(commands); do
		"$c" --help | sed -nE 's/^  (-(.), |    )--([a-z-]+).*/\2 \3/p' | sort >help
		option_table "$c" >table
		[ "$(wc -l <table)" -ge 10 ]
		diff table help
		"$c" --help | awk '/^  (-|    --)/ && !head { print; bad = 1 } { head = /:$/ || (head && /^  /) } END { exit bad }'
	done
}

@test "the three examples of every --help run as they stand" {
	for n in 1 2 3; do
		ebpub -q order.created "{\"id\":$n}"
	done
	ebsub -q -e -n 1 order.created >/dev/null
	for c in $(commands); do
		"$c" --help | sed -n '/^Examples:/,/^$/s/^  //p' >"$c.lines"
		assert_equal "$c $(wc -l <"$c.lines")" "$c 3"
		while IFS= read -r line; do
			run timeout -k 5 20 bash -o pipefail -c "$line" </dev/null 3>&- 4>&-
			assert_equal "$line: $status" "$line: 0"
		done <"$c.lines"
	done
}

@test "help and version that cannot be written are 74, of ebhealth 3" {
	for c in $(commands); do
		local expected=74
		[ "$c" != ebhealth ] || expected=3
		run bash -c "$c --help >/dev/full"
		assert_equal "$c $status" "$c $expected"
		assert_output --partial 'write standard output: No space left'
		run bash -c "$c -V >/dev/full"
		assert_equal "$c $status" "$c $expected"
	done
}

# --- wrong options --------------------------------------------------------------------

@test "an unknown option names the nearest one" {
	wrong "unknown option '--buffer-maxx'; did you mean '--buffer-max'?" ebpub --buffer-maxx 1M a 1
	wrong "unknown option '--idel-timeout'; did you mean '--idle-timeout'?" ebsub --idel-timeout=3 a
	wrong "unknown option '--jsn'; did you mean '--json'?" ebstat --jsn
	wrong "unknown option '--watch'" ebstat --watch
	wrong "unknown option '--$(printf 'x%.0s' {1..300})'" ebsub "--$(printf 'x%.0s' {1..300})" a
	wrong "unknown option '--nothing'" ebpub --nothing
}

@test "a password in a mistyped option is not printed" {
	wrong "unknown option '--ulr'; did you mean '--url'?" ebpub --ulr=redis://:secret@h a 1
}

@test "a subcommand that does not exist names the nearest one, else all" {
	wrong "'consumer' is not a command; did you mean 'consumers'?" ebgroup consumer t
	wrong "'setid' is not a command; did you mean 'set-id'?" ebgroup setid t 0
	wrong "'frobnicate' is not a command; expected list, consumers, pending, ack, set-id, retire, reap or destroy" ebgroup frobnicate
	wrong "no command given; expected list, consumers, pending, ack, set-id, retire, reap or destroy" ebgroup
}

@test "missing, unexpected and ambiguous: what is wrong, and the way out" {
	wrong "--limit needs a value: --limit n" ebgroup pending t --limit
	wrong "-n needs a value: -n count" ebsub t -n
	wrong "--dry-run takes no value" ebgroup --dry-run=3 reap t
	wrong "--quiet takes no value" ebpub --quiet=1 a 1
	wrong "'--retry' is ambiguous: --retry-base, --retry-max, --retry-for" ebsub --retry 3 t
	wrong "unknown option '-5'; an argument that begins with '-' goes behind '--'" ebpub a -5
	run -0 ebsub --pay -e t
}

@test "an option of another form of the command names the forms that take it" {
	wrong "list does not take --yes; valid with ack, set-id, retire, reap and destroy" ebgroup list --yes
	wrong "ebsub TYPE does not take --ordered; valid with ebsub TYPE -- COMMAND" ebsub --ordered t
	wrong "ebsub --peek TYPE does not take -g; valid with ebsub TYPE and ebsub TYPE -- COMMAND" ebsub --peek -g x t
	wrong "ebsub TYPE -- COMMAND does not take --payload; valid with ebsub TYPE and ebsub --peek TYPE" ebsub --payload t -- cat
}

@test "a malformed value: the option as it was written, the value, what is expected" {
	wrong "--count 'x': expected a number, above 0" ebsub --count x t
	wrong "-n '0': expected a number, above 0" ebsub -n 0 t
	wrong "-P '1001': expected a number, above 0, at most 1000" ebsub -P 1001 t -- cat
	wrong "--claim-idle '5x': expected a time such as 30, 0.5, 500ms or 5m" ebsub --claim-idle 5x t
	wrong "--segment-size '0': expected a size such as 4096, 64K, 8M or 1G, above 0" ebpub --segment-size 0 a 1
	wrong "--max-payload '1G': expected a size such as 4096, 64K, 8M or 1G, above 0, at most 240M" ebpub --max-payload 1G a 1
	wrong "retire: expected arguments: type ... consumer" ebgroup retire --yes t
}

@test "an old spelling names what replaced it" {
	wrong "'--list' is now 'ebbuffer list'" ebreplay --list
	wrong "'--quarantine' is now 'ebbuffer quarantine'" ebreplay --quarantine=list
	wrong "'--dead' is now 'ebdead redrive'" ebreplay --dead t
	wrong "'--dead' is now 'ebdead list'" ebsub --peek --dead t
}
