/*
 * range: the part of a stream that ebsub --peek shows, as the user gave it and as IDs of one
 * stream.
 */
#ifndef REDIS_RANGE_H
#define REDIS_RANGE_H

#include "event/id.h"
#include "redis/conn.h"

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

/* Finds the range in one stream; for `last` it reads entries backwards in small pages. Returns -1
 * with err. */
int range_resolve(struct conn *conn, const char *key, const struct range *range,
    struct range_bounds *bounds, struct err *err);

#endif
