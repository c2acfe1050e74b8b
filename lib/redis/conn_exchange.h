/*
 * conn_exchange: requests out, answers in, and when it is too late for them. A part of bus; use conn.h.
 *
 * The state of a connection is shared: bus makes it and queues commands, this moves the bytes and gives the replies.
 */
#ifndef REDIS_CONN_EXCHANGE_H
#define REDIS_CONN_EXCHANGE_H

#include <stddef.h>
#include <stdint.h>

#include "redis/conn.h"
#include "base/err.h"
#include "redis/handshake.h"
#include "redis/resp.h"

/* One command that was put: from the first that is unsent or not taken on. */
struct request {
	uint64_t end;			/* of its bytes, counted over the life of the connection */
	size_t size;
	int64_t since, extra;
	uint64_t most;			/* bytes of its answer; 0 for no limit but REPLY_MAX */
	struct reply *reply;
};

struct conn {
	int fd;
	char *place;
	int64_t timeout;
	int64_t greet_by;		/* one deadline for all of the greeting; 0 after it */
	struct handshake facts;
	enum conn_why why;
	struct err dead;

	struct resp out;
	struct request *requests;		/* ring: command n is at n & (cap - 1) */
	size_t cap;
	uint64_t put, sent, arrived, taken;
	int64_t arrived_at;		/* when the last answer was whole */
	uint64_t heard;			/* bytes since then */
	uint64_t received;		/* bytes since ever */
	struct redisReader *reader;
	void *making;			/* reply_reader */
};

static inline struct request *
request_at(const struct conn *conn, uint64_t n)
{
	return &conn->requests[n & (conn->cap - 1)];
}

/* Room for requests, and the reader; where there is no memory for that the connection is dead. */
void conn_exchange_start(struct conn *conn);
/* Frees what was there for it, replies that nobody took included. */
void conn_exchange_end(struct conn *conn);

#endif
