/*
 * mend: connections that are opened again: when to try, with exponential backoff and jitter, and what is said of it, once
 * when the first of them goes and once when all are back.
 *
 * Open again is not back: an outage is over when a question was answered.
 */
#ifndef MEND_H
#define MEND_H

#include "base/backoff.h"
#include "consume/tap.h"

struct mend {
	tap_note_fn *note;
	void *arg;
	struct fail outage;		/* the last attempt's */
	int64_t down_since;		/* CLOCK_MONOTONIC ms; 0: no outage */
	bool on_trial;			/* open again, and nothing answered yet */
	int64_t next_try;
	struct backoff *backoff;	/* of each connection: begins anew with what came of a question, not with a connection */
};

void mend_init(struct mend *m, size_t connections, tap_note_fn *note, void *arg);
void mend_free(struct mend *m);

/* Connection i is lost. false: nothing that passes, trying again is of no use. */
bool mend_lost(struct mend *m, size_t i, enum bus_why why, const struct fail *f);
/* Whether one that is down may be tried now. */
bool mend_due(const struct mend *m);
/* Opening connection i failed. false: as above. */
bool mend_failed(struct mend *m, size_t i, enum bus_why why, const struct fail *f);
void mend_opened(struct mend *m);		/* all are open */
void mend_answered(struct mend *m);		/* one of them got an answer */
void mend_well(struct mend *m, size_t i);	/* connection i answered a question */
/* When the next attempt is due, CLOCK_MONOTONIC ms; -1: none is. */
int64_t mend_next(const struct mend *m);

#endif
