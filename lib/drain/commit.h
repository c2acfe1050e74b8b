/*
 * commit: what a walk through the buffer does to the marks (checkpoint.h).
 *
 * While it walks, the first line that each type leaves behind is remembered per source; after each
 * batch the main marks move to where the walk is, and a type that left lines behind becomes, or
 * stays, late.
 */
#ifndef DRAIN_COMMIT_H
#define DRAIN_COMMIT_H

#include "drain/drain_int.h"

/* A line that is not delivered in this walk: held, or refused. */
void commit_skip(
    struct drain *d, struct slice type, bool chain, const char *stem, uint64_t pos, uint64_t limit);
/* After a batch: in memory, see checkpoint_store. */
void commit_positions(struct drain *d);
/* Drops what has been settled from the intent of the run that was cut off, once the walk is past
 * it. */
void commit_drop_resolved(struct drain *d);

#endif
