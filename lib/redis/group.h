/*
 * group: creates consumer groups, lists and claims their pending entries, lists their consumers.
 *
 * As in stream.h, a function named _put_ queues a command, and the others send and wait. Deleting
 * consumers is in retire.h.
 *
 * XCLAIM's reply lacks entries that were acknowledged meanwhile, and entries that were trimmed or
 * deleted: since Redis 7.0, claiming such an entry removes it from the pending entries.
 */
#ifndef REDIS_GROUP_H
#define REDIS_GROUP_H

#include "redis/stream.h"

/* --- reading --- */

struct group_made {
	bool created;    /* false: the group existed (BUSYGROUP) */
	bool stream_new; /* the stream did not exist */
};
/*
 * XGROUP CREATE key name start MKSTREAM. When the server refuses to create a group
 * (memory, a replica, permission), one that exists will do. When that is unknown too (permission),
 * returns 0 with the refusal in err, the reason to report if a read finds no group. Otherwise
 * err->why is CONN_OK.
 */
int group_ensure(struct conn *conn, const char *key, const char *name, const char *start,
    struct group_made *made, struct err *err);

/* XACK key name ids... */
uint64_t group_put_ack(
    struct conn *conn, const char *key, const char *name, const struct slice *ids, size_t n);

/* --- pending entries --- */

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

/* --- consumers --- */

/* A consumer exists from its first read until it is deleted. */
struct group_consumer {
	struct slice name; /* any bytes */
	uint64_t pending;
	int64_t idle; /* ms since it last tried to read or claim */
	/* ms since it last got an entry; -1: never, or unknown (before Redis 7.2) */
	int64_t inactive;
};

struct group_consumers {
	struct reply *reply;             /* owns the names */
	struct group_consumer *consumer; /* sorted by name */
	size_t n;
};

/* XINFO CONSUMERS. Free with group_consumers_free, also after a failure. */
int group_list_consumers(struct conn *conn, const char *key, const char *group,
    struct group_consumers *out, struct err *err);
void group_consumers_free(struct group_consumers *c);

/* --- one group, as an operator names it --- */

struct group_ref {
	const char *type; /* borrowed from the caller */
	char *key, *name;
	bool has_info;
	struct stream_group info;
};

/* Names a group; name NULL: the group of the service. */
void group_ref_init(struct group_ref *g, const char *prefix, const char *service, const char *name,
    const char *type);
void group_ref_free(struct group_ref *g);

/* Fills info. Returns -1 when there is no such group; err names the command that lists the groups.
 * Without permission returns 0 and has_info stays false: the next command will show whether
 * there is a group. */
int group_find(struct group_ref *g, struct conn *conn, struct err *err);

#endif
