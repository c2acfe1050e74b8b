/*
 * outage: Redis was away and events were buffered; the one event that says so afterwards.
 *
 * Whoever buffers because Redis cannot be reached leaves the mark; whoever drains, under the replay
 * lock, appends one event `system.redis_recovered` to the buffer and takes the mark away. Once per
 * outage and buffer, also when killed in between: the event's identity is made with the mark.
 *
 * It tells what the buffer held before the drain. The events are counted by draining them, not by
 * reading all that is there twice: so it is appended when the drain is through.
 */
#ifndef DRAIN_OUTAGE_H
#define DRAIN_OUTAGE_H

#include "base/err.h"
#include "buffer/append.h"
#include "buffer/backlog.h"
#include "buffer/buffer.h"

#define OUTAGE_TYPE "system.redis_recovered"

struct outage {
	bool due;
	bool again; /* the event may be in the buffer */
	/* of its events: went with runs that ended before it could be told */
	uint64_t before;
	struct backlog was; /* before the drain */
};

void outage_start(struct buffer *buf); /* best effort; does nothing when there is a mark */
/* one is to be ended, also when there is nothing else to drain */
bool outage_is_due(const struct buffer *buf);
/*
 * Under the replay lock, with Redis reached and before anything is drained: looks whether an outage
 * is to be ended, and at the buffer. 1 when the event of a run that was killed may be in the
 * buffer: outage_append_event has to be called at once, before it is drained away, and then this
 * again. 0 or -1.
 */
int outage_load(struct outage *o, struct buffer *buf, struct err *err);
/*
 * Does nothing when none is due. `drained`: how many of the events in the buffer this run has taken
 * out of it. 1 when the event cannot be appended (no room) and stays due; -1 when it cannot be
 * known whether it was appended before: nothing may be drained then.
 */
int outage_append_event(struct outage *o, struct buffer *buf, uint64_t drained, const char *target,
    const struct append_limits *lim, const char *source, struct err *err);
/* The run ends with it still due: remembers, as well as it can, what was drained. */
void outage_save_count(const struct outage *o, struct buffer *buf, uint64_t drained);
void outage_free(struct outage *o);

#endif
