/*
 * load: the next batch of a drain, read from the walk.
 *
 * Left out are lines that are delivered, of types that cannot go on, and bad ones, which go into quarantine.
 */
#ifndef DRAIN_LOAD_H
#define DRAIN_LOAD_H

#include "drain/drain_int.h"

/*
 * Reads lines into d->batch until it has `most`. 1: more would fit, 0: not; *end: the walk has come to its end. -1: the connection is dead, the
 * server refuses, or the disk failed. Once some of the batch are on their way only such lines join them as need no question and are recorded
 * as what may be sent.
 */
int batch_load(struct drain *d, size_t most, bool *end, struct err *err);
/* How many lines a batch may have just now. */
size_t batch_measure_room(const struct drain *d);
/* The lane of a type; stopped from the beginning when the type is held and not to be tried in this run. */
struct dest *batch_dest(struct drain *d, struct slice type);

#endif
