/*
 * trim: counts the room that a stream has for more entries, and trims entries to make room.
 *
 * A replay trims nothing that a group still has to read or acknowledge (G7, eventbus(7)). A stream
 * with groups is trimmed below the lowest ID that any of them needs, but not below maxlen entries.
 * It is full at maxlen + 100 entries: Redis trims whole nodes of 100. A stream without groups is
 * trimmed as a direct publish would trim it.
 *
 * With the policy `trim = acked` a publisher also trims only what no group needs, and maxlen-hard
 * is the length at which the stream is full. XADD then has no MAXLEN. After at most TRIM_STEP
 * events the publisher asks for the length, and trims when the stream is a tenth over maxlen. The
 * length stays below maxlen-hard (or maxlen + 100, if that is more); each further process that adds
 * at the same time may exceed this by TRIM_STEP. Without permission to ask (ACL) nothing is trimmed
 * and all entries count as needed.
 */
#ifndef DRAIN_TRIM_H
#define DRAIN_TRIM_H

#include <stdbool.h>

#include "base/bytes.h"
#include "conf/conf.h"
#include "drain/dest.h"
#include "redis/conn.h"
#include "redis/stream.h"

#define TRIM_STEP 1000 /* the most entries added before the stream is measured again */

/* Sets the limit that dest->room refers to. Returns false if the room under this limit is not
 * known: trim_ensure_room asks the server. */
bool trim_set_limit(struct dest *dest, int64_t maxlen);
/*
 * Ensures that one more entry may be added under this limit (0: none); asks the server if that is
 * not known. Stops the dest when the stream is full of needed entries (why is CONN_OK), or when the
 * server refuses for this key. All earlier commands on conn must have been answered. Returns 0, or
 * -1 with err: the connection failed, or the server refuses all commands. With trim = acked,
 * reports once in the life of the dest what is wrong.
 */
int trim_ensure_room(const struct dests *dests, struct dest *dest, struct conn *conn,
    int64_t maxlen, struct err *err);

/* For a publisher without trim = acked: measures again, and returns how many entries were trimmed
 * since that a group had not read. Reports them once in the life of the dest. Returns 0 also on
 * errors: the number is then unknown. All earlier commands on conn must have been answered. */
uint64_t trim_count_unread(const struct dests *dests, struct dest *dest, struct conn *conn);

/* Returns how many entries were trimmed from streams without groups: by this process, and by the
 * MAXLEN of its XADDs, for which it asks the server. */
uint64_t dests_count_trimmed(const struct dests *dests, struct conn *conn);

/* For a publisher with trim = acked: sets the mode, and the room from the first XINFO STREAM; info
 * is NULL if that was refused. dest->maxlen must be set before. */
void trim_begin_acked(struct dest *dest, const struct stream_info *info);
/* Returns whether this publisher should measure although there is room: the stream is well over
 * maxlen, and one of the entries that this publisher added since the last measurement was the
 * hundredth, two-hundredth, ... of the stream. So of several publishers one measures, not all. */
bool trim_is_due(const struct dest *dest);
/* Has the next trim_ensure_room measure, even if dest is stopped or has room. */
void trim_remeasure(struct dest *dest);

#endif
