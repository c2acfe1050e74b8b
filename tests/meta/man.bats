#!/usr/bin/env bats
# covers: man README.md
# The pages and README, held against the commands.
#
# bats file_tags=nosanitize
#
# shellcheck disable=SC2030,SC2031  # bats runs each test in a shell of its own

load ../support/helper

setup_file() {
	redis_start
}

setup() {
	PAGES=$(cd "$TOP" && ls man/*.[1-8])
	rm -rf "$EB_BUFFER_DIR"
	redis_alive || redis_restart
	redis_flush
	cd "$BATS_TEST_TMPDIR" || return
}

# --- reading pages ------------------------------------------------------------------

commands() {	# those that have a page
	local c
	for c in "$TOP"/bin/*.c; do
		c=$(basename "$c" .c)
		[ ! -e "$TOP/man/$c.1" ] || echo "$c"
	done
}

section() {	# PAGE NAME: as it is read, on very long lines
	mandoc -T ascii -O width=900 "$TOP/$1" | col -bx |
		awk -v name="$2" '/^[A-Z]/ { on = $0 == name; next } on'
}

usage() {
	sed -n '/^usage:/,/^$/p' | sed 's/^usage: //'
}

one_line() {
	tr -s ' \t\n' ' ' | sed 's/^ //; s/ $//'
}

items() {	# PAGE: the lines that begin the description of an option
	grep '^\.It Fl' "$TOP/$1"
}

# Prints the options of the page as option_table does.
described() {
	items "man/$1.1" | awk '{
		for (i = 2; i < NF - 1 && !($i == "Fl" && $(i + 1) == "Fl"); i++) ;
		print (length($3) == 1 ? $3 : "") " " $(i + 2)
	}' | sort
}

@test "mandoc -T lint reports nothing for any page" {
	need mandoc
	cd "$TOP"
	# shellcheck disable=SC2086  # many words
	run -0 mandoc -T lint -W warning $PAGES
	assert_output ""
}

@test "the usage line of every command is its page's SYNOPSIS" {
	need mandoc col
	for c in $(commands); do
		[ "$("$c" -h | usage | one_line)" = "$(section "man/$c.1" SYNOPSIS | one_line)" ] && continue
		echo "$c -h: $("$c" -h | usage | one_line)"
		echo "page:  $(section "man/$c.1" SYNOPSIS | one_line)"
		bad=1
	done
	[ -z "${bad-}" ]
}

@test "every option of every command stands in its page, and no other" {
	for c in $(commands); do
		[ "$(option_table "$c" | wc -l)" -ge 10 ]
		diff --label "$c's table" --label "$c's page" -U0 <(option_table "$c") <(described "$c") || bad=1
	done
	[ -z "${bad-}" ]
}

@test "every option that a page describes is one that getopt takes" {
	for c in $(commands); do
		for letter in $(option_table "$c" | sed -nE 's/^([^ ]) .*/\1/p'); do
			run "$c" "-$letter" -h </dev/null
			refute_output --regexp "(invalid|unknown) option"
		done
	done
}

@test "every page names only pages that exist" {
	for p in $PAGES; do
		sed -nE 's/^(\.It )?\.?Xr (eb[a-z]+|eventbus) ([1-8]).*/\2.\3/p' "$TOP/$p" | sort -u | while read -r x; do
			[ -e "$TOP/man/$x" ] || echo "$p names $x"
		done
	done >missing
	run -0 cat missing
	assert_output ""
}

@test "every member that -j prints stands in the page of the command" {
	local c words key
	ebpub -q t '{}'
	rcli xgroup create quantum:stream:t g 0 >/dev/null
	while read -r c words; do
		# shellcheck disable=SC2086  # words
		"$c" -j $words >out || [ $? = 1 ]
		[ -s out ]
		jq -r 'paths | map(strings)[]' out | sort -u | while read -r key; do
			grep -qw -- "$key" "$TOP/man/$c.1" || echo "$c(1) lacks $key"
		done
	done >missing <<-'END'
		ebreplay
		ebdead redrive t
		ebdead drop --yes t
		ebbuffer check
		ebgroup list
		ebstat
	END
	run -0 cat missing
	assert_output ""
}

# Prints "COMMAND WORDS" as pages, README, scripts, examples of --help and messages spell it.
command_lines() {
	(cd "$TOP" && sed -E '/^\.\\"/d; s/^\.(Ql|Dl) /`/; s/\\-/-/g' man/*.[1-8] README.md lib/README.md tests/README.md scripts/* bin/*.c lib/*/*.c) |
		grep -oE '(^|[^A-Za-z0-9_/.-])eb(pub|sub|replay|buffer|dead|stat|health|group) [^|`"();&<>]+' | sed -E 's/^[^e]//; s/ -- .*//'
}

@test "every option of a command line in pages, README, scripts and messages is one of that command" {
	local c o
	for c in $(commands); do
		"$c" --help >"help.$c"
	done
	command_lines | sort -u >lines
	[ "$(wc -l <lines)" -ge 150 ]
	while read -r c words; do
		grep -oE -- '(^| )--[a-z-]+' <<<"$words" | while read -r o; do
			grep -qE -- "$o\b" "help.$c" || echo "$c $words"
		done
	done <lines >missing
	run -0 cat missing
	assert_output ""
}

@test "every subcommand that pages and README quote exists" {
	local c
	for c in ebbuffer ebdead ebgroup; do
		"$c" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\).*/\1/p' | sort -u >has
		(cd "$TOP" && sed -nE "s/^\.(Ql|Dl) (\\$ )?$c (-. [a-z]+ )*([a-z-]+).*/\4/p" man/*.[1-8] && grep -ohE "\`$c [a-z-]+" README.md | cut -d' ' -f2) |
			sort -u >quoted
		[ "$(wc -l <quoted)" -ge 2 ]
		run -0 comm -13 has quoted
		assert_output ""
	done
}

# --- exit statuses ------------------------------------------------------------------

statuses() {
	sed -nE 's/^[[:space:]]*STATUS_[A-Z]+ = ([0-9]+).*/\1/p' "$TOP/lib/base/status.h" | sort -n
}

@test "the exit statuses in eventbus(7) and README are those of status.h" {
	need mandoc col
	section man/eventbus.7 "EXIT STATUS" | sed -nE 's/^ {5}([0-9]+) .*/\1/p' | sort -n >page
	sed -n '/^## Guarantees and limits/,/^## How fast/p' "$TOP/README.md" |
		sed -nE 's/^\| ([0-9]+) \|.*/\1/p' | sort -n >readme
	diff <(statuses) page
	diff <(statuses) readme
}

@test "a page lists only statuses that exist" {
	need mandoc col
	for c in $(commands); do
		[ "$c" != ebhealth ] || continue
		section "man/$c.1" "EXIT STATUS" | sed -nE 's/^ {5}([0-9]+) .*/\1/p' | sort -n >page
		[ -s page ]
		run -0 comm -13 <(statuses | sort) <(sort page)
		assert_output ""
	done
}

# childenv sets the variables of a command; nothing reads them.
@test "the environment that conf reads stands in eventbus(7), and no other" {
	grep -hoE '"(EB_[A-Z_]+|REDISCLI_AUTH|CREDENTIALS_DIRECTORY|STATE_DIRECTORY|XDG_[A-Z_]+|HOME)"' \
		--exclude=childenv.c "$TOP"/lib/*/*.c "$TOP"/bin/*.c | tr -d '"' | grep -v '^EB_VERSION$' | sort -u >code
	sed -n '/^\.Sh ENVIRONMENT/,/^\.Sh FILES/p' "$TOP/man/eventbus.7" |
		grep '^\.It Ev' | grep -oE '[A-Z_]{4,}' | sort -u >page
	diff code page
}

# --- diagnostics --------------------------------------------------------------------

# Prints the runs of two or more fixed words in the messages that a page lists.
fixed_words() {	# PAGE
	sed -n '/^\.Sh DIAGNOSTICS/,/^\.Sh SEE/s/^\.It //p' "$TOP/$1" |
		sed -E "s/(Ar|Pq Ar) [^N]*( (No|Ns)|$)/\n/g; s/\b(No|Ns)\b|[:;,'()]|\.\.\./\n/g" |
		sed -E 's/^ +| +$//g' | grep ' '
}

@test "every message that a page lists is one of the code" {
	cat "$TOP"/lib/*/*.c "$TOP"/bin/*.c | tr '\n\t' '  ' | sed -E 's/" *"//g' >code
	for c in ebpub ebsub ebreplay ebbuffer ebdead ebgroup; do
		fixed_words "man/$c.1" >words
		[ "$(wc -l <words)" -ge 3 ]
		while IFS= read -r text; do
			grep -qF -- "$text" code || echo "$c(1) has '$text'"
		done <words
	done >missing
	run -0 cat missing
	assert_output ""
}

# --- README -------------------------------------------------------------------------

blocks() {	# KIND: the code blocks behind the marker <!-- KIND -->, NUL behind each
	awk -v mark="<!-- $1 -->" '
		$0 == mark { f = 1; next }
		/^```/ { if (f == 2) printf "%c", 0; f = f == 1 ? 2 : 0; next }
		f == 2' "$TOP/README.md"
}

@test "README names every command and page, and only files that exist" {
	for c in "$TOP"/bin/*.c; do
		grep -q "^| \`$(basename "$c" .c)\`" "$TOP/README.md"
	done
	grep -oE '\b(scripts|tests|lib|man|bin)/[a-z0-9.-]+[a-z0-9]' "$TOP/README.md" | sort -u | while read -r f; do
		[ -e "$TOP/$f" ] || echo "README names $f"
	done >missing
	run -0 cat missing
	assert_output ""
}

@test "README has at most 2 000 words" {
	[ "$(wc -w <"$TOP/README.md")" -le 2000 ]
}

# paste KIND...: runs README's blocks of these kinds in one shell, in a temporary directory that must be empty at the end.
paste() {
	local kind
	for kind; do
		blocks "$kind" | tr -d '\0'
	done | sed "s|^PATH=.*|PATH=$BIN:\$PATH|" >script
	unset EB_REDIS_URL EB_BUFFER_DIR
	mkdir t
	TMPDIR=$PWD/t run timeout 60 bash -e -o pipefail script 3>&- 4>&- </dev/null
	pgrep -f "unixsocket:$PWD/t/" | xargs -r kill -KILL || :
	assert_equal "$status" 0
	assert_equal "$(ls t)" ""
}

@test "README's two minutes, pasted" {
	need jq redis-server redis-cli
	paste tour tidy
	[ "$(grep -c . script)" -gt 15 ]
	assert_equal "$(grep -cx buffered <<<"$output")" 8
	assert_line --partial '"payload":{"id":1,"total":19.90}'
	assert_line --regexp '^[0-9]+-[0-9]+  billing  \{"id":2,"total":7.00\}$'
	assert_line '{"id":11,"total":2.00}'
	assert_equal "$(sed -nE 's/^[0-9-]+  [a-z]+  \{"id":([0-9]+).*/\1/p' <<<"$output" | tr '\n' ' ')" \
		"2 3 4 5 6 7 8 9 10 11 "
}

@test "README's recipes, pasted behind them" {
	need jq redis-server redis-cli
	[ "$(blocks recipe | tr -dc '\0' | wc -c)" -ge 4 ]
	looks() {
		cat <<-'LOOKS'
			echo "priced $(ebsub --peek --payload order.priced | head -1)"
			echo "invoices $(wc -l <invoices.csv)"
			echo "os $(ebsub --peek host.os | wc -l) $(wc -l </etc/os-release)"
			echo "stock $(ebgroup -s stock -j list order.created | jq -c 'select(.group | test("stock")) | [.pending, .lag]')"
		LOOKS
	}
	blocks() {	# as above, and a look before the end
		[ "$1" != tidy ] || looks
		awk -v mark="<!-- $1 -->" '
			$0 == mark { f = 1; next }
			/^```/ { f = f == 1 ? 2 : 0; next }
			f == 2' "$TOP/README.md"
	}
	paste tour recipe tidy
	assert_line 'priced {"id":1,"cents":1990}'
	assert_line 'invoices 11'
	assert_line --regexp '^os ([0-9]+) \1$'
	assert_line 'stock [0,0]'
}

@test "README's crontab runs behind README's make install" {
	crontab=$(sed -nE '/^    PATH=/,/^$/s/^    //p' "$TOP/README.md")
	[ "$(grep -c '^[*0-9]' <<<"$crontab")" -ge 2 ]
	# With the flags of the build, else make would build it again under the other tests.
	make -s -C "$TOP" BUILD="$EB_BUILD" WERROR="$(grep -o -m 1 -- -Werror "$EB_BUILD/flags" | head -1)" DESTDIR="$PWD/dest" install
	path=$(sed -n 's/^PATH=//p' <<<"$crontab" | sed "s|/usr/local|$PWD/dest/usr/local|")
	sed -nE 's/^[*0-9]\S* +\S+ +\S+ +\S+ +\S+ +//p' <<<"$crontab" >lines
	while IFS= read -r line; do
		run -0 env -i HOME="$HOME" PATH="$path" EB_REDIS_URL="$EB_REDIS_URL" EB_BUFFER_DIR="$EB_BUFFER_DIR" sh -c "$line"
		assert_output ""
	done <lines
}

# Makes the streams and groups that the examples use.
seed() {
	local i
	for i in 1 2 3; do
		ebpub -q order.created "{\"id\":$i,\"total\":19.9,\"symbol\":\"BTCUSDT\"}"
		ebpub -q order.paid "{\"id\":$i}"
		ebpub -q ai.signal.generated "{\"symbol\":\"BTCUSDT\",\"confidence\":0.85}"
	done
	export OTHER_REDIS="$EB_REDIS_URL?db=1"
}

# Makes groups with pending entries, for a service and for another program.
groups_of_others() {
	local g
	for g in order.created/quantum:group:mailer:order.created order.paid/readers; do
		rcli xgroup create "quantum:stream:${g%/*}" "${g#*/}" 0
		rcli xreadgroup group "${g#*/}" worker-7 count 2 streams "quantum:stream:${g%/*}" '>'
	done >/dev/null
}

# --- the pages' examples ------------------------------------------------------------

# Lines of EXAMPLES that begin with "$ ", those ended by a backslash joined with the next.
examples() {
	section "$1" EXAMPLES | sed -nE ':a; /\\$/ { N; s/\\\n *//; ba }; s/^ +\$ (.*)/\1/p'
}

# Examples that run for ever are ended by timeout.
run_examples() {
	local line
	examples "$1" >"$BATS_TEST_TMPDIR/lines"
	[ -s "$BATS_TEST_TMPDIR/lines" ]
	while IFS= read -r line; do
		run timeout -k 5 4 bash -o pipefail -c "$line" </dev/null 3>&- 4>&-
		case $status in
		0) ;;
		1) [[ $line == *'quarantine retry' ]] || { echo "status 1: $line"; return 1; } ;;	# the torn line stays in quarantine
		124) [[ $line =~ ebsub|tail\ -F|tail\ -f ]] || { echo "does not end: $line"; return 1; } ;;
		*) echo "status $status: $line"; echo "$output"; return 1 ;;
		esac
	done <"$BATS_TEST_TMPDIR/lines"
}

@test "every example of eventbus(7) runs" {
	need mandoc col jq
	run_examples man/eventbus.7
	assert_equal "$(ebsub --peek --payload order.seen)" '{"id":1}'
}

@test "every example of ebsub(1) runs" {
	need mandoc col jq
	seed
	run_examples man/ebsub.1
	assert_equal "$(wc -l <order.created.jsonl)" 3
	assert_equal "$(ebsub -u "$OTHER_REDIS" --peek order.created | wc -l)" 3
}

@test "every example of ebstat(1) and ebhealth(1) runs" {
	need mandoc col jq
	seed
	run_examples man/ebstat.1
	run_examples man/ebhealth.1
}

@test "every example of ebgroup(1) runs" {
	need mandoc col jq
	seed
	groups_of_others
	rcli eval "for _, e in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1)) do
		redis.call('XCLAIM', KEYS[1], ARGV[1], 'worker-7', 0, e[1], 'RETRYCOUNT', 10, 'JUSTID') end" 1 \
		quantum:stream:order.created quantum:group:mailer:order.created
	run_examples man/ebgroup.1
	assert_equal "$(ebgroup -s mailer -j list order.created | jq -c 'select(.group | test("mailer")) | [.pending, .lag]')" '[1,3]'
	assert_equal "$(ebgroup -g readers -j consumers order.paid | jq -c '[.consumer, .pending]')" '["worker-7",2]'
}

# Puts lines into quarantine and two events into the buffer.
fill_buffer() {
	[ -d "$EB_BUFFER_DIR" ] || mkdir -m 700 "$EB_BUFFER_DIR"
	echo '{"torn' >"$EB_BUFFER_DIR/buffer_2025-12-04_10-30-00.jsonl"
	run -1 ebreplay
	redis_stop
	ebpub -q job.done '{"n":1}'
	ebpub -q order.created '{"id":4}'
}

@test "every example of ebpub(1) runs" {
	need mandoc col jq
	run_examples man/ebpub.1
	assert_equal "$(ebsub --peek --payload ai.signal.generated)" '{"symbol":"BTCUSDT","confidence":0.85}'
	assert_equal "$(ebsub --peek -f '%s %r %p' -p copy job.done)" 'nightly run-17 {"ok":true}'
}

@test "every example of ebreplay(1) runs" {
	need mandoc col jq
	seed
	fill_buffer
	redis_restart
	run_examples man/ebreplay.1
	assert_equal "$(ebsub --peek --payload job.done)" '{"n":1}'
}

@test "every example of ebbuffer(1) runs" {
	need mandoc col jq
	seed
	fill_buffer
	redis_restart
	run_examples man/ebbuffer.1
	assert_equal "$(ebbuffer list | grep -c job.done)" 1
}

@test "every example of ebdead(1) runs" {
	need mandoc col jq
	seed
	run timeout 60 ebsub -q -s mailer -e --max-deliveries 1 order.created -- sh -c 'exit 1'
	run_examples man/ebdead.1
	assert_equal "$(rcli xlen quantum:stream:order.created) $(rcli xlen quantum:dlq:order.created)" '6 0'
}

@test "every example of ebbuffer(5) runs in a buffer" {
	need mandoc col jq
	fill_buffer
	cd "$EB_BUFFER_DIR"
	run_examples man/ebbuffer.5
	assert_equal "$(examples man/ebbuffer.5 | grep job.done | bash)" '{"n":1}'
}
