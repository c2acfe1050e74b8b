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
	struct stream_id entry; /* the ID of that entry */
};

/* Returns whether the entry already resolved another line. */
typedef bool indoubt_matched_fn(void *arg, struct stream_id entry);
/* Fills in `found` of each line. Entries for which is_matched returns true resolve nothing.
 * Sets *possible_duplicates to how many lines were not found although they may have been added (the
 * stream was trimmed, entries were deleted, or reading is not permitted); the caller adds them,
 * perhaps a second time. Returns 0, or -1 with err: the connection is dead (conn_why), or the
 * server refuses all commands.
 */
int indoubt_resolve(struct conn *conn, const char *key, indoubt_matched_fn *is_matched, void *arg,
    struct indoubt_line *lines, size_t n, uint64_t *possible_duplicates, struct err *err);

#endif
