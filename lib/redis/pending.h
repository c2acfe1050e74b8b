/*
 * pending: what a consumer group has given out and nobody has acknowledged, looked at and taken
 * over.
 *
 * See XPENDING and XCLAIM. Since Redis 7.0 an entry that is gone from its stream leaves the list
 * when somebody claims it, and is not in the answer; one that was acknowledged meanwhile is not
 * either.
 */
#ifndef REDIS_PENDING_H
#define REDIS_PENDING_H

#include "event/id.h"
#include "redis/conn.h"
#include "redis/stream.h"

struct pending {
	struct stream_id id;
	struct slice consumer; /* borrows from the reply */
	int64_t idle;          /* ms since it was last given out or claimed */
	int64_t deliveries;
};

/* XPENDING key group [IDLE idle_ms] from + count [consumer]: idle_ms 0 for all, consumer NULL for
 * everybody's. from: an ID, "-" or "(ID". */
uint64_t pending_put_list(struct conn *conn, const char *key, const char *group, int64_t idle_ms,
    const char *from, size_t count, const char *consumer);
/* Number i of reply_count(r); -1 when it has not that shape. */
int pending_parse(const struct reply *r, size_t i, struct pending *out);

struct pending_query {
	const char *key, *group;
	const char *consumer; /* NULL: everybody's */
	int64_t idle;         /* ms at least */
	uint64_t limit;       /* so many at most; UINT64_MAX: all */
};
/*
 * All of them by ID, page by page, in bounded memory; nothing may be unanswered before. fn returns
 * non-zero to stop (returned then); 0 all done; -1: *why. It is no picture of one moment: what is
 * given out or acknowledged meanwhile may be in it or not.
 */
typedef int pending_fn(void *arg, const struct pending *p);
int pending_scan(struct conn *conn, const struct pending_query *ask, pending_fn *fn, void *arg,
    enum conn_why *why, struct err *err);

struct pending_claim {
	const char *key, *group;
	const char *consumer; /* who gets them; made when it is not there */
	/* ms: only what nobody has touched for so long; 0 whatever it is */
	int64_t min_idle;
	/* the count is set to it; -1: left as it is without bodies, raised by one with */
	int64_t deliveries;
	/* those too that are not pending, as long as they stand in the stream */
	bool force;
	bool bodies; /* answer: entries (stream_parse_entry); else their IDs */
};
/* XCLAIM; n is 1 or more. An entry that is claimed begins to be idle anew. */
uint64_t pending_put_claim(
    struct conn *conn, const struct pending_claim *c, const struct stream_id *ids, size_t n);

/* Whether a consumer is one of ours, whose count of deliveries is one more than the attempts that
 * were begun (ebsub(1)): "eb-...". */
bool pending_is_ebsub_consumer(struct slice consumer);

#endif
