/*
 * batch: the lines that are sent to Redis in one exchange.
 *
 * A batch is bounded in lines, bytes and types. The memory of its lines is reused by the next
 * batch.
 */
#ifndef DRAIN_BATCH_H
#define DRAIN_BATCH_H

#include <stdbool.h>

#include "base/clock.h"
#include "base/uuid.h"
#include "buffer/line.h"
#include "buffer/walk.h"
#include "drain/dest.h"
#include "event/id.h"

#define BATCH_LINES 1000
/* The most lines that can be in doubt at once: a batch, and the lines read ahead of it. */
#define BATCH_IN_DOUBT (INT64_C(2) * BATCH_LINES)
#define BATCH_BYTES (1u << 20)
/* An event with a larger payload is sent alone: its own bytes in the server's buffers may cause its
 * refusal (OOM), and the server could then accept the events behind it. */
#define BATCH_LARGE 32768UL
#define BATCH_TYPES 64

enum batch_state {
	BATCH_SEND,
	BATCH_FOUND, /* its entry is in the stream already */
	BATCH_ADDED,
	BATCH_REFUSED /* skipped, or in quarantine */
};

struct batch_item {
	struct line line;
	struct bytes text;
	struct line_derived derived;
	struct dest *dest;
	const char *stem; /* borrowed from the walk */
	bool chain, in_doubt;
	bool was_in_doubt;   /* until it was looked up */
	struct stream_id id; /* of the entry that was found or added */
	/* it was in doubt and could not be looked up: adding the event may duplicate it */
	bool possible_duplicate;
	uint64_t pos, limit;    /* see struct position */
	uint64_t offset;        /* byte offset in the segment */
	struct stream_id after; /* if in doubt: its entry has a higher ID */
	enum batch_state state;
};

struct batch {
	struct batch_item *item;
	size_t n, bytes, types;
	size_t next_to_queue; /* index of the first item that send_queue has not seen */
	bool in_old_intent;   /* its lines are covered by the intent of a run that was cut off */
	/* one of its streams is limited to fewer than BATCH_IN_DOUBT entries, so the entries of two
	 * batches would trim each other */
	bool short_stream;
	/* all its lines are covered by the stored intent, and none has to be looked up first */
	bool covered;
};

void batch_init(struct batch *batch);
void batch_free(struct batch *batch);
void batch_reset(struct batch *batch);
struct drain; /* drain_int.h */

/* Reads lines into d->batch until it has `most`. Returns 1 when more would fit, 0 when not, -1 with
 * err when the connection is dead, the server refuses all commands, or the disk failed. Sets *end
 * when the walk is at its end. Once items of the batch are queued, adds only lines that the stored
 * intent covers and that need no request to the server. */
int batch_load(struct drain *d, size_t most, bool *end, struct err *err);
/* Returns how many lines a batch may have now (limit, rate). */
size_t batch_max_lines(const struct drain *d);
/* Returns the dest of a type. It is stopped from the start when the type is held and not tried in
 * this run. */
struct dest *batch_dest(struct drain *d, struct slice type);

#endif
