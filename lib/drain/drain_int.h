/*
 * drain_int: the state of one drain, shared by drain.c, batch.c, send.c and commit.c. drain.h lists
 * which of them does which step of a batch.
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
#define DRAIN_ENTRIES 65536 /* of these the run remembers the last ones */

struct drain {
	struct buffer *buf;
	struct conn *conn;
	const struct drain_options *o;
	struct drain_result *r;
	struct checkpoint checkpoint; /* its intent is the stored one */
	/* only its lagging types: for each, where the first line begins that this walk skipped */
	struct checkpoint skipped;
	struct intent old_intent; /* of a run that was cut off; its lines are in doubt */
	struct positions walked;  /* the end of the last line that was read */
	struct dests dests;
	struct batch batch;
	struct readahead ahead;         /* reads the walk */
	struct readahead_line *current; /* the line being considered */
	struct walk_line line;          /* its bytes and its position */
	size_t damaged;                 /* damaged segments of this walk that were noted so far */
	bool walk_failed;               /* reading ends with walk_err after the lines read so far */
	struct err walk_err;
	bool covers_lagging;           /* this walk began at the positions of the lagging types */
	struct quarantine *quarantine; /* synced before each checkpoint */
	/* of the segment that the walk is in, if that is suspect; else NULL */
	struct suspect *suspect;
	struct reclaim reclaim;
	bool reclaim_due;     /* the positions have entered another segment */
	char *chain_stem;     /* the chain segment that the walk is in */
	bool has_skipped;     /* a line of that segment was skipped */
	bool from_start;      /* the walk read that segment from its first line */
	int64_t started;      /* CLOCK_MONOTONIC ms */
	struct outage outage; /* ends with this drain */
	/* torn ends and whole files, which count as quarantined but not as events */
	uint64_t damaged_pieces;
	struct drain_entry *added; /* a ring */
	size_t added_total;        /* how many entries were added in all */
	uint64_t queued;           /* events of which the XADD was queued in this run */
};

#define DRAIN_NAMED 10 /* quarantined lines that get a message of their own */

void drain_say(struct drain *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Quarantines one line and reports it. If that fails, marks the segment of the line to be
 * quarantined whole. */
void drain_quarantine(
    struct drain *d, const char *stem, uint64_t pos, struct slice line, const char *reason);
/* Returns whether a signal has arrived. */
bool drain_is_stopped(const struct drain *d);
/* Returns whether a signal has arrived, or the limit or the time budget is used up. */
bool drain_must_end(const struct drain *d);
/* Returns whether a lagging type can be delivered in this run. */
bool drain_may_deliver_lagging(struct drain *d);
/* Returns false when the walk is still before the common position of the chain (commit.h) and can
 * deliver nothing there: every lagging type was refused. */
bool drain_walk_is_useful(struct drain *d);
/* Returns the MAXLEN for a line of this type; `own` is the one that the line carries, or -1. */
int64_t drain_maxlen(const struct drain *d, int64_t own, const char *type);
/* Returns how many events this run removed from the buffer. */
uint64_t drain_events_removed(const struct drain *d);

#endif
