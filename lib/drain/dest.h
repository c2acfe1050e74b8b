/*
 * dest: the destination of one event type: its stream, and what is known about it.
 *
 * A dest has the stream's key, the ID above which to look for lines in doubt, whether the type can
 * be sent, and how much room the stream has (trim.h).
 */
#ifndef DRAIN_DEST_H
#define DRAIN_DEST_H

#include <stdbool.h>

#include "conf/conf.h"
#include "drain/trimwatch.h"
#include "event/event.h"
#include "event/id.h"
#include "redis/conn.h"
#include "redis/stream.h"

enum dest_mode {
	DEST_PLAIN,   /* no groups, or --force: XADD MAXLEN */
	DEST_GUARDED, /* groups, or trim = acked: XADD without MAXLEN, room is counted */
	DEST_BLIND    /* XINFO is not permitted: XADD without MAXLEN, nothing is trimmed */
};

struct dest {
	char *type, *key;
	bool measured; /* trim_ensure_room has asked the server */
	bool stopped;
	/* other clients may have added entries after `after` was measured and before a later line
	 * was accepted: measure again */
	bool stale;
	/* why it is stopped, "" for a temporary reason; NULL while it is not */
	char *reason;
	enum conn_why why;
	enum dest_mode mode;
	int64_t maxlen; /* the limit that `room` refers to; 0: none */
	/* the type's policy is trim = acked; maxlen_hard is 0 for none */
	bool trim_acked;
	int64_t maxlen_hard;
	int64_t room; /* entries that may still be added; INT64_MAX without limit */
	/* with trim = acked: entries trimmed by length from a stream without groups */
	uint64_t trimmed;
	bool warned; /* with trim = acked: the message that nothing can be trimmed was written */
	struct trimwatch watch; /* of a direct publisher */
	/* for a publisher: whether the buffer holds events of this type, and whether the stream is
	 * full, is not checked again before this time (CLOCK_MONOTONIC ms) */
	int64_t recheck_at;
	uint64_t absent_at;       /* a version of the buffer (buffer_fingerprint) that held none */
	struct resp_template add; /* its XADD */
	int64_t add_maxlen;       /* the MAXLEN in it */
	/* last-generated-id when measured, then the last ID that an XADD returned: entries in doubt
	 * have higher IDs */
	struct stream_id after;
};

/* The destinations of one connection. Fill the first members; the rest is zero. */
struct dests {
	const struct conf *conf;
	bool force;           /* ignore G7: trim by length */
	const char *forcible; /* the command that takes --force, for messages */
	/* receives messages about trimming, one line each */
	void (*say)(void *arg, const char *text);
	void *arg;
	struct dest **dest; /* sorted by type */
	size_t n;
};

/* Creates the dest if it is missing, with the policy of its type. */
struct dest *dests_get(struct dests *dests, struct slice type);
struct dest *dests_find(const struct dests *dests, const char *type);
/* Frees the dests, so that each is measured again. */
void dests_free(struct dests *dests);
/* Has `after` of each dest measured again before use. */
void dests_mark_stale(struct dests *dests);

/* Queues an XADD of the event, without MAXLEN if maxlen is 0. Returns the request number of
 * conn_put. */
uint64_t dest_put_add(struct dest *dest, struct conn *conn, int64_t maxlen, const struct event *e);
/* Takes the reply to it. Returns 0, or -1 with err. Returns 1 with err (CONN_GARBAGE) for an ID
 * that is not above the last one: the server is broken, or the stream was made anew; dest->after is
 * then 0-0, so that events in doubt are looked up in the whole stream. */
int dest_take_add(
    struct dest *dest, const struct reply *reply, struct stream_id *id, struct err *err);
/* Handles a failure of a command on the type's stream. Stops the type and returns 0 when it
 * concerns this key. Returns -1 when the connection failed, or when the server would refuse every
 * type (the type is then stopped without a reason). */
int dest_refuse(struct dest *dest, const struct err *err);
/* Stops the type for this run. Does nothing if it is stopped already. */
void dest_stop(struct dest *dest, enum conn_why why, const char *reason);

#endif
