/*
 * resp: encodes commands in Redis' protocol (RESP), and queues and sends the bytes. Shared with
 * conn.c only; everything else uses conn.h.
 *
 * `queued` and `written` count bytes over the life of the connection: they tell exactly which
 * commands the kernel took whole. A zeroed struct is empty and valid.
 */
#ifndef REDIS_RESP_H
#define REDIS_RESP_H

#include "base/bytes.h"
#include "redis/transport.h"

struct resp {
	struct bytes out;
	size_t at; /* bytes of out that were sent */
	uint64_t queued, written;
};

void resp_free(struct resp *resp);
/* Queues a command, which then ends at resp->queued. Returns its size. */
size_t resp_put(struct resp *resp, size_t argc, const struct slice *argv);
/* Queues a template (conn.h): `text` is the encoded part, and argv[i] goes before text[gap[i]].
 * Returns the command's size. */
size_t resp_put_template(
    struct resp *resp, struct slice text, const size_t *gap, size_t argc, const struct slice *argv);
/* Appends the header of a command of argc arguments. */
void resp_encode_header(struct bytes *text, size_t argc);
/* Appends one argument. */
void resp_encode_argument(struct bytes *text, struct slice arg);
/* Returns the bytes that are queued and not sent. */
size_t resp_unsent(const struct resp *resp);
/* Sends what is possible without waiting. Returns 0, or the errno of a failure. */
int resp_send(struct resp *resp, struct transport *t);

#endif
