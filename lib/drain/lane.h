/*
 * lane: one event type on its way from the buffer into its stream.
 *
 * A lane knows its key, from where to look for what is in doubt, whether it may go on, and how much room its stream has
 * (retain.h).
 */
#ifndef LANE_H
#define LANE_H

#include <stdbool.h>

#include "redis/bus.h"
#include "event/event.h"
#include "redis/stream.h"
#include "drain/watch.h"

enum lane_mode {
	LANE_PLAIN,	/* no groups, or forced: XADD MAXLEN */
	LANE_GUARDED,	/* groups, or trim = acked: XADD without trimming, room counted */
	LANE_BLIND	/* not permitted to look: XADD without trimming, nothing is pushed out */
};

struct lane {
	char *type, *key;
	bool opened, stopped;
	bool stale;		/* others may have added since `after` was measured, and before a line to come was accepted */
	char *reason;		/* why it is stopped, "" for a passing one; NULL while it goes */
	enum bus_why why;
	enum lane_mode mode;
	int64_t maxlen;		/* the limit that `room` was measured against */
	bool acked;		/* the type's policy is trim = acked, and this its maxlen-hard, 0 for none */
	int64_t hard;
	int64_t room;		/* entries that may still be added; INT64_MAX without limit */
	uint64_t trimmed;	/* with trim = acked: of a stream that has no groups, by length */
	bool told;		/* with trim = acked: that nothing can be trimmed */
	struct watch watch;	/* of a direct publisher */
	int64_t held_till;	/* of a publisher: the buffer held events of this type, or the stream was full; not looked at again before (CLOCK_MONOTONIC ms) */
	struct bus_form add;	/* its XADD, */
	int64_t add_maxlen;	/* with this limit */
	struct stream_id after;	/* the bound: last-generated-id when measured, then the last ID given */
};

struct lanes {
	struct lane **lane;	/* sorted by type */
	size_t n;
};

struct lane *lanes_get(struct lanes *ls, const char *prefix, struct slice type);	/* made when missing */
struct lane *lanes_find(const struct lanes *ls, const char *type);
void lanes_free(struct lanes *ls);
void lanes_stale(struct lanes *ls);	/* the bounds of all are to be measured again */

/* Queues an event's XADD; maxlen 0 is none. Returns bus_put's number. */
uint64_t lane_put(struct lane *l, struct bus *b, int64_t maxlen, const struct event *e);
void lane_stop(struct lane *l, enum bus_why why, const char *reason);

#endif
