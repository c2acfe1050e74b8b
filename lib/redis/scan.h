/*
 * scan: reads many entries of a stream, or many keys, page by page; chooses the size of pages; and
 * finds the part of a stream that a user asks for.
 *
 * The functions that take a connection need one without unanswered commands, and return -1 with err
 * on failure.
 */
#ifndef REDIS_SCAN_H
#define REDIS_SCAN_H

#include "redis/stream.h"

/*
 * How many entries to ask for, so that a reply stays small whatever the size of the entries. The
 * first page is small, since the size of entries is unknown: one may have hundreds of MiB. The
 * choice assumes that the next entries are like the last ones. A caller that must not hold a larger
 * reply limits it (conn_limit_reply), which ends the connection, and starts again with one entry.
 */
#define PAGESIZE_MOST 500 /* entries of one page */
#define PAGESIZE_FIRST 4
#define PAGESIZE_REPLY_MAX (32 << 20) /* limit for a reply of more than one entry */

struct pagesize {
	size_t count; /* entries to ask for next */
	size_t most;  /* its upper limit */
};

/* Returns a size with count = first; most 0: PAGESIZE_MOST. */
struct pagesize pagesize_start(size_t first, size_t most);
/* Adapts count to a reply of `got` entries: four times as many after a full page, but never more
 * than would fit 512 KiB if all were as large. */
void pagesize_learn(struct pagesize *p, size_t got, size_t bytes);

struct scan {
	const char *key;
	bool newest_first;     /* XREVRANGE, else XRANGE */
	struct stream_id from; /* entries above it, or newest first: it and those below */
	uint64_t limit;        /* entries at most; 0: all */
	size_t page;           /* of one reply, fewer when they are large; 0: PAGESIZE_MOST */
};
/* Calls fn for each entry, in pages. Returns 0 at the stream's end. */
int scan_entries(
    struct conn *conn, const struct scan *scan, stream_entry_fn *fn, void *arg, struct err *err);

/* Keys, sorted, each once. */
struct key_list {
	char **p;
	size_t n;
	bool complete;
};
/* SCAN ... MATCH pattern TYPE stream, until all keys are known or the deadline (CLOCK_MONOTONIC,
 * ms) has passed: then `complete` is false. Free with key_list_free; empty after a failure. */
int scan_keys(struct conn *conn, const char *pattern, int64_t deadline, struct key_list *list,
    struct err *err);
void key_list_free(struct key_list *list);

/* --- the part of a stream that ebsub --peek or ebdead shows --- */

/* As the user gave it, for any stream. */
struct range {
	struct id_place from;
	int64_t last; /* how many of the newest entries; -1: all */
	bool has_to;  /* up to `to`, inclusive */
	struct stream_id to;
	bool follow; /* no end: new entries belong to it */
};

/* In one stream. It is resolved once, so that later reads neither skip nor repeat an entry, and end
 * although new entries arrive. */
struct range_bounds {
	bool exists;            /* the stream does */
	struct stream_id after; /* the range begins after this ID */
	bool has_to;
	struct stream_id to; /* the last ID in the range */
};

/* Sets `to` from the argument of an option (id_parse_place). "$" sets no limit: a range that does
 * not follow ends there anyway. Returns -1 with status 64. */
int range_set_to(struct range *range, const char *option, const char *arg, struct err *err);

/* Finds the range in one stream; for `last` it reads entries backwards in small pages. */
int range_resolve(struct conn *conn, const char *key, const struct range *range,
    struct range_bounds *bounds, struct err *err);

#endif
