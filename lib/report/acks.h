/*
 * acks: entries acknowledged by their IDs, or only looked up, many in one round trip.
 *
 * Unlike one XACK of many it tells for each whether it was pending.
 */
#ifndef ACKS_H
#define ACKS_H

#include "redis/pending.h"

#define ACKS_BATCH 256

/* p: of one that was looked up and is pending, else NULL. */
typedef void acks_fn(void *arg, struct stream_id id, bool was_pending, const struct pending *p);

typedef void acks_bad_fn(void *arg, const char *text);

struct acks {
	struct bus *b;
	const char *key, *group;
	bool look;			/* XPENDING instead of XACK */
	acks_fn *fn;			/* may be NULL */
	void *arg;
	uint64_t pending, others;	/* so far */
	uint64_t doubt;			/* sent, and the connection died before the answer: acknowledged or not */
	struct stream_id ids[ACKS_BATCH];
	size_t n;			/* of them, not sent yet */
};

/* Sends when there are ACKS_BATCH. 0 or -1. */
int acks_add(struct acks *a, struct stream_id id, struct fail *f);
/* Sends what was added. */
int acks_flush(struct acks *a, struct fail *f);
/* Those that somebody typed, and flushes. -1 with status 64: one is no ID, nothing was done. */
int acks_typed(struct acks *a, char *const *ids, size_t n, struct fail *f);
/*
 * An ID in each line of a descriptor, white space around it and empty lines left out; bad is told, with a->arg, of what is none,
 * and it goes on. What has come is done before more is waited for.
 */
int acks_read(struct acks *a, int fd, acks_bad_fn *bad, struct fail *f);

#endif
