/*
 * outbox: commands as bytes of the protocol (RESP), on their way to a socket. A part of bus; use bus.h.
 *
 * Offsets count bytes over the life of the connection, so that it is known exactly
 * which commands the kernel has whole. A zeroed struct is empty and valid.
 */
#ifndef OUTBOX_H
#define OUTBOX_H

#include "base/buf.h"

struct outbox {
	struct buf out;
	size_t at;			/* bytes of out that were handed over */
	uint64_t queued, written;
};

void outbox_free(struct outbox *o);
/* Queues one command; returns its size. It ends at o->queued. */
size_t outbox_put(struct outbox *o, size_t argc, const struct slice *argv);
/* One command in which only some arguments change: text holds the encoded rest, argv[i] belongs before text[gap[i]]. */
size_t outbox_fill(struct outbox *o, struct slice text, const size_t *gap, size_t argc, const struct slice *argv);
/* Encodes the beginning of a command of argc arguments, and one of them. */
void outbox_begin(struct buf *text, size_t argc);
void outbox_argument(struct buf *text, struct slice arg);
size_t outbox_unsent(const struct outbox *o);
/* Writes what the socket takes without waiting. 0, or the errno that says that it is broken. */
int outbox_send(struct outbox *o, int fd);

#endif
