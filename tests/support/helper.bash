# helper.bash: loaded by every .bats file (`load ../support/helper`). It sets
#
#   TOP BIN PROBE      the tree, the commands (in PATH too), the C test programs
#   EB_REDIS_URL       the file's private server, once redis_start has run; before that
#                      a socket that does not exist, so that no test uses a real server
#   EB_BUFFER_DIR      a directory for each test, which does not exist yet
#   EB_SANITIZE        set under sanitizers and valgrind: use smaller numbers
#
# and a clean environment: no EB_*, no XDG_*, own HOME, LC_ALL=C, TZ=UTC.
# Servers and processes started with the functions below are killed at the end of
# the file or the test. A file that defines teardown or teardown_file calls
# eb_teardown or eb_teardown_file in it.
#
# shellcheck shell=bash disable=SC2034  # the .bats files use the variables

bats_require_minimum_version 1.7.0
BATS_LIB_PATH=${BATS_LIB_PATH:+$BATS_LIB_PATH:}/usr/lib/bats:/usr/local/lib/bats
bats_load_library bats-support
bats_load_library bats-assert

# --- environment --------------------------------------------------------------

eb_environment() {
	local v keep_build=${EB_BUILD:-} keep_sanitize=${EB_SANITIZE:-} keep_bin=${EB_BIN:-} keep_server=${EB_SERVER:-}

	for v in $(compgen -e | grep -E '^(EB_|XDG_)' | grep -vxE 'EB_SEED|EB_SAMPLE' || :); do
		unset "$v"
	done
	unset REDISCLI_AUTH STATE_DIRECTORY CREDENTIALS_DIRECTORY RES_OPTIONS MAKEFLAGS MAKELEVEL
	TOP=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)
	export EB_BUILD=${keep_build:-$TOP/build}
	export EB_BIN=${keep_bin:-$EB_BUILD/bin} EB_SERVER=$keep_server
	[ -z "$keep_sanitize" ] || export EB_SANITIZE=$keep_sanitize
	BIN=$EB_BIN
	PROBE=$EB_BUILD/tests
	EB_TMP=${BATS_TEST_TMPDIR:-$BATS_FILE_TMPDIR}
	export LC_ALL=C TZ=UTC HOME=$EB_TMP/home
	export XDG_STATE_HOME=$HOME/state XDG_CONFIG_HOME=$HOME/config
	export EB_BUFFER_DIR=$EB_TMP/buffer
	mkdir -p "$HOME"
	case :$PATH: in
	*:"$BIN":*) ;;
	*) export PATH=$BIN:$PATH ;;
	esac
	REDIS_DIR=$BATS_FILE_TMPDIR/redis
	REDIS_SOCK=$REDIS_DIR/sock
	export EB_REDIS_URL=unix://$REDIS_SOCK
	REDIS_PORT=$(cat "$REDIS_DIR/port" 2>/dev/null) || REDIS_PORT=
	declare -gA BG=()
}

# Skips the test unless all these commands exist.
need() {
	local c
	for c; do
		command -v "$c" >/dev/null || skip "needs $c"
	done
}

need_root() {
	[ "$(id -u)" = 0 ] || skip "needs root"
}

# clock_at OFFSET COMMAND...: runs COMMAND, for 20 s at most, with its wall clock shifted by OFFSET; the
# monotonic clock is unchanged. Preloads the library, because faketime(1) fails on a semaphore in /dev/shm
# that a killed process with the same pid left.
clock_at() {
	# shellcheck disable=SC2016  # the loader expands $LIB
	timeout 20 env LD_PRELOAD='/usr/$LIB/faketime/libfaketime.so.1' FAKETIME="$1" \
		FAKETIME_DONT_FAKE_MONOTONIC=1 "${@:2}"
}

need_clock() {
	[ "$(clock_at -2d date +%F 2>/dev/null)" != "$(date +%F)" ] || skip "needs libfaketime"
}

# --- one private server for each file -------------------------------------------

# Prints the server's program: $EB_SERVER, else redis-server, else valkey-server.
redis_program() {
	local s
	for s in "$EB_SERVER" redis-server valkey-server; do
		[ -n "$s" ] && command -v "$s" && return
	done
	echo "no redis-server and no valkey-server" >&2
	return 1
}

redis_cli_program() {
	command -v redis-cli || command -v valkey-cli
}

# redis_start [--option value ...]: starts the server on a unix socket only, without
# persistence unless the options ask for it. A running server is stopped first. Its
# directory (append-only file, dump) stays, so this also restarts with other options.
redis_start() {
	redis_stop
	mkdir -p "$REDIS_DIR"
	[ ${#REDIS_SOCK} -le 100 ] || { echo "socket path too long: $REDIS_SOCK" >&2; return 1; }
	printf '%s\0' --port 0 "$@" >"$REDIS_DIR/args"
	rm -f "$REDIS_DIR/port"
	REDIS_PORT=
	redis_run
}

# The same, listening on a free port of 127.0.0.1 too: "redis://127.0.0.1:$REDIS_PORT".
redis_start_tcp() {
	local try
	redis_stop
	mkdir -p "$REDIS_DIR"
	for try in 1 2 3 4 5 6 7 8 9 10; do
		# Below the ephemeral range, where no client's port can be.
		REDIS_PORT=$((10000 + (RANDOM * 32768 + RANDOM) % 20000))
		printf '%s\0' --port $REDIS_PORT --bind 127.0.0.1 "$@" >"$REDIS_DIR/args"
		if redis_run 2>/dev/null; then
			echo $REDIS_PORT >"$REDIS_DIR/port"
			export REDIS_PORT
			return 0
		fi
	done
	echo "no server after $try attempts: $(tail -3 "$REDIS_DIR/log")" >&2
	return 1
}

# Starts the server with the options of the last start (after redis_kill or redis_stop).
redis_restart() {
	redis_stop
	redis_run
}

redis_run() {
	local args
	mapfile -d '' args <"$REDIS_DIR/args"
	rm -f "$REDIS_SOCK"
	# Descriptors 3 and 4 are closed because bats waits for every process that holds them. Without
	# appendfsync always a server on a busy disk replies before it writes, and loses that when killed.
	"$(redis_program)" --unixsocket "$REDIS_SOCK" --unixsocketperm 777 --dir "$REDIS_DIR" \
		--daemonize no --save '' --appendonly no --appendfsync always --logfile "$REDIS_DIR/log" \
		"${args[@]}" </dev/null >/dev/null 2>"$REDIS_DIR/stderr" 3>&- 4>&- &
	echo $! >"$REDIS_DIR/pid"
	disown $!
	redis_wait
}

# Waits until the server replies, with its append-only file loaded; fails when it exited.
redis_wait() {
	local i
	for ((i = 0; i < 1500; i++)); do
		[ "$(rcli ping 2>/dev/null)" = PONG ] && return 0
		redis_alive || break
		sleep 0.02
	done
	echo "server did not start: $(tail -5 "$REDIS_DIR/log")" >&2
	return 1
}

redis_pid() {
	cat "$REDIS_DIR/pid" 2>/dev/null
}

redis_alive() {
	local p
	p=$(redis_pid) && kill -0 "$p" 2>/dev/null && [ "$(ps -o stat= -p "$p" | cut -c1)" != Z ]
}

redis_signal() {
	local p
	p=$(redis_pid) && kill "-$1" "$p" 2>/dev/null
}

redis_gone() {
	local i
	for ((i = 0; i < 500; i++)); do
		redis_alive || { rm -f "$REDIS_DIR/pid"; return 0; }
		sleep 0.02
	done
	redis_signal KILL || :
	rm -f "$REDIS_DIR/pid"
}

redis_stop() {		# SIGTERM
	redis_signal CONT || :
	redis_signal TERM || return 0
	redis_gone
}

redis_kill() {		# SIGKILL, as a crash
	redis_signal KILL || return 0
	redis_gone
}

redis_pause() { redis_signal STOP; }
redis_resume() { redis_signal CONT; }

rcli() {
	"$(redis_cli_program)" -s "$REDIS_SOCK" "$@"
}

redis_flush() {
	rcli flushall >/dev/null
}

# --- processes and waiting --------------------------------------------------------

# wait_for CONDITION [SECONDS]: evaluates CONDITION as shell until it succeeds; fails after SECONDS (20).
wait_for() {
	local end=$((${EPOCHREALTIME/./} + ${2:-20} * 1000000))
	until eval "$1" >/dev/null 2>&1; do
		if ((${EPOCHREALTIME/./} > end)); then
			echo "waited ${2:-20} s for: $1" >&2
			return 1
		fi
		sleep 0.02
	done
}

# bg NAME COMMAND...: runs COMMAND in the background, with stdout and stderr in $BATS_TEST_TMPDIR/NAME.out
# and NAME.err, and its pid in BG_PID and ${BG[NAME]}. It is killed at the end of the test.
bg() {
	local name=$1
	shift
	"$@" <&0 >"$EB_TMP/$name.out" 2>"$EB_TMP/$name.err" 3>&- 4>&- &
	BG_PID=$!
	BG[$name]=$BG_PID
}

# Waits until the socket listens (flag 00010000), which comes after bind.
listening() {
	wait_for "grep -q ' 00010000 .* $1\$' /proc/net/unix"
}

# fake BYTES SHELL: starts a server on the unix socket $FAKE that sends BYTES (as printf %b) on each connection and then runs SHELL.
fake() {
	FAKE=$(mktemp -u "$EB_TMP/fakeXXXX")
	printf %b "$1" >"$FAKE.bytes"
	printf 'cat "%s.bytes"\n%s\n' "$FAKE" "${2:-:}" >"$FAKE.sh"
	bg "${FAKE##*/}" socat "UNIX-LISTEN:$FAKE,fork" "EXEC:sh $FAKE.sh"
	listening "$FAKE"
}

# bg_wait NAME [SECONDS]: waits for its end; its exit status is in $status, as with run.
bg_wait() {
	local pid=${BG[$1]}
	wait_for "! kill -0 $pid" "${2:-30}" || return 1
	status=0
	wait "$pid" || status=$?
	unset "BG[$1]"
}

# peak_rss FILE COMMAND...: writes COMMAND's peak resident size in KiB to FILE.
peak_rss() {
	local file=$1
	shift
	command time -q -f %M -o "$file" "$@"
}

# --- teardown -----------------------------------------------------------------

# Prints the state and last messages of the background processes of a failed test.
bg_report() {
	local n
	for n in "${!BG[@]}"; do
		echo "background $n: $(ps -o pid=,stat=,wchan=,args= -p "${BG[$n]}" || echo ended)"
		tail -n 5 "$EB_TMP/$n.err"
	done
}

# Kills all remaining children, because bats waits for any that holds descriptor 3. Leaves
# bats' own timer alone (killer_pid is bats' variable).
eb_teardown() {
	local p
	[ -n "${BATS_TEST_COMPLETED:-}" ] || bg_report
	for p in "${BG[@]}" $(jobs -p); do
		[ "$p" != "${killer_pid:-}" ] || continue
		kill -CONT "$p" 2>/dev/null || :
		kill -KILL "$p" 2>/dev/null || :
		wait "$p" 2>/dev/null || :
	done
	BG=()
}

eb_teardown_file() {
	redis_signal KILL || :
}

# --- option tables --------------------------------------------------------------

# option_table COMMAND: the rows of the table in its source and of the shared one, as LETTER-OR-NOTHING NAME.
option_table() {
	tr -d '\n\t' <"$TOP/bin/$1.c" | cat - <(tr -d '\n\t' <"$TOP/lib/cli/options.c") |
		grep -oE "(CLI_(FLAG|TEXT|NAME|COUNT|NUMBER|SIZE|SPAN|FORMAT|PLACE|CALL)|SHARED)\( *(0|'.'), *\"[a-z-]+\"" |
		sed -E "s/.*\( *(0|'(.)'), *\"(.*)\"/\2 \3/" | sort
}

teardown() { eb_teardown; }
teardown_file() { eb_teardown_file; }

eb_environment
