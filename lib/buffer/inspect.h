/*
 * inspect: the buffer line by line, listed, checked or discarded by hand.
 */
#ifndef BUFFER_INSPECT_H
#define BUFFER_INSPECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "buffer/buffer.h"
#include "buffer/line.h"
#include "event/event.h"

struct inspect_line {
	const char *segment; /* stem */
	uint64_t offset;     /* bytes; of an unsorted file: its place in the order */
	size_t bytes;
	const char *bad;         /* why it cannot be replayed; NULL: it can */
	const struct line *line; /* when not bad */
	const char *held;        /* why its type is held, or NULL */
	bool derived;            /* its event_id is made from where it stands */
};

/* Undelivered lines in the order of delivery; files of plain writers not yet claimed come last. fn
 * returns non-zero to stop. */
typedef int inspect_fn(void *arg, const struct inspect_line *l);
int inspect_lines(struct buffer *buf, inspect_fn *fn, void *arg, struct err *err);

struct inspect_report {
	/* disorder: buffered_at went back within the chain */
	uint64_t segments, lines, delivered, bad, torn, disorder;
	uint64_t odd, suspect, vanished, unreadable;
};
/* Reads every line of every segment, delivered or not. fn (may be NULL) gets the bad ones. */
int inspect_check(
    struct buffer *buf, struct inspect_report *r, inspect_fn *fn, void *arg, struct err *err);

/*
 * Puts everything undelivered into quarantine, under the replay lock: line by line;
 * forgets vanished segments. *count: how many lines.
 */
int inspect_discard(struct buffer *buf, int64_t lock_ms, uint64_t *count, struct err *err);

#endif
