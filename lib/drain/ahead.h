/*
 * ahead: the lines of a walk as events, some of them read while the server is still busy with those before.
 *
 * What the walk tells of itself runs ahead too: here it is told of what was given out.
 */
#ifndef AHEAD_H
#define AHEAD_H

#include "drain/batch.h"
#include "event/event.h"
#include "buffer/walk.h"

struct ahead_line {
	struct walk_line l;	/* its text stands in raw */
	struct event_line event;	/* in text, when it is one */
	bool bad;		/* it is none */
	struct fail *why;	/* of a bad one, and where the walk failed; else NULL */
	struct buf raw, text;
	size_t damaged;		/* segments found damaged before it was come to */
	int got;		/* what walk_next said */
};

struct ahead {
	struct walk *w;
	struct ahead_line *line;	/* a ring */
	size_t head, n, bytes;
	bool given;		/* the one at head */
	bool over;		/* nothing comes behind the last */
	size_t damaged;
};

void ahead_open(struct ahead *a, struct walk *w);	/* w is closed with it */
void ahead_close(struct ahead *a);
/* As walk_next; *line is valid until the next call. */
int ahead_next(struct ahead *a, struct ahead_line **line, struct fail *f);
/* The line just given did not fit: it is the next one again. */
void ahead_keep(struct ahead *a);
/* The lines that wait, from 0; NULL past the last. */
const struct ahead_line *ahead_peek(const struct ahead *a, size_t i);
/* Reads up to n lines further, until `most` wait. false: no more now. */
bool ahead_more(struct ahead *a, size_t n, size_t most);
/* As walk_damaged. */
const struct segment *ahead_damaged(const struct ahead *a, size_t i);

#endif
