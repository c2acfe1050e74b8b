#include "redis/pool.h"

/* A password may have been changed on the server and in its file. */
static void
learn_password(const struct pool *pool, const struct conn *conn)
{
	if (conn != NULL && conn_why(conn) == CONN_DENIED)
		url_renew_password(pool->url);
}

struct conn *
pool_get(struct pool *pool, const char *key, struct err *err)
{
	(void)key; /* one server has all keys */
	if (pool->conn != NULL)
		return pool->conn;
	pool->conn = conn_open(pool->url, pool->timeout_ms, err);
	if (pool->conn == NULL && err->why == CONN_DENIED && url_renew_password(pool->url))
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
	learn_password(pool, conn);
	if (pool->conn == conn)
		pool->conn = NULL;
	conn_abort(conn);
}

void
pool_close(struct pool *pool)
{
	learn_password(pool, pool->conn);
	conn_close(pool->conn);
	pool->conn = NULL;
}
