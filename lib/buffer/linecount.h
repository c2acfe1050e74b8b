/*
 * linecount: how many lines the segments of the chain have, remembered from one look to the next.
 *
 * A closed segment never changes: nobody appends to a segment that has a successor, and its name
 * does not come again. In the last one, nothing changes before the size that its writers have noted
 * (struct buffer_hints). So a look at a full buffer reads only what came since the last one. What
 * is remembered is a cache, in $XDG_CACHE_HOME/eventbus or
 * ~/.cache/eventbus, one file a buffer: no failure is one, and no durability is needed.
 */
#ifndef BUFFER_LINECOUNT_H
#define BUFFER_LINECOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "buffer/buffer.h"
#include "buffer/checkpoint.h"
#include "buffer/segment.h"
#include "buffer/walk.h"

struct linecount {
	uint64_t end;   /* of the first bytes of a segment */
	uint64_t lines; /* in these, blank ones not counted */
	int64_t first;  /* the first one's buffered_at, us; 0 for none */
};

/*
 * The undelivered lines of the chain, from a list of all segments. false: they have to be walked,
 * because there is more than the chain, or a type is late, or something changed meanwhile or is
 * damaged.
 */
bool linecount_chain(struct buffer *buf, const struct checkpoint *p, const struct segment *list,
    size_t n, walk_stamp_fn *stamp, struct linecount *sum);

#endif
