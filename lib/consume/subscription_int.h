/*
 * subscription_int: the state of a subscription, shared by subscription.c and takeover.c.
 */
#ifndef CONSUME_SUBSCRIPTION_INT_H
#define CONSUME_SUBSCRIPTION_INT_H

#include "consume/subscription.h"
#include "event/id.h"
#include "redis/pagesize.h"
#include "redis/pool.h"
#include "redis/reply.h"

/* Which entries a request asks for. */
enum sub_phase {
	PHASE_OWN, /* the consumer's pending entries from before this sub_open */
	PHASE_NEW,
	PHASE_TAKEOVER /* pending entries of other consumers */
};

struct subscription {
	const struct sub_plan *plan;
	char *type, *key, *group;
	sub_note_fn *note;
	void *arg;

	enum sub_state state;
	struct pool pool;  /* its own, since reads block */
	struct conn *conn; /* of the pool */
	enum sub_phase phase;
	bool opened; /* at least once */
	unsigned group_recreations;
	bool has_last_seen, at_end;
	/* why creating the group was refused, in case it does not exist; else its why is CONN_OK */
	struct err create_err;
	/* the highest ID delivered here, or to the group before */
	struct stream_id last_seen;
	struct stream_id cursor; /* PHASE_OWN, PHASE_TAKEOVER: listed up to here */
	struct pagesize pagesize;
	size_t requested;
	/* the last read returned as many entries as were requested, so there may be more */
	bool full;
	/* the next batch was requested before this one is acknowledged */
	bool prefetching;
	size_t prefetch_requested;
	/* its reply, until the reply of that XACK */
	struct reply *prefetched;
	/* own pending entries that were trimmed or deleted and are not reported yet */
	size_t gone;
	unsigned acks_in_flight; /* their replies come before that of the request */
	/* without a group: what is read; with one has_to is false */
	struct range_bounds bounds;
	struct sub_batch batch;
	int64_t next_takeover; /* CLOCK_MONOTONIC ms */
	bool takeover_denied;  /* by the server's permissions */
	bool last_page;        /* PHASE_TAKEOVER: the list ends with this page */
	/* XRANGEs that ask whether an entry is gone; their replies come before those of XACK */
	unsigned checks_in_flight;
	/* IDs, each with a NUL, whose XACK has no reply yet */
	struct bytes unacked_ids;
};

void sub_notef(struct subscription *sub, enum sub_note kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Returns whether it is time to look for others' pending entries. */
bool takeover_due(const struct subscription *sub);
/* Begins PHASE_TAKEOVER. */
void takeover_begin(struct subscription *sub);
/* Queues the XPENDING for the next page. */
void takeover_put_list(struct subscription *sub);
/*
 * Takes a reply of the list or of the claim. Returns 1: sub->batch is complete; 0: a reply is still
 * to come, or there was nothing to take over and the phase is PHASE_NEW; -1 with err.
 */
int takeover_take_reply(struct subscription *sub, struct reply *r, struct err *err);
/* Takes the reply to one of checks_in_flight. */
void takeover_take_check(struct subscription *sub, struct reply *r);

#endif
