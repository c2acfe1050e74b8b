/*
 * batch: the lines of one exchange of a drain.
 *
 * Bounded in lines and bytes, so that memory is. The buffers of its lines are used again for the
 * next one.
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
#define BATCH_IN_DOUBT \
	(INT64_C(2) * \
	    BATCH_LINES) /* lines in doubt at once, at most: a batch, and what waits behind it */
#define BATCH_BYTES (1u << 20)
/* An event larger than this goes alone: its own bytes in the server's buffers may get it refused
 * (OOM), and what is sent behind it must not pass it then. */
#define BATCH_LARGE 32768UL
#define BATCH_TYPES 64

enum batch_state { BATCH_SEND, BATCH_FOUND, BATCH_ADDED, BATCH_REFUSED };

struct batch_item {
	struct line line;
	struct bytes text;
	struct line_derived derived;
	struct dest *dest;
	const char *stem; /* borrowed from the walk */
	bool chain, in_doubt;
	bool was_in_doubt;   /* it was in doubt, and that is settled */
	struct stream_id id; /* of its entry, found or added */
	/* it was in doubt, and looking was not possible: adding it may double it */
	bool unsure;
	uint64_t pos, limit;    /* see struct position */
	uint64_t offset;        /* byte offset in the segment */
	struct stream_id after; /* of a doubtful one: where to look from */
	enum batch_state state;
	enum conn_why why;
};

struct batch {
	struct batch_item *item;
	size_t n, bytes, types;
	size_t sent;        /* the first so many are on their way, or need not go */
	bool in_old_intent; /* its lines were in the batch of a run that was cut off */
	/* a stream of it keeps so few entries that those of two batches push each other out */
	bool short_stream;
	/* all of it is, durably, as what may be sent, and none is to be looked up first */
	bool recorded;
};

void batch_init(struct batch *b);
void batch_free(struct batch *b);
void batch_reset(struct batch *b);
struct drain; /* drain_int.h */

/*
 * Reads lines into d->batch until it has `most`. 1: more would fit, 0: not; *end: the walk has come
 * to its end. -1: the connection is dead, the server refuses, or the disk failed. Once some of the
 * batch are on their way only such lines join them as need no question and are recorded as what may
 * be sent.
 */
int batch_load(struct drain *d, size_t most, bool *end, struct err *err);
/* How many lines a batch may have just now. */
size_t batch_max_lines(const struct drain *d);
/* The lane of a type; stopped from the beginning when the type is held and not to be tried in this
 * run. */
struct dest *batch_dest(struct drain *d, struct slice type);

#endif
