/*
 * move: what a walk through the buffer does to the marks (progress.h).
 *
 * While it walks, the first line that each type leaves behind is remembered per source; after each batch the main marks
 * move to where the walk is, and a type that left lines behind becomes, or stays, late.
 */
#ifndef MOVE_H
#define MOVE_H

#include "drain/run.h"

/* The mark of a source, or NULL when it has none. */
struct mark *move_mark(struct marks *m, bool chain, const char *stem);
/* A line that is not delivered in this walk: held, or refused. */
void move_leave(struct run *d, struct slice type, bool chain, const char *stem, uint64_t pos, uint64_t limit);
/* After a batch: in memory, see progress_store. */
void move_marks(struct run *d);
/* Drops what has been settled from the intent of the run that was cut off, once the walk is past it. */
void move_forget_old(struct run *d);

#endif
