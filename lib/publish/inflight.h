/*
 * inflight: events that were taken and not yet answered for, in order, with their bytes.
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
#define INFLIGHT_BUFFER_FACTOR \
	4 /* times as much when all of it is for the buffer, where a sync costs the more the fewer \
	     share it */
#define INFLIGHT_BIG 32768UL /* an event larger than this goes alone, see BATCH_LARGE */

enum inflight_state {
	INFLIGHT_NEW,       /* not yet sent anywhere */
	INFLIGHT_SENT,      /* to Redis, unanswered */
	INFLIGHT_TO_BUFFER, /* to be appended to the buffer */
	INFLIGHT_ADDED,
	INFLIGHT_BUFFERED,
	INFLIGHT_REFUSED,
	INFLIGHT_UNSAFE
};

struct inflight_event {
	unsigned long long n; /* of the input, from 1 */
	enum inflight_state state;
	struct event e; /* in bytes */
	struct bytes bytes;
	struct dest *dest;
	uint64_t number; /* of the command (conn_put) */
	bool doubt;
	struct doubt where;  /* when doubt */
	struct stream_id id; /* when added */
};

struct inflight {
	struct inflight_event *slot;
	size_t head, count, bytes;
	/* slots, a power of two: a process with one event is not to pay for a thousand */
	size_t cap;
	size_t sent, spills; /* how many are in these states */
	size_t asked;        /* none before this one is SENT */
};

void inflight_init(struct inflight *w);
void inflight_free(struct inflight *w);
/* 1 when an event of that size may be added */
int inflight_has_room(const struct inflight *w, size_t bytes);
/* The next slot, NEW, with a copy of the event (NULL: none). There must be one free. */
struct inflight_event *inflight_push(
    struct inflight *w, const struct event *e, unsigned long long n);
struct inflight_event *inflight_at(struct inflight *w, size_t i); /* 0 is the oldest */
/* the oldest that is SENT; there must be one */
struct inflight_event *inflight_oldest_sent(struct inflight *w);
void inflight_set_state(struct inflight *w, struct inflight_event *s, enum inflight_state state);
void inflight_pop(struct inflight *w); /* the oldest */

#endif
