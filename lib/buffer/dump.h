/*
 * dump: the buffer line by line, for people and programs. Reads only; takes no lock.
 */
#ifndef BUFFER_DUMP_H
#define BUFFER_DUMP_H

#include <stdbool.h>
#include <stdint.h>

#include "event/event.h"
#include "base/err.h"
#include "buffer/buffer.h"

struct dump_line {
	const char *segment;		/* stem */
	uint64_t offset;		/* bytes; of an unsorted file: its place in the order */
	size_t bytes;
	const char *bad;		/* why it cannot be replayed; NULL: it can */
	const struct line *line;	/* when not bad */
	const char *held;		/* why its type is held, or NULL */
	bool derived;			/* its event_id is made from where it stands */
};

/* Undelivered lines in the order of delivery; files of plain writers not yet claimed come last. fn returns non-zero to stop. */
typedef int dump_fn(void *arg, const struct dump_line *l);
int dump_lines(struct buffer *buf, dump_fn *fn, void *arg, struct err *err);

struct dump_report {
	uint64_t segments, lines, delivered, bad, torn, disorder;	/* disorder: buffered_at went back within the chain */
	uint64_t odd, suspect, vanished, unreadable;
};
/* Reads every line of every segment, delivered or not. fn (may be NULL) gets the bad ones. */
int dump_check(struct buffer *buf, struct dump_report *r, dump_fn *fn, void *arg, struct err *err);

/*
 * Puts everything undelivered into quarantine, under the replay lock: line by line;
 * forgets vanished segments. *count: how many lines.
 */
int discard_lines(struct buffer *buf, int64_t lock_ms, uint64_t *count, struct err *err);

#endif
