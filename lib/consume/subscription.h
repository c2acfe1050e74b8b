/*
 * subscription: reads one stream over a connection of its own, through a group or without one.
 *
 * The caller runs the loop: sub_open, sub_request, poll(2) on sub->conn, sub_process, then handles
 * the batch and calls sub_finish_batch. The acknowledgement is sent with the next request.
 *
 * After each sub_open the consumer's own pending entries come first, so that entries delivered to
 * an earlier process or connection are handled. Entries that were handled but whose acknowledgement
 * was cut off are acknowledged again and not delivered again. Then, and every claim_idle ms,
 * entries that other consumers left pending for at least claim_idle ms are taken over
 * (consume/takeover.h) and delivered.
 *
 * A missing group is created at plan->range.from. A group that vanished is created again at the
 * last ID seen, never at "$".
 */
#ifndef CONSUME_SUBSCRIPTION_H
#define CONSUME_SUBSCRIPTION_H

#include <stdbool.h>
#include <stdint.h>

#include "consume/takeover.h"
#include "event/format.h"
#include "event/id.h"
#include "redis/conn.h"
#include "redis/pool.h"
#include "redis/reply.h"
#include "redis/scan.h"

enum sub_note {
	SUB_WARNING,
	SUB_INFO /* for -v or a terminal */
};
typedef void sub_note_fn(void *arg, enum sub_note kind, const char *text);

/* The same for all subscriptions of a process; borrowed. */
struct sub_plan {
	const struct url *url;
	int64_t timeout_ms;
	const char *consumer; /* NULL: read without a group */
	/* "eb-HOST-": delete the group's consumers whose names begin with this, that were idle for
	 * a day and have no pending entries; NULL: delete none */
	const char *host_prefix;
	/* what is read without a group; a new group starts at range.from */
	struct range range;
	bool from_given;
	/* ms of idleness after which others' pending entries are taken over; 0: never */
	int64_t claim_idle;
	/* the caller takes replies with sub_take_reply, acknowledges, and reads pending entries
	 * itself */
	bool manual_ack;
	sub_note_fn *note;
	void *arg;
};

/* Passes a line of text to plan->note. */
void sub_notef(const struct sub_plan *plan, enum sub_note kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

enum sub_state {
	SUB_DOWN,      /* no connection */
	SUB_IDLE,      /* sub_request may be called */
	SUB_REQUESTED, /* a read is in flight */
	SUB_READY,     /* a batch waits for sub_finish_batch */
	SUB_CLOSED     /* for good */
};

/* Which entries a request asks for. */
enum sub_phase {
	PHASE_OWN, /* the consumer's pending entries from before this sub_open */
	PHASE_NEW,
	PHASE_TAKEOVER /* pending entries of other consumers */
};

/* Other files read it, and write only takeover. */
struct subscription {
	const struct sub_plan *plan;
	char *type, *key;
	char *group; /* NULL: read without one */
	enum sub_state state;
	struct pool pool;  /* its own, since reads block */
	struct conn *conn; /* of the pool; NULL when down */
	bool at_end;       /* the last read found no more entries */
	/* how often the group had vanished and was created again */
	unsigned group_recreations;
	struct takeover takeover;

	/* of subscription.c */
	/* the batch: a reply of XREADGROUP, XREAD or XCLAIM, and of XPENDING over the same IDs;
	 * counts NULL: every entry is delivered for the first time */
	struct reply *entries, *counts;
	bool claimed; /* counts was listed before XCLAIM added one */
	enum sub_phase phase;
	bool opened; /* at least once */
	bool has_last_seen;
	/* why creating the group was refused, in case it does not exist; else its why is CONN_OK */
	struct err create_err;
	/* the highest ID delivered here, or to the group before */
	struct stream_id last_seen;
	struct stream_id cursor; /* PHASE_OWN: listed up to here */
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
	/* XRANGEs that ask whether an entry is gone; their replies come before those of XACK */
	unsigned checks_in_flight;
	/* IDs, each with a NUL, whose XACK has no reply yet */
	struct bytes unacked_ids;
};

/* group NULL: read without a group. Copies the strings. Talks to no server. */
struct subscription *sub_new(
    const struct sub_plan *plan, const char *type, const char *key, const char *group);
void sub_free(struct subscription *sub);

/* Connects, and ensures the group or resolves the range; each reply has the plan's time-out.
 * Returns 0, or -1 with err. */
int sub_open(struct subscription *sub, struct err *err);
/* Requests at most count entries. The server waits up to block_ms for new ones; -1: not at all. */
void sub_request(struct subscription *sub, size_t count, int64_t block_ms);
/* Writes, reads and takes replies without blocking. Returns 0; or -1 with err when the
 * connection or the request failed, and then the state is SUB_DOWN. */
int sub_process(struct subscription *sub, struct err *err);

/*
 * Requests the batch after the one that is SUB_READY, so that the server works while the caller
 * does. Does nothing if this batch has fewer entries than were requested, if it holds pending
 * entries, if a takeover is due, without a group, or if count is 0. The request does not block on
 * the server, and its batch becomes SUB_READY after this one is finished and acknowledged.
 */
void sub_prefetch(struct subscription *sub, size_t count);
/* Calls fn for each record of the batch, in order of ID, without entries that are gone. Returns how
 * many. */
typedef void sub_record_fn(void *arg, const struct event_entry *r);
size_t sub_each(const struct subscription *sub, sub_record_fn *fn, void *arg);
/* Acknowledges the first n records of the batch and its entries that are gone. The state becomes
 * SUB_IDLE, or SUB_REQUESTED after sub_prefetch. */
void sub_finish_batch(struct subscription *sub, size_t n);
/* With plan.manual_ack, instead of sub_finish_batch: returns the reply of XREADGROUP, which the
 * caller frees. The state becomes SUB_IDLE. */
struct reply *sub_take_reply(struct subscription *sub);
/* Returns the count of the requests in flight and of the unfinished batch. */
size_t sub_requested(const struct subscription *sub);
/* Returns whether no read, check or XACK is in flight and no batch is unfinished. */
bool sub_settled(const struct subscription *sub);
/* Closes the connection; the state becomes SUB_CLOSED. */
void sub_close(struct subscription *sub);

#endif
