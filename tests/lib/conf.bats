#!/usr/bin/env bats
# covers: lib/conf
# shellcheck disable=SC2030,SC2031  # bats runs each test in a subshell
load ../support/helper

setup() {
	unset EB_REDIS_URL EB_BUFFER_DIR XDG_STATE_HOME XDG_CONFIG_HOME
	export HOME=$EB_TMP/home
	mkdir -p "$HOME/.config/eventbus"
	file=$HOME/.config/eventbus/config
}

conf() { run "$PROBE/probe" conf "$@"; }

refused() {	# status, part of the text, arguments
	local status_wanted=$1 text=$2
	shift 2
	conf "$@"
	assert_failure 1
	assert_output --partial "$status_wanted "
	assert_output --partial "$text"
	refute_output --partial secret
}

@test "defaults" {
	conf
	assert_success
	assert_output "place redis://127.0.0.1:6379/0
user none
password none
buffer $HOME/.local/state/eventbus/buffer
state $HOME/.local/state/eventbus
prefix quantum
service eventbus (default)
timeout 2000
maxlen 10000
maxlen of t 10000
flags
argv conf"
}

@test "options, short and long" {
	conf -u redis://h:1/2 -b /b -p pre -s svc -t 0.5 -j -q -v
	assert_line 'place redis://h:1/2'
	assert_line 'buffer /b'
	assert_line "state $HOME/.local/state/eventbus"
	assert_line 'prefix pre'
	assert_line 'service svc'
	assert_line 'timeout 500'
	assert_line 'flags json quiet verbose'
	conf --url=unix:///s --buffer /b2 --prefix=p2 --service=s2 --timeout=1m --json --quiet --verbose
	assert_line 'place unix:///s?db=0'
	assert_line 'buffer /b2'
	assert_line 'prefix p2'
	assert_line 'service s2'
	assert_line 'timeout 60000'
	assert_line 'flags json quiet verbose'
	conf -t 1 -t 3
	assert_line 'timeout 3000'
	for o in -h --help -V --version; do
		EB_TIMEOUT=bad conf $o
		assert_success
		assert_output ''
	done
}

@test "option, then environment, then file, then default" {
	printf '%s\n' 'url = redis://file' 'buffer=/file' ' prefix = filep ' 'service = files' 'timeout = 7' 'maxlen = 70' >"$file"
	export EB_REDIS_URL=redis://env EB_BUFFER_DIR=/env EB_PREFIX=envp EB_SERVICE=envs EB_TIMEOUT=8 EB_MAXLEN=80
	conf -u redis://opt -b /opt -p optp -s opts -t 9
	assert_line 'place redis://opt:6379/0'
	assert_line 'buffer /opt'
	assert_line 'prefix optp'
	assert_line 'service opts'
	assert_line 'timeout 9000'
	assert_line 'maxlen 80'
	conf
	assert_line 'place redis://env:6379/0'
	assert_line 'buffer /env'
	assert_line 'prefix envp'
	assert_line 'service envs'
	assert_line 'timeout 8000'
	export EB_REDIS_URL='' EB_BUFFER_DIR='' EB_PREFIX='' EB_SERVICE='' EB_TIMEOUT='' EB_MAXLEN=''
	conf
	assert_line 'place redis://file:6379/0'
	assert_line 'buffer /file'
	assert_line 'prefix filep'
	assert_line 'service files'
	assert_line 'timeout 7000'
	assert_line 'maxlen 70'
}

@test "the config file: place, comments, policies" {
	printf '%s\n' '# a comment' '' '  # one more' 'maxlen = 5' '[t]' 'maxlen = 6' '[ u ]' 'maxlen=7' '[t]' 'maxlen = 8' >"$file"
	conf
	assert_line 'maxlen 5'
	assert_line 'maxlen of t 8'
	mkdir -p "$EB_TMP/xdg/eventbus"
	echo 'prefix = x' >"$EB_TMP/xdg/eventbus/config"
	XDG_CONFIG_HOME=$EB_TMP/xdg conf
	assert_line 'prefix x'
	assert_line 'maxlen of t 10000'
	XDG_CONFIG_HOME=$EB_TMP/none conf
	assert_line 'maxlen 10000'
	XDG_CONFIG_HOME=relative conf
	assert_line 'maxlen 5'
	printf 'prefix = x\r\n' >"$file"
	conf
	assert_line 'prefix x'
}

@test "the policy of a type: trim, maxlen-hard" {
	printf '%s\n' '[t]' 'trim = acked' >"$file"
	conf
	assert_line 'maxlen of t 10000, acked, hard 100000'
	EB_MAXLEN=50 conf
	assert_line 'maxlen of t 50, acked, hard 500'
	EB_MAXLEN=0 conf
	assert_line 'maxlen of t 0, acked, hard 0'
	printf '%s\n' '[t]' 'maxlen-hard = 300' 'trim=acked' 'maxlen = 200' '[u]' 'trim = length' >"$file"
	conf
	assert_line 'maxlen of t 200, acked, hard 300'
	printf '%s\n' '[t]' 'maxlen-hard = 0' 'trim = acked' >"$file"
	conf
	assert_line 'maxlen of t 10000, acked, hard 0'
	printf '%s\n' '[t]' 'trim = acked' 'trim = length' >"$file"
	conf
	assert_line 'maxlen of t 10000'
	printf '%s\n' '[t]' 'maxlen-hard = 500' 'trim = acked' >"$file"
	EB_MAXLEN=500 conf
	assert_line 'maxlen of t 500, acked, hard 500'
	EB_MAXLEN=501 refused 78 "$file:2: [t] maxlen-hard 500 is below maxlen 501"
}

@test "an own config file that may not be read is status 78; a home of another user is passed over" {
	need_root
	echo "prefix = x" >"$file"
	chmod 0 "$file"
	as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$PROBE/probe" conf; }
	chmod 755 "$BATS_RUN_TMPDIR" "$EB_TMP" "$EB_TMP"/.. "$HOME" "$HOME/.config" "$HOME/.config/eventbus"
	run as_nobody
	assert_failure
	assert_output --regexp "78 .*read '$file': Permission denied"
	chmod 644 "$file"
	chmod 0 "$HOME/.config"
	run as_nobody
	assert_output --regexp "78 .*read '$file': Permission denied"
	chmod 755 "$HOME/.config"
	chmod 700 "$HOME"
	run as_nobody
	assert_success
}

@test "a config file with mistakes names its line" {
	wrong() {
		printf '%b\n' "$1" >"$file"
		refused 78 "$file:$2: "
		assert_output --partial "$3"
	}
	wrong '#\nnonsense' 2 'name = value'
	wrong 'colour = red' 1 "unknown name 'colour'; expected url, buffer, prefix, service, timeout, maxlen, segment-size, buffer-max, min-free or outage-event"
	wrong '[t]\n\nurl = redis://h' 3 "unknown name 'url' in a [TYPE] section; expected maxlen, trim or maxlen-hard"
	wrong '[t' 1 "missing ']'"
	wrong '[a b]\nmaxlen = 1' 2 '[a b]: an event type is 1 to 200 of'
	wrong '[t]\nmaxlen = x' 2 'a number of entries'
	wrong '[t]\ntrim = later' 2 "trim 'later': expected acked or length"
	wrong '[t]\ntrim = acked\nmaxlen-hard = -1' 3 'a number of entries'
	wrong '[t]\nmaxlen-hard = 500\ntrim = acked\nmaxlen = 501' 2 '[t] maxlen-hard 500 is below maxlen 501'
	wrong '[t]\ntrim = acked\nmaxlen-hard = 500' 3 '[t] maxlen-hard 500 is below maxlen 10000'
	wrong '[t]\ntrim = acked\nmaxlen-hard = 500\nmaxlen = 0' 3 'is below maxlen 0 (no limit)'
	wrong '[t]\n[u]\nmaxlen-hard = 50000' 3 '[u] maxlen-hard requires trim = acked'
	wrong '[t]\ntrim = length\nmaxlen-hard = 50000' 3 'requires trim = acked'
	wrong 'timeout = soon' 1 'expected seconds'
	wrong 'url = redis://:secret@h:x' 1 'port'
	wrong 'url = rediss://:secret@h' 1 'TLS'
	wrong 'prefix = a b' 1 'a key prefix is'
	wrong 'service =' 1 'a service name is'
	wrong 'maxlen = -1' 1 'a number of entries'
	printf 'timeout = soon\n' >"$file"
	refused 78 "$file:1" -t 1
	printf 'a\0b\n' >"$file"
	refused 78 'not a text file'
	rm "$file"
	mkdir "$file"
	refused 78 'Is a directory'
}

@test "error texts for options that other tools use differently" {
	refused 64 "-t 'mytopic': expected seconds; -t is the timeout, and the event type needs no option" -t mytopic
	refused 64 '-p 6379: -p is the key prefix, not the port; give the port with -u redis://host:6379/0' -p 6379
	refused 64 'redis://localhost:6379/0' -u localhost
	refused 64 'give a socket with -u unix:///path' -s /run/redis.sock
	refused 64 'a service name is' -s 'a b'
	refused 64 'a key prefix is' -p 'a*'
	refused 64 'directory' -b ''
	refused 64 'from 0.001 s to 1 day' -t 0
	refused 64 'from 0.001 s to 1 day' -t 25h
	refused 64 'expected seconds' -t -1
	refused 78 'TLS is not supported yet' -u rediss://:secret@h
	refused 64 'port' -u redis://:secret@h:0
	EB_TIMEOUT=x refused 64 "EB_TIMEOUT 'x': expected seconds"
	EB_MAXLEN=x refused 64 "EB_MAXLEN 'x'"
	EB_REDIS_URL=secret@x refused 64 EB_REDIS_URL
}

@test "where the buffer is" {
	XDG_STATE_HOME=/x conf
	assert_line 'buffer /x/eventbus/buffer'
	XDG_STATE_HOME=rel conf
	assert_line "buffer $HOME/.local/state/eventbus/buffer"
	STATE_DIRECTORY=/var/lib/eb:/var/lib/other XDG_STATE_HOME=/x conf
	assert_line 'buffer /var/lib/eb/buffer'
	assert_line 'state /var/lib/eb'
	HOME='' conf
	assert_failure 1
	assert_output --partial '78 no directory for the disk buffer'
	assert_output --partial -- '-b DIR'
	HOME='' conf -b /b
	assert_success
	assert_line 'buffer /b'
	assert_line 'state /b'
}

@test "where the password comes from" {
	export REDISCLI_AUTH=five
	conf
	assert_line 'password five'
	export EB_REDIS_PASSWORD=four
	conf
	assert_line 'password four'
	export CREDENTIALS_DIRECTORY=$EB_TMP/cred
	conf
	assert_line 'password four'
	mkdir "$EB_TMP/cred"
	printf 'three\n\n' >"$EB_TMP/cred/redis-password"
	conf
	assert_line 'password three'
	printf 'two' >"$EB_TMP/pw"
	export EB_REDIS_PASSWORD_FILE=$EB_TMP/pw
	conf
	assert_line 'password two'
	conf -u redis://:one@h
	assert_line 'password one'
	conf -u redis://u@h
	assert_line 'user u'
	assert_line 'password two'
}

@test "a configured password file that cannot be read is status 78" {
	export EB_REDIS_PASSWORD_FILE=$EB_TMP/none
	refused 78 "'$EB_TMP/none': No such file"
	conf -u redis://:one@h
	assert_success
	: >"$EB_TMP/none"
	refused 78 'is empty'
	printf 'a\0b' >"$EB_TMP/none"
	refused 78 'contains a NUL'
	unset EB_REDIS_PASSWORD_FILE
	export CREDENTIALS_DIRECTORY=$EB_TMP/cred
	mkdir -p "$EB_TMP/cred/redis-password"
	refused 78 'Is a directory'
	unset CREDENTIALS_DIRECTORY
	refused 78 "user 'u' has no password" -u redis://u@h
	conf -u redis://u:@h
	assert_success
}

@test "ps does not show the password" {
	conf -u redis://user:hunter2@h/1
	assert_line 'password hunter2'
	assert_line 'argv conf -u redis://user:xxxxxxx@h/1'
	conf --url=redis://:hunter2@h:1 -uredis://:pw@h -u redis://h
	assert_line 'argv conf --url=redis://:xxxxxxx@h:1 -uredis://:xx@h -u redis://h'
	conf -u unix://u:hunter2@/run/a@b
	assert_line 'argv conf -u unix://u:xxxxxxx@/run/a@b'
	conf -u redis://h:6379 'redis://:kept@h'
	assert_line 'argv conf -u redis://h:6379 redis://:kept@h'
}

@test "segment-size, buffer-max, min-free and outage-event: bad values name their place" {
	printf '%s\n' 'segment-size = 1K' 'buffer-max = 2M' 'min-free = 3G' 'outage-event = no' >"$file"
	conf
	assert_success
	EB_SEGMENT_SIZE=0 refused 64 "EB_SEGMENT_SIZE '0': expected a size"
	EB_BUFFER_MAX=x refused 64 "EB_BUFFER_MAX 'x': expected a size"
	EB_OUTAGE_EVENT=on refused 64 "EB_OUTAGE_EVENT 'on': expected yes or no"
	echo 'min-free = -1' >"$file"
	refused 78 "$file:1: min-free '-1': expected a size"
	EB_MIN_FREE=1 refused 78 "$file:1: min-free '-1': expected a size"
}
