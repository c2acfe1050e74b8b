/*
 * trimwatch: did our own trimming push out entries that nobody had read?
 *
 * A publisher looks at the stream before its first event and again at its end and every so many
 * events (contract, G1). Where it trims nothing that is needed (trim.h), the question is whether
 * others did.
 */
#ifndef DRAIN_TRIMWATCH_H
#define DRAIN_TRIMWATCH_H

#include "base/bytes.h"
#include "redis/conn.h"
#include "redis/stream.h"

struct trimwatch {
	struct stream_info before;
	uint64_t added; /* by us, since then */
	bool warned;
};

/*
 * Looks again. When entries are gone that a group had not read, appends to `words` one line for
 * people (once in the life of the watch) and returns how many, else 0. Errors are no failure: then
 * it cannot be known. Nothing may be unanswered on the bus.
 */
uint64_t trimwatch_check(
    struct trimwatch *w, struct conn *conn, const char *key, int64_t maxlen, struct bytes *words);
/*
 * The same of a look that was taken already, about those who trim otherwise: entries that a group
 * had not read are gone since the last one, and w->before leaves out what we took away ourselves.
 * The look becomes w->before.
 */
uint64_t trimwatch_check_others(struct trimwatch *w, const char *key, const struct stream_info *now,
    const struct stream_group *g, size_t n, struct bytes *words);

#endif
