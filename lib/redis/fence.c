#include "redis/fence.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "redis/reply.h"

/* Returns 1 when the server confirms that the connection is gone, 0 when it refuses the command, -1
 * when conn is dead. */
static int
kill_client(struct conn *conn, int64_t client, const char *addr, struct err *err)
{
	bool with_addr = addr != NULL && addr[0] != '\0';
	char id[24];
	struct reply *r;
	int done;

	snprintf(id, sizeof(id), "%" PRId64, client);
	r = conn_call(conn, err, "CLIENT", "KILL", "ID", id, with_addr ? "ADDR" : CONN_SKIP,
	    with_addr ? addr : CONN_SKIP, NULL);
	if (r == NULL)
		return -1;
	done = !reply_is_error(r);
	reply_free(r);
	return done;
}

int
fence_conn(struct conn *conn, const char *run_id, int64_t client, const char *addr, struct err *err)
{
	const char *now = conn_facts(conn)->run_id;
	bool known = run_id[0] != '\0' && now[0] != '\0', same = strcmp(run_id, now) == 0;
	struct reply *r;
	int done = 0;

	if (known && !same)
		return 0;
	if (known && client != 0)
		done = kill_client(conn, client, addr, err);
	for (int i = 0; i < 2 && done == 0; i++) {
		if ((r = conn_call(conn, err, "PING", NULL)) == NULL)
			return -1;
		reply_free(r);
	}
	return done == -1 ? -1 : 0;
}
