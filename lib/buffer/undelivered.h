/*
 * undelivered: each undelivered line of the buffer, in the order of delivery. Takes no lock.
 *
 * A drain does the same over a walk of its own, because it reads ahead of the replies that decide
 * which lines are delivered.
 */
#ifndef BUFFER_UNDELIVERED_H
#define BUFFER_UNDELIVERED_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/err.h"
#include "buffer/checkpoint.h"
#include "buffer/line.h"
#include "buffer/walk.h"

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
/* Parses the line at u->at, for a caller that reads lines itself. Returns whether it is delivered.
 */
bool undelivered_examine(struct undelivered *u);
void undelivered_close(struct undelivered *u);

#endif
