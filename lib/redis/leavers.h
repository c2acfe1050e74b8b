/*
 * leavers: the consumers of a group that are to be retired: one by its name, or those that are idle for long.
 */
#ifndef REDIS_LEAVERS_H
#define REDIS_LEAVERS_H

#include "redis/consumers.h"
#include "redis/retire.h"

struct retire_found {
	struct group_consumers list;
	const struct group_consumer **was;	/* as it was listed */
	struct retire_one *at;			/* the same, what became of it */
	size_t n;
	uint64_t pending;			/* of all */
};

/*
 * name: that one, however long it is idle; NULL: all that are idle for r->idle, except r->to while it holds something. None of that
 * name is no failure: n is 0. Free in any case.
 */
int retire_find(struct retire_found *l, struct conn *conn, const struct retire *r, const char *name, enum conn_why *why, struct err *err);
void retire_found_free(struct retire_found *l);

#endif
