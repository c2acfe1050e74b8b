#include "redis/pool.h"

struct conn *
pool_get(struct pool *pool, const char *key, struct err *err)
{
	(void)key; /* one server has all keys */
	if (pool->conn == NULL)
		pool->conn = conn_open(pool->url, pool->timeout_ms, err);
	return pool->conn;
}

struct conn *
pool_connect(struct pool *pool, const char *key, struct err *err)
{
	(void)key;
	if (pool->conn == NULL)
		pool->conn = conn_connect(pool->url, pool->timeout_ms, err);
	return pool->conn;
}

void
pool_drop(struct pool *pool, struct conn *conn)
{
	if (pool->conn == conn)
		pool->conn = NULL;
	conn_abort(conn);
}

void
pool_close(struct pool *pool)
{
	conn_close(pool->conn);
	pool->conn = NULL;
}
