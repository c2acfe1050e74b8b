/*
 * net: a name looked up and a socket connected, both within one deadline.
 *
 * getaddrinfo(3) knows no deadline, so names are looked up in a thread that is left behind when it
 * takes too long; it owns what it needs. Numeric addresses and unix paths need no thread.
 */
#ifndef REDIS_NET_H
#define REDIS_NET_H

#include <stdint.h>

#include "base/err.h"
#include "redis/url.h"

/*
 * A connected stream socket, non-blocking and close-on-exec. Each address of the name is tried,
 * with an equal share of the time left. A unix socket whose backlog is full is tried again until
 * the deadline (CLOCK_MONOTONIC ms). -1: f->status is 69, and f->sys ETIMEDOUT when time ran out
 * rather than somebody refusing.
 */
int net_connect(const struct url *u, int64_t deadline, struct err *err);

#endif
