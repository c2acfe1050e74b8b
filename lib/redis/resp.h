/*
 * resp: encodes commands in Redis' protocol (RESP), and queues and sends the bytes. Apart from
 * templates only conn.c uses it.
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

/* A command of which only some arguments change: the rest is encoded once. Empty when zeroed. */
#define RESP_GAPS 8
struct resp_template {
	struct bytes text; /* the encoded arguments; free it with bytes_free */
	size_t gap[RESP_GAPS], gaps;
};
/* Encodes the arguments; one whose p is NULL is a gap, RESP_GAPS at most. Replaces what the
 * template held. */
void resp_template_init(struct resp_template *template, size_t argc, const struct slice *argv);
/* Queues a template with one argument for each gap. Returns the command's size. */
size_t resp_put_template(
    struct resp *resp, const struct resp_template *template, const struct slice *argv);

/* Returns the bytes that are queued and not sent. */
size_t resp_unsent(const struct resp *resp);
/* Sends what is possible without waiting. Returns 0, or the errno of a failure. */
int resp_send(struct resp *resp, struct transport *t);

#endif
