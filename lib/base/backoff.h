/*
 * backoff: exponential backoff with jitter, for reconnects and retries.
 */
#ifndef BASE_BACKOFF_H
#define BASE_BACKOFF_H

#include <stdint.h>

struct backoff {
	int64_t first, max; /* ms */
	int64_t next;       /* 0 before the first pause and after backoff_reset */
};

/* Returns the next pause in ms, chosen at random between half of the current pause and all of it,
 * and doubles the current pause up to `max`. */
int64_t backoff_next(struct backoff *b);
void backoff_reset(struct backoff *b);

#endif
