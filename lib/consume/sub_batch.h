/*
 * sub_batch: what one read of a stream brought: entries, those of them that are gone, how often
 * each was delivered.
 */
#ifndef CONSUME_SUB_BATCH_H
#define CONSUME_SUB_BATCH_H

#include <stdbool.h>

#include "event/format.h"
#include "event/id.h"
#include "redis/conn.h"
#include "redis/stream.h"

struct sub_batch {
	const char *key, *type; /* borrowed */
	bool grouped;           /* read through a group: records have deliveries */
	/* entries is XCLAIM's answer, counts what XPENDING had said before */
	bool claimed;
	const struct stream_id *to; /* records above are left out; NULL for none */
	struct reply *entries;      /* of XREADGROUP, XREAD or XCLAIM; owned */
	/* of XPENDING over the same IDs, or NULL: delivered for the first time; owned */
	struct reply *counts;
};

struct sub_batch_summary {
	size_t entries, bytes;    /* of names and values */
	struct slice first, last; /* IDs */
	struct stream_id last_id;
};

void sub_batch_clear(struct sub_batch *batch);
/* 0; -1 when entries is an error reply or of a wrong shape: *why and f. A reply of nothing is 0
 * entries. */
int sub_batch_summarize(const struct sub_batch *batch, struct sub_batch_summary *sum,
    enum conn_why *why, struct err *err);

/* The records in order, entries that are gone left out. fn returns non-zero to stop (returned
 * then). */
typedef int sub_batch_record_fn(void *arg, const struct record *r);
int sub_batch_each(const struct sub_batch *batch, sub_batch_record_fn *fn, void *arg);

/* Appends the IDs, each with a NUL, of the first n records and of all entries that are gone;
 * returns how many are gone. */
size_t sub_batch_ack_ids(const struct sub_batch *batch, size_t n, struct bytes *ids);

#endif
