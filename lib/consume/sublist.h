/*
 * sublist: one subscription for each stream that the command line names, by event type or by
 * pattern.
 */
#ifndef CONSUME_SUBLIST_H
#define CONSUME_SUBLIST_H

#include "consume/subscription.h"

struct sublist {
	const struct sub_plan *plan; /* for all of them; without a consumer they use no group */
	const char *prefix, *service;
	const char *group; /* NULL: names_group() of each type */

	/* result, zero before: in the order added, the matches of a pattern sorted; owned */
	struct subscription **subs;
	size_t n;
};

/* Adds one type, unless the list has it already. Talks to no server. */
void sublist_add(struct sublist *list, const char *type);
/*
 * Adds the types of the streams that exist now and match, over a connection of its own. *found is
 * the number of matches; *complete is false when plan->timeout_ms ended the scan. Returns 0, or -1
 * with err.
 */
int sublist_add_pattern(
    struct sublist *list, const char *pattern, size_t *found, bool *complete, struct err *err);
/* Frees the subscriptions too. */
void sublist_free(struct sublist *list);

#endif
