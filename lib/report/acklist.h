/*
 * acklist: acknowledges entries by ID, or only looks them up, ACKLIST_BATCH per round trip.
 *
 * Sends one XACK per entry, so that the caller learns of each whether it was pending.
 */
#ifndef REPORT_ACKLIST_H
#define REPORT_ACKLIST_H

#include "event/id.h"
#include "redis/pending.h"

#define ACKLIST_BATCH 256

/* p: the pending entry, when it was looked up and is pending; else NULL. */
typedef void acklist_fn(void *arg, struct stream_id id, bool was_pending, const struct pending *p);

/* text: a message that names a line that is not an entry ID. */
typedef void acklist_bad_fn(void *arg, const char *text);

struct acklist {
	struct conn *conn;
	const char *key, *group;
	bool lookup;    /* XPENDING instead of XACK */
	acklist_fn *fn; /* may be NULL */
	void *arg;
	uint64_t pending, not_pending; /* replies so far */
	/* sent, no reply before the connection died: may be acknowledged */
	uint64_t in_doubt;
	struct stream_id ids[ACKLIST_BATCH];
	size_t n; /* IDs not sent yet */
};

/* Sends the command-line arguments, ACKLIST_BATCH at a time, and reads the replies. Returns -1 with
 * status 64 when one is not an ID; nothing was sent then. */
int acklist_add_args(struct acklist *a, char *const *ids, size_t n, struct err *err);
/*
 * Reads a descriptor to its end, one ID per line; ignores white space and empty lines. Calls bad
 * with a->arg for a line that is not an ID, and goes on. Sends what has been read before it waits
 * for more.
 */
int acklist_add_from_lines(struct acklist *a, int fd, acklist_bad_fn *bad, struct err *err);

#endif
