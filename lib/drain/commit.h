/*
 * commit: advances the positions of the checkpoint (checkpoint.h) after a batch, in memory.
 *
 * The common positions are checkpoint.positions, one per source: all lines before them are
 * delivered, except those of lagging types.
 *
 * During a walk, d->skipped remembers the first line that each type skipped, per source. After a
 * batch the common positions advance to the end of the last line that was read. A type that skipped
 * lines becomes, or stays, a lagging type.
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
