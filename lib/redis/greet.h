/*
 * greet: what is said first on a connection, and what is learnt of the server. A part of bus; use bus.h.
 */
#ifndef GREET_H
#define GREET_H

#include <stdbool.h>
#include <stdint.h>

#include "redis/bus.h"

struct greeting {
	bool auth, select;		/* which parts were put */
	char run_id[64], version[32], server[16], addr[128];
	int64_t client, rtt_us;
};

/* Queues AUTH (with a password), SELECT (other than db 0), CLIENT INFO, INFO server. */
void greet_put(struct bus *b, const struct url *u, struct greeting *g);
/* Waits for the answers and fills g. -1: f and *why, which for a connection that died is bus_why(b). */
int greet_take(struct bus *b, const char *place, struct greeting *g, enum bus_why *why, struct fail *f);

#endif
