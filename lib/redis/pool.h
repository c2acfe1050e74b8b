/*
 * pool: the connections of a command, asked for by the key of a stream. Today there is one, opened
 * when it is needed, which serves all keys.
 *
 * After a refused password the next connection takes what is then in the password's file.
 *
 * A server executes the commands of a connection one after the other, so what blocks (XREADGROUP,
 * XREAD) has a pool of its own.
 */
#ifndef REDIS_POOL_H
#define REDIS_POOL_H

#include "redis/conn.h"

/* Fill url (borrowed) and timeout_ms (conn_open); the rest is zero. */
struct pool {
	const struct url *url;
	int64_t timeout_ms;
	struct conn *conn; /* NULL: none is open */
};

/*
 * Returns the connection to the server that has a key, and opens it first if necessary. key NULL
 * means any server. The connection belongs to the pool. Returns NULL with err when it cannot be
 * opened. A connection that has died (conn_why) is returned until pool_drop.
 */
struct conn *pool_get(struct pool *pool, const char *key, struct err *err);
/* Does the same, but leaves the handshake of a new connection to conn_handshake. */
struct conn *pool_connect(struct pool *pool, const char *key, struct err *err);
/* Closes one connection of the pool with a reset (conn_abort). */
void pool_drop(struct pool *pool, struct conn *conn);
/* Closes all connections. */
void pool_close(struct pool *pool);

#endif
