/*
 * look: which part of a stream is looked at, and where that begins.
 */
#ifndef LOOK_H
#define LOOK_H

#include "bus.h"
#include "point.h"

struct look {
	struct point from;
	int64_t last;			/* only the newest so many; -1 all */
	bool has_to;			/* up to and with `to` */
	struct stream_id to;
};

/*
 * *after: the ID behind which the part begins, fixed once, so that no later read skips or repeats anything. Entries are gone
 * over backwards to find the last so many, in small pages. -1: *why and f.
 */
int look_start(struct bus *b, const char *key, const struct look *l, struct stream_id *after, bool *exists,
    enum bus_why *why, struct fail *f);

#endif
