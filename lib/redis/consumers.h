/*
 * consumers: who reads through a group, as the server knows them.
 *
 * A consumer is a name: it appears when it first reads, and stays until somebody deletes it. See XINFO CONSUMERS.
 */
#ifndef CONSUMERS_H
#define CONSUMERS_H

#include "redis/bus.h"

struct consumers_one {
	struct slice name;		/* any bytes */
	uint64_t pending;
	int64_t idle;			/* ms since it last asked for something: a read that began, a claim */
	int64_t inactive;		/* ms since it last was given something; -1: never, or not told (Redis before 7.2) */
};

struct consumers {
	struct reply *r;		/* owns the names */
	struct consumers_one *at;	/* sorted by name */
	size_t n;
};

int consumers_list(struct bus *b, const char *key, const char *group, struct consumers *out, enum bus_why *why, struct fail *f);
void consumers_free(struct consumers *c);

#endif
