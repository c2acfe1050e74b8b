/*
 * walk: the lines of a buffer in the order in which they are to be delivered.
 *
 * Sources: the chain, read in append order, and each claimed file and segment of one publisher's
 * own; they are merged by buffered_at, ties going to the chain. A claimed file that is not sorted
 * is sorted within a window of WALK_WINDOW lines. A walk sees what was there when it was opened,
 * nothing later, and takes no lock; what it gives was made durable (fdatasync) before, when
 * WALK_SYNC says so. Memory does not grow with the buffer.
 *
 * It knows nothing of what a line says: the caller passes a function that finds the stamp.
 */
#ifndef BUFFER_WALK_H
#define BUFFER_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "buffer/buffer.h"
#include "buffer/checkpoint.h"
#include "buffer/segment.h"

#define WALK_WINDOW 65536

struct walk;

struct walk_line {
	struct slice text; /* without newline; valid until the next walk_next */
	const char *stem;  /* of the segment; valid as long as the walk */
	bool chain;        /* pos counts within the chain, else within this file */
	/* of this line and behind it: bytes, or lines of a sorted file */
	uint64_t pos, end;
	uint64_t limit; /* see struct position */
	/* byte offset in the segment: what the line's derived identity is made from */
	uint64_t at;
	bool torn;    /* the file ended without a newline */
	bool suspect; /* from a segment whose fdatasync failed */
};

/* Finds a line's buffered_at; -1 when it has none (it then stays beside the line before it). */
typedef int walk_stamp_fn(struct slice line, int64_t *stamp);

enum walk_flags {
	/* begin at the lowest mark of any late type, not at the main marks */
	WALK_LAGGING = 1,
	WALK_SYNC = 2,  /* only what is durable may be sent */
	WALK_LOCKED = 4 /* the caller holds the writers' lock: a torn end is torn, not unfinished */
};

/* NULL on failure. */
struct walk *walk_open(struct buffer *buf, const struct checkpoint *cp, int flags,
    walk_stamp_fn *stamp, struct err *err);
/* 1 a line, 0 the end, -1 a segment that cannot be read. */
int walk_next(struct walk *w, struct walk_line *l, struct err *err);
void walk_close(struct walk *w);

/* The segments that the walk saw, see segment_list. */
const struct segment *walk_segments(const struct walk *w, size_t *n);
/* 1 when this file (not of the chain) was read to its end. */
int walk_is_finished(const struct walk *w, const char *stem);
/* Compressed segments that turned out damaged or cut in this walk: what could be decoded was given.
 */
const struct segment *walk_damaged(const struct walk *w, size_t i); /* NULL past the last */
/* The name of a claimed file with lines further out of order than the window, or NULL. */
const char *walk_disordered_file(const struct walk *w);

#endif
