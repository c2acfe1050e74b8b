/*
 * acklist: entries acknowledged by their IDs, or only looked up, many in one round trip.
 *
 * Unlike one XACK of many it tells for each whether it was pending.
 */
#ifndef REPORT_ACKLIST_H
#define REPORT_ACKLIST_H

#include "event/id.h"
#include "redis/pending.h"

#define ACKLIST_BATCH 256

/* p: of one that was looked up and is pending, else NULL. */
typedef void acklist_fn(void *arg, struct stream_id id, bool was_pending, const struct pending *p);

typedef void acklist_bad_fn(void *arg, const char *text);

struct acklist {
	struct conn *conn;
	const char *key, *group;
	bool lookup;    /* XPENDING instead of XACK */
	acklist_fn *fn; /* may be NULL */
	void *arg;
	uint64_t pending, not_pending; /* so far */
	/* sent, and the connection died before the answer: acknowledged or not */
	uint64_t in_doubt;
	struct stream_id ids[ACKLIST_BATCH];
	size_t n; /* of them, not sent yet */
};

/* Sends when there are ACKLIST_BATCH. 0 or -1. */
int acklist_add(struct acklist *a, struct stream_id id, struct err *err);
/* Sends what was added. */
int acklist_flush(struct acklist *a, struct err *err);
/* Those that somebody typed, and flushes. -1 with status 64: one is no ID, nothing was done. */
int acklist_add_args(struct acklist *a, char *const *ids, size_t n, struct err *err);
/*
 * An ID in each line of a descriptor, white space around it and empty lines left out; bad is told,
 * with a->arg, of what is none, and it goes on. What has come is done before more is waited for.
 */
int acklist_add_lines(struct acklist *a, int fd, acklist_bad_fn *bad, struct err *err);

#endif
