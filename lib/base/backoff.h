/*
 * backoff: how long to wait before trying again: twice as long each time, with jitter so that many
 * do not come at once.
 */
#ifndef BASE_BACKOFF_H
#define BASE_BACKOFF_H

#include <stdint.h>

struct backoff {
	int64_t first, most; /* ms */
	int64_t next;        /* 0 at the beginning and after backoff_reset */
};

/* The next pause in ms: from a half of it to the whole. */
int64_t backoff_next(struct backoff *b);
void backoff_reset(struct backoff *b);

#endif
