/*
 * line: an event as one whole line of the buffer, of the event's part (event.h) and the buffer's (append.h).
 */
#ifndef BUFFER_LINE_H
#define BUFFER_LINE_H

#include "event/event.h"

/* The same as line_parse, and the type is a legal one. */
int line_read(const char *p, size_t n, struct line *l, struct bytes *text, struct err *err);
/* Appends it, newline included. maxlen < 0 and d NULL: without. stamp: its buffered_at. */
void line_put(struct bytes *out, const struct event *e, int64_t maxlen, const struct doubt *d, int64_t stamp);

#endif
