/*
 * sink: writes records to a descriptor and counts those that were written whole.
 *
 * Records are rendered into one buffer and written together, or earlier when the buffer grows
 * large. Records in a regular file count after fdatasync(2). The part of a record that a failed
 * write left at the end of a file is cut off. If the file ends in a torn record, that is ended
 * first (io_end_torn). After `stop` became readable the sink waits at most a second for the reader
 * of a pipe; then broken is EINTR.
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
	size_t written;    /* whole records of the batch */
	bool inspected, regular;
	/* errno of the failure after which nothing more is written; 0: none */
	int broken;
};

/* Renders one record of a batch; writes when many bytes wait. arg: the sink (a sub_record_fn). */
void sink_add(void *arg, const struct event_entry *r);
/* Writes the rest of the batch. Returns 0; or -1 with status 74, and then its first sink->written
 * records count as written. */
int sink_flush(struct sink *sink, struct err *err);
void sink_free(struct sink *sink);

#endif
