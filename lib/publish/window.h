/*
 * window: events that were taken and not yet answered for, in order, with their bytes.
 */
#ifndef WINDOW_H
#define WINDOW_H

#include <stdbool.h>

#include "event/event.h"
#include "drain/lane.h"

#define WINDOW_SLOTS 1024
#define WINDOW_BYTES (1u << 20)
#define WINDOW_SPILLS 4	/* times as much when all of it is for the buffer, where a sync costs the more the fewer share it */
#define WINDOW_BIG 32768UL	/* an event larger than this goes alone, see BATCH_BIG */

enum slot_state {
	SLOT_NEW,	/* not yet sent anywhere */
	SLOT_SENT,	/* to Redis, unanswered */
	SLOT_SPILL,	/* to be appended to the buffer */
	SLOT_ADDED,
	SLOT_BUFFERED,
	SLOT_REFUSED,
	SLOT_UNSAFE
};

struct slot {
	unsigned long long n;	/* of the input, from 1 */
	enum slot_state state;
	struct event e;		/* in bytes */
	struct buf bytes;
	struct lane *lane;
	uint64_t number;	/* of the command (bus_put) */
	bool doubt;
	struct doubt where;	/* when doubt */
	struct stream_id id;	/* when added */
};

struct window {
	struct slot *slot;
	size_t head, count, bytes;
	size_t cap;		/* slots, a power of two: a process with one event is not to pay for a thousand */
	size_t sent, spills;	/* how many are in these states */
	size_t asked;		/* none before this one is SENT */
};

void window_init(struct window *w);
void window_free(struct window *w);
int window_room(const struct window *w, size_t bytes);	/* 1 when an event of that size may be added */
/* The next slot, NEW, with a copy of the event (NULL: none). There must be one free. */
struct slot *window_push(struct window *w, const struct event *e, unsigned long long n);
struct slot *window_at(struct window *w, size_t i);	/* 0 is the oldest */
struct slot *window_sent(struct window *w);		/* the oldest that is SENT; there must be one */
void window_state(struct window *w, struct slot *s, enum slot_state state);
void window_pop(struct window *w);			/* the oldest */

#endif
