/*
 * checkpoint_text: what a slot of .progress says, a line for each mark, late type and so on. A part of progress; use checkpoint.h.
 */
#ifndef BUFFER_CHECKPOINT_TEXT_H
#define BUFFER_CHECKPOINT_TEXT_H

#include <stdbool.h>

#include "base/bytes.h"
#include "buffer/checkpoint.h"

/* Appends all lines; not whole: without what can be had again, or matters only to events that are equal, where there is no room. */
void checkpoint_text_put(struct bytes *b, const struct checkpoint *p, bool whole);
/* Takes one line, without its newline, which is cut up. What is not known is passed over. */
void checkpoint_text_take(struct checkpoint *p, char *line);

#endif
