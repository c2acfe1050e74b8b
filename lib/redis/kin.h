/*
 * kin: consumers with the name of this host that nobody has used for long, deleted.
 */
#ifndef KIN_H
#define KIN_H

#include "redis/bus.h"

/*
 * Deletes those of the group whose name is `stem` ("eb-HOST-") and a number, other than `own`, that hold nothing and were idle for `idle` ms: looked
 * at and deleted in one script, so that none is deleted with an entry that it was just given. Where that is not permitted nothing
 * happens. -1: the connection is dead.
 */
int kin_forget(struct bus *b, const char *key, const char *group, const char *stem, const char *own, int64_t idle,
    struct fail *f);

#endif
