/*
 * look: which part of a stream is looked at, and where that begins.
 */
#ifndef LOOK_H
#define LOOK_H

#include "redis/bus.h"
#include "event/point.h"

struct look {
	struct point from;
	int64_t last;			/* only the newest so many; -1 all */
	bool has_to;			/* up to and with `to` */
	struct stream_id to;
	bool follow;			/* no end: what comes belongs to it */
};

/* Where that is in one stream, fixed once, so that no later read skips or repeats anything, and none goes on for as long as somebody publishes. */
struct look_part {
	bool exists;			/* the stream */
	struct stream_id after;		/* the ID behind which it begins */
	bool has_to;
	struct stream_id to;		/* the last ID that belongs to it */
};

/* Up to what somebody typed (point_parse). "$" is the end of every look that does not follow. 0, or -1 with status 64. */
int look_to(struct look *l, const char *option, const char *arg, struct fail *f);

/* Entries are gone over backwards to find the last so many, in small pages. -1: *why and f. */
int look_find(struct bus *b, const char *key, const struct look *l, struct look_part *part, enum bus_why *why, struct fail *f);

#endif
