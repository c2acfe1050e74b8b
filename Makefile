# eventbus: build, test, install.
#
# bin/NAME.c becomes build/bin/NAME. All lib/ROOM/*.c go into build/libeb.a. tests/support/NAME.c and
# tests/perf/NAME.c become build/tests/NAME. tests/fault/NAME.c becomes build/tests/NAME.so, a library to
# preload. A new file needs no edit here.

VERSION = 0.1.0
PREFIX ?= /usr/local
BUILD ?= build

CFLAGS ?= -O2 -g
PKG_CONFIG ?= pkg-config
PARTS = hiredis libcjson zlib

# Of these parts the static archive is linked where there is one: a shared library costs each start of a command 9 system
# calls and 50 000 instructions. A package that must use shared libraries is built with `make STATIC_PARTS=`.
STATIC_PARTS = hiredis zlib

WARN = -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wformat=2 -Wvla \
	-Wcast-qual -Wundef $(WERROR)

# scripts/check turns warnings into errors (make WERROR=-Werror); a package build does not.
WERROR =

# -isystem suppresses warnings in the headers of other projects.
PART_CFLAGS := $(patsubst -I%,-isystem %,$(shell $(PKG_CONFIG) --cflags $(PARTS)))
libs_of = $(if $(1),$(shell $(PKG_CONFIG) --libs $(1)))
ARCHIVED := $(call libs_of,$(STATIC_PARTS))
find_archive = $(firstword $(realpath $(patsubst -L%,%/$(1),$(filter -L%,$(ARCHIVED))) $(shell $(CC) -print-file-name=$(1) 2>/dev/null)))
PART_LIBS := $(foreach l,$(ARCHIVED),$(or $(if $(filter -l%,$(l)),$(call find_archive,$(l:-l%=lib%.a))),$(l))) \
	$(call libs_of,$(filter-out $(STATIC_PARTS),$(PARTS)))

# _FORTIFY_SOURCE is left out without optimisation, where it only gives a warning, with sanitizers, and where the user
# sets it.
HARDEN = -fstack-protector-strong -fPIE
ifneq ($(filter -O1 -O2 -O3 -Os,$(CFLAGS)),)
ifeq ($(findstring -fsanitize,$(CFLAGS))$(findstring _FORTIFY_SOURCE,$(CPPFLAGS) $(CFLAGS)),)
HARDEN += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
endif
endif

# Makes builds in two directories equal, debug information included.
MAP = -ffile-prefix-map=$(CURDIR)=.

BASE_CFLAGS = -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -pthread -Ilib \
	-DEB_VERSION='"$(VERSION)"' $(PART_CFLAGS)
ALL_CFLAGS = $(BASE_CFLAGS) $(MAP) $(WARN) $(HARDEN) $(CPPFLAGS) $(CFLAGS)
ALL_LDFLAGS = -pthread -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(CFLAGS) $(LDFLAGS)

LIB_OBJ := $(patsubst %.c,$(BUILD)/obj/%.o,$(sort $(wildcard lib/*/*.c)))
BINS := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard bin/*.c)))
PROBE_FILES := $(sort $(wildcard tests/support/*.c tests/perf/*.c))
PROBES := $(patsubst %.c,$(BUILD)/tests/%,$(notdir $(PROBE_FILES)))
SHIMS := $(patsubst tests/fault/%.c,$(BUILD)/tests/%.so,$(sort $(wildcard tests/fault/*.c)))
PAGES := $(sort $(wildcard man/*.[1-8]))
EXAMPLES := $(sort $(wildcard scripts/*.service scripts/*.timer scripts/*.example))
SHELL_FILES = .ci/run $(sort $(shell grep -lE '^\#!/bin/(ba)?sh' scripts/* tests/* tests/*/* 2>/dev/null)) \
	$(sort $(wildcard tests/support/*.bash tests/*/*.bats))

all: $(BUILD)/libeb.a $(BINS)

probes: all $(PROBES) $(SHIMS)

# make V=1 prints the full commands.
Q = $(if $(V),,@)
SAY = @$(if $(V),:,printf '  %-4s %s\n' '$(1)' '$@')

# The rooms are prerequisites so that a deleted source file leaves the archive.
$(BUILD)/libeb.a: $(LIB_OBJ) $(wildcard lib/*/)
	$(call SAY,AR)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $(LIB_OBJ)

$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call SAY,CC)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/bin/%: $(BUILD)/obj/bin/%.o $(BUILD)/libeb.a
	@mkdir -p $(@D)
	$(call SAY,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PART_LIBS) $(LDLIBS)

define link_probe
	@mkdir -p $(@D)
	$(call SAY,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PART_LIBS) $(LDLIBS)
endef
$(BUILD)/tests/%: $(BUILD)/obj/tests/support/%.o $(BUILD)/libeb.a
	$(link_probe)
$(BUILD)/tests/%: $(BUILD)/obj/tests/perf/%.o $(BUILD)/libeb.a
	$(link_probe)

# These are preloaded into any of the commands, so they are built without sanitizers.
$(BUILD)/tests/%.so: tests/fault/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call SAY,LD)
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE $(WARN) -O2 -fPIC -shared -o $@ $< -ldl

# Every object depends on $(BUILD)/flags, which changes with the compiler and the flags: objects of two
# configurations never mix.
FLAGS_NOW = $(strip $(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(PART_LIBS))
ifneq ($(FLAGS_NOW),$(strip $(file <$(BUILD)/flags)))
$(BUILD)/flags: FORCE
endif
$(BUILD)/flags:
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(FLAGS_NOW))' >$@

-include $(wildcard $(BUILD)/obj/bin/*.d $(BUILD)/obj/lib/*/*.d $(BUILD)/obj/tests/*/*.d)

# --- tests --------------------------------------------------------------------

# T names test files: make check T=tests/cmd/ebpub.bats. COVERS names rooms of lib/: make check COVERS=buffer
check: probes
	EB_BUILD=$(abspath $(BUILD)) tests/run $(COVERS:%=--covers %) $(T)

# The tests tagged long: a million events, a kill before every system call.
check-long: probes
	EB_BUILD=$(abspath $(BUILD)) tests/run --long $(COVERS:%=--covers %) $(T)

# Runs libFuzzer on each parser: a fixed number of inputs, or SECONDS seconds each (make fuzz SECONDS=60).
fuzz:
	EB_BUILD=$(abspath $(BUILD)) tests/fuzz/run $(SECONDS)

SAN = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
# gcc's static runtimes, where there are some, halve the start of each process.
SAN_LIBS = $(if $(findstring clang,$(CC)),,$(if $(call find_archive,libasan.a),-static-libasan -static-libubsan))

# Skips the tests tagged nosanitize: strace, prlimit and the like do not work with ASan.
sanitize:
	$(MAKE) BUILD=$(BUILD)/sanitize CFLAGS='$(SAN)' LDFLAGS='$(SAN_LIBS) $(LDFLAGS)' WERROR=-Werror probes
	EB_BUILD=$(abspath $(BUILD))/sanitize tests/run --sanitize $(COVERS:%=--covers %) $(T)

# Applies each mutant of tests/mutants/list alone; one of its tests must fail.
mutants: probes
	tests/mutants/run

# Branch coverage of the rooms COVERED by make check, and with LONG=yes by the long fault loops too. Needs clang, llvm, lcov.
COVERED = buffer drain publish
COVER_AT = $(abspath $(BUILD))/coverage
COVER = -O0 -g -fprofile-instr-generate -fcoverage-mapping
coverage:
	@mkdir -p $(COVER_AT)
	clang -std=c11 -D_GNU_SOURCE $(WARN) -O2 -fPIE -DCOUNTERS_AT='"$(COVER_AT)/counters"' -c -o $(COVER_AT)/counters.o \
		tests/coverage/counters.c
	$(MAKE) CC=clang BUILD=$(COVER_AT) CFLAGS='$(COVER)' LDLIBS=$(COVER_AT)/counters.o probes
	tests/coverage/run begin $(COVER_AT)
	-EB_BUILD=$(COVER_AT) tests/run $(T)
	$(if $(LONG),-EB_BUILD=$(COVER_AT) tests/run --long $(or $(T),tests/fault/every.bats))
	tests/coverage/run show $(COVER_AT) $(COVERED)

# Runs the commands under valgrind's memcheck in these files' tests that are not tagged nosanitize or novalgrind.
MEMCHECKED = $(addprefix cmd/,ebpub ebsub ebreplay ebbuffer ebdead ebstat ebhealth ebgroup ebsub_command ebsub_worker ebbuffer_quarantine) lib/drain
valgrind: probes
	$(call NEED,valgrind)
	EB_BUILD=$(abspath $(BUILD)) tests/run --valgrind $(or $(T),$(MEMCHECKED:%=tests/%.bats))

# Static analysis of the C files; each analyzer fails when it finds something. .cppcheck and .clang-tidy give the reason
# for each check that is off; a false positive is suppressed, with its reason, in the source. Not part of lint: it takes minutes.
ANALYZED := $(sort $(wildcard bin/*.c lib/*/*.c) $(PROBE_FILES))
NEED = @command -v $(1) >/dev/null || { echo '$@: $(1) not found; install it (Debian: $(or $(2),$(1)))' >&2; exit 1; }

analyze:
	$(MAKE) -k analyze-gcc analyze-cppcheck analyze-tidy

analyze-gcc:
	$(call NEED,gcc)
	$(MAKE) CC=gcc BUILD=$(BUILD)/analyze CFLAGS='-O2 -g -fanalyzer' WERROR=-Werror probes

analyze-cppcheck:
	$(call NEED,cppcheck)
	cppcheck -q --error-exitcode=1 --std=c11 --enable=warning,style,performance,portability --library=posix \
		--inline-suppr --suppressions-list=.cppcheck -D_GNU_SOURCE -DEB_VERSION='""' -Ilib $(ANALYZED)

analyze-tidy: $(ANALYZED:%.c=$(BUILD)/tidy/%.ok)

$(BUILD)/tidy/%.ok: %.c $(wildcard lib/*/*.h) .clang-tidy
	$(call NEED,clang-tidy)
	@mkdir -p $(@D)
	$(call SAY,TIDY)
	$(Q)clang-tidy --quiet $< -- $(BASE_CFLAGS) >$@.out 2>&1 || { cat $@.out >&2; exit 1; }
	@touch $@

lint: lint-shell lint-man lint-format lint-gcc lint-clang lint-layout

lint-shell:
	shellcheck -x -P tests/support $(SHELL_FILES)

lint-man:
	$(if $(PAGES),mandoc -T lint -W warning $(PAGES))

# Checks the files against .clang-format. Versions of clang-format differ in details, so only version 14 checks.
C_FILES := $(sort $(wildcard bin/*.c lib/*/*.[ch] tests/*/*.[ch]))
CLANG_FORMAT = clang-format
lint-format:
	@case "$$($(CLANG_FORMAT) --version 2>/dev/null)" in \
	*' 14.'*) $(CLANG_FORMAT) -n -Werror $(C_FILES) ;; \
	*) echo 'lint-format: skipped: needs clang-format 14 (Debian 12)' ;; \
	esac

format:
	$(CLANG_FORMAT) -i $(C_FILES)

lint-gcc lint-clang: lint-%:
	$(MAKE) CC=$* BUILD=$(BUILD)/$* WERROR=-Werror probes

lint-layout: all
	tests/run tests/meta/layout.bats

# --- install ------------------------------------------------------------------

BINDIR = $(DESTDIR)$(PREFIX)/bin
MANDIR = $(DESTDIR)$(PREFIX)/share/man
DOCDIR = $(DESTDIR)$(PREFIX)/share/doc/eventbus
EXDIR = $(DOCDIR)/examples

install: all
	install -d $(BINDIR)
	install -m 755 $(BINS) $(BINDIR)
	for p in $(PAGES); do \
		install -D -m 644 $$p $(MANDIR)/man$${p##*.}/$${p##*/} || exit 1; done
	install -d $(EXDIR)
	install -m 644 $(EXAMPLES) $(EXDIR)

uninstall:
	rm -f $(addprefix $(BINDIR)/,$(notdir $(BINS)))
	for p in $(PAGES); do rm -f $(MANDIR)/man$${p##*.}/$${p##*/}; done
	rm -f $(addprefix $(EXDIR)/,$(notdir $(EXAMPLES)))
	rmdir $(EXDIR) $(DOCDIR) 2>/dev/null || :

clean:
	rm -rf $(BUILD)

# Packs the committed files only.
dist:
	mkdir -p $(BUILD)
	git archive --format=tar.gz --prefix=eventbus-$(VERSION)/ \
		-o $(BUILD)/eventbus-$(VERSION).tar.gz HEAD

FORCE:
.PHONY: all probes check check-long fuzz sanitize mutants coverage valgrind analyze analyze-gcc analyze-cppcheck \
	analyze-tidy lint lint-shell lint-man lint-format lint-gcc lint-clang lint-layout format install uninstall clean dist FORCE
.DELETE_ON_ERROR:
.SECONDARY:
