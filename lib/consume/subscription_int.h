/*
 * subscription_int: what the parts of tap share.
 *
 *     tap       asking, answers, batches      tapsweep  what other consumers left
 *     tapopen   connection and group
 */
#ifndef CONSUME_SUBSCRIPTION_INT_H
#define CONSUME_SUBSCRIPTION_INT_H

#include "consume/subscription.h"
#include "event/id.h"
#include "redis/pagesize.h"
#include "redis/reply.h"

enum sub_phase {
	PHASE_OWN, /* what is pending for us from before */
	PHASE_NEW,
	PHASE_TAKEOVER /* what others left */
};

struct subscription {
	const struct sub_plan *plan;
	char *type, *key, *group;
	sub_note_fn *note;
	void *arg;

	enum sub_state state;
	struct conn *conn;
	enum sub_phase phase;
	bool opened; /* once at least */
	unsigned group_recreations;
	bool has_last_seen, at_end;
	/* why the group could not be made, should it not be there; else CONN_OK */
	enum conn_why create_why;
	struct err create_err;
	/* the last ID given out, or that the group had been given */
	struct stream_id last_seen;
	struct stream_id cursor; /* OWN, THEIRS: gone through up to here */
	struct pagesize pagesize;
	size_t requested;
	/* the batch has as many as were asked for: there may be more */
	bool full;
	/* the next batch is asked for, ahead of the acknowledgement of this one */
	bool prefetching;
	size_t prefetch_requested;
	/* its answer, while that acknowledgement is not answered */
	struct reply *prefetched;
	/* own pending entries that were trimmed or deleted, not yet told */
	size_t gone;
	unsigned acks_in_flight; /* unanswered acknowledgements, ahead of the question */
	/* without a group: what is looked at; has_to is false with one */
	struct range_bounds bounds;
	struct sub_batch batch;
	int64_t next_takeover; /* CLOCK_MONOTONIC ms */
	bool takeover_denied;  /* not permitted */
	bool last_page;        /* THEIRS: nothing is behind it */
	/* unanswered questions whether an entry is gone, ahead of the acknowledgements */
	unsigned checks_in_flight;
	/* NUL-ended IDs whose acknowledgement is not answered */
	struct bytes unacked_ids;
};

void sub_notef(struct subscription *sub, enum sub_note kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void sub_disconnect(struct subscription *sub, enum sub_state state); /* its connection */
void sub_advance(struct subscription *sub, struct stream_id id);
/* of what was handled and is not acknowledged */
void sub_put_acks(struct subscription *sub);
int sub_ensure_group(struct subscription *sub, enum conn_why *why, struct err *err); /* the group */

/* Whether it is time to look at what others left. */
bool takeover_due(const struct subscription *sub);
void takeover_begin(struct subscription *sub);
void takeover_put_list(struct subscription *sub);
/* The answers to it. 1: the batch is complete in t->batch; 0: more is to come, or nothing was left
 * (t->phase is NEW then); -1. */
int takeover_take_reply(
    struct subscription *sub, struct reply *r, enum conn_why *why, struct err *err);
void takeover_take_check(struct subscription *sub, struct reply *r);

#endif
