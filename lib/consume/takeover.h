/*
 * takeover: lists a group's pending entries and claims them, for printing and for commands.
 *
 * A page is listed (XPENDING). Its first entries of one kind are claimed by one XCLAIM, and the
 * next page begins behind them. Commands use the control connection, where a claim cannot overtake
 * an XACK of the same entry.
 *
 * For commands (without bodies) the claim sets the delivery count of entries from consumers of
 * other programs to 1: no attempt was begun.
 */
#ifndef CONSUME_TAKEOVER_H
#define CONSUME_TAKEOVER_H

#include "redis/group.h"

struct takeover {
	/* borrowed; group NULL: there is nothing to take over */
	const char *key, *group, *consumer;
	int64_t claim_idle; /* ms; 0: only own entries are listed */
	bool bodies;        /* claims whole entries, else IDs */

	bool denied;             /* by the server's permissions */
	bool own;                /* lists the entries of the consumer itself */
	struct stream_id cursor; /* listed up to here */
	int64_t next;            /* CLOCK_MONOTONIC ms: when others' are listed again */
	/* the page: XPENDING's reply, of which the first n entries are claimed together; owned */
	struct reply *list;
	size_t n;
	bool last_page; /* the list ends with this page */
};

/* Returns whether it is time to look for others' pending entries. */
bool takeover_due(const struct takeover *t);
/* Begins with the first pending entry; own: of the consumer itself, whatever its idle time. */
void takeover_begin(struct takeover *t, bool own);
/* Queues the XPENDING for a page of `count` entries. */
void takeover_put_list(const struct takeover *t, struct conn *conn, size_t count);
/*
 * Takes its reply, of at most `count` entries. Returns true when XCLAIM was queued. False means
 * that nothing has to be claimed, and t->list serves as the reply: the page is empty, or all its
 * entries are fresh, which means own and idle for less than half of claim_idle.
 */
bool takeover_take_list(struct takeover *t, struct conn *conn, struct reply *list, size_t count);
/* Calls fn for each entry of the page; claimed is false when XCLAIM's reply lacks the entry. */
typedef void takeover_fn(void *arg, const struct pending *p, bool claimed);
void takeover_each(const struct takeover *t, const struct reply *claim, takeover_fn *fn, void *arg);
/* Frees the page. */
void takeover_clear(struct takeover *t);

#endif
