/*
 * format: the format strings of ebsub -f.
 *
 *     %t type           %i entry ID            \n newline
 *     %p payload        %k stream's key        \t tab
 *     %T timestamp      %d deliveries          \r carriage return
 *     %r trace ID       %e event ID            \0 NUL
 *     %c correlation ID %s source              \\ backslash
 *     %% percent sign
 *
 * A field that the entry lacks is empty, except that %t is then the type in the stream's key, and
 * %p a JSON object of the entry's fields, as with --payload. %d is empty with --peek and when the
 * number is unknown. Nothing is escaped.
 */
#ifndef EVENT_FORMAT_H
#define EVENT_FORMAT_H

#include "event/event.h"

/* Returns 0, or -1 with status 64 and a text that names the bad letter. */
int format_validate(const char *format, struct err *err);
/* Appends the record. The format must have passed format_validate. */
void format_add(struct bytes *out, const char *format, const struct event_entry *r);

#endif
