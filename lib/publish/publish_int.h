/*
 * publish_int: the state of a publisher (publish.h), and the functions that publish.c, connect.c
 * and fallback.c share.
 *
 * publish.c decides where each event goes (prepare_direct_send) and answers for it. connect.c sends
 * events to Redis and takes the replies. fallback.c appends events to the disk buffer and drains
 * it. inflight.h holds the events between the three. Two functions send events without
 * prepare_direct_send: connect_follow_failover and fallback_bypass.
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
#include "redis/pool.h"
#include "redis/stream.h"

#define PUBLISH_RETRY_MS 500 /* after a refusal, which costs nothing */

struct publish {
	const struct publish_options *o;
	struct buffer *buf;   /* NULL: no buffer, */
	char *no_buffer_why;  /* for this reason */
	int no_buffer_status; /* exit status of an event that then has no place */
	/* the buffer cannot be opened or written, or the last append failed: reported once */
	bool unwritable, append_failed;
	bool order_unknown; /* because the buffer may not be read: reported */
	struct pool pool;
	struct conn *conn;  /* of the pool; NULL: not connected */
	struct dests dests; /* of this connection */
	struct inflight inflight;
	struct bytes line_bytes;     /* of the lines that fallback_append makes */
	unsigned long long accepted; /* events and refused lines of the input so far */
	/* CLOCK_MONOTONIC ms; before next_try nothing connects or sends, except
	 * connect_follow_failover */
	int64_t next_try, next_drain, next_check, next_buffer_check;
	bool must_drain; /* the buffer holds events that this process waits to see drained */
	bool replica;    /* the server refused a write as a replica */
	bool failover_tried;
	bool paused; /* connected, but the server refused everything a moment ago */
	bool down_reported;
	bool trim_reported;   /* warnings about trim = acked */
	bool held_unrecorded; /* a stream is full, and the checkpoint does not record it yet */
	bool outage;          /* the server cannot be reached: an append marks an outage */
	/* Cached answer, valid while seen is true: at version seen_change the buffer was empty, or
	 * lacked the types whose dest has the same absent_at. */
	bool seen, seen_empty;
	uint64_t seen_change;
	uint64_t added_since_watch;
	uint64_t counts[COUNTERS];
	int status;
};

/* --- publish.c -------------------------------------------------------------------- */

void publish_say(struct publish *p, bool important, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Raises the exit status, see status_worse. */
void publish_worse(struct publish *p, int status);
/* Returns the limit of the type's stream: of the options, else of its policy. */
int64_t publish_maxlen(const struct publish *p, const char *type);

/*
 * Makes the type's stream ready for one more event on this connection: the first time asks where
 * the stream ends, and with trim = acked measures and makes room. Returns -1 when the type is
 * stopped or the connection was lost.
 */
int publish_prepare_dest(struct publish *p, struct slice type);
/* Opens a destination with the facts of its stream, from the reply to XINFO STREAM, or NULL. An
 * error reply (no permission, wrong type) leaves the facts unknown and does not stop the type: its
 * XADD will show whether the server refuses. */
void publish_open_dest(struct publish *p, struct slice type, const struct reply *reply);

/* --- connect.c -------------------------------------------------------------------- */

/* Connects if needed, and opens the destination of `type` in the same round trip. Returns whether
 * events may be sent now. */
bool connect_ensure(struct publish *p, struct slice type);
void connect_close(struct publish *p);
/* Queues the event's XADD; the event becomes SENT. */
void connect_send_event(struct publish *p, struct inflight_event *ev);
/* Closes a dead connection. Replies that had arrived count; the other SENT events become TO_BUFFER,
 * in doubt if the server may have executed them. */
void connect_drop(struct publish *p, const struct err *err);
/* Stops sending for a while, because the server does not take events: reports it once, and sets
 * the exit status. */
void connect_suspend_sending(struct publish *p, const struct err *err);
/* Takes the replies that have arrived. */
void connect_take_replies(struct publish *p);
/* Waits until no event is SENT. */
void connect_await_replies(struct publish *p);
/* After a replica's refusal: resolves the server's name again, connects, and sends the refused
 * events again, without a look into the buffer: these events were about to be sent directly. Does
 * so once in the life of a publisher. */
void connect_follow_failover(struct publish *p);

/* --- fallback.c ------------------------------------------------------------------- */

/* Appends the TO_BUFFER events, durably and in order; they become BUFFERED. lock_ms: see
 * append_limits. Returns -1 with err when the last of them are still TO_BUFFER. */
int fallback_append(struct publish *p, int64_t lock_ms, struct err *err);
/* When the buffer is full or not writable but Redis is up: drains it, which needs no space, then
 * sends the TO_BUFFER events to Redis, except those in doubt and those of a type that the buffer
 * still holds. Returns -1 when some are still TO_BUFFER. */
int fallback_bypass(struct publish *p);
/* Returns whether the buffer certainly holds no undelivered event of this type; remembers the
 * answer until the buffer changes. */
bool fallback_lacks_type(struct publish *p, struct slice type);
/* Drops the remembered answers. */
void fallback_forget_absent(struct publish *p);
/* Drains 1000 events or 0.2 s of the buffer (G3), or with `whole` all of it, unless another process
 * holds the replay lock. `type` as in drain_options. Returns 0 when events were delivered, else -1.
 */
int fallback_drain(struct publish *p, const char *type, bool whole);
/* Puts an event that the server will never take into quarantine; it becomes REFUSED. Returns 0,
 * or -1 when it could not be stored there. */
int fallback_quarantine(struct publish *p, struct inflight_event *ev, const char *why);

#endif
