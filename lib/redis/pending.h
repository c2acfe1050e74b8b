/*
 * pending: the pending entries of a group, listed (XPENDING) and claimed (XCLAIM).
 *
 * XCLAIM's reply lacks entries that were acknowledged meanwhile, and entries that were trimmed or
 * deleted: since Redis 7.0, claiming such an entry removes it from the pending entries.
 */
#ifndef REDIS_PENDING_H
#define REDIS_PENDING_H

#include "event/id.h"
#include "redis/conn.h"
#include "redis/stream.h"

struct pending {
	struct stream_id id;
	struct slice consumer; /* borrows from the reply */
	int64_t idle;          /* ms since it was last delivered or claimed */
	int64_t deliveries;
};

struct pending_query {
	const char *key, *group;
	const char *consumer; /* NULL: all */
	int64_t idle;         /* at least, in ms */
	uint64_t limit;       /* entries at most; pending_scan: UINT64_MAX: all */
};
/* XPENDING key group [IDLE idle] from + limit [consumer]; from: an ID, "-" or "(ID". */
uint64_t pending_put_list(struct conn *conn, const struct pending_query *query, const char *from);
/* Parses element i of the reply. Returns -1 for an unexpected form. */
int pending_parse(const struct reply *r, size_t i, struct pending *out);

/* Receives a pending entry. A value other than 0 ends the scan, which returns it. */
typedef int pending_fn(void *arg, const struct pending *p);
/*
 * Calls fn for each pending entry in the order of IDs, in pages, so that memory is bounded; needs a
 * connection without unanswered commands. Entries that are delivered or acknowledged meanwhile may
 * be missing. Returns 0 at the end, or -1 with err.
 */
int pending_scan(struct conn *conn, const struct pending_query *query, pending_fn *fn, void *arg,
    struct err *err);

struct pending_claim {
	const char *key, *group;
	const char *consumer; /* the new owner; created when it does not exist */
	int64_t min_idle;     /* ms; leaves entries that were delivered or claimed since */
	/* RETRYCOUNT. -1: the count is left as it is, or raised by one with bodies. */
	int64_t deliveries;
	bool force;  /* FORCE: also entries of the stream that are not pending */
	bool bodies; /* the reply has whole entries (stream_parse_entry), else IDs (JUSTID) */
};
/* XCLAIM of n entries, 1 or more. Their idle time restarts. */
uint64_t pending_put_claim(
    struct conn *conn, const struct pending_claim *claim, const struct stream_id *ids, size_t n);

/* Returns the element for the next of the claimed IDs in XCLAIM's reply, which has them in order,
 * and moves *at behind it; NULL when the reply lacks it. */
const struct reply *pending_next_claimed(const struct reply *r, size_t *at, struct stream_id id);

/* Returns whether a consumer has a name that ebsub makes, "eb-...". For those the delivery count is
 * one more than the number of attempts begun (ebsub(1)); other programs count differently. */
bool pending_is_ebsub_consumer(struct slice consumer);

#endif
