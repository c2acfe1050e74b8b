/*
 * indoubt: looks in a stream for events whose XADD got no reply.
 *
 * The caller first fences the connection that may still execute the XADD (fence_conn): without that
 * a look-up proves nothing. All entries above the lowest bound are then read once per stream. An
 * entry resolves one line that is equal to it in every field: an event_id alone may have been given
 * twice on purpose.
 */
#ifndef DRAIN_INDOUBT_H
#define DRAIN_INDOUBT_H

#include <stdbool.h>

#include "event/event.h"
#include "event/id.h"
#include "redis/conn.h"
#include "redis/stream.h"

struct indoubt_line {
	const struct event *e;
	struct stream_id after; /* its entry, if there is one, has a higher ID */
	bool found;
};

/*
 * Sets `found` of each line; sorts the array. Sets *possible_duplicates to how many lines were not
 * found although they may have been added (the stream was trimmed, entries were deleted, or reading
 * is not permitted); the caller adds them, perhaps a second time. Returns 0, or -1 with err: the
 * connection is dead (conn_why), or the server refuses all commands.
 *
 * Of equal events that are looked up together each has its own entry. One that was looked up by an
 * earlier call, with the same event_id and the same bytes, is taken for the same event.
 */
int indoubt_resolve(struct conn *conn, const char *key, struct indoubt_line **lines, size_t n,
    uint64_t *possible_duplicates, struct err *err);

#endif
