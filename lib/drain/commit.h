/*
 * commit: advances the positions of the checkpoint (checkpoint.h) after a batch, in memory.
 *
 * During a walk, d->skipped remembers the first line that each type skipped, per source. After a
 * batch the main positions advance to the end of the walk. A type that skipped lines becomes, or
 * stays, a lagging type.
 */
#ifndef DRAIN_COMMIT_H
#define DRAIN_COMMIT_H

#include "drain/drain_int.h"

/* Remembers that this walk does not deliver the line at pos: its type is held or was refused. */
void commit_skip(
    struct drain *d, struct slice type, bool chain, const char *stem, uint64_t pos, uint64_t limit);
/* Advances the positions after a batch. checkpoint_store makes them durable. */
void commit_positions(struct drain *d);
/* Drops the resolved types from d->old_intent once the walk has passed all that it covers. */
void commit_drop_resolved(struct drain *d);

#endif
