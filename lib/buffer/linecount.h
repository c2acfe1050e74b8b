/*
 * linecount: counts the lines of the chain's segments, and caches the counts between runs.
 *
 * A closed segment never changes: no process appends to a segment that has a successor, and its
 * name is not used again. In the last one nothing changes before the size that its writers have
 * noted (buffer_read_hints). So a count of a full buffer reads only what was appended since the
 * last count. The cache is a file for each buffer in $XDG_CACHE_HOME/eventbus or ~/.cache/eventbus;
 * a failure to read or write it is ignored, and it needs no durability.
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
	uint64_t end;   /* the counted bytes of a segment are those before end */
	uint64_t lines; /* without blank ones */
	int64_t first;  /* buffered_at of the first line, us; 0: none */
};

/*
 * Counts the undelivered lines of the chain, from a list of all segments. false: the caller must
 * walk them, because there are adopted files or a publisher's own segments, or a type is lagging,
 * or a segment changed meanwhile or is damaged.
 */
bool linecount_chain(struct buffer *buf, const struct checkpoint *p, const struct segment *list,
    size_t n, walk_stamp_fn *stamp, struct linecount *sum);

#endif
