/*
 * readahead: reads and parses the lines of a walk, some of them while the server works on the batch
 * before.
 *
 * The walk runs ahead of the lines that were taken. The damaged segments that readahead_damaged
 * returns are those that readahead_next has reached.
 */
#ifndef DRAIN_READAHEAD_H
#define DRAIN_READAHEAD_H

#include "buffer/line.h"
#include "buffer/walk.h"

struct drain_line {
	struct walk_line at; /* its text is in raw */
	struct line parsed;  /* its strings are in text; not valid if bad */
	struct line_derived derived;
	bool bad;        /* the line is not an event */
	bool copied;     /* a line of ebpub's in an adopted file: its event may be in the stream */
	struct err *why; /* why it is bad, or why the walk failed; else NULL */
	struct bytes raw, text;
	size_t damaged; /* damaged segments found before this line */
	int result;     /* of walk_next */
};

struct readahead {
	struct walk *walk;
	struct drain_line **line; /* a ring; NULL where none was needed yet */
	size_t head, n, bytes;
	bool at_end;    /* the walk is at its end, or failed */
	size_t damaged; /* damaged segments that readahead_next has reached */
};

/* Takes ownership of walk. */
void readahead_open(struct readahead *ahead, struct walk *walk);
void readahead_close_walk(struct readahead *ahead);
void readahead_close(struct readahead *ahead);
/* Returns what walk_next does. *line is the same again until it is taken or dropped. */
int readahead_next(struct readahead *ahead, struct drain_line **line, struct err *err);
/* Moves the line of readahead_next to *line. The one that was there, or NULL, is used again. */
void readahead_take(struct readahead *ahead, struct drain_line **line);
void readahead_drop(struct readahead *ahead);
/* Returns the i-th line that was read ahead, or NULL past the last. */
const struct drain_line *readahead_peek(const struct readahead *ahead, size_t i);
/* Reads up to n more lines, until `most` are read ahead. Returns whether more can be read now. */
bool readahead_fill(struct readahead *ahead, size_t n, size_t most);
/* Returns the i-th damaged segment as walk_damaged does, or NULL. */
const struct segment *readahead_damaged(const struct readahead *ahead, size_t i);

void drain_line_free(struct drain_line *line); /* NULL is ignored */

#endif
