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
#include "redis/stream.h"

struct trimwatch {
	struct stream_info before;
	uint64_t added; /* by this process, since then */
	bool warned;    /* the message was written */
};

/*
 * Compares with a measurement of now. Returns how many entries are gone that a group had not read,
 * and appends a message to `words`, once in the life of the watch: trimming to maxlen removed them,
 * or with maxlen -1 another client did. The measurement becomes watch->before, which must leave out
 * the entries that the caller trimmed itself.
 */
uint64_t trimwatch_check(struct trimwatch *watch, const char *key, int64_t maxlen,
    const struct stream_info *now, const struct stream_group *groups, struct bytes *words);

#endif
