/*
 * lane: one event type on its way from the buffer into its stream.
 *
 * A lane knows its key, from where to look for what is in doubt, whether it may go on, and how much room its stream has: a
 * replay pushes nothing out that a group still has to read or acknowledge (contract, G7). Streams with groups
 * are trimmed below the lowest ID that any group needs, and no deeper than the limit; streams without as a direct publish would.
 */
#ifndef LANE_H
#define LANE_H

#include <stdbool.h>

#include "bus.h"
#include "stream.h"
#include "watch.h"

enum lane_mode {
	LANE_PLAIN,	/* no groups, or forced: XADD MAXLEN */
	LANE_GUARDED,	/* groups: XADD without trimming, room counted */
	LANE_BLIND	/* not permitted to look: XADD without trimming, nothing is pushed out */
};

struct lane {
	char *type, *key;
	bool opened, stopped;
	char *reason;		/* why it is stopped, "" for a passing one; NULL while it goes */
	enum bus_why why;
	enum lane_mode mode;
	int64_t maxlen;		/* the limit that `room` was measured against */
	int64_t room;		/* entries that may still be added; INT64_MAX without limit */
	struct watch watch;	/* of a direct publisher */
	int64_t held_till;	/* of a publisher: the buffer held events of this type; not looked at again before (CLOCK_MONOTONIC ms) */
	struct stream_id after;	/* the bound: last-generated-id at opening, then the last ID given */
};

struct lanes {
	struct lane **lane;	/* sorted by type */
	size_t n;
};

struct lane *lanes_get(struct lanes *ls, const char *prefix, struct slice type);	/* made when missing */
struct lane *lanes_find(const struct lanes *ls, const char *type);
void lanes_free(struct lanes *ls);

/* Makes `maxlen` the limit that room is counted against, where that needs no question. 1, or 0: lane_ready has to measure. */
int lane_limit(struct lane *l, int64_t maxlen);
void lane_stop(struct lane *l, enum bus_why why, const char *reason);
/*
 * Makes sure that one more entry may be added under this limit (0: none), asking the server when that is not known. Stops the lane
 * when the stream is full of needed entries, or the server refuses for this key. -1: the connection is dead, or a
 * refusal that concerns the server (bus_why, f).
 */
int lane_ready(struct lane *l, struct bus *b, int64_t maxlen, bool force, struct fail *f);

#endif
