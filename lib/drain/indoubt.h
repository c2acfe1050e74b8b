/*
 * indoubt: was it added or not? Looks in the stream for events whose XADD was not answered.
 *
 * Before anything is looked up, the connection that may still execute it is fenced (fence_conn), or
 * the answer would mean nothing. Then everything above the bound is read once per stream. An entry
 * settles one line that is equal to it in every field: an event_id alone may have been given twice
 * on purpose.
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
	struct stream_id after; /* its entry, if there is one, stands above this */
	bool found;
	struct stream_id entry; /* then: which it is */
};

/*
 * Fills in `found` for each. *unsure: how many were not found though they may have been there
 * (trimmed, deleted, or reading is not permitted): they will be added, perhaps a second time.
 * Entries that account for other lines (is_spent) settle nothing. -1: the connection is dead or the
 * server refuses (conn_why, f).
 */
typedef bool indoubt_spent_fn(void *arg, struct stream_id entry);
int indoubt_resolve(struct conn *conn, const char *key, indoubt_spent_fn *is_spent, void *arg,
    struct indoubt_line *lines, size_t n, uint64_t *unsure, struct err *err);

#endif
