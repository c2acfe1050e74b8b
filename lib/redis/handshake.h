/*
 * handshake: what is said first on a connection, and what is learnt of the server. A part of bus;
 * use conn.h.
 */
#ifndef REDIS_HANDSHAKE_H
#define REDIS_HANDSHAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "redis/conn.h"

struct handshake {
	bool auth, select; /* which parts were put */
	char run_id[64], version[32], server[16], addr[128];
	int64_t client, rtt_us;
};

/* Queues AUTH (with a password), SELECT (other than db 0), CLIENT INFO, INFO server. */
void handshake_put(struct conn *conn, const struct url *u, struct handshake *g);
/* Waits for the answers and fills g. -1: err and *why, which for a connection that died is
 * conn_why(b). */
int handshake_finish(
    struct conn *conn, const char *place, struct handshake *g, enum conn_why *why, struct err *err);

#endif
