/*
 * onegroup: one group of one stream: found, moved, destroyed.
 */
#ifndef REDIS_ONEGROUP_H
#define REDIS_ONEGROUP_H

#include "event/id.h"
#include "redis/stream.h"

struct group_choice {
	const char *type;		/* the caller's */
	char *key, *name;
	bool known;			/* info is */
	struct stream_group info;
};

/* Of that name, or, when it is NULL, that of the service. */
void onegroup_init(struct group_choice *g, const char *prefix, const char *service, const char *name, const char *type);
void onegroup_free(struct group_choice *g);

/* -1: there is none, said with what shows those that there are. Who may not ask (no permission, no such command) finds out from what follows: 0, info not known. */
int onegroup_find(struct group_choice *g, struct conn *conn, struct err *err);

/* Whether it is still as g has it, or, when that is not known, whatever it is. -1: somebody reads through it, or it is gone; said. */
int onegroup_same(const struct group_choice *g, struct conn *conn, struct err *err);

/*
 * What XGROUP SETID takes for a place. An ID is the last that the group was given, as Redis means it and as it is shown; whatever covers
 * more than one ID (a millisecond, a time, so long ago) is where the group goes on.
 */
void onegroup_target(const struct id_place *p, char out[ID_SIZE]);
/* The same for people, to whom the highest ID of a millisecond says little: the target, or "before " and where the group goes on. */
#define ONEGROUP_WORDS (ID_SIZE + 8)
void onegroup_words(const struct id_place *p, char out[ONEGROUP_WORDS]);
/* The first ID behind; "" when there is none, or one may not look. -1: the connection is dead. */
int onegroup_next(const struct group_choice *g, struct conn *conn, const char *target, char out[ID_SIZE], struct err *err);
int group_set_id(const struct group_choice *g, struct conn *conn, const char *target, struct err *err);
int group_destroy(const struct group_choice *g, struct conn *conn, struct err *err);

#endif
