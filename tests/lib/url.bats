#!/usr/bin/env bats
# covers: lib/redis
load ../support/helper

same() {	# url, place, user, password
	run "$PROBE/probe" url "$1"
	assert_success
	assert_output "$2
user ${3:-none}
password ${4:-none}"
}

refused() {	# url, part of the text, status
	run "$PROBE/probe" url "$1"
	assert_failure 1
	assert_output --partial "$2"
	[[ $output == "${3:-64} "* ]]
	[[ $output != *secret* ]]
}

@test "hosts, ports and databases" {
	same redis://h redis://h:6379/0
	same redis://h/ redis://h:6379/0
	same redis://h/5 redis://h:6379/5
	same redis://h:7000/12 redis://h:7000/12
	same REDIS://Example.ORG:1 redis://example.org:1/0
	same "redis://[::1]:65535/1" "redis://[::1]:65535/1"
	same "redis://[FE80::1]" "redis://[fe80::1]:6379/0"
	same redis://127.0.0.1:6379/0 redis://127.0.0.1:6379/0
	same 'redis://h?db=7' redis://h:6379/7
	same 'redis://h:1/?db=7' redis://h:1/7
	same redis://h:1/7/ redis://h:1/7
	same 'redis://u:p@[::1]/7/?db=3' 'redis://[::1]:6379/3' u p
	same valkey://h/1 redis://h:6379/1
	same valkey://u:p@H:1 redis://h:1/0 u p
}

@test "users and passwords" {
	same redis://u:p@h redis://h:6379/0 u p
	same redis://:p@h redis://h:6379/0 '' p
	same redis://u@h redis://h:6379/0 u
	same redis://:@h redis://h:6379/0
	same redis://a%40b:c%2Fd%3A@h/1 redis://h:6379/1 a@b c/d:
	same redis://u:p@ss/w:x@h redis://h:6379/0 u p@ss/w:x
}

@test "unix sockets" {
	same unix:///run/r.sock 'unix:///run/r.sock?db=0'
	same unix:/run/r.sock 'unix:///run/r.sock?db=0'
	same 'redis+unix:///run/r.sock?db=3' 'unix:///run/r.sock?db=3'
	same 'unix:///a%20b%3Fc%25' 'unix:///a%20b%3Fc%25?db=0'
	same unix://u:p@/run/r.sock 'unix:///run/r.sock?db=0' u p
	same 'unix://:p@/run/a@b?db=2' 'unix:///run/a@b?db=2' '' p
	same unix:///run/a@/b 'unix:///run/a@/b?db=0'
	same valkey+unix:///r 'unix:///r?db=0'
}

@test "an invalid URL is refused without printing its secrets" {
	refused '' 'redis://localhost:6379/0'
	refused localhost 'redis://localhost:6379/0'
	refused localhost:6379 'redis://localhost:6379/0'
	refused http://:secret@h 'redis://localhost:6379/0'
	refused secret@h expected
	refused redis:// 'no host'
	refused redis://:secret@ 'no host'
	refused redis://:secret@h:x 'port'
	refused redis://:secret@h:0 'port'
	refused redis://:secret@h:65536 'port'
	refused redis://:secret@h:-1 'port'
	refused redis://:secret@h: 'port'
	refused redis://:secret@h/x 'database'
	refused redis://:secret@h/-1 'database'
	refused redis://:secret@h/1/2 'database'
	refused 'redis://:secret@h/1?x=y' 'database'
	refused 'redis://:sec%zzret@h' 'escape'
	refused 'redis://:secret%00@h' 'escape'
	refused 'redis://:secret%4@h' 'escape'
	refused redis://:secret@::1 'brackets'
	refused 'redis://:secret@[::1' "']'"
	refused 'redis://:secret@[::1]x' 'after the host'
	refused 'redis://:secret@[x]' 'IPv6'
	refused 'redis://:secret@h o' 'character'
	refused unix://run/r.sock 'absolute'
	refused unix://:secret@run/r.sock 'absolute'
	refused unix:u:secret@/r.sock 'absolute'
	refused unix://:sec%zzret@/r 'escape'
	refused 'unix://u:secret@/r?x=1' 'db=N'
	refused redis://:secret@h/1//2 'database'
	refused redis://:secret@h// 'database'
	refused valkeys://u:secret@h 'TLS is not supported yet' 78
	refused 'unix:///r?db=x' 'database'
	refused 'unix:///r?x=1' 'db=N'
	refused 'unix:///r%' 'escape'
	refused rediss://u:secret@h 'TLS is not supported yet' 78
	# The host was forgotten, or the password is where other programs take it.
	refused redis://:secret 'port'
	refused redis://u:secret 'port'
	refused redis://u:secret://x@h:x 'port'
	refused redis://h:1secret 'port'
	refused u:secret 'expected'
	refused u:secret://h@x 'expected'
	refused 'redis://h?password=secret' 'db=N'
	refused 'redis://h/0?password=secret' 'database'
	refused 'unix:///r?password=secret' 'db=N'
	refused 'unix:///r?db=1&password=secret' 'database'
	# The rest is shown.
	refused 'redis://h:99999/1' "'redis://h:99999/1'"
	refused 'redis://[::1]:x' "'redis://[::1]:x'"
	refused 'unix:///a:b?db=x' "'unix:///a:b?db=x'"
	refused 'unix:r' "'unix:***'"
}
