/*
 * outage: the event `system.redis_recovered` that follows an outage of Redis.
 *
 * A publisher that buffers because Redis is unreachable creates the file .outage. The next drain,
 * under the replay lock, appends one event to the buffer and removes the file. There is one event
 * per outage and buffer, even across kills: its event_id is created with the file.
 *
 * The event reports what the buffer held before the drain. The drain counts the events as it
 * removes them, so that the buffer is not read twice. The event is therefore appended when the
 * drain is complete.
 */
#ifndef DRAIN_OUTAGE_H
#define DRAIN_OUTAGE_H

#include "base/err.h"
#include "buffer/append.h"
#include "buffer/backlog.h"
#include "buffer/buffer.h"

#define OUTAGE_TYPE "system.redis_recovered"

struct outage {
	bool due;            /* an event has to be appended */
	bool maybe_appended; /* an earlier run may have appended it */
	/* events of this outage that earlier runs removed from the buffer */
	uint64_t drained_before;
	struct backlog backlog; /* the buffer before the drain */
};

/* Creates .outage, best effort. Does nothing if it exists. */
void outage_start(struct buffer *buf);
/* Returns whether the event of an outage has to be appended, even if the buffer is empty. */
bool outage_is_due(const struct buffer *buf);
/*
 * Reads the outage's file and the state of the buffer. Called under the replay lock, once Redis is
 * connected and before anything is drained. Returns 1 when a run that was killed may have appended
 * the event: call outage_append_event before draining, then this again. Returns 0, or -1 with err.
 */
int outage_load(struct outage *outage, struct buffer *buf, struct err *err);
/*
 * Appends the event if one is due. `drained`: how many events this run removed from the buffer.
 * Returns 0; 1 when the event cannot be appended (no room) and stays due; -1 when it cannot be
 * known whether an earlier run appended it: nothing may be drained then.
 */
int outage_append_event(struct outage *outage, struct buffer *buf, uint64_t drained,
    const char *target, const struct append_limits *lim, const char *source, struct err *err);
/* Stores `drained` for the next run if the event is still due. Best effort. */
void outage_save_count(const struct outage *outage, struct buffer *buf, uint64_t drained);
void outage_free(struct outage *outage);

#endif
