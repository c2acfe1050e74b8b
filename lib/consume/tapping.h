/*
 * tapping: what the parts of tap share.
 *
 *     tap       asking, answers, batches      tapsweep  what other consumers left
 *     tapopen   connection and group
 */
#ifndef TAPPING_H
#define TAPPING_H

#include "redis/pace.h"
#include "redis/reply.h"
#include "consume/tap.h"

enum phase {
	OWN,				/* what is pending for us from before */
	NEW,
	THEIRS				/* what others left */
};

struct tap {
	const struct tap_plan *plan;
	char *type, *key, *group;
	tap_note_fn *note;
	void *arg;

	enum tap_state state;
	struct bus *bus;
	enum phase phase;
	bool opened;			/* once at least */
	unsigned remade;
	bool have_seen, dry;
	enum bus_why unmade;		/* why the group could not be made, should it not be there; else BUS_FINE */
	struct fail refusal;
	struct stream_id seen;		/* the last ID given out, or that the group had been given */
	struct stream_id own;		/* OWN, THEIRS: gone through up to here */
	struct pace pace;
	size_t asked;
	bool full;			/* the batch has as many as were asked for: there may be more */
	bool ahead;			/* the next batch is asked for, ahead of the acknowledgement of this one */
	size_t ahead_asked;
	struct reply *next;		/* its answer, while that acknowledgement is not answered */
	size_t gone;			/* own pending entries that were trimmed or deleted, not yet told */
	unsigned acks;			/* unanswered acknowledgements, ahead of the question */
	struct look_part part;		/* without a group: what is looked at; has_to is false with one */
	struct haul batch;
	int64_t next_sweep;		/* CLOCK_MONOTONIC ms */
	bool no_sweep;			/* not permitted */
	bool last_page;			/* THEIRS: nothing is behind it */
	unsigned checks;		/* unanswered questions whether an entry is gone, ahead of the acknowledgements */
	struct buf handled;		/* NUL-ended IDs whose acknowledgement is not answered */
};

void tap_notef(struct tap *t, enum tap_note kind, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void tap_drop(struct tap *t, enum tap_state state);	/* its connection */
void tap_see(struct tap *t, struct stream_id id);
void tap_put_acks(struct tap *t);			/* of what was handled and is not acknowledged */
int tap_ensure(struct tap *t, enum bus_why *why, struct fail *f);	/* the group */

/* Whether it is time to look at what others left. */
bool tap_sweep_due(const struct tap *t);
void tap_sweep_begin(struct tap *t);
void tap_sweep_ask(struct tap *t);
/* The answers to it. 1: the batch is complete in t->batch; 0: more is to come, or nothing was left (t->phase is NEW then); -1. */
int tap_sweep_take(struct tap *t, struct reply *r, enum bus_why *why, struct fail *f);
void tap_sweep_checked(struct tap *t, struct reply *r);

#endif
