/*
 * readahead: the lines of a walk as events, some of them read while the server is still busy with
 * those before.
 *
 * What the walk tells of itself runs ahead too: here it is told of what was given out.
 */
#ifndef DRAIN_READAHEAD_H
#define DRAIN_READAHEAD_H

#include "buffer/line.h"
#include "buffer/walk.h"
#include "drain/batch.h"
#include "event/event.h"

struct readahead_line {
	struct walk_line line; /* its text stands in raw */
	struct line parsed;    /* in text, when it is one */
	bool bad;              /* it is none */
	struct err *why;       /* of a bad one, and where the walk failed; else NULL */
	struct bytes raw, text;
	size_t damaged; /* segments found damaged before it was come to */
	int result;     /* what walk_next said */
};

struct readahead {
	struct walk *walk;
	struct readahead_line *slot; /* a ring */
	size_t head, n, bytes;
	bool taken;  /* the one at head */
	bool at_end; /* nothing comes behind the last */
	size_t damaged;
};

void readahead_open(struct readahead *a, struct walk *w); /* w is closed with it */
void readahead_close(struct readahead *a);
/* As walk_next; *line is valid until the next call. */
int readahead_next(struct readahead *a, struct readahead_line **line, struct err *err);
/* The line just given did not fit: it is the next one again. */
void readahead_push_back(struct readahead *a);
/* The lines that wait, from 0; NULL past the last. */
const struct readahead_line *readahead_peek(const struct readahead *a, size_t i);
/* Reads up to n lines further, until `most` wait. false: no more now. */
bool readahead_fill(struct readahead *a, size_t n, size_t most);
/* As walk_damaged. */
const struct segment *readahead_damaged(const struct readahead *a, size_t i);

#endif
