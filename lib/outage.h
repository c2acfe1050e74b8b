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
/* Under the replay lock, with Redis reached and before anything is drained. 0, or -1 when the event could not be appended: the mark stays. */
int outage_over(struct spool *sp, const char *target, const struct append_limits *lim, const char *source, struct fail *f);

#endif
