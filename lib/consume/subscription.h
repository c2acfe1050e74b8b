/*
 * subscription: one stream being read over a connection of its own, through a group or only looked
 * at.
 *
 * The caller has the loop: it opens, asks for entries, polls, takes a batch, handles it and says
 * how much of it was handled; that much is acknowledged, in one packet with the next question.
 * After each opening the consumer's own pending entries come first, so that what an earlier life or
 * connection was given and did not acknowledge is not left behind; what was handled and whose
 * acknowledgement was cut off is acknowledged again instead of given out again.
 *
 * Then, and every claim_idle, what other consumers left pending for so long is taken over and given
 * out (XPENDING, XCLAIM).
 *
 * A group is made on demand: at the plan's start, and when it vanished under us at the last ID
 * seen, never silently at "$".
 */
#ifndef CONSUME_SUBSCRIPTION_H
#define CONSUME_SUBSCRIPTION_H

#include <stdbool.h>
#include <stdint.h>

#include "consume/sub_batch.h"
#include "redis/conn.h"
#include "redis/range.h"

/* The same for all taps of a process; borrowed. */
struct sub_plan {
	const struct url *url;
	int64_t timeout_ms;
	const char *consumer; /* NULL: only looking */
	/* "eb-HOST-": consumers of such names that are idle for a day and hold nothing are deleted;
	 * or NULL */
	const char *host_prefix;
	/* of it a group takes only `from`, where it starts when it must be made */
	struct range range;
	bool from_given;
	/* ms after which what others left pending is taken over; 0: never */
	int64_t claim_idle;
	/* the caller keeps what comes (sub_take_reply), and sees to what is pending and to
	 * acknowledging itself */
	bool manual_ack;
};

enum sub_note {
	SUB_WARNING, /* something is not as it was asked for */
	SUB_INFO     /* for people who watch */
};
typedef void sub_note_fn(void *arg, enum sub_note kind, const char *text);

enum sub_state {
	SUB_DOWN, /* no connection */
	SUB_IDLE, /* sub_request may be called */
	SUB_REQUESTED,
	SUB_READY, /* a batch: sub_batch, sub_finish_batch */
	SUB_CLOSED /* for good */
};

struct subscription;

/* group is NULL for a tap that only looks. Strings are copied. No exchange. */
struct subscription *sub_new(const struct sub_plan *plan, const char *type, const char *key,
    const char *group, sub_note_fn *note, void *arg);
void sub_free(struct subscription *sub);

/* Connects, greets, ensures the group or finds the start; each answer has the plan's time-out. 0,
 * or -1: *why and f. */
int sub_open(struct subscription *sub, enum conn_why *why, struct err *err);
/* Asks for at most count entries, waiting up to block_ms for new ones (-1: not at all). */
void sub_request(struct subscription *sub, size_t count, int64_t block_ms);
/*
 * Moves what can be moved without waiting. 0; -1 when the connection or the question failed: *why
 * and f, and the tap is SUB_DOWN.
 */
int sub_process(struct subscription *sub, enum conn_why *why, struct err *err);

/* when SUB_READY: sub_batch_each */
const struct sub_batch *sub_batch(const struct subscription *sub);
/*
 * When SUB_READY, before the batch is handled: asks for the next one, so that the server works
 * meanwhile; only where there is likely to be one. Such a question does not wait, and its batch is
 * SUB_READY when this one is done and acknowledged.
 */
void sub_prefetch(struct subscription *sub, size_t count);
/* Its first n records were handled: acknowledged, with the entries that are gone. The tap is
 * SUB_IDLE, or SUB_REQUESTED after sub_prefetch. */
void sub_finish_batch(struct subscription *sub, size_t n);
/* With plan.manual_ack, instead of both: XREADGROUP's reply, the caller's from then on. The tap is
 * SUB_IDLE. */
struct reply *sub_take_reply(struct subscription *sub);
/* count of the questions under way and of the batch, else 0 */
size_t sub_requested(const struct subscription *sub);
bool sub_acknowledged(const struct subscription *sub); /* no acknowledgement is unanswered */

enum sub_state sub_state(const struct subscription *sub);
/* the last question found nothing more */
bool sub_at_end(const struct subscription *sub);
/* nothing asked and no acknowledgement unanswered */
bool sub_settled(const struct subscription *sub);
const struct conn *sub_conn(const struct subscription *sub); /* to poll; NULL when down */
const char *sub_type(const struct subscription *sub);
const char *sub_key(const struct subscription *sub);
/* how often its group had vanished and was made again */
unsigned sub_group_recreations(const struct subscription *sub);
const char *sub_group(const struct subscription *sub); /* NULL: only looking */
void sub_close(struct subscription *sub);              /* SUB_CLOSED */

#endif
