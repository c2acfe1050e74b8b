/*
 * retire: removes consumers from a group, and moves their pending entries to another consumer
 * first.
 *
 * Deleting a consumer loses its pending entries: no consumer would get them again. So a script
 * (EVAL) does both, and deletes only a consumer that has no pending entries at that moment. A call
 * of the script moves RETIRE_STEP entries at most, so that it does not block the server for long.
 * After each call every entry is pending for some consumer, and a call may be repeated: a kill or a
 * lost connection between two calls does no harm.
 *
 * A moved entry keeps its idle time, so that an ebsub of the group claims it as soon as before. It
 * keeps its delivery count, except from a consumer of another program to one of ebsub
 * (pending_is_ebsub_consumer): there it becomes 1, since no attempt has been begun. An entry that
 * was trimmed or deleted cannot be claimed; it leaves the pending entries and counts as lost.
 *
 * Where EVAL is not permitted or does not exist nothing is deleted: without a script, a consumer
 * that gets entries just before the deletion would lose them.
 */
#ifndef REDIS_RETIRE_H
#define REDIS_RETIRE_H

#include "redis/group.h"

#define RETIRE_STEP 1000 /* entries */

/* The numbers from RETIRE_UNFINISHED to RETIRE_IS_TARGET are those of the script. */
enum retire_result {
	RETIRE_UNFINISHED,
	RETIRE_DELETED,
	RETIRE_ACTIVE,   /* left: not idle long enough any more */
	RETIRE_MISSING,  /* no such consumer */
	RETIRE_IS_TARGET /* left: it is the consumer that gets the entries, and has some */
};

struct retire {
	const char *key, *group;
	const char *to; /* gets the pending entries; created when it does not exist */
	int64_t idle;   /* ms: only consumers that are idle for at least this long; 0: any */
};

struct retire_consumer {
	const struct group_consumer *listed; /* as the server listed it */
	enum retire_result result;
	uint64_t moved, lost; /* pending entries */
};
/* The consumers of a group that are to be retired. */
struct retire_selection {
	struct group_consumers list; /* all of the group */
	struct retire_consumer *consumer;
	size_t n;
};

/*
 * Selects the consumer of that name, however short its idle time; or, when name is NULL, all that
 * are idle for r->idle, except r->to while it has pending entries. A missing name is no failure: n
 * is 0. Free with retire_selection_free, also after a failure.
 */
int retire_select(struct retire_selection *l, struct conn *conn, const struct retire *r,
    const char *name, struct err *err);
void retire_selection_free(struct retire_selection *l);

/* Retires the selected consumers in order. After -1 they have the results so far, and another call
 * continues. */
int retire_run(struct conn *conn, const struct retire *retire, struct retire_selection *selection,
    struct err *err);

/*
 * Deletes the consumers of a group whose name is `stem` ("eb-HOST-") and a number, except `to`,
 * that have no pending entries and were idle for `idle` ms. One script checks and deletes, so that
 * no consumer is deleted with an entry that it just got. Does nothing where EVAL is not permitted.
 * -1: the connection is dead.
 */
int retire_delete_idle(
    struct conn *conn, const struct retire *retire, const char *stem, struct err *err);

#endif
