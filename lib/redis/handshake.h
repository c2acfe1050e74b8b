/*
 * handshake: the first commands on a connection, and what their replies tell about the server.
 * Shared with conn.c only; everything else uses conn.h.
 */
#ifndef REDIS_HANDSHAKE_H
#define REDIS_HANDSHAKE_H

#include "redis/conn.h"

struct handshake {
	bool auth, select;    /* the optional commands that were queued */
	bool carriage_return; /* the password ends with one */
	struct conn_facts facts;
};

/* Queues AUTH (with a password), SELECT (other than db 0), CLIENT INFO, INFO server. */
void handshake_put(struct conn *conn, const struct url *u, struct handshake *hs);
/* Waits for the replies and fills hs. Returns -1 with err. `target` names the server in err. */
int handshake_finish(struct conn *conn, const char *target, struct handshake *hs, struct err *err);

#endif
