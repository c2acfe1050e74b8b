/*
 * progresstext: what a slot of .progress says, a line for each mark, late type and so on. A part of progress; use progress.h.
 */
#ifndef PROGRESSTEXT_H
#define PROGRESSTEXT_H

#include <stdbool.h>

#include "base/buf.h"
#include "buffer/progress.h"

/* Appends all lines; not whole: without what can be had again, or matters only to events that are equal, where there is no room. */
void progresstext_put(struct buf *b, const struct progress *p, bool whole);
/* Takes one line, without its newline, which is cut up. What is not known is passed over. */
void progresstext_take(struct progress *p, char *line);

#endif
