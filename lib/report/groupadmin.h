/*
 * groupadmin: one group changed because somebody wants it so: asked about, done, shown.
 *
 * A change first finds out how much it is about, so that it can be said. When somebody was asked it
 * looks again, and does nothing where the group has gone on while the question stood. With
 * show->dry it does nothing, and shows what it would do. The group was found (group_find);
 * nothing may be unanswered on the bus.
 *
 * Each returns 0, also when it was not agreed to, or -1: f. What was done by then was shown.
 */
#ifndef REPORT_GROUPADMIN_H
#define REPORT_GROUPADMIN_H

#include "event/id.h"
#include "report/groupfmt.h"

struct groupadmin {
	struct conn *conn;
	struct groupfmt *fmt;
	bool verbose; /* that there was nothing to do is worth a word */
	/* Whether it is to be done. NULL: agreed to beforehand. */
	bool (*confirm)(void *arg, const char *question);
	/* What is not as it was asked for, one line; status: what becomes of the exit status, or 0.
	 */
	void (*warn)(void *arg, int status, const char *text);
	void *arg;
};

/*
 * Entries are acknowledged, handled or not. n 0: the IDs come in lines on standard input. Those
 * that are not pending are said, with status 1, and lines that are none, with 65.
 */
int groupadmin_ack(const struct groupadmin *h, const struct group_ref *g, char *const *ids,
    size_t n, struct err *err);

/* Where the group goes on; see group_setid_arg. */
int groupadmin_set_id(const struct groupadmin *h, const struct group_ref *g,
    const struct id_place *where, struct err *err);

int groupadmin_destroy(const struct groupadmin *h, const struct group_ref *g, struct err *err);

struct groupadmin_choice {
	const char *name; /* that consumer; NULL: those that are */
	int64_t idle;     /* for so long, ms */
	const char *to;   /* who gets what they hold */
};
/* See retire. Status 1: no consumer of that name. */
int groupadmin_retire(const struct groupadmin *h, const struct group_ref *g,
    const struct groupadmin_choice *who, struct err *err);

#endif
