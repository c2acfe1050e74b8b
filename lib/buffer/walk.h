/*
 * walk: the undelivered lines of a buffer in the order of their delivery.
 *
 * Sources are the chain, in append order, each adopted file, and each segment that one publisher
 * wrote alone. They are merged by buffered_at; at equal times the chain goes first. An adopted file
 * that is not sorted is sorted within a window of WALK_WINDOW lines. A walk reads what existed when
 * it was opened, and takes no lock. With WALK_SYNC each line is durable (fdatasync(2)) before it is
 * returned. Memory does not grow with the buffer.
 *
 * A walk does not parse lines, and it returns delivered lines of lagging types and blank lines too;
 * undelivered_next leaves those out. A drain filters a walk itself, because it reads ahead of the
 * replies that decide which lines are delivered.
 */
#ifndef BUFFER_WALK_H
#define BUFFER_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "buffer/buffer.h"
#include "buffer/checkpoint.h"
#include "buffer/line.h"
#include "buffer/segment.h"

#define WALK_WINDOW 65536

struct walk;

struct walk_line {
	struct slice text; /* without newline; valid until the next walk_next */
	const char *stem;  /* of the segment; valid as long as the walk */
	/* of this line and of what follows it: bytes, or lines of a sorted file */
	uint64_t pos, end;
	uint64_t limit; /* see struct position */
	/* of this line and of the one before it (edited.h); 0: unknown */
	uint64_t mark, mark_before;
	/* byte offset in the segment, from which line_complete derives IDs */
	uint64_t at;
	bool chain;   /* pos counts within the chain, else within this file */
	bool torn;    /* the file ended without a newline */
	bool suspect; /* from a segment whose fdatasync failed */
};

enum walk_flags {
	/* begin at the lowest position of any lagging type, else at the checkpoint's own */
	WALK_LAGGING = 1,
	WALK_SYNC = 2,     /* only durable lines */
	WALK_LOCKED = 4,   /* the caller holds the writers' lock: a line without newline is torn */
	WALK_PLAIN = 8,    /* plain writers' files too, each in the order of its lines */
	WALK_NO_MARKS = 16 /* no position is stored: without the marks (edited.h) */
};

/* Begins at the positions of cp. NULL on failure. */
struct walk *walk_open(struct buffer *buf, struct checkpoint *cp, int flags, struct err *err);
/* 1 for a line, 0 at the end, -1 when a segment cannot be read. */
int walk_next(struct walk *w, struct walk_line *l, struct err *err);
/* NULL is fine. */
void walk_close(struct walk *w);

/* The segments of the walk, in the order of segment_list. */
const struct segment *walk_segments(const struct walk *w, size_t *n);
/* True when this file (not of the chain) was read to its end. */
bool walk_is_finished(const struct walk *w, const char *stem);
/* The byte offset up to which this file was read; 0 when no line of it was. */
uint64_t walk_file_end(const struct walk *w, const char *stem);
/* The compressed segments found damaged or truncated, of which the readable lines were returned.
 * NULL past the last. */
const struct segment *walk_damaged(const struct walk *w, size_t i);
/* The name of an adopted file with lines further out of order than the window, or NULL. */
const char *walk_disordered_file(const struct walk *w);

/* --- lines that are not delivered ------------------------------------------------- */

struct undelivered {
	struct checkpoint checkpoint;
	struct walk *walk;
	struct walk_line at; /* the bytes of this line and its position */
	/* parsed: always, or only while a type lags */
	bool parse;
	struct line line; /* valid when parsed and not bad */
	const char *bad;  /* why it cannot be delivered; NULL: it can, or it was not parsed */
	struct bytes text;
	struct err why;
};

/* flags: enum walk_flags; WALK_LAGGING is added. undelivered_close in any case. */
int undelivered_open(
    struct undelivered *u, struct buffer *buf, int flags, bool parse, struct err *err);
/* 1 for a line that is not blank, 0 at the end, -1 when a segment cannot be read. */
int undelivered_next(struct undelivered *u, struct err *err);
/* Parses the line at u->at, for a caller that reads lines itself: true when it is delivered. */
bool undelivered_examine(struct undelivered *u);
void undelivered_close(struct undelivered *u);

#endif
