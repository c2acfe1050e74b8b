/*
 * outage: the event `system.redis_recovered` that follows an outage of Redis.
 *
 * A publisher that buffers because Redis is unreachable creates the file .outage, which holds the
 * event_id. The next drain, under the replay lock, appends the event to the buffer when it is
 * complete, and removes the file. A drain that is killed between the two has the next one append
 * the event again, with the same event_id.
 *
 * The event reports what the buffer held before the drain. The drain counts the events as it
 * removes them, so that the buffer is not read twice. The file keeps the count of drains that ended
 * before the event was appended.
 */
#ifndef DRAIN_OUTAGE_H
#define DRAIN_OUTAGE_H

#include "base/uuid.h"
#include "buffer/backlog.h"
#include "buffer/buffer.h"
#include "drain/options.h"

#define OUTAGE_TYPE "system.redis_recovered"

struct outage {
	bool due; /* an event has to be appended */
	char event_id[UUID_SIZE];
	uint64_t drained_before; /* events that earlier drains of this outage removed */
	struct backlog backlog;  /* the buffer before the drain */
};

/* Creates .outage, best effort. Does nothing if it exists. */
void outage_start(struct buffer *buf);
/* Returns whether the event of an outage has to be appended, even if the buffer is empty. */
bool outage_is_due(const struct buffer *buf);
/* Reads .outage and the state of the buffer. Called under the replay lock, once Redis is connected
 * and before anything is drained. Returns 0, or -1 with err. */
int outage_load(struct outage *outage, struct buffer *buf, struct err *err);
/* Appends the event, if the configuration wants one. `drained`: how many events this drain removed
 * from the buffer. Returns 0, or -1 with err: the event stays due. */
int outage_append_event(struct outage *outage, struct buffer *buf, const struct drain_options *o,
    uint64_t drained, struct err *err);
/* Stores `drained` for the next drain if the event is still due. Best effort. */
void outage_save_count(const struct outage *outage, struct buffer *buf, uint64_t drained);
void outage_free(struct outage *outage);

#endif
