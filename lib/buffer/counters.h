/*
 * counters: how many events were published, buffered, and so on, over all processes of a buffer.
 * The counts are approximate: they are updated without sync, and errors are ignored.
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
	/* sent again, because the first attempt could not be confirmed */
	COUNT_POSSIBLE_DUPLICATES,
	COUNT_REFUSED, /* lines that ebpub refused, outage events that may not be written */
	/* entries that our trimming removed: unread by a group, or of a stream without groups */
	COUNT_TRIMMED,
	COUNTERS
};
extern const char *const counter_names[COUNTERS];

/* Adds to each counter; -n, as uint64_t, takes n back. Does nothing when all of add is 0. */
void counters_add(struct buffer *buf, const uint64_t add[COUNTERS]);
void counters_read(struct buffer *buf, uint64_t out[COUNTERS]); /* zeros when there is no file */

#endif
