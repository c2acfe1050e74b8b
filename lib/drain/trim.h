/*
 * trim: how much room a stream has for more entries, and what makes room.
 *
 * A replay pushes nothing out that a group still has to read or acknowledge (contract, G7): a
 * stream with groups is trimmed below the lowest ID that any of them needs, no deeper than maxlen,
 * and is full with maxlen entries and a node of them (100). A stream without groups is trimmed as a
 * direct publish would.
 *
 * Where the policy of a type is `trim = acked`, a publisher does the same, and maxlen-hard says
 * when the stream is full. XADD goes without MAXLEN then; every so many events, at most TRIM_STEP,
 * one looks, and trims when the stream is a tenth over maxlen. So what stands in the stream stays
 * below maxlen-hard (or maxlen and a node, where that is more), and so many for each further
 * process that adds at the same time. Who may not look (ACL) trims nothing, and counts all entries
 * as needed.
 */
#ifndef DRAIN_TRIM_H
#define DRAIN_TRIM_H

#include <stdbool.h>

#include "base/bytes.h"
#include "conf/conf.h"
#include "drain/dest.h"
#include "redis/conn.h"
#include "redis/stream.h"

#define TRIM_STEP \
	1000 /* entries that are added at a time, at most, before the stream is looked at again */

/* The policy of its type; before the lane is opened. */
void trim_set_policy(struct dest *dest, const struct conf *c);

/* Makes `maxlen` the limit that room is counted against, where that needs no question. 1, or 0:
 * trim_ensure_room has to measure. */
int trim_set_limit(struct dest *dest, int64_t maxlen);
/*
 * Makes sure that one more entry may be added under this limit (0: none), asking the server when
 * that is not known. Stops the lane when the stream is full of needed entries (why is CONN_OK),
 * or the server refuses for this key. Nothing may be unanswered. -1: the connection is dead, or a
 * refusal that concerns the server (conn_why, f). With trim = acked, `words` gets what people have
 * to know, as a line without a newline, once in the life of the lane.
 */
int trim_ensure_room(struct dest *dest, struct conn *conn, int64_t maxlen, bool force,
    struct bytes *words, struct err *err);

/* With trim = acked, for a publisher: what the first look showed, its maxlen set; NULL: it was
 * refused. */
void trim_set_length(struct dest *dest, const struct stream_info *info);
/* Whether it is this publisher's turn to look, though there is room: the stream is well over its
 * maxlen. One of a hundred entries that are added makes it so. */
bool trim_is_due(const struct dest *dest);
/* A lane that was stopped, or has room, is measured by the next trim_ensure_room. */
void trim_remeasure(struct dest *dest);

#endif
