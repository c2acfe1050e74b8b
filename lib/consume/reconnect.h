/*
 * reconnect: connections that are opened again: when to try, with exponential backoff and jitter,
 * and what is said of it, once when the first of them goes and once when all are back.
 *
 * Open again is not back: an outage is over when a question was answered.
 */
#ifndef CONSUME_RECONNECT_H
#define CONSUME_RECONNECT_H

#include "base/backoff.h"
#include "consume/subscription.h"

struct reconnect {
	sub_note_fn *note;
	void *arg;
	struct err last_err; /* the last attempt's */
	int64_t down_since;  /* CLOCK_MONOTONIC ms; 0: no outage */
	bool unconfirmed;    /* open again, and nothing answered yet */
	int64_t next_try;
	/* of each connection: begins anew with what came of a question, not with a connection */
	struct backoff *backoff;
};

void reconnect_init(struct reconnect *rc, size_t connections, sub_note_fn *note, void *arg);
void reconnect_free(struct reconnect *rc);

/* Connection i is lost. false: nothing that passes, trying again is of no use. */
bool reconnect_lost(struct reconnect *rc, size_t i, enum conn_why why, const struct err *err);
/* Whether one that is down may be tried now. */
bool reconnect_due(const struct reconnect *rc);
/* Opening connection i failed. false: as above. */
bool reconnect_failed(struct reconnect *rc, size_t i, enum conn_why why, const struct err *err);
void reconnect_opened(struct reconnect *rc);                  /* all are open */
void reconnect_answered(struct reconnect *rc);                /* one of them got an answer */
void reconnect_reset_backoff(struct reconnect *rc, size_t i); /* connection i answered a question */
/* When the next attempt is due, CLOCK_MONOTONIC ms; -1: none is. */
int64_t reconnect_next_try(const struct reconnect *rc);

#endif
