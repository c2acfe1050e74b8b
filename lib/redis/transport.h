/*
 * transport: carries the bytes of one connection. Only conn.c and resp.c use one; net.c has the
 * plain sockets, net_connect.
 *
 * No function here waits. conn.c polls `fd` for recv_events, and for send_events as well while
 * something is to be sent. A transport that reads ahead (TLS decrypts whole records) sets `pending`
 * while it holds what poll(2) on `fd` does not show.
 *
 * To add one, TLS for instance: a file with a connect function and its three operations, a scheme
 * in url.h and url.c, and a line in conn.c's table. url_target prints the scheme, since the target
 * is also the identity of a disk buffer. What a transport of TLS has to see to:
 *
 *  - Counts the bytes of a record as sent as soon as the kernel took the record whole
 *    (SSL_MODE_ENABLE_PARTIAL_WRITE). The bytes may have moved when send is called again
 *    (SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER).
 *  - Sets send_events to POLLIN while a send waits for bytes of the peer, and recv_events likewise.
 *  - Closes without close_notify when a reset is meant.
 *  - Gives a refused certificate its own reason: trying again is useless.
 *  - SIGPIPE stays ignored (process.h): a TLS library writes without MSG_NOSIGNAL.
 */
#ifndef REDIS_TRANSPORT_H
#define REDIS_TRANSPORT_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "redis/url.h"

struct transport;

struct transport_ops {
	/*
	 * Sends as many of the n bytes as possible. *taken gets the number of bytes that the kernel
	 * has in a form that the peer can read: a command that ends within them may be executed, a
	 * later one is not. Fewer than n without a failure: the others wait for send_events.
	 * Returns 0, or the errno of a failure.
	 */
	int (*send)(struct transport *t, const char *p, size_t n, size_t *taken);
	/* Receives at most n bytes. Fewer than n: there are no more now, unless `pending` is set.
	 * Returns 0 at the end, -1 with errno; EAGAIN: nothing is there. */
	ssize_t (*recv)(struct transport *t, char *p, size_t n);
	/* Closes and frees. reset: so that the kernel sends nothing afterwards. */
	void (*close)(struct transport *t, bool reset);
};

struct transport {
	const struct transport_ops *ops;
	int fd;
	short recv_events, send_events; /* POLLIN and POLLOUT; members, since they may change */
	bool pending; /* recv has bytes, the end or a failure, and would not return EAGAIN */
};

/*
 * Connects over the transport of each scheme before the deadline (CLOCK_MONOTONIC, ms); the table
 * is in conn.c, and a test puts its own functions there. Returns NULL with err: status 69, sys
 * ETIMEDOUT when the deadline passed, and why 0 when conn_connect is to choose from REFUSED and
 * TIMEOUT.
 */
extern struct transport *(*transport_connect[URL_SCHEMES])(
    const struct url *u, int64_t deadline, struct err *err);

/* Connects over TCP or a unix socket. Tries each address of the name with an equal share of the
 * time left. Retries a unix socket whose backlog is full until the deadline. */
struct transport *net_connect(const struct url *u, int64_t deadline, struct err *err);

#endif
