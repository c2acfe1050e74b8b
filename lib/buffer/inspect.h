/*
 * inspect: lists, checks, discards or compresses the buffer, on the user's command.
 */
#ifndef BUFFER_INSPECT_H
#define BUFFER_INSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "buffer/buffer.h"
#include "buffer/line.h"
#include "buffer/quarantine.h"
#include "buffer/walk.h"
#include "event/event.h"

struct inspect_line {
	const char *segment; /* stem */
	uint64_t offset;     /* bytes; in an unsorted file: its index in delivery order */
	size_t bytes;
	const char *bad;         /* why it cannot be delivered; NULL: it can */
	const struct line *line; /* when not bad */
	const char *held;        /* why its type is held; NULL: it is not */
	bool derived;            /* has no event_id of its own: derived from its place */
};

/* Calls fn for each undelivered line in delivery order; the lines of plain writers' files not yet
 * adopted keep their order within the file. fn returns non-zero to stop. */
typedef int inspect_fn(void *arg, const struct inspect_line *l);
int inspect_lines(struct buffer *buf, inspect_fn *fn, void *arg, struct err *err);

struct inspect_report {
	/* disorder: lines of the chain whose buffered_at is not above the one before */
	uint64_t segments, lines, delivered, bad, torn, disorder;
	uint64_t ignored, suspect, vanished, unreadable;
};
/* Reads every line of every segment, delivered or not. Calls fn (may be NULL) for the bad ones. */
int inspect_check(
    struct buffer *buf, struct inspect_report *r, inspect_fn *fn, void *arg, struct err *err);

/* Puts the undelivered line that u has reached, and parsed, into quarantine. What only the buffer
 * knows of it (its doubt, a derived event_id) is written into the record, so that it can be put
 * back later. */
int inspect_quarantine_line(
    struct undelivered *u, struct quarantine *q, const char *reason, struct err *err);
/* Adopts plain writers' files, then waits so that a writer that has one open finishes its line. The
 * caller holds the replay lock. */
int inspect_adopt_files(struct buffer *buf, struct err *err);

/* Puts every undelivered line into quarantine, and forgets vanished segments. The caller holds the
 * replay lock. *count: how many lines. */
int inspect_discard(struct buffer *buf, int64_t lock_ms, uint64_t *count, struct err *err);

/* Compresses every segment of the chain but the last into .jsonl.gz. The caller holds the replay
 * lock. The new file is whole and durable before the old one is removed; while both exist, the old
 * one counts. *done: how many were compressed. */
int inspect_compress(struct buffer *buf, size_t *done, struct err *err);

#endif
