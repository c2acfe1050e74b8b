/*
 * inflight: the events that a publisher has accepted and not yet answered for, oldest first, with
 * copies of their bytes.
 */
#ifndef PUBLISH_INFLIGHT_H
#define PUBLISH_INFLIGHT_H

#include <stdbool.h>

#include "buffer/line.h"
#include "drain/dest.h"
#include "event/event.h"
#include "event/id.h"

#define INFLIGHT_EVENTS 1024
#define INFLIGHT_BYTES (1u << 20)
/* Both limits grow by this factor when every event goes to the buffer: the more lines share an
 * fdatasync, the less each costs. */
#define INFLIGHT_BUFFER_FACTOR 4
/* A larger event is in flight alone, for the reason of BATCH_LARGE (drain/batch.h). */
#define INFLIGHT_BIG 32768UL

enum inflight_state {
	INFLIGHT_NEW,       /* not yet sent anywhere */
	INFLIGHT_SENT,      /* sent to Redis, unanswered */
	INFLIGHT_TO_BUFFER, /* waits to be appended to the buffer */
	INFLIGHT_ADDED,     /* this state and all below: finished, the answer is due */
	INFLIGHT_BUFFERED,
	INFLIGHT_REFUSED,
	INFLIGHT_UNSAFE
};

struct inflight_event {
	unsigned long long number; /* in the input, from 1 */
	enum inflight_state state;
	struct event event; /* points into bytes */
	struct bytes bytes;
	struct dest *dest;
	uint64_t command; /* number of its XADD (conn_put) */
	bool in_doubt;
	struct doubt doubt;  /* when in_doubt */
	struct stream_id id; /* when added */
};

struct inflight {
	struct inflight_event *ring;
	size_t head, count, bytes;
	size_t cap;             /* a power of two; starts small for processes with one event */
	size_t sent, to_buffer; /* how many events are in these states */
	size_t first_sent;      /* no event before this index is SENT */
};

void inflight_init(struct inflight *in);
void inflight_free(struct inflight *in);
/* Returns whether an event of that size may be pushed. */
bool inflight_has_room(const struct inflight *in, size_t bytes);
/* Appends a NEW event with a copy of e; e NULL: without fields. inflight_has_room must have
 * returned true. */
struct inflight_event *inflight_push(
    struct inflight *in, const struct event *e, unsigned long long number);
/* Returns the i-th event; 0 is the oldest. */
struct inflight_event *inflight_at(struct inflight *in, size_t i);
/* Returns the oldest SENT event; there must be one. */
struct inflight_event *inflight_oldest_sent(struct inflight *in);
void inflight_set_state(struct inflight *in, struct inflight_event *ev, enum inflight_state state);
/* Removes the oldest event. */
void inflight_pop(struct inflight *in);

#endif
