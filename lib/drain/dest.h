/*
 * dest: one event type on its way from the buffer into its stream.
 *
 * A lane knows its key, from where to look for what is in doubt, whether it may go on, and how much
 * room its stream has (trim.h).
 */
#ifndef DRAIN_DEST_H
#define DRAIN_DEST_H

#include <stdbool.h>

#include "drain/trimwatch.h"
#include "event/event.h"
#include "event/id.h"
#include "redis/conn.h"
#include "redis/stream.h"

enum dest_mode {
	DEST_PLAIN,   /* no groups, or forced: XADD MAXLEN */
	DEST_GUARDED, /* groups, or trim = acked: XADD without trimming, room counted */
	DEST_BLIND    /* not permitted to look: XADD without trimming, nothing is pushed out */
};

struct dest {
	char *type, *key;
	bool measured, stopped;
	/* others may have added since `after` was measured, and before a line to come was accepted
	 */
	bool stale;
	/* why it is stopped, "" for a passing one; NULL while it goes */
	char *reason;
	enum conn_why why;
	enum dest_mode mode;
	int64_t maxlen; /* the limit that `room` was measured against */
	/* the type's policy is trim = acked, and this its maxlen-hard, 0 for none */
	bool trim_acked;
	int64_t maxlen_hard;
	int64_t room; /* entries that may still be added; INT64_MAX without limit */
	/* with trim = acked: of a stream that has no groups, by length */
	uint64_t trimmed;
	bool warned;            /* with trim = acked: that nothing can be trimmed */
	struct trimwatch watch; /* of a direct publisher */
	/* of a publisher: the buffer held events of this type, or the stream was full; not looked
	 * at again before (CLOCK_MONOTONIC ms) */
	int64_t held_until;
	struct conn_template add; /* its XADD, */
	int64_t add_maxlen;       /* with this limit */
	/* the bound: last-generated-id when measured, then the last ID given */
	struct stream_id after;
};

struct dests {
	struct dest **dest; /* sorted by type */
	size_t n;
};

/* made when missing */
struct dest *dests_get(struct dests *ls, const char *prefix, struct slice type);
struct dest *dests_find(const struct dests *ls, const char *type);
void dests_free(struct dests *ls);
void dests_mark_stale(struct dests *ls); /* the bounds of all are to be measured again */

/* Queues an event's XADD; maxlen 0 is none. Returns conn_put's number. */
uint64_t dest_put_add(struct dest *dest, struct conn *conn, int64_t maxlen, const struct event *e);
void dest_stop(struct dest *dest, enum conn_why why, const char *reason);

#endif
