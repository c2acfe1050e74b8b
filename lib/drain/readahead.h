/*
 * readahead: reads and parses the lines of a walk, some of them while the server works on the batch
 * before.
 *
 * The walk runs ahead of the lines that readahead_next returns. The damaged segments that
 * readahead_damaged reports are those that readahead_next has reached.
 */
#ifndef DRAIN_READAHEAD_H
#define DRAIN_READAHEAD_H

#include "buffer/line.h"
#include "buffer/walk.h"
#include "drain/batch.h"
#include "event/event.h"

struct readahead_line {
	struct walk_line line; /* its text is in raw */
	struct line parsed;    /* its strings are in text; not valid if bad */
	bool bad;              /* the line is not an event */
	struct err *why;       /* why it is bad, or why the walk failed; else NULL */
	struct bytes raw, text;
	size_t damaged; /* damaged segments found before this line */
	int result;     /* of walk_next */
};

struct readahead {
	struct walk *walk;
	struct readahead_line *slot; /* a ring */
	size_t head, n, bytes;
	bool taken;  /* readahead_next returned the line at head */
	bool at_end; /* the walk is at its end, or failed */
	size_t damaged;
};

/* Takes ownership of walk. */
void readahead_open(struct readahead *ahead, struct walk *walk);
void readahead_close(struct readahead *ahead);
/* Returns what walk_next does. *line is valid until the next call. */
int readahead_next(struct readahead *ahead, struct readahead_line **line, struct err *err);
/* Has the next call of readahead_next return the same line again. */
void readahead_push_back(struct readahead *ahead);
/* Returns the i-th line that was read ahead, or NULL past the last. */
const struct readahead_line *readahead_peek(const struct readahead *ahead, size_t i);
/* Reads up to n more lines, until `most` are read ahead. Returns whether more can be read now. */
bool readahead_fill(struct readahead *ahead, size_t n, size_t most);
/* Returns the i-th damaged segment as walk_damaged does, or NULL. */
const struct segment *readahead_damaged(const struct readahead *ahead, size_t i);

#endif
