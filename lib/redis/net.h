/*
 * net: the transport over plain sockets. Looks up a name and connects, both within one deadline.
 *
 * getaddrinfo(3) has no deadline, so a thread looks the name up. When that takes too long the
 * thread is abandoned; it owns its memory and frees it when getaddrinfo(3) returns. Numeric
 * addresses and unix paths need no thread.
 */
#ifndef REDIS_NET_H
#define REDIS_NET_H

#include "redis/transport.h"

/* Connects over TCP or a unix socket. Tries each address of the name with an equal share of the
 * time left. Retries a unix socket whose backlog is full until the deadline. See transport.h. */
struct transport *net_connect(const struct url *u, int64_t deadline, struct err *err);

#endif
