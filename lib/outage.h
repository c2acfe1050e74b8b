/*
 * outage: Redis was away and events were buffered; the one event that says so afterwards.
 *
 * Whoever buffers because Redis cannot be reached leaves the mark; whoever begins the drain, under the replay
 * lock, appends one event `system.redis_recovered` to the buffer and takes the mark away. Once per outage and buffer, also when killed in between:
 * the event's identity is made with the mark.
 */
#ifndef OUTAGE_H
#define OUTAGE_H

#include "append.h"
#include "fail.h"
#include "spool.h"

#define OUTAGE_TYPE "system.redis_recovered"

void outage_mark(struct spool *sp);	/* best effort; does nothing when there is a mark */
/*
 * Under the replay lock, with Redis reached and before anything is drained. `stats` gets the buffer's statistics when it is empty, else those in it
 * are used. 0, or -1 when the event could not be appended (no room): the mark stays, and one may try again after draining, with the same stats.
 */
int outage_over(struct spool *sp, const char *target, const struct append_limits *lim, const char *source,
    struct buf *stats, struct fail *f);

#endif
