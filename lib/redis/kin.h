/*
 * kin: consumers with the name of this host that nobody has used for long, deleted.
 */
#ifndef REDIS_KIN_H
#define REDIS_KIN_H

#include "redis/conn.h"

/*
 * Deletes those of the group whose name is `stem` ("eb-HOST-") and a number, other than `own`, that hold nothing and were idle for `idle` ms: looked
 * at and deleted in one script, so that none is deleted with an entry that it was just given. Where that is not permitted nothing
 * happens. -1: the connection is dead.
 */
int retire_forget_idle(struct conn *conn, const char *key, const char *group, const char *stem, const char *own, int64_t idle,
    struct err *err);

#endif
