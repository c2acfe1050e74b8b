/*
 * sink: records written to a descriptor, with a count of those that are whole there.
 *
 * Records are rendered into one buffer and written at once, earlier when it grows large. Into a
 * regular file they count only after fdatasync(2); what a failed write left of a record at its end
 * is cut off again, and the torn last line of a file that JSON is appended to is ended first. When
 * it is time to stop, a pipe whose reader does not read is waited for no longer than a second: then
 * broken is EINTR.
 */
#ifndef CONSUME_SINK_H
#define CONSUME_SINK_H

#include <stdbool.h>

#include "base/err.h"
#include "event/format.h"

enum sink_style { SINK_JSON, SINK_PAYLOAD, SINK_FORMAT };

struct sink {
	int fd;
	enum sink_style style;
	const char *format; /* for SINK_FORMAT, checked */
	char end;           /* after each record */
	bool sync;          /* fdatasync regular files */
	int stop;           /* descriptor: readable when it is time to stop */

	/* The sink's own; zero. */
	struct bytes out;
	struct bytes ends; /* size_t each: where the records in out end */
	/* records that are safe where fd leads, since sink_begin */
	size_t written;
	bool inspected, regular; /* what fd is */
	/* errno of the failure after which nothing is written any more */
	int broken;
};

void sink_begin(struct sink *sink); /* a new batch: whole is 0 */
void sink_add(struct sink *sink, const struct record *r);
/* 0; or -1, status 74: s->written says how many of the batch are written all the same. */
int sink_flush(struct sink *sink, struct err *err);
void sink_free(struct sink *sink);

#endif
