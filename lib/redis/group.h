/*
 * group: reading through a consumer group, over a bus.
 *
 * One struct group per stream. Replies are taken as entries that borrow from the reply. See
 * XREADGROUP, XACK, XGROUP.
 */
#ifndef REDIS_GROUP_H
#define REDIS_GROUP_H

#include "event/id.h"
#include "redis/conn.h"
#include "redis/stream.h"

/*
 * XGROUP CREATE key name start MKSTREAM. *created 0 when it was there already (BUSYGROUP).
 * *stream_new 1 when the stream did not exist. Where making one is refused (memory, a replica,
 * permission) one that is there will do. When that cannot be found out either it is 0 all the same,
 * with *why and f saying what was refused: what counts if the group turns out not to be there.
 */
int group_ensure(struct conn *conn, const char *key, const char *name, const char *start,
    bool *created, bool *stream_new, enum conn_why *why, struct err *err);

/* XREADGROUP GROUP name consumer COUNT count [BLOCK ms] STREAMS keys... ids...; block_ms < 0:
 * without BLOCK. ids: ">" or an ID per key. */
uint64_t group_put_read(struct conn *conn, const char *name, const char *consumer, size_t count,
    int64_t block_ms, const char *const *keys, const char *const *ids, size_t n);

struct group_entry {
	struct slice id;
	bool gone; /* pending but trimmed or deleted: no fields */
	const struct slice *kv;
	size_t nkv;
};
/*
 * Calls fn for each entry of a read's reply, in order: key index of the request, entry. fn returns
 * non-zero to stop (returned then). 0 all done (nil reply: nothing came), -1 error reply or wrong
 * shape: *why (CONN_NOGROUP, CONN_UNBLOCKED, ...).
 */
typedef int group_entry_fn(void *arg, size_t key, const struct group_entry *e);
int group_take_read(const struct reply *r, const char *const *keys, size_t n, group_entry_fn *fn,
    void *arg, enum conn_why *why, struct err *err);

/* The same for XCLAIM's answer, whose entries are all of one key: its index is 0. */
int group_take_claim(
    const struct reply *r, group_entry_fn *fn, void *arg, enum conn_why *why, struct err *err);

/* XACK key name ids... */
uint64_t group_put_ack(
    struct conn *conn, const char *key, const char *name, const struct slice *ids, size_t n);

/*
 * Who reads through a group, as the server knows them.
 *
 * A consumer is a name: it appears when it first reads, and stays until somebody deletes it. See
 * XINFO CONSUMERS.
 */

struct group_consumer {
	struct slice name; /* any bytes */
	uint64_t pending;
	/* ms since it last asked for something: a read that began, a claim */
	int64_t idle;
	/* ms since it last was given something; -1: never, or not told (Redis before 7.2) */
	int64_t inactive;
};

struct group_consumers {
	struct reply *reply;             /* owns the names */
	struct group_consumer *consumer; /* sorted by name */
	size_t n;
};

int group_list_consumers(struct conn *conn, const char *key, const char *group,
    struct group_consumers *out, enum conn_why *why, struct err *err);
void group_consumers_free(struct group_consumers *c);

/*
 * One group of one stream: found, moved, destroyed.
 */

struct group_ref {
	const char *type; /* the caller's */
	char *key, *name;
	bool has_info;
	struct stream_group info;
};

/* Of that name, or, when it is NULL, that of the service. */
void group_ref_init(struct group_ref *g, const char *prefix, const char *service, const char *name,
    const char *type);
void group_ref_free(struct group_ref *g);

/* -1: there is none, said with what shows those that there are. Who may not ask (no permission, no
 * such command) finds out from what follows: 0, info not known. */
int group_find(struct group_ref *g, struct conn *conn, struct err *err);

/* Whether it is still as g has it, or, when that is not known, whatever it is. -1: somebody reads
 * through it, or it is gone; said. */
int group_check_unchanged(const struct group_ref *g, struct conn *conn, struct err *err);

/*
 * What XGROUP SETID takes for a place. An ID is the last that the group was given, as Redis means
 * it and as it is shown; whatever covers more than one ID (a millisecond, a time, so long ago) is
 * where the group goes on.
 */
void group_setid_arg(const struct id_place *p, char out[ID_SIZE]);
/* The same for people, to whom the highest ID of a millisecond says little: the target, or "before
 * " and where the group goes on. */
#define GROUP_SETID_TEXT (ID_SIZE + 8)
void group_setid_text(const struct id_place *p, char out[GROUP_SETID_TEXT]);
/* The first ID behind; "" when there is none, or one may not look. -1: the connection is dead. */
int group_next_entry(const struct group_ref *g, struct conn *conn, const char *target,
    char out[ID_SIZE], struct err *err);
int group_set_id(const struct group_ref *g, struct conn *conn, const char *target, struct err *err);
int group_destroy(const struct group_ref *g, struct conn *conn, struct err *err);

#endif
