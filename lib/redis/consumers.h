/*
 * consumers: who reads through a group, as the server knows them.
 *
 * A consumer is a name: it appears when it first reads, and stays until somebody deletes it. See XINFO CONSUMERS.
 */
#ifndef REDIS_CONSUMERS_H
#define REDIS_CONSUMERS_H

#include "redis/conn.h"

struct group_consumer {
	struct slice name;		/* any bytes */
	uint64_t pending;
	int64_t idle;			/* ms since it last asked for something: a read that began, a claim */
	int64_t inactive;		/* ms since it last was given something; -1: never, or not told (Redis before 7.2) */
};

struct group_consumers {
	struct reply *r;		/* owns the names */
	struct group_consumer *at;	/* sorted by name */
	size_t n;
};

int group_consumers(struct conn *conn, const char *key, const char *group, struct group_consumers *out, enum conn_why *why, struct err *err);
void group_consumers_free(struct group_consumers *c);

#endif
