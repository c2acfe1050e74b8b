/*
 * resp: commands as bytes of the protocol (RESP), on their way to a socket. A part of bus; use
 * conn.h.
 *
 * Offsets count bytes over the life of the connection, so that it is known exactly
 * which commands the kernel has whole. A zeroed struct is empty and valid.
 */
#ifndef REDIS_RESP_H
#define REDIS_RESP_H

#include "base/bytes.h"

struct resp {
	struct bytes out;
	size_t at; /* bytes of out that were handed over */
	uint64_t queued, written;
};

void resp_free(struct resp *o);
/* Queues one command; returns its size. It ends at o->queued. */
size_t resp_put(struct resp *o, size_t argc, const struct slice *argv);
/* One command in which only some arguments change: text holds the encoded rest, argv[i] belongs
 * before text[gap[i]]. */
size_t resp_fill(
    struct resp *o, struct slice text, const size_t *gap, size_t argc, const struct slice *argv);
/* Encodes the beginning of a command of argc arguments, and one of them. */
void resp_begin(struct bytes *text, size_t argc);
void resp_argument(struct bytes *text, struct slice arg);
size_t resp_unsent(const struct resp *o);
/* Writes what the socket takes without waiting. 0, or the errno that says that it is broken. */
int resp_send(struct resp *o, int fd);

#endif
