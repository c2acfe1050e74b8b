/*
 * sub_batch: the replies of one read of a stream: its entries, which of them are gone from the
 * stream, and how often each was delivered.
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
	bool grouped;           /* read through a group, so records have a delivery count */
	/* entries is a reply of XCLAIM, counts that of the XPENDING before it */
	bool claimed;
	const struct stream_id *to; /* records above it are skipped; NULL: none are */
	struct reply *entries;      /* of XREADGROUP, XREAD or XCLAIM; owned */
	/* of XPENDING over the same IDs; owned. NULL: every entry is delivered for the first time
	 */
	struct reply *counts;
};

struct sub_batch_summary {
	size_t entries, bytes;    /* bytes of field names and values */
	struct slice first, last; /* IDs; borrowed from the reply */
	struct stream_id last_id;
};

/* Frees the replies. */
void sub_batch_clear(struct sub_batch *batch);
/* Returns 0; or -1 with err when entries is an error reply or malformed. A nil reply has 0
 * entries. */
int sub_batch_summarize(
    const struct sub_batch *batch, struct sub_batch_summary *sum, struct err *err);

/* Calls fn for each record in order of ID, without entries that are gone. A value other than 0
 * ends the walk, and is returned. */
typedef int sub_batch_record_fn(void *arg, const struct record *r);
int sub_batch_each(const struct sub_batch *batch, sub_batch_record_fn *fn, void *arg);

/* Appends the IDs, each with a NUL, of the first n records and of all entries that are gone.
 * Returns the number of entries that are gone. */
size_t sub_batch_ack_ids(const struct sub_batch *batch, size_t n, struct bytes *ids);

#endif
