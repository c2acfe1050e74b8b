/*
 * drain_int: the state of one drain (drain.h), shared by its parts: load reads a batch, ship sends
 * it, move moves the marks.
 */
#ifndef DRAIN_DRAIN_INT_H
#define DRAIN_DRAIN_INT_H

#include "buffer/checkpoint.h"
#include "buffer/quarantine.h"
#include "buffer/reclaim.h"
#include "buffer/suspect.h"
#include "buffer/walk.h"
#include "drain/batch.h"
#include "drain/dest.h"
#include "drain/drain.h"
#include "drain/outage.h"
#include "drain/readahead.h"
#include "redis/conn.h"

struct drain_entry { /* an entry that this run added */
	const struct dest *dest;
	struct stream_id id;
};
#define DRAIN_ENTRIES 65536 /* of the last so many it is known */

struct drain {
	struct buffer *buf;
	struct conn *conn;
	const struct drain_options *o;
	struct drain_result *r;
	struct checkpoint checkpoint; /* its intent is what is recorded */
	/* its late types: the first line of each left behind in this walk */
	struct checkpoint skipped;
	struct intent old_intent; /* of a run that was cut off: to be settled */
	struct positions walked;
	struct dests dests;
	struct batch batch;
	struct readahead ahead;         /* the walk */
	struct readahead_line *current; /* the line at hand, */
	struct walk_line line;          /* and where it stands */
	size_t damaged;                 /* segments of this walk that were found damaged so far */
	bool walk_failed;               /* the walk, after the last batch: failure says how */
	struct err walk_err;
	bool covers_lagging;           /* this walk began at the marks of the late types */
	struct quarantine *quarantine; /* synced before the marks move */
	struct suspect *suspect;       /* of the segment the walk is in, when it is one */
	struct reclaim reclaim;
	bool reclaim_due; /* the marks came into another segment */
	char *chain_stem; /* chain segment the walk is in */
	bool has_skipped; /* in it */
	bool from_start;  /* walked from its beginning */
	int64_t started;
	struct outage outage;      /* to be ended with this drain */
	uint64_t damaged_pieces;   /* put into quarantine, and no events: torn ends, whole files */
	struct drain_entry *added; /* a ring */
	size_t added_total;        /* how many there were */
	uint64_t sent;             /* events handed to the server in this run */
};

#define DRAIN_NAMED 10 /* bad lines that are named one by one */

void drain_say(struct drain *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Puts one line into quarantine, with a word; where there is no room, remembers that its segment
 * has to go there whole. */
void drain_quarantine(
    struct drain *d, const char *stem, uint64_t pos, struct slice line, const char *reason);
bool drain_is_stopped(const struct drain *d); /* a signal came */
/* that, or the limit or the budget is used up */
bool drain_must_end(const struct drain *d);
/* 1 when some late type may go on in this run. */
bool drain_may_deliver_lagging(struct drain *d);
/* 0 when the walk is still before the main marks and nothing there may go on: every late type has
 * been refused. */
bool drain_walk_is_useful(struct drain *d);
/* The limit of the stream for a line of this type that brings the limit `own`, or none (-1). */
int64_t drain_maxlen(const struct drain *d, int64_t own, const char *type);
/* events that this run took out of the buffer */
uint64_t drain_events_removed(const struct drain *d);

#endif
