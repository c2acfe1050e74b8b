/*
 * range: which part of a stream is looked at, and where that begins.
 */
#ifndef REDIS_RANGE_H
#define REDIS_RANGE_H

#include "event/id.h"
#include "redis/conn.h"

struct range {
	struct id_place from;
	int64_t last; /* only the newest so many; -1 all */
	bool has_to;  /* up to and with `to` */
	struct stream_id to;
	bool follow; /* no end: what comes belongs to it */
};

/* Where that is in one stream, fixed once, so that no later read skips or repeats anything, and
 * none goes on for as long as somebody publishes. */
struct range_bounds {
	bool exists;            /* the stream */
	struct stream_id after; /* the ID behind which it begins */
	bool has_to;
	struct stream_id to; /* the last ID that belongs to it */
};

/* Up to what somebody typed (id_parse_place). "$" is the end of every look that does not follow. 0,
 * or -1 with status 64. */
int range_set_to(struct range *l, const char *option, const char *arg, struct err *err);

/* Entries are gone over backwards to find the last so many, in small pages. -1: *why and f. */
int range_resolve(struct conn *conn, const char *key, const struct range *l,
    struct range_bounds *part, enum conn_why *why, struct err *err);

#endif
