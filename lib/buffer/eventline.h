/*
 * eventline: an event as one whole line of the buffer, of the event's part (event.h) and the buffer's (append.h).
 */
#ifndef EVENTLINE_H
#define EVENTLINE_H

#include "event/event.h"

/* The same as event_line_read, and the type is a legal one. */
int eventline_read(const char *p, size_t n, struct event_line *l, struct buf *text, struct fail *f);
/* Appends it, newline included. maxlen < 0 and d NULL: without. stamp: its buffered_at. */
void eventline_put(struct buf *out, const struct event *e, int64_t maxlen, const struct doubt *d, int64_t stamp);

#endif
