/*
 * delivery: which lines of the buffer are delivered: the checkpoint (checkpoint.h) and what the
 * walk adds to it.
 *
 * The common positions are checkpoint.positions, one per source: all lines before them are
 * delivered, except those of lagging types.
 *
 * During a walk, `skipped` remembers the first line that each type skipped, per source. After a
 * batch the common positions advance to the end of the last line that was read. A type that skipped
 * lines becomes, or stays, a lagging type.
 */
#ifndef DRAIN_DELIVERY_H
#define DRAIN_DELIVERY_H

#include "buffer/checkpoint.h"
#include "buffer/quarantine.h"
#include "buffer/reclaim.h"
#include "buffer/walk.h"
#include "drain/dest.h"
#include "drain/readahead.h"
#include "drain/run.h"

#define DELIVERY_NAMED 10 /* quarantined lines that get a message of their own */

struct delivery {
	const struct run *run;
	struct quarantine *quarantine;
	struct checkpoint checkpoint; /* its intent is the stored one */
	/* only its lagging types: for each, where the first line begins that this walk skipped */
	struct checkpoint skipped;
	struct intent old_intent; /* of a run that was cut off; its lines are in doubt */
	struct positions walked;  /* the end of the last line that was read */
	bool covers_lagging;      /* this walk began at the positions of the lagging types */
	struct reclaim reclaim;
	/* torn ends and whole files, which count as quarantined but not as events */
	uint64_t damaged_pieces;
};

/* Records segments that vanished, loads the checkpoint, and fences off the connection of a run that
 * was cut off. Returns 0, or -1 with err; delivery_close in both cases. */
int delivery_open(struct delivery *dl, const struct run *run, struct err *err);
void delivery_close(struct delivery *dl);
/* Called before each walk. */
void delivery_begin_walk(struct delivery *dl, bool covers_lagging);

/* --- lines --- */

bool delivery_has(struct delivery *dl, struct slice type, const struct walk_line *at);
/* Returns whether the walk is before the common position of the chain. */
bool delivery_is_behind(const struct delivery *dl);
/* Returns whether the intent of a run that was cut off covers the line. */
bool delivery_in_old_intent(const struct delivery *dl, const struct walk_line *at);
/* Returns whether the line may have been sent before without a reply, and sets *after: its entry
 * has a higher ID. */
bool delivery_is_in_doubt(
    const struct delivery *dl, const struct drain_line *line, struct stream_id *after);
/* Called when the walk reads the line, before the next function. */
void delivery_enter(struct delivery *dl, const struct walk_line *at);
/* Called when the walk is past the line. */
void delivery_pass(struct delivery *dl, const struct walk_line *at);
/* Remembers that this walk does not deliver the line: its type is held or was refused. */
void delivery_skip(struct delivery *dl, struct slice type, const struct walk_line *at);
/* Quarantines one line and reports it. If that fails, marks the segment of the line to be
 * quarantined whole. */
void delivery_quarantine(struct delivery *dl, const struct walk_line *at, const char *reason);
/* Quarantines a line that is not an event, unless an earlier run did. */
void delivery_quarantine_bad(struct delivery *dl, const struct walk_line *at, const char *reason);
/* Marks a damaged segment to be quarantined whole, before the positions pass it. */
void delivery_note_damaged(struct delivery *dl, const struct segment *seg);

/* --- between batches --- */

/* Advances the positions after a batch, in memory. Drops the resolved types from old_intent once
 * the walk has passed all that it covers. */
void delivery_commit(struct delivery *dl, const struct dests *dests);
/* Makes quarantined lines durable, then the checkpoint. */
int delivery_store(struct delivery *dl, struct err *err);
/* Removes the segments that the stored positions have passed, see reclaim_run. */
int delivery_reclaim(struct delivery *dl, const struct walk *walk, bool at_end, struct err *err);
/* Returns how many events this run removed from the buffer. */
uint64_t delivery_removed(const struct delivery *dl);

#endif
