/*
 * trimwatch: finds out whether trimming removed entries that a group had not read.
 *
 * A publisher measures the stream before its first event, every so many events, and at its end (G1,
 * eventbus(7)). Where the publisher itself trims only what no group needs (trim.h), it finds out
 * whether other clients trimmed more.
 */
#ifndef DRAIN_TRIMWATCH_H
#define DRAIN_TRIMWATCH_H

#include "base/bytes.h"
#include "redis/conn.h"
#include "redis/stream.h"

struct trimwatch {
	struct stream_info before;
	uint64_t added; /* by this process, since then */
	bool warned;    /* the message was written */
};

/*
 * Measures again. Returns how many entries are gone that a group had not read, and appends a
 * message to `words` (once in the life of the watch). Returns 0 also on errors: the number is then
 * unknown. All earlier commands on conn must have been answered.
 */
uint64_t trimwatch_count_unread(struct trimwatch *watch, struct conn *conn, const char *key,
    int64_t maxlen, struct bytes *words);
/*
 * Does the same with a measurement that the caller made, to find entries that other clients
 * trimmed. watch->before must leave out the entries that the caller trimmed. The measurement
 * becomes watch->before.
 */
uint64_t trimwatch_check_others(struct trimwatch *watch, const char *key,
    const struct stream_info *now, const struct stream_group *groups, size_t n,
    struct bytes *words);

#endif
