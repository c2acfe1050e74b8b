/*
 * groupadmin: changes one consumer group for ebgroup(1), and shows the result.
 *
 * With fmt->dry_run nothing changes, and what would change is shown. The caller has found the group
 * (group_find), and the connection has no unanswered command.
 *
 * Each function returns 0, or -1 with err; it has shown what was done until then.
 */
#ifndef REPORT_GROUPADMIN_H
#define REPORT_GROUPADMIN_H

#include "event/id.h"
#include "report/groupfmt.h"

struct groupadmin {
	struct conn *conn;
	struct groupfmt *fmt;
	bool verbose; /* report when there was nothing to do */
	/* Reports a problem in one line; status: the exit status for it, or 0. */
	void (*warn)(void *arg, int status, const char *text);
	void *arg;
};

/*
 * Acknowledges entries, handled or not. n 0: reads the IDs from standard input, one per line. Warns
 * of an entry that is not pending with status 1, of a line that is not an ID with 65.
 */
int groupadmin_ack(const struct groupadmin *admin, const struct group_ref *g, char *const *ids,
    size_t n, struct err *err);

/*
 * Moves the group to a place that a user gave. An exact ID becomes the last delivered ID, as in
 * Redis. A place that covers several IDs (a millisecond, a time, an age) becomes the ID before its
 * first one, so that the group continues there.
 */
int groupadmin_set_id(const struct groupadmin *admin, const struct group_ref *g,
    const struct id_place *where, struct err *err);

/* Destroying a group that is gone is a failure. */
int groupadmin_destroy(const struct groupadmin *admin, const struct group_ref *g, struct err *err);

/* Which consumers to retire. */
struct groupadmin_choice {
	const char *name; /* this consumer; NULL: all that are idle */
	int64_t idle;     /* for at least this long, ms */
	const char *to;   /* the consumer that gets their pending entries */
};
/* See retire.h. Status 1: there is no consumer of that name. */
int groupadmin_retire(const struct groupadmin *admin, const struct group_ref *g,
    const struct groupadmin_choice *choice, struct err *err);

#endif
