/*
 * sublist: the streams that somebody named, by event types or patterns: a tap for each, once.
 */
#ifndef CONSUME_SUBLIST_H
#define CONSUME_SUBLIST_H

#include "consume/subscription.h"

struct sublist {
	const struct sub_plan *plan; /* of each; without a consumer they only look */
	const char *prefix, *service;
	const char *group; /* NULL: of each type that of the service */
	bool dead_letters; /* not their events, their dead letters */
	sub_note_fn *note;
	void *arg;

	/* as they were named, those of a pattern sorted; zero before */
	struct subscription **subs;
	size_t n;
};

/* No exchange: whether there is such a stream is seen when the tap opens. */
void sublist_add(struct sublist *list, const char *type);
/*
 * Those of the streams that are there now, over a connection of its own. *found: how many match;
 * *complete: all keys could be looked at within the plan's time-out. 0, or -1: f.
 */
int sublist_add_pattern(
    struct sublist *list, const char *pattern, size_t *found, bool *complete, struct err *err);
void sublist_free(struct sublist *list); /* the taps too */

#endif
