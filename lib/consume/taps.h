/*
 * taps: the streams that somebody named, by event types or patterns: a tap for each, once.
 */
#ifndef TAPS_H
#define TAPS_H

#include "consume/tap.h"

struct taps {
	const struct tap_plan *plan;	/* of each; without a consumer they only look */
	const char *prefix, *service;
	const char *group;		/* NULL: of each type that of the service */
	bool dead;			/* not their events, their dead letters */
	tap_note_fn *note;
	void *arg;

	struct tap **at;		/* as they were named, those of a pattern sorted; zero before */
	size_t n;
};

/* No exchange: whether there is such a stream is seen when the tap opens. */
void taps_add(struct taps *t, const char *type);
/*
 * Those of the streams that are there now, over a connection of its own. *found: how many match; *complete: all keys could be looked
 * at within the plan's time-out. 0, or -1: f.
 */
int taps_match(struct taps *t, const char *pattern, size_t *found, bool *complete, struct fail *f);
void taps_free(struct taps *t);		/* the taps too */

#endif
