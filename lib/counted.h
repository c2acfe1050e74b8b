/*
 * counted: how many lines a closed segment of the chain has, remembered from one look to the next.
 *
 * A closed segment never changes: nobody appends to a segment that has a successor, and its name does not come again. So a look at a
 * full buffer reads only what came since the last one. What is remembered is a cache, in $XDG_CACHE_HOME/eventbus or
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
/* true: the segment has so many lines, and `first` is the first one's buffered_at in us, 0 for none. */
bool counted_find(struct counted *c, const struct segment *s, uint64_t *lines, int64_t *first);
void counted_add(struct counted *c, const struct segment *s, uint64_t lines, int64_t first);

#endif
