/*
 * leavers: the consumers of a group that are to be retired: one by its name, or those that are idle for long.
 */
#ifndef LEAVERS_H
#define LEAVERS_H

#include "redis/consumers.h"
#include "redis/retire.h"

struct leavers {
	struct consumers list;
	const struct consumers_one **was;	/* as it was listed */
	struct retire_one *at;			/* the same, what became of it */
	size_t n;
	uint64_t pending;			/* of all */
};

/*
 * name: that one, however long it is idle; NULL: all that are idle for r->idle, except r->to while it holds something. None of that
 * name is no failure: n is 0. Free in any case.
 */
int leavers_find(struct leavers *l, struct bus *b, const struct retire *r, const char *name, enum bus_why *why, struct fail *f);
void leavers_free(struct leavers *l);

#endif
