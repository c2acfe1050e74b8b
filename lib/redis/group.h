/*
 * group: creates consumer groups, reads through them, lists their consumers.
 *
 * As in stream.h, a function named _put_ queues a command, the _take_ function parses its reply,
 * and the others send and wait. Pending entries are in pending.h, deleting consumers is in
 * retire.h.
 */
#ifndef REDIS_GROUP_H
#define REDIS_GROUP_H

#include "event/id.h"
#include "redis/conn.h"
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
