/*
 * publish_int: the state of a publisher (publish.h), shared by its parts: link is the connection,
 * admit says whether a stream takes more, spill is the buffer, publish the window between them.
 */
#ifndef PUBLISH_PUBLISH_INT_H
#define PUBLISH_PUBLISH_INT_H

#include "base/status.h"
#include "buffer/buffer.h"
#include "buffer/counters.h"
#include "drain/dest.h"
#include "publish/inflight.h"
#include "publish/publish.h"
#include "redis/conn.h"
#include "redis/stream.h"

#define PUBLISH_RETRY_MS 500 /* after a refusal, which costs nothing */
#define PUBLISH_TYPES 32     /* known to be clear at a time */

struct publish {
	const struct publish_options *o;
	struct buffer *buf; /* NULL: no buffer */
	char *no_buffer;    /* why not */
	char *target;
	struct conn *conn;
	struct dests dests; /* of this connection */
	struct inflight inflight;
	struct bytes arena; /* fallback_append: lines being made */
	unsigned long long taken;
	int64_t next_try; /* CLOCK_MONOTONIC ms: neither connect nor send before */
	int64_t next_drain, next_look;
	bool behind; /* the buffer holds what this process is waiting to see gone */
	bool readonly, readonly_tried;
	bool paused; /* connected, but the server refused everything a moment ago */
	/* an answer was no answer: nothing of this connection is believed any more */
	bool garbled;
	bool said_down;
	bool said_retain; /* what people have to know about trim = acked */
	bool held;        /* a stream was full: the buffer does not say so yet */
	/* the server could not be reached: what is buffered now is an outage */
	bool away;
	/* What of the buffer was seen last (buffer_change): the types that were clear then. */
	bool looked, empty;
	uint64_t change;
	char *clear[PUBLISH_TYPES];
	size_t clears;
	uint64_t since_watch;
	uint64_t count[COUNTERS];
	int status;
};

void publish_say(struct publish *p, bool important, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void publish_worse(struct publish *p, int status);
int64_t publish_maxlen(const struct publish *p, const char *type);

/* --- link ------------------------------------------------------------------------- */

/* 1 when there is a connection, made if need be, on which events may be sent now. */
int connect_ensure(struct publish *p, struct slice type);
void connect_close(struct publish *p);
/* Sends one slot of the window. */
void connect_send_event(struct publish *p, struct inflight_event *s);
/* The connection is dead: what it answered before that counts, the rest is to be spilled. */
void connect_drop(struct publish *p, const struct err *err);
/* The server does not take events now: words, status, pause. */
void connect_pause(struct publish *p, enum conn_why why, const char *text);
void connect_take_replies(struct publish *p);  /* the replies that are here */
void connect_await_replies(struct publish *p); /* all replies */
/* After a replica's refusal: asks the name once more, and sends again what was refused. */
void connect_follow_failover(struct publish *p);

/* --- admit ------------------------------------------------------------------------ */

/*
 * Whether an event of this type may be sent, as its stream is: asks for the bound of one that is
 * new on this connection, and with trim = acked for room. 0, or -1: its lane is stopped, or the
 * connection died.
 */
int publish_prepare_dest(struct publish *p, struct slice type);
/* Opens a lane with what is known of its stream; NULL: nothing. */
struct dest *publish_open_dest(
    struct publish *p, struct slice type, const struct stream_info *info);
/* The same with an answer to XINFO STREAM. A refusal to look (no permission, wrong type) is none to
 * send: the XADD itself will tell. */
void publish_open_dest_reply(struct publish *p, struct slice type, const struct reply *r);

/* --- spill ------------------------------------------------------------------------ */

/* Appends what is in state SPILL, durably, in order; it is BUFFERED then. -1: some of it, the last,
 * is SPILL still. */
int fallback_append(struct publish *p, struct err *err);
/* Where the buffer takes no more but Redis is there: drains it (that needs no room), then sends
 * what was to be spilled. 0 nothing is left to spill. */
int fallback_bypass(struct publish *p);
/* Whether the buffer holds no undelivered event of this type. */
int fallback_lacks_type(struct publish *p, struct slice type);
void fallback_forget_absent(struct publish *p);
/* Drains a bounded part of the buffer (all of it with whole), unless somebody else does. 0
 * something moved, else -1. type: see drain_options. */
int fallback_drain(struct publish *p, const char *type, bool whole);
/* Keeps an event that the server will never take, out of the way. 0 or -1. */
int fallback_quarantine(struct publish *p, struct inflight_event *s, const char *why);

#endif
