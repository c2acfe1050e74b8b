/*
 * format: what a record looks like: JSON, the payload alone, or a pattern (ebsub -f).
 *
 *     %t type   %p payload   %T timestamp   %r trace id   %c correlation id   %s source   %e event
 * id %i entry ID   %k stream's key   %d deliveries (empty with --peek, or not known)   %% a percent
 * sign \n newline   \t tab   \r carriage return   \0 NUL   \\ backslash
 *
 * What an entry does not have is empty; %t is then the stream's type, and %p of an entry without
 * payload is a JSON object of its fields, as with --payload. Nothing is escaped.
 */
#ifndef EVENT_FORMAT_H
#define EVENT_FORMAT_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

/* One entry and where it was read. Borrowed. */
struct record {
	struct slice id, stream, type; /* type: of the stream's name */
	const struct slice *kv;
	size_t nkv;
	int64_t deliveries; /* -1: not through a group, or not known */
};

/* 0, or -1 with status 64 naming the letter. */
int format_check(const char *format, struct err *err);
/* Appends the record by a format that was checked. */
void format_add(struct bytes *out, const char *format, const struct record *r);

#endif
