/*
 * batch: the lines that are sent to Redis in one exchange.
 *
 * A batch is bounded in lines, bytes and types (run.h).
 */
#ifndef DRAIN_BATCH_H
#define DRAIN_BATCH_H

#include <stdbool.h>

#include "buffer/suspect.h"
#include "drain/delivery.h"
#include "drain/dest.h"
#include "drain/indoubt.h"
#include "drain/readahead.h"
#include "drain/run.h"

enum batch_state {
	BATCH_SEND,
	BATCH_FOUND, /* its entry is in the stream already */
	BATCH_ADDED,
	BATCH_REFUSED /* skipped, or in quarantine */
};

struct batch_item {
	struct drain_line *line; /* owned; used again by the next batch */
	struct dest *dest;
	bool in_doubt;              /* and not looked up yet */
	struct indoubt_line lookup; /* if in doubt */
	/* its event_id was derived in a segment that was edited: perhaps it is not the one that was
	 * sent, and then a look-up does not find it */
	bool may_differ;
	/* it was in doubt and could not be looked up: adding the event may duplicate it */
	bool possible_duplicate;
	enum batch_state state;
};

struct batch {
	struct run *run;
	struct delivery *delivery;
	struct readahead *ahead; /* where the lines come from */
	struct dests *dests;     /* where they go */
	struct suspect
	    *suspect; /* of the segment that the walk is in, if that is suspect; or NULL */
	struct batch_item *item;
	size_t n, bytes, types;
	uint64_t counted_duplicates; /* in .counters, before they were sent (send.c) */
	size_t next_to_queue;        /* index of the first item that send_queue has not seen */
	size_t looked_at;   /* index of the lagging type that batch_may_deliver_lagging saw last */
	bool in_old_intent; /* its lines are covered by the intent of a run that was cut off */
	/* one of its streams is limited to fewer than BATCH_IN_DOUBT entries, so the entries of two
	 * batches would trim each other */
	bool short_stream;
	/* all its lines are covered by the stored intent, and none has to be looked up first */
	bool covered;
};

/* The batch uses the other four. */
void batch_init(struct batch *b, struct run *run, struct delivery *delivery,
    struct readahead *ahead, struct dests *dests);
void batch_free(struct batch *b);
void batch_reset(struct batch *b);

/* Takes lines until the batch has `most`. Returns 1 when more would fit, 0 when not, -1 with err
 * when the connection is dead, the server refuses all commands, or the disk failed. Sets *end when
 * the walk is at its end. Once items of the batch are queued, adds only lines that the stored
 * intent covers and that need no request to the server. */
int batch_load(struct batch *b, size_t most, bool *end, struct err *err);
/* Returns how many types a batch may have: more when many lag, each of which is in every
 * checkpoint, and for which the file of the checkpoint has grown. */
size_t batch_max_types(const struct batch *b);
/* Returns whether a line of the batch has to be sent. */
bool batch_has_items_to_send(const struct batch *b);
/* Returns the dest of a type. It is stopped from the start when the type is held and not tried in
 * this run. */
struct dest *batch_dest(struct batch *b, struct slice type);
/* Returns whether a lagging type can be delivered in this run. */
bool batch_may_deliver_lagging(struct batch *b);
/* Returns false when the walk is still before the common position of the chain (delivery.h) and can
 * deliver nothing there: every lagging type was refused. */
bool batch_is_walk_useful(struct batch *b);

#endif
