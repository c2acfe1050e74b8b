/*
 * group: reading through a consumer group, over a bus.
 *
 * One struct group per stream. Replies are taken as entries that borrow from the reply. See XREADGROUP, XACK, XGROUP.
 */
#ifndef REDIS_GROUP_H
#define REDIS_GROUP_H

#include "redis/conn.h"
#include "redis/stream.h"

/*
 * XGROUP CREATE key name start MKSTREAM. *created 0 when it was there already (BUSYGROUP). *stream_new 1 when the stream did not exist.
 * Where making one is refused (memory, a replica, permission) one that is there will do. When that cannot be found out either it is
 * 0 all the same, with *why and f saying what was refused: what counts if the group turns out not to be there.
 */
int group_ensure(struct conn *conn, const char *key, const char *name, const char *start,
    bool *created, bool *stream_new, enum conn_why *why, struct err *err);

/* XREADGROUP GROUP name consumer COUNT count [BLOCK ms] STREAMS keys... ids...; block_ms < 0: without BLOCK. ids: ">" or an ID per key. */
uint64_t group_put_read(struct conn *conn, const char *name, const char *consumer, size_t count, int64_t block_ms,
    const char *const *keys, const char *const *ids, size_t n);

struct group_entry {
	struct slice id;
	bool gone;			/* pending but trimmed or deleted: no fields */
	const struct slice *kv;
	size_t nkv;
};
/*
 * Calls fn for each entry of a read's reply, in order: key index of the request, entry. fn returns non-zero to stop (returned then). 0 all done (nil
 * reply: nothing came), -1 error reply or wrong shape: *why (CONN_NOGROUP, CONN_UNBLOCKED, ...).
 */
typedef int group_entry_fn(void *arg, size_t key, const struct group_entry *e);
int group_take_read(const struct reply *r, const char *const *keys, size_t n, group_entry_fn *fn, void *arg, enum conn_why *why, struct err *err);

/* The same for XCLAIM's answer, whose entries are all of one key: its index is 0. */
int group_take_claim(const struct reply *r, group_entry_fn *fn, void *arg, enum conn_why *why, struct err *err);

/* XACK key name ids... */
uint64_t group_put_ack(struct conn *conn, const char *key, const char *name, const struct slice *ids, size_t n);

#endif
