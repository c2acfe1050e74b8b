#!/usr/bin/env bats
# covers: Makefile tests/run
# The Makefile's targets, and the counts of tests/run and helper.bash, in a copy of the tree.
#
# bats file_tags=nosanitize

load ../support/helper

setup_file() {
	mkdir "$BATS_FILE_TMPDIR/tree"
	(cd "$TOP" && tar cf - --exclude=./build --exclude=./.git .) | tar xf - -C "$BATS_FILE_TMPDIR/tree"
	cd "$BATS_FILE_TMPDIR/tree" || exit
	CFLAGS=-O0 make -s -k -j2 all
}

setup() {
	cd "$BATS_FILE_TMPDIR/tree" || exit
	export CFLAGS=-O0
}

commands() {
	(cd "$TOP" && basename -s .c bin/*.c)
}

pages() {
	(cd "$TOP/man" && ls -- *.[1-8])
}

# --- make -----------------------------------------------------------------------

@test "make builds every command and the library, and then has nothing to do" {
	for c in $(commands); do
		[ -x "build/bin/$c" ]
	done
	[ -e build/libeb.a ]
	make -q all
}

@test "all built files are in build/" {
	run -0 diff <(cd "$TOP" && find . -path ./build -prune -o -path ./.git -prune -o -type f -print | sort) \
		<(find . -path ./build -prune -o -type f -print | sort)
}

@test "other flags or another compiler rebuild everything" {
	run make -q all CFLAGS=-O1
	assert_equal "$status" 1
	run make -q all CC=another
	assert_equal "$status" 1
	run make -q all LDFLAGS=-s
	assert_equal "$status" 1
}

@test "a touched header rebuilds the files that include it, and no others" {
	sleep 0.01
	touch lib/base/json.h
	run -0 sh -c "make -n V=1 all | sed -n 's/.*-c -o \\([^ ]*\\).*/\\1/p'"
	assert_line build/obj/lib/base/json.o
	refute_line build/obj/lib/base/clock.o
	make -s -j2 all
}

@test "the user's flags are used" {
	make -n V=1 BUILD=other CC=mycc CFLAGS=-DFROM_CFLAGS CPPFLAGS=-DFROM_CPPFLAGS LDFLAGS=-Wl,from-ld \
		all >"$BATS_TEST_TMPDIR/said"
	grep -q '^mycc .*-DFROM_CPPFLAGS.* -DFROM_CFLAGS .*-c -o other/obj/lib/base/mem.o' "$BATS_TEST_TMPDIR/said"
	grep -q '^mycc .*-Wl,from-ld .*-o other/bin/ebpub' "$BATS_TEST_TMPDIR/said"
}

@test "the user may give a _FORTIFY_SOURCE of his own" {
	run -0 make -s BUILD=fortify CFLAGS=-O2 CPPFLAGS=-D_FORTIFY_SOURCE=3 WERROR=-Werror fortify/obj/lib/base/num.o
	run -0 make -s BUILD=fortify CFLAGS='-O2 -D_FORTIFY_SOURCE=1' WERROR=-Werror fortify/obj/lib/base/num.o
	make -n V=1 BUILD=other CFLAGS=-O2 all | grep -q -- '-D_FORTIFY_SOURCE=2'
}

@test "two builds in two directories are equal" {
	need cmp
	for d in one two; do
		mkdir "$BATS_TEST_TMPDIR/$d"
		tar cf - Makefile lib bin | tar xf - -C "$BATS_TEST_TMPDIR/$d"
		make -s -C "$BATS_TEST_TMPDIR/$d" CFLAGS='-O0 -g' build/obj/lib/base/num.o build/obj/bin/ebstat.o
	done
	for o in lib/base/num.o bin/ebstat.o; do
		cmp "$BATS_TEST_TMPDIR/one/build/obj/$o" "$BATS_TEST_TMPDIR/two/build/obj/$o"
	done
}

@test "a new command and a new module need no edit of the Makefile" {
	echo 'int fresh_answer(void);' >lib/base/fresh.h
	printf '#include "base/fresh.h"\nint\nfresh_answer(void)\n{\n\treturn 42;\n}\n' >lib/base/fresh.c
	printf '#include "base/fresh.h"\nint\nmain(void)\n{\n\treturn fresh_answer();\n}\n' >bin/ebfresh.c
	make -s build/bin/ebfresh
	run -42 build/bin/ebfresh
	rm lib/base/fresh.[ch] bin/ebfresh.c
	make -s all
	run ! sh -c 'nm build/libeb.a 2>/dev/null | grep fresh_answer'
	rm -f build/bin/ebfresh build/obj/*/*fresh* build/obj/lib/*/*fresh*
}

@test "a warning is an error with WERROR=-Werror, as in scripts/check, and otherwise not" {
	printf 'int\nmain(void)\n{\n\tint unused;\n\n\treturn 0;\n}\n' >bin/ebwarn.c
	run make WERROR=-Werror build/obj/bin/ebwarn.o
	assert_failure
	assert_output --partial unused
	run -0 make build/obj/bin/ebwarn.o
	assert_output --partial unused
	rm bin/ebwarn.c build/obj/bin/ebwarn.*
	run -0 grep -c 'WERROR=-Werror' scripts/check
	assert_output 3
}

@test "the version is defined in one place" {
	version=$(sed -n 's/^VERSION = //p' Makefile)
	for c in $(commands); do
		run -0 "build/bin/$c" -V
		assert_output --partial "$version"
	done
	run -1 grep -rnF "\"$version\"" lib bin
}

# needed FILE: prints the shared libraries that it loads, without their versions.
needed() {
	readelf -d "$1" | sed -nE 's/.*\(NEEDED\).*\[(lib[a-z0-9_]+).*/\1/p'
}

@test "ebpub loads neither cJSON nor, where there are archives, hiredis and zlib" {
	need readelf
	run -0 needed build/bin/ebpub
	refute_line libcjson
	for l in hiredis z; do
		[ -e "$("${CC:-cc}" -print-file-name=lib$l.a)" ] || skip "needs lib$l.a"
		refute_line "lib$l"
	done
	assert_line libc
}

@test "make STATIC_PARTS= links shared libraries" {
	run -0 sh -c 'make -n V=1 STATIC_PARTS= all | grep -- "-o build/bin/ebpub "'
	assert_line --regexp ' -lhiredis .*-lz( |$)'
	refute_line --partial libz.a
}

@test "commands are position independent, and their relocations are read-only after the start" {
	need readelf
	for c in $(commands); do
		run -0 readelf -dlhW "build/bin/$c"
		assert_line --regexp 'Type: +DYN'
		assert_line --partial GNU_RELRO
		assert_line --regexp 'BIND_NOW'
		assert_line --regexp 'GNU_STACK.* RW '
		refute_line --partial TEXTREL
	done
}

# --- install ------------------------------------------------------------------------

@test "install puts commands, pages and examples below DESTDIR and PREFIX" {
	to=$BATS_TEST_TMPDIR/dest
	make -s install DESTDIR="$to" PREFIX=/opt/eb
	for c in $(commands); do
		[ -x "$to/opt/eb/bin/$c" ]
	done
	for p in $(pages); do
		[ -f "$to/opt/eb/share/man/man${p##*.}/$p" ]
	done
	[ -f "$to/opt/eb/share/doc/eventbus/examples/cron.example" ]
	[ -f "$to/opt/eb/share/doc/eventbus/examples/eventbus-replay.timer" ]
	run -0 ls "$to"
	assert_output opt
	run -0 "$to/opt/eb/bin/ebpub" -h
}

@test "files installed under a tight umask can be read by all" {
	to=$BATS_TEST_TMPDIR/dest
	(umask 077 && make -s install DESTDIR="$to" PREFIX=/usr)
	run -0 find "$to/usr" ! -perm -444 -o -type d ! -perm -555
	refute_output
}

@test "uninstall removes what install installed, and nothing else" {
	to=$BATS_TEST_TMPDIR/dest
	make -s install DESTDIR="$to" PREFIX=/usr
	touch "$to/usr/bin/other"
	run -0 make -s uninstall DESTDIR="$to" PREFIX=/usr
	refute_output --partial Error
	run -0 find "$to" -type f
	assert_output "$to/usr/bin/other"
	[ ! -e "$to/usr/share/doc/eventbus" ]
	run -0 make -s uninstall DESTDIR="$to" PREFIX=/usr
	refute_output --partial Error
}

@test "clean removes build/ and nothing else" {
	mkdir "$BATS_TEST_TMPDIR/tree"
	tar cf - --exclude=./build . | tar xf - -C "$BATS_TEST_TMPDIR/tree"
	cd "$BATS_TEST_TMPDIR/tree"
	find . -type f | sort >"$BATS_TEST_TMPDIR/before"
	make -s build/obj/lib/base/clock.o
	make -s clean
	[ ! -e build ]
	diff "$BATS_TEST_TMPDIR/before" <(find . -type f | sort)
}

@test "dist packs what is committed, under a name with the version" {
	need git
	cd "$TOP"
	git rev-parse HEAD >/dev/null 2>&1 || skip "needs a git checkout"
	version=$(git show HEAD:Makefile | sed -n 's/^VERSION = //p')
	make -s dist BUILD="$BATS_TEST_TMPDIR/b" VERSION="$version"
	run -0 diff <(tar tzf "$BATS_TEST_TMPDIR/b/eventbus-$version.tar.gz" | grep -v '/$' | sort) \
		<(git ls-tree -r --name-only HEAD | sed "s|^|eventbus-$version/|" | sort)
}

# --- tests/run -------------------------------------------------------------------------

# Writes a .bats file NAME from stdin, with TEST for @test, because bats would parse the latter here.
suite() {
	sed 's/^TEST/@test/' >"$BATS_TEST_TMPDIR/$1.bats"
}

@test "run counts what passed, failed and was skipped" {
	suite a <<<'TEST "good" { :; }'
	suite b <<'END'
TEST "bad" { echo what happened; false; }
TEST "later" { skip "no moon"; }
END
	run -1 "$TOP/tests/run" "$BATS_TEST_TMPDIR"/[ab].bats
	assert_line --regexp 'what happened'
	assert_line --regexp 'skipped: later .*no moon'
	assert_equal "${lines[-1]}" "1 passed, 1 failed, 1 skipped"
}

@test "run fails for a file that cannot be read, and for one whose test dies" {
	suite broken <<<'TEST "x" { if; }'
	run -1 "$TOP/tests/run" "$BATS_TEST_TMPDIR/broken.bats"
	assert_line --regexp '^0 passed, [1-9][0-9]* failed$'
	suite half <<'END'
TEST "one" { :; }
TEST "two" { kill -KILL $$; }
TEST "three" { :; }
END
	BATS_TEST_TIMEOUT=2 run -1 "$TOP/tests/run" "$BATS_TEST_TMPDIR/half.bats"
	assert_equal "${lines[-1]}" "2 passed, 1 failed"
}

@test "run ends a file that takes too long, and counts its missing results as failed" {
	suite slow <<'END'
TEST "one" { :; }
TEST "two" { sleep 1234; }
TEST "three" { :; }
END
	RUN_FILE_LIMIT=2 run -1 "$TOP/tests/run" "$BATS_TEST_TMPDIR/slow.bats"
	assert_line --partial 'took longer than 2 s'
	assert_equal "${lines[-1]}" "1 passed, 2 failed"
}

# Errors that only memcheck finds: leaked memory, and descriptors left open from one place.
@test "run --valgrind fails for what memcheck found, though the test passes" {
	need valgrind
	mkdir -p "$BATS_TEST_TMPDIR/b/bin"
	suite memory <<'END'
TEST "one" { "$EB_BIN/ebpub" || :; }
END
	for c in 'open("/", O_RDONLY)' '*(char *volatile *)&p = malloc(10); p = NULL' 'for (int i = 0; i < 5; i++) open("/", O_RDONLY)'; do
		printf '#include <fcntl.h>\n#include <stdlib.h>\nint\nmain(void)\n{\n\tchar *p = NULL;\n\n\t%s;\n\treturn p != NULL;\n}\n' "$c" |
			"${CC:-cc}" -g -w -O0 -x c -o "$BATS_TEST_TMPDIR/b/bin/ebpub" -
		EB_BUILD=$BATS_TEST_TMPDIR/b run "$TOP/tests/run" --valgrind "$BATS_TEST_TMPDIR/memory.bats"
		echo "$status ${lines[-1]}"
	done >"$BATS_TEST_TMPDIR/said"
	assert_equal "$(cat "$BATS_TEST_TMPDIR/said")" "$(printf '%s\n' '0 1 passed, 0 failed' '1 1 passed, 1 failed' '1 1 passed, 1 failed')"
}

@test "run fails when no test ran" {
	run -1 "$TOP/tests/run" "$BATS_TEST_TMPDIR/nothing.bats"
}

@test "run waits for a file that takes its time to end" {
	suite late <<'END'
teardown_file() { sleep 12; }
TEST "one" { :; }
END
	run -0 "$TOP/tests/run" "$BATS_TEST_TMPDIR/late.bats"
	assert_equal "${lines[-1]}" "1 passed, 0 failed"
}

@test "run does not wait for processes that a test leaves behind" {
	suite left <<'END'
TEST "one" { (sleep 1234 &) ; }
END
	TMPDIR=$BATS_TEST_TMPDIR run -1 timeout 60 "$TOP/tests/run" "$BATS_TEST_TMPDIR/left.bats"
	assert_line --partial 'left a process behind'
}

# --- helper.bash ----------------------------------------------------------------------

@test "the private server: start, crash, restart with its data, pause, stop" {
	redis_start --appendonly yes
	rcli set k v
	redis_kill
	run ! rcli ping
	redis_restart
	run -0 rcli get k
	assert_output v
	redis_pause
	run ! timeout 0.3 redis-cli -s "$REDIS_SOCK" ping
	redis_resume
	run -0 rcli ping
	redis_start_tcp
	run -0 rcli -p "$REDIS_PORT" ping
	redis_stop
	run ! rcli ping
}

@test "the environment of a test is clean" {
	run -0 env
	refute_line --regexp '^EB_(PREFIX|SERVICE|TIMEOUT|MAXLEN)='
	refute_line --regexp '^(REDISCLI_AUTH|STATE_DIRECTORY)='
	assert_line "HOME=$BATS_TEST_TMPDIR/home"
}
