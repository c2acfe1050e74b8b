#!/usr/bin/env bats
# The house's map, held against the code.
# bats file_tags=nosanitize

load helper

# Families, bottom-up: their modules, and the families whose headers they may include
# besides their own. A module that stands in no row fails the test: give it its place.
map() {
	cat <<'MAP'
base     status when util buf                                    :
plain    json jsonwalk jsonrun member word idset base64 uuid names lines pace backoff table human : base
fail     fail                                                    : base plain
typed    verb value                                              : floor
floor                                                            : base plain fail
url      url                                                     : floor
net      net                                                     : floor url
event    event eventjson dead                                    : floor
conf     conf policy ini secret                                  : floor url
bus      bus exchange reply replymake greet outbox : floor url net
stream   stream streamwalk point                                 : floor bus
group    group pending pendingwalk acks consumers retire retiring retireplain leavers : floor bus stream
spool    spool segment reader append walk walking walksort claim mark progress progresstext progressfile roster quarantine sweep release counted counters probe compress holder tidy : floor
watch    watch                                                   : floor bus stream
backlog  backlog                                                 : floor event spool
eventline eventline                                             : floor event spool
drain    drain suspect run load ahead ship move lane retain batch settle outage : floor conf event bus stream watch spool backlog eventline
replay   replay                                                  : floor conf bus spool backlog drain
publish  publish publishing link admit spill window              : floor conf event bus stream watch spool backlog eventline drain
redrive  redrive redriving redrivemove redrivetext letter                            : floor conf event bus stream drain
inspect  inspect                                                 : floor event bus stream spool backlog eventline drain
requeue  requeue requeueread requeuing                           : floor event spool
upkeep   upkeep                                                  : floor event spool inspect requeue
listing  listing                                                 : floor event spool backlog inspect requeue
reading  look haul kin tap taps tapping tapopen tapsweep format sink mend follow consumer onegroup : floor event bus stream group
handle   child facts job desk handle handletext handling attempt rescue bury hands crew worker : floor url event bus stream group reading
survey   survey surveying surveylook surveyjson                  : floor url bus stream
picture  picture                                                 : floor conf spool backlog survey
groupline groupline byhand                                      : floor bus stream group reading survey
verdict  verdict limit                                           : floor
judge    judge                                                   : floor bus stream spool backlog survey picture verdict
MAP
}

# One line a module: NAME FAMILY ALLOWED-FAMILIES... ("floor" stands for the three below it).
modules() {
	map | awk -F: '{
		n = split($1, m, " ")
		gsub(/floor/, "base plain fail", $2)
		for (i = 2; i <= n; i++) print m[i], m[1], m[1], $2
	}'
}

includes() {	# FILE: the "headers" it includes, without .h
	sed -nE 's/^#[[:space:]]*include[[:space:]]*"([^"]*)\.h".*/\1/p' "$1"
}

# Prints what stdin brings and fails when that is anything.
none() {
	! grep . || return 1
}

c_files() {
	(cd "$TOP" && ls lib/*.[ch] bin/*.c)
}

@test "every module stands in the map, and the map names no other" {
	diff <(modules | cut -d' ' -f1 | sort) \
		<(cd "$TOP/lib" && printf '%s\n' *.[ch] | sed 's/\.[ch]$//' | sort -u)
}

@test "modules include only what stands below them" {
	local -A family may
	while read -r m f a; do
		family[$m]=$f may[$m]=$a
	done < <(modules)
	cd "$TOP/lib"
	for f in *.[ch]; do
		for i in $(includes "$f"); do
			case " ${may[${f%.*}]-} " in
			*" ${family[$i]-nowhere} "*) ;;
			*) echo "lib/$f includes $i.h, which is in ${family[$i]-nowhere}" ;;
			esac
		done
	done | none
}

@test "a part of a module is included by that module's family only" {
	cd "$TOP"
	for h in lib/*.h; do
		whole=$(sed -nE 's/.*A part of ([a-z]+);.*/\1/p' "$h" | head -1)
		[ -n "$whole" ] || continue
		part=$(basename "$h" .h)
		kin=$(modules | awk -v m="$whole" '$1 == m { print $2 }')
		grep -lE "^#include \"$part\.h\"" lib/*.[ch] bin/*.c | while read -r f; do
			modules | grep -q "^$(basename "${f%.*}") $kin " ||
				echo "$f includes $part.h, a part of $whole"
		done
	done | none
}

@test "only lib/exchange.c, the two halves of reply and the program that is nothing else include hiredis" {
	cd "$TOP"
	run -0 grep -lE '^#.*include.*hiredis' lib/*.[ch] bin/*.c tests/*.c
	assert_output "lib/exchange.c
lib/reply.c
lib/replymake.c
tests/bare.c"
}

@test "only lib/event.c includes cJSON" {
	cd "$TOP"
	run -0 grep -lE '^#.*include.*cJSON' lib/*.[ch] bin/*.c tests/*.c
	assert_output lib/event.c
}

@test "commands include only headers of lib and libc" {
	cd "$TOP"
	for f in bin/*.c; do
		for i in $(includes "$f"); do
			[ -e "lib/$i.h" ] || echo "$f includes $i.h"
		done
		! grep -nHE '^#.*include.*<(hiredis|cjson|zlib|cJSON)' "$f"
	done | none
}

# Asked of the object files, so that macros and comments do not matter. util ends the
# process when memory does (util.h).
@test "the library neither prints nor exits" {
	need nm
	nm -A -u "$EB_BUILD/libeb.a" |
		sed -nE 's/.*:([a-z0-9_]+\.o):.* U ([A-Za-z0-9_]+)(@.*)?$/\1 \2/p' >"$BATS_TEST_TMPDIR/used"
	grep -q 'util.o' "$BATS_TEST_TMPDIR/used"
	grep -E ' (__)?(v?f?printf|v?dprintf|putc|putchar|puts|fputs|fputc|perror|psignal)(_chk|_unlocked)?$| (stdout|stderr|_?exit|_Exit|quick_exit|abort|__assert_fail|error|v?errx?|v?warnx?)$' \
		"$BATS_TEST_TMPDIR/used" | grep -vxE 'util.o (_exit|abort|dprintf|__dprintf_chk|stderr)' | none
}

@test "every header compiles alone, and twice" {
	cd "$TOP/lib"
	for h in *.h; do
		printf '#include "%s"\n#include "%s"\n' "$h" "$h" |
			"${CC:-cc}" -std=c11 -D_GNU_SOURCE -I. -Wall -Wextra -Werror -x c -fsyntax-only -
	done
}

@test "every header has its guard and says what the module is" {
	cd "$TOP/lib"
	for h in *.h; do
		name=${h%.h}
		grep -qx "#ifndef ${name^^}_H" "$h" || echo "$h: no guard ${name^^}_H"
		sed -n 2p "$h" | grep -q "^ \* $name: " || echo "$h: does not begin with '$name: '"
	done | none
}

@test "a source without a header of its own says what it is, or the header of the whole does" {
	cd "$TOP/lib"
	for c in *.c; do
		part=${c%.c}
		[ ! -e "$part.h" ] && [ "$(head -c 2 "$c")" != '/*' ] || continue
		for i in $(includes "$c"); do
			[ -e "$i.h" ] && sed '/\*\//q' "$i.h"
		done | grep -qw "$part" || echo "$c: nobody says what it is"
	done | none
}

@test "no function is longer than 70 lines" {
	need ctags
	ctags --version | grep -q Universal || skip "needs universal-ctags"
	cd "$TOP"
	ctags --languages=C --kinds-C=f --fields=+ne -f - lib/*.c bin/*.c tests/*.c tests/*/*.c |
		sed -nE 's/^([^\t]*)\t([^\t]*)\t.*line:([0-9]+).*end:([0-9]+).*/\2 \1 \3 \4/p' |
		awk '$4 - $3 + 1 > 70 { print $1 ": " $2 " has " $4 - $3 + 1 " lines" }' | none
}

@test "no typedef of a struct, no tool's leftovers" {
	cd "$TOP"
	grep -nE '^typedef (struct|enum|union)' lib/*.[ch] bin/*.c | none
	grep -nE '\b(XXX|FIXME|TODO)\b' lib/*.[ch] bin/*.c | none
}

@test "nothing tracked names a place that only one machine has" {
	cd "$TOP"
	git rev-parse --is-inside-work-tree >/dev/null 2>&1 || skip "needs a git checkout"
	git grep -nIE '(^|[^[:alnum:]_}.])/(hom[e]|roo[t]|User[s]|wor[k]|mn[t])/[A-Za-z0-9]' | none
}

@test "every command has its page and its tests" {
	cd "$TOP"
	for c in bin/*.c; do
		name=$(basename "$c" .c)
		[ -e "man/$name.1" ] || echo "no man/$name.1"
		[ -e "tests/$name.bats" ] || echo "no tests/$name.bats"
	done | none
}

@test "every test file stands on the helper" {
	cd "$TOP"
	grep -L '^load helper' tests/*.bats | none
}

@test "each sabotage still has its place in the code, and the tests that are to see it" {
	"$TOP/tests/mutants/run" -n
}
