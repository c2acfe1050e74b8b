#include "redis/fence.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "redis/reply.h"

int
fence_conn(struct conn *conn, const char *run_id, int64_t client, const char *addr, struct err *err)
{
	const char *now = conn_facts(conn)->run_id;
	bool known = run_id[0] != '\0' && now[0] != '\0', same = strcmp(run_id, now) == 0;
	bool with_addr = addr != NULL && addr[0] != '\0', killed = false;
	struct reply *r;
	char id[24];

	if (known && !same)
		return 0;
	if (known && client != 0) {
		snprintf(id, sizeof(id), "%" PRId64, client);
		r = conn_call(conn, err, "CLIENT", "KILL", "ID", id, with_addr ? "ADDR" : CONN_SKIP,
		    with_addr ? addr : CONN_SKIP, NULL);
		if (r == NULL)
			return -1;
		killed = !reply_is_error(r);
		reply_free(r);
	}
	for (int i = 0; i < 2 && !killed; i++) {
		if ((r = conn_call(conn, err, "PING", NULL)) == NULL)
			return -1;
		reply_free(r);
	}
	return 0;
}
