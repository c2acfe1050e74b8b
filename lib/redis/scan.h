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

struct scan {
	const char *key;
	bool newest_first;     /* XREVRANGE, else XRANGE */
	struct stream_id from; /* entries above it, or newest first: it and those below */
	uint64_t limit;        /* entries at most; 0: all */
	size_t page; /* of one reply, fewer when they are large (pagesize.h); 0: PAGESIZE_MOST */
};
/* Calls fn for each entry, in pages. Returns 0 at the stream's end. */
int scan_entries(
    struct conn *conn, const struct scan *scan, stream_entry_fn *fn, void *arg, struct err *err);

/* Keys, sorted, each once. */
struct key_list {
	char **p;
	size_t n, cap;
	bool complete;
};
/* SCAN ... MATCH pattern TYPE stream, until all keys are known or the deadline (CLOCK_MONOTONIC,
 * ms) has passed: then `complete` is false. Free with key_list_free; empty after a failure. */
int scan_keys(struct conn *conn, const char *pattern, int64_t deadline, struct key_list *list,
    struct err *err);
void key_list_free(struct key_list *list);

#endif
