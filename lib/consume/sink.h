/*
 * sink: writes records to a descriptor and counts those that were written whole.
 *
 * Records are rendered into one buffer and written together, or earlier when the buffer grows
 * large. Records in a regular file count after fdatasync(2). The part of a record that a failed
 * write left at the end of a file is cut off. If a file that JSON is appended to ends in a torn
 * line, the line is ended first. After `stop` became readable the sink waits at most a second for
 * the reader of a pipe; then broken is EINTR.
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
	const char *format; /* for SINK_FORMAT; passed format_validate */
	char end;           /* after each record */
	bool sync;          /* fdatasync regular files */
	int stop;           /* descriptor: readable when it is time to stop */

	/* private; start with zeros */
	struct bytes out;
	struct bytes ends; /* size_t each: the offsets in out at which records end */
	size_t written;    /* whole records since sink_begin */
	bool inspected, regular;
	/* errno of the failure after which nothing more is written; 0: none */
	int broken;
};

/* Begins a new batch: sets written to 0. */
void sink_begin(struct sink *sink);
/* Renders one record; writes when many bytes wait. */
void sink_add(struct sink *sink, const struct record *r);
/* Writes the rest. Returns 0; or -1 with status 74, and then the first sink->written records of the
 * batch count as written. */
int sink_flush(struct sink *sink, struct err *err);
void sink_free(struct sink *sink);

#endif
