/*
 * walk_int: the state of a walk, and what its parts share. A part of walk; use walk.h.
 */
#ifndef BUFFER_WALK_INT_H
#define BUFFER_WALK_INT_H

#include "buffer/reader.h"
#include "buffer/walk.h"

struct source {
	bool chain;
	size_t next, end;	/* chain: indices into the segments still to be opened */
	const struct segment *seg;
	struct reader *r;	/* NULL between segments */
	bool has, over;
	struct walk_line line;
	int64_t stamp;
	/* an unsorted file */
	uint64_t limit, given;	/* its size when it was sorted; lines given out */
	struct sorted_line *heap;	/* walksort.c */
	size_t heaped, room;
	int64_t newest;		/* last stamp read into the window */
	int64_t given_stamp;
	struct bytes text;
};

struct walk {
	struct buffer *buf;
	bool late, sync, closed;
	walk_stamp_fn *stamp;
	struct segment *segs;
	size_t nsegs;
	uint64_t last_size;	/* of the last chain segment, measured before the listing */
	struct source *src;
	size_t nsrc;
	struct source *given;	/* whose line the caller holds */
	const char *disorder;
	const struct segment **damaged;
	size_t ndamaged;
};

/* The next line of an unsorted file into s->line, as walk_next: 1, 0, -1. */
int walk_sorted(struct walk *w, struct source *s, struct err *err);
/* Passes over its first n lines. */
int walk_skip(struct walk *w, struct source *s, uint64_t n, struct err *err);

#endif
