/*
 * retire: consumers taken out of a group: what is pending for them is handed to another, then they
 * are deleted.
 *
 * Deleting a consumer takes its pending entries along: nobody is ever given them again. So both are
 * done in one script (EVAL), which deletes only what holds nothing at that moment. It moves
 * RETIRE_STEP entries at most, so that the server is not held up; each step leaves every entry
 * pending for somebody, and can be done twice: to be killed, or to lose the connection, between any
 * two of them is as good as to stop there.
 *
 * An entry keeps its time of delivery, so that it is as long idle as before and the next sweep of
 * an ebsub takes it. It keeps its count too, except on its way from a consumer that is not ours to
 * one that is (pending_is_ebsub_consumer), where it becomes 1: no attempt has been begun. What is
 * gone from the stream cannot be claimed, leaves the group's list, and is counted as lost.
 *
 * Where EVAL is not permitted, or not there, only consumers without pending entries are deleted.
 * What one that came back at that very moment had been given by then is seen in the same
 * transaction, and put back as pending for the other; only a kill between these two commands loses
 * it.
 */
#ifndef REDIS_RETIRE_H
#define REDIS_RETIRE_H

#include "redis/conn.h"
#include "redis/group.h"

#define RETIRE_STEP 1000

enum retire_result {
	RETIRE_UNFINISHED, /* not done, or not to its end */
	RETIRE_DELETED,
	RETIRE_ACTIVE,     /* not idle for so long any more: left */
	RETIRE_MISSING,    /* no such consumer now */
	RETIRE_IS_TARGET,  /* it is who gets them, and holds some: left */
	RETIRE_HAS_PENDING /* pending entries, and no EVAL: left */
};

struct retire_consumer {
	struct slice name; /* the caller's */
	enum retire_result result;
	uint64_t moved, lost;
};

struct retire {
	const char *key, *group;
	const char *to; /* who gets what is pending; made when it is not there */
	/* ms: only consumers that are idle for so long at that moment; 0: whatever they are */
	int64_t idle;
	/* after a run: why scripts could not be used, status 0 when they could */
	struct err no_eval;
};

/* All of c, in order. -1: it got no further, what was done stands in c, and doing it again goes on
 * there. */
int retire_run(struct conn *conn, struct retire *r, struct retire_consumer *c, size_t n,
    enum conn_why *why, struct err *err);

/*
 * The consumers of a group that are to be retired: one by its name, or those that are idle for
 * long.
 */

struct retire_selection {
	struct group_consumers list;
	const struct group_consumer **listed; /* as it was listed */
	struct retire_consumer *consumer;     /* the same, what became of it */
	size_t n;
	uint64_t pending; /* of all */
};

/*
 * name: that one, however long it is idle; NULL: all that are idle for r->idle, except r->to while
 * it holds something. None of that name is no failure: n is 0. Free in any case.
 */
int retire_select(struct retire_selection *l, struct conn *conn, const struct retire *r,
    const char *name, enum conn_why *why, struct err *err);
void retire_selection_free(struct retire_selection *l);

/*
 * Consumers with the name of this host that nobody has used for long, deleted.
 */

/*
 * Deletes those of the group whose name is `stem` ("eb-HOST-") and a number, other than `own`, that
 * hold nothing and were idle for `idle` ms: looked at and deleted in one script, so that none is
 * deleted with an entry that it was just given. Where that is not permitted nothing happens. -1:
 * the connection is dead.
 */
int retire_delete_idle(struct conn *conn, const char *key, const char *group, const char *stem,
    const char *own, int64_t idle, struct err *err);

#endif
