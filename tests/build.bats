#!/usr/bin/env bats
# The Makefile's promises to those who package.

load helper

@test "redis_start gives a private server" {
	redis_start
	run -0 rcli ping
	assert_output PONG
}
