/*
 * counted: how many lines the segments of the chain have, remembered from one look to the next.
 *
 * A closed segment never changes: nobody appends to a segment that has a successor, and its name does not come again. In the last
 * one, nothing changes before the size that its writers have noted (struct notebook). So a look at a full buffer reads only what came
 * since the last one. What is remembered is a cache, in $XDG_CACHE_HOME/eventbus or
 * ~/.cache/eventbus, one file a buffer: no failure is one, and no durability is needed.
 */
#ifndef COUNTED_H
#define COUNTED_H

#include <stdbool.h>
#include <stdint.h>

#include "segment.h"
#include "spool.h"

struct counted;

/* Never NULL; empty when nothing is remembered. */
struct counted *counted_open(const struct spool *sp);
/* Writes what was added, and frees. What was not asked for is forgotten. */
void counted_close(struct counted *c);

struct counted_part {
	uint64_t end;		/* of its first bytes: all of them, when it is closed */
	uint64_t lines;		/* in these, blank ones not counted */
	int64_t first;		/* the first one's buffered_at, us; 0 for none */
};
/* Zeroed when nothing is remembered. */
struct counted_part counted_find(struct counted *c, const struct segment *s, bool closed);
void counted_add(struct counted *c, const struct segment *s, bool closed, const struct counted_part *part);

#endif
