/*
 * reconnect: when to reopen the connections of one poll loop, and the messages about it.
 *
 * Attempts are spaced by exponential backoff with jitter. A warning is printed when the first
 * connection is lost and when all are back. An outage ends with the first reply, not with a
 * successful connect(2).
 */
#ifndef CONSUME_RECONNECT_H
#define CONSUME_RECONNECT_H

#include "base/backoff.h"
#include "consume/subscription.h"

struct reconnect {
	sub_note_fn *note;
	void *arg;
	struct err last_err; /* of the last attempt */
	int64_t down_since;  /* CLOCK_MONOTONIC ms; 0: no outage */
	bool unconfirmed;    /* all are open again, and no reply has come */
	int64_t next_try;    /* CLOCK_MONOTONIC ms */
	/* one per connection; a reply resets it, a new connection does not */
	struct backoff *backoff;
};

void reconnect_init(struct reconnect *rc, size_t connections, sub_note_fn *note, void *arg);
void reconnect_free(struct reconnect *rc);

/* Records that connection i was lost, and begins an outage if there is none. Returns false when the
 * reason is permanent and trying again cannot help. */
bool reconnect_note_loss(struct reconnect *rc, size_t i, const struct err *err);
/* Returns whether a lost connection may be opened now. */
bool reconnect_is_due(const struct reconnect *rc);
/* Records that connection i could not be opened. Returns false as reconnect_note_loss does. */
bool reconnect_note_failure(struct reconnect *rc, size_t i, const struct err *err);
/* Records that all connections are open. */
void reconnect_note_open(struct reconnect *rc);
/* Records that a reply came on one of the connections. */
void reconnect_note_reply(struct reconnect *rc);
/* Starts the pauses of connection i from the shortest again, since a request on it succeeded. */
void reconnect_reset_backoff(struct reconnect *rc, size_t i);
/* Returns when the next attempt is due, in CLOCK_MONOTONIC ms; -1: no attempt is waiting. */
int64_t reconnect_next_try(const struct reconnect *rc);

#endif
