/*
 * load: the next batch of a drain, read from the walk.
 *
 * Left out are lines that are delivered, of types that cannot go on, and bad ones, which go into quarantine.
 */
#ifndef LOAD_H
#define LOAD_H

#include "drain/run.h"

/*
 * Reads lines into d->batch until it has `most`. 1: more would fit, 0: not; *end: the walk has come to its end. -1: the connection is dead, the
 * server refuses, or the disk failed. Once some of the batch are on their way only such lines join them as need no question and are recorded
 * as what may be sent.
 */
int load_batch(struct run *d, size_t most, bool *end, struct fail *f);
/* How many lines a batch may have just now. */
size_t load_room(const struct run *d);
/* The lane of a type; stopped from the beginning when the type is held and not to be tried in this run. */
struct lane *load_lane(struct run *d, struct slice type);

#endif
