/*
 * haul: what one read of a stream brought: entries, those of them that are gone, how often each was delivered.
 */
#ifndef HAUL_H
#define HAUL_H

#include <stdbool.h>

#include "redis/bus.h"
#include "event/format.h"
#include "redis/stream.h"

struct haul {
	const char *key, *type;		/* borrowed */
	bool grouped;			/* read through a group: records have deliveries */
	bool claimed;			/* entries is XCLAIM's answer, counts what XPENDING had said before */
	const struct stream_id *to;	/* records above are left out; NULL for none */
	struct reply *entries;		/* of XREADGROUP, XREAD or XCLAIM; owned */
	struct reply *counts;		/* of XPENDING over the same IDs, or NULL: delivered for the first time; owned */
};

struct haul_sum {
	size_t entries, bytes;		/* of names and values */
	struct slice first, last;	/* IDs */
	struct stream_id last_id;
};

void haul_drop(struct haul *h);
/* 0; -1 when entries is an error reply or of a wrong shape: *why and f. A reply of nothing is 0 entries. */
int haul_sum(const struct haul *h, struct haul_sum *sum, enum bus_why *why, struct fail *f);

/* The records in order, entries that are gone left out. fn returns non-zero to stop (returned then). */
typedef int haul_record_fn(void *arg, const struct record *r);
int haul_each(const struct haul *h, haul_record_fn *fn, void *arg);

/* Appends the IDs, each with a NUL, of the first n records and of all entries that are gone; returns how many are gone. */
size_t haul_handled(const struct haul *h, size_t n, struct buf *ids);

#endif
