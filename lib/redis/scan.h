/*
 * scan: reads many entries of a stream, or many keys, page by page.
 *
 * The functions need a connection without unanswered commands, and return -1 with err on
 * failure.
 */
#ifndef REDIS_SCAN_H
#define REDIS_SCAN_H

#include "event/id.h"
#include "redis/stream.h"

/* Receives an entry; kv is valid during the call only. A value other than 0 ends the scan, which
 * returns it. */
typedef int stream_entry_fn(void *arg, struct slice id, const struct slice *kv, size_t nkv);
/* XRANGE: calls fn for each entry above `after`, oldest first, in pages of at most `page` entries
 * (fewer when they are large: pagesize.h). Returns 0 at the stream's end. */
int scan_entries(struct conn *conn, const char *key, struct stream_id after, size_t page,
    stream_entry_fn *fn, void *arg, struct err *err);

/* XREVRANGE key end - COUNT count: newest first, from `end` ("+" for the last entry). The reply
 * holds all of them in memory. */
int scan_newest(struct conn *conn, const char *key, const char *end, size_t count,
    stream_entry_fn *fn, void *arg, struct err *err);

/*
 * SCAN ... MATCH pattern TYPE stream, until all keys are known or the deadline (CLOCK_MONOTONIC,
 * ms) has passed; then *complete is false. The keys are sorted, each stands there once, and the
 * caller frees them and the array.
 */
int scan_keys(struct conn *conn, const char *pattern, int64_t deadline, char ***keys, size_t *n,
    bool *complete, struct err *err);

#endif
