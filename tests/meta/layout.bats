#!/usr/bin/env bats
# covers: lib bin
# The layering of lib/, checked in the includes: each room includes only the rooms below it.
# bats file_tags=nosanitize
# shellcheck disable=SC2016  # backticks of Markdown

load ../support/helper

# ROOM: the rooms, or single headers, that its files may include besides its own.
rooms() {
	cat <<'ROOMS'
base:
event: base
redis: base event
conf: base event redis/url.h
buffer: base event
drain: base event redis conf buffer
publish: base event redis conf buffer drain
consume: base event redis
handle: base event redis consume
report: base event redis conf buffer drain/drain.h drain/redrive.h
cli: base event conf
ROOMS
}

includes() {	# FILE: what it includes with quotes
	sed -nE 's/^#[[:space:]]*include[[:space:]]*"([^"]*)".*/\1/p' "$1"
}

# Prints stdin and fails when it is not empty.
none() {
	! grep . || return 1
}

@test "lib/ has these rooms, and every file is in one" {
	diff <(rooms | cut -d: -f1 | sort) <(cd "$TOP/lib" && printf '%s\n' */ | tr -d / | sort)
	(cd "$TOP" && find lib -maxdepth 1 -name '*.[ch]') | none
}

@test "a file includes only its own room and those below it" {
	cd "$TOP"
	while IFS=: read -r room may; do
		for f in lib/"$room"/*.[ch]; do
			for i in $(includes "$f"); do
				case " $room $may " in
				*" ${i%%/*} "* | *" $i "*) ;;
				*) echo "$f includes $i" ;;
				esac
			done
		done
	done < <(rooms) | none
}

@test "only the connection, replies and the bare benchmark include hiredis" {
	cd "$TOP"
	run -0 grep -lE '^#.*include.*hiredis' lib/*/*.[ch] bin/*.c tests/*/*.c
	assert_output "lib/redis/conn.c
lib/redis/reply.c
tests/perf/bare.c"
}

@test "only the items of reports include cJSON" {
	cd "$TOP"
	run -0 grep -lE '^#.*include.*cJSON' lib/*/*.[ch] bin/*.c tests/*/*.c
	assert_output lib/report/item.c
}

@test "commands include only headers of lib and libc" {
	cd "$TOP"
	for f in bin/*.c; do
		for i in $(includes "$f"); do
			[ -e "lib/$i" ] || echo "$f includes $i"
		done
		! grep -nHE '^#.*include.*<(hiredis|cjson|zlib|cJSON)' "$f"
	done | none
}

# Asked of the object files, so that macros and comments do not matter. mem ends the
# process when memory does (mem.h). cli is the front end.
@test "the library neither prints nor exits, but for cli" {
	need nm
	nm -A -u "$EB_BUILD/libeb.a" |
		sed -nE 's/.*:([a-z0-9_]+\.o):.* U ([A-Za-z0-9_]+)(@.*)?$/\1 \2/p' >"$BATS_TEST_TMPDIR/used"
	grep -q 'mem.o' "$BATS_TEST_TMPDIR/used"
	grep -E ' (__)?(v?f?printf|v?dprintf|putc|putchar|puts|fputs|fputc|perror|psignal)(_chk|_unlocked)?$| (stdout|stderr|_?exit|_Exit|quick_exit|abort|__assert_fail|error|v?errx?|v?warnx?)$' \
		"$BATS_TEST_TMPDIR/used" | grep -vE "^($(cd "$TOP/lib/cli" && printf '%s\n' *.c | sed 's/c$/o/' | paste -sd '|')) " |
		grep -vxE 'mem.o (_exit|abort|dprintf|__dprintf_chk|stderr)' | none
}

@test "every header compiles alone, and twice" {
	cd "$TOP/lib"
	for h in */*.h; do
		printf '#include "%s"\n#include "%s"\n' "$h" "$h" |
			"${CC:-cc}" -std=c11 -D_GNU_SOURCE -I. -Wall -Wextra -Werror -x c -fsyntax-only -
	done
}

@test "every header has its guard and says what the module is" {
	cd "$TOP/lib"
	for h in */*.h; do
		name=$(basename "$h" .h)
		guard=$(tr a-z/. A-Z__ <<<"$h")
		grep -qx "#ifndef $guard" "$h" || echo "$h: no guard $guard"
		sed -n 2p "$h" | grep -q "^ \* $name: " || echo "$h: does not begin with '$name: '"
	done | none
}

@test "a source without a header of its own begins with a comment, or is declared in an _int.h" {
	cd "$TOP/lib"
	for c in */*.c; do
		part=$(basename "$c" .c)
		[ ! -e "${c%.c}.h" ] && [ "$(head -c 2 "$c")" != '/*' ] || continue
		for i in $(includes "$c"); do
			[ -e "$i" ] && sed '/\*\//q' "$i"
		done | grep -qw "$part" || echo "$c: no comment says what it is"
	done | none
}

@test "no function is longer than 70 lines" {
	need ctags
	ctags --version | grep -q Universal || skip "needs universal-ctags"
	cd "$TOP"
	ctags --languages=C --kinds-C=f --fields=+ne -f - lib/*/*.c bin/*.c tests/*/*.c |
		sed -nE 's/^([^\t]*)\t([^\t]*)\t.*line:([0-9]+).*end:([0-9]+).*/\2 \1 \3 \4/p' |
		awk '$4 - $3 + 1 > 70 { print $1 ": " $2 " has " $4 - $3 + 1 " lines" }' | none
}

@test "no line of C is longer than 100 columns" {
	cd "$TOP"
	expand lib/*/*.[ch] bin/*.c | awk 'length($0) > 100' | none
}

@test "no typedef of a struct, no tool's leftovers" {
	cd "$TOP"
	grep -nE '^typedef (struct|enum|union)' lib/*/*.[ch] bin/*.c | none
	grep -nE '\b(XXX|FIXME|TODO)\b' lib/*/*.[ch] bin/*.c | none
}

@test "no tracked file names a path of one machine" {
	cd "$TOP"
	git rev-parse --is-inside-work-tree >/dev/null 2>&1 || skip "needs a git checkout"
	git grep -nIE '(^|[^[:alnum:]_}.])/(hom[e]|roo[t]|User[s]|wor[k]|mn[t])/[A-Za-z0-9]' | none
}

@test "every command has its page and its tests" {
	cd "$TOP"
	for c in bin/*.c; do
		name=$(basename "$c" .c)
		[ -e "man/$name.1" ] || echo "no man/$name.1"
		[ -e "tests/cmd/$name.bats" ] || echo "no tests/cmd/$name.bats"
	done | none
}

@test "every test file loads the helper, and names the rooms it covers" {
	cd "$TOP"
	grep -L '^load ../support/helper' tests/*/*.bats | none
	grep -LE '^# covers: ' tests/*/*.bats | none
	sed -nE 's/^# covers: //p' tests/*/*.bats | tr ' ' '\n' | while read -r f; do
		[ -e "$f" ] || echo "# covers: $f: no such place"
	done | none
	for r in lib/*/; do
		grep -qE "^# covers: (.* )?${r%/}( |\$)" tests/*/*.bats || echo "no test covers ${r%/}"
	done | none
}

@test "each mutant's text and tests exist" {
	"$TOP/tests/mutants/run" -n
}

# --- lib/README.md --------------------------------------------------------------------

# Files that include each other in a cycle, room by room: strongly connected parts of the include graph.
cycles() {
	python3 - <<-'EOF'
	import glob, re
	graph = {}
	for f in sorted(glob.glob("lib/*/*.[ch]")):
	    with open(f, encoding="utf-8") as text:
	        found = re.findall(r'^#include "(.*)\.h"', text.read(), re.M)
	    graph.setdefault(f[4:-2], set()).update(i for i in found if i != f[4:-2])

	def reach(start):
	    seen, todo = set(), [start]
	    while todo:
	        for n in graph.get(todo.pop(), ()):
	            if n not in seen:
	                seen.add(n)
	                todo.append(n)
	    return seen

	far = {m: reach(m) for m in graph}
	groups = {tuple(sorted(n for n in far[m] if m in far.get(n, ()))) for m in graph if m in far[m]}
	for g in sorted(groups):
	    rooms = {m.split("/")[0] for m in g}
	    print(f"{' '.join(sorted(rooms))}: {' '.join(m.split('/')[1] for m in g)}")
	EOF
}

@test "files include each other in a cycle only where lib/README.md allows it" {
	cd "$TOP"
	diff <(awk '/^<!-- cycles -->/ { f = 1; next } /^```/ { f = f == 1 ? 2 : 0; next } f == 2' lib/README.md) <(cycles)
}

@test "lib/README.md lists every room, with the same allowed includes as this file" {
	cd "$TOP"
	diff <(sed -nE 's/^\| `([a-z]+)` \|.*/\1/p' lib/README.md | sort) <(rooms | cut -d: -f1 | sort)
	while IFS=: read -r room may; do
		line=$(grep "^| \`$room\` |" lib/README.md)
		for r in $may; do
			grep -qw "${r##*/}" <<<"${line#*|*|*|}" || echo "lib/README.md: $room may include $r"
		done
	done < <(rooms) | none
}

# Checks `room/file.c` function: the function is defined in that file.
@test "lib/README.md names only files and functions that exist" {
	cd "$TOP"
	tr '\n' ' ' <lib/README.md | grep -oE '`[a-z]+/[a-z_0-9]+\.[ch]`( +[a-z_0-9]+_[a-z_0-9]+)?' | tr -d '`' | tr -s ' ' >"$EB_TMP/named"
	[ "$(grep -c ' ' "$EB_TMP/named")" -ge 30 ]
	while read -r file function; do
		[ "${file%%/*}" = bin ] || file=lib/$file
		[ -e "$file" ] || { echo "no $file"; continue; }
		[ -z "$function" ] || grep -q "^$function(" "$file" || echo "$file has no $function"
	done <"$EB_TMP/named" | none
}

functions() {	# FILE...
	ctags --languages=C --kinds-C=f -f - "$@" | cut -f1 | sort
}

@test "no two functions of a program have one name" {
	need ctags
	ctags --version | grep -q Universal || skip "needs universal-ctags"
	cd "$TOP"
	for c in bin/*.c; do
		functions lib/*/*.c "$c" | uniq -d
	done | none
}
