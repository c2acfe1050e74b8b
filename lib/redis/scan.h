/*
 * scan: many entries of a stream, or many keys, read page by page.
 *
 * The functions exchange: nothing may be unanswered on the connection before.
 */
#ifndef REDIS_SCAN_H
#define REDIS_SCAN_H

#include "event/id.h"
#include "redis/stream.h"

/*
 * Calls fn for each entry above `after` up to the end, oldest first, in pages of at most `page`
 * entries (fewer when they are large: pagesize.h), until fn returns non-zero (returned then). kv
 * borrows from the reply and holds only during the call. 0 at the end, -1 on failure.
 */
typedef int stream_entry_fn(void *arg, struct slice id, const struct slice *kv, size_t nkv);
int scan_entries(struct conn *conn, const char *key, struct stream_id after, size_t page,
    stream_entry_fn *fn, void *arg, enum conn_why *why, struct err *err);

/* XREVRANGE key end - COUNT count: newest first, from `end` ("+" for the last). All of them are in
 * memory at once. */
int scan_newest(struct conn *conn, const char *key, const char *end, size_t count,
    stream_entry_fn *fn, void *arg, enum conn_why *why, struct err *err);

/*
 * SCAN ... MATCH pattern TYPE stream until done or the deadline (CLOCK_MONOTONIC ms) has passed:
 * then *complete is false. Keys are fresh strings, each once, sorted; free them and the array.
 */
int scan_keys(struct conn *conn, const char *pattern, int64_t deadline, char ***keys, size_t *n,
    bool *complete, struct err *err);

#endif
