/*
 * snapshot: the state of the disk buffer and of Redis: taken, as JSON, and as the table of streams
 * of ebstat. Changes nothing in either, and creates no buffer. See backlog.h for the locks that it
 * tests and the cache that it writes.
 */
#ifndef REPORT_SNAPSHOT_H
#define REPORT_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "buffer/backlog.h"
#include "buffer/counters.h"
#include "report/survey.h"
#include "report/table.h"

struct snapshot {
	const char *target; /* conf's */
	/* the buffer could be read; a directory that does not exist is an empty buffer */
	bool readable;
	struct err read_error; /* why it is not readable */
	/* why it is readable, but events cannot be appended or drained; "" when they can */
	struct err write_error;
	struct backlog buffer;
	bool dir_exists;
	/* the buffer has segments, and belongs to another target */
	bool other_target;
	char *warning; /* buffer_warning, or NULL */
	uint64_t counters[COUNTERS];
	bool free_known;
	/* free space, in bytes, of the file system where the directory is or would be created */
	uint64_t free;
	uint64_t free_files; /* free inodes; UINT64_MAX where the file system has no limit */
	struct survey redis;
};

/* Always fills *s; its members say which parts could not be read. */
void snapshot_take(struct snapshot *s, const struct survey_options *options);
void snapshot_free(struct snapshot *s);

/* Adds the members that ebstat -j and ebhealth -j share, from target to streams. */
void snapshot_json(struct item *document, const struct snapshot *s);

/* Adds what ebstat and ebgroup show of a group, without its name. */
void snapshot_group(struct item *r, const struct survey *s, const struct survey_stream *st,
    const struct stream_group *g);

/* Adds a row for each group of each stream, and for each stream without groups; problems: only
 * those with dead letters, lost entries or an error. all: with the columns FIRST, LAST and
 * DELIVERED. */
void snapshot_streams(struct table *t, const struct survey *s, bool problems, bool all);

#endif
