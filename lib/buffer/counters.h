/*
 * counters: how often what happened, beyond the life of one process. A convenience, never a truth:
 * updated without sync.
 */
#ifndef BUFFER_COUNTERS_H
#define BUFFER_COUNTERS_H

#include <stdint.h>

#include "buffer/buffer.h"

enum counter {
	COUNT_PUBLISHED, /* added to a stream by ebpub directly */
	COUNT_BUFFERED,
	COUNT_REPLAYED,
	COUNT_QUARANTINED,
	/* possible duplicates: sent again because it could not be known */
	COUNT_POSSIBLE_DUPLICATES,
	COUNT_REFUSED, /* lines that ebpub refused */
	/* entries pushed out by our own trimming: unread by a group, or of a stream without groups
	 */
	COUNT_TRIMMED,
	COUNTERS
};
extern const char *const counter_names[COUNTERS];

/* Adds to all of them; nothing is done when all are 0. Errors are ignored. */
void counters_add(struct buffer *buf, const uint64_t add[COUNTERS]);
void counters_read(struct buffer *buf, uint64_t out[COUNTERS]); /* zeros when there are none */

#endif
