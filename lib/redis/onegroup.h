/*
 * onegroup: one group of one stream: found, moved, destroyed.
 */
#ifndef ONEGROUP_H
#define ONEGROUP_H

#include "event/point.h"
#include "redis/stream.h"

struct onegroup {
	const char *type;		/* the caller's */
	char *key, *name;
	bool known;			/* info is */
	struct stream_group info;
};

/* Of that name, or, when it is NULL, that of the service. */
void onegroup_init(struct onegroup *g, const char *prefix, const char *service, const char *name, const char *type);
void onegroup_free(struct onegroup *g);

/* -1: there is none, said with what shows those that there are. Who may not ask (no permission, no such command) finds out from what follows: 0, info not known. */
int onegroup_find(struct onegroup *g, struct bus *b, struct fail *f);

/* Whether it is still as g has it, or, when that is not known, whatever it is. -1: somebody reads through it, or it is gone; said. */
int onegroup_same(const struct onegroup *g, struct bus *b, struct fail *f);

/*
 * What XGROUP SETID takes for a place. An ID is the last that the group was given, as Redis means it and as it is shown; whatever covers
 * more than one ID (a millisecond, a time, so long ago) is where the group goes on.
 */
void onegroup_target(const struct point *p, char out[STREAM_ID_SIZE]);
/* The same for people, to whom the highest ID of a millisecond says little: the target, or "before " and where the group goes on. */
#define ONEGROUP_WORDS (STREAM_ID_SIZE + 8)
void onegroup_words(const struct point *p, char out[ONEGROUP_WORDS]);
/* The first ID behind; "" when there is none, or one may not look. -1: the connection is dead. */
int onegroup_next(const struct onegroup *g, struct bus *b, const char *target, char out[STREAM_ID_SIZE], struct fail *f);
int onegroup_set(const struct onegroup *g, struct bus *b, const char *target, struct fail *f);
int onegroup_destroy(const struct onegroup *g, struct bus *b, struct fail *f);

#endif
