/*
 * net: looks up a name and connects a socket, both within one deadline. conn.c alone uses it.
 *
 * getaddrinfo(3) has no deadline, so a thread looks the name up. When that takes too long the
 * thread is abandoned; it owns its memory and frees it when getaddrinfo(3) returns. Numeric
 * addresses and unix paths need no thread.
 */
#ifndef REDIS_NET_H
#define REDIS_NET_H

#include <stdint.h>

#include "base/err.h"
#include "redis/url.h"

/*
 * Returns a connected stream socket, non-blocking and close-on-exec. Tries each address of the name
 * with an equal share of the time left. Retries a unix socket whose backlog is full until the
 * deadline (CLOCK_MONOTONIC, ms). Returns -1 with err: status 69, and sys ETIMEDOUT when the
 * deadline passed.
 */
int net_connect(const struct url *u, int64_t deadline, struct err *err);

#endif
