/*
 * snapshot: the state of the disk buffer and of Redis, for ebstat, which shows it, and for
 * ebhealth, which checks it. Changes nothing in either, and creates no buffer. See backlog.h for
 * the locks that it tests and the cache that it writes.
 */
#ifndef REPORT_SNAPSHOT_H
#define REPORT_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "buffer/backlog.h"
#include "buffer/counters.h"
#include "report/survey.h"

struct snapshot {
	const char *target; /* conf's */
	/* the buffer could be read; a directory that does not exist is an empty buffer */
	bool readable;
	struct err read_error; /* why it is not readable */
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

/* Always fills *s; its members say which parts could not be read. conf_buffer must not be NULL. */
void snapshot_take(struct snapshot *s, const struct survey_options *options);
void snapshot_free(struct snapshot *s);

#endif
