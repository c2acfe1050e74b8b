/*
 * snapshot: the buffer and Redis as they are now; for those who show them and those who judge them.
 * Changes nothing, takes no lock, creates nothing.
 */
#ifndef REPORT_SNAPSHOT_H
#define REPORT_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "buffer/backlog.h"
#include "buffer/counters.h"
#include "conf/conf.h"
#include "report/survey.h"

struct snapshot {
	char *target; /* "PLACE PREFIX", as in the buffer's .target */
	/* the buffer could be read; one that does not exist is empty */
	bool readable;
	struct err read_error; /* why not */
	struct backlog buffer;
	bool dir_exists; /* its directory */
	/* it holds segments, and they belong to another target */
	bool other_target;
	char *warning; /* see buffer_warning; NULL when none */
	uint64_t counters[COUNTERS];
	bool free_known;
	/* bytes that may still be written where the buffer is, or would be made */
	uint64_t free;
	uint64_t free_files; /* and files; UINT64_MAX where there is no such limit */
	struct survey redis;
};

/* dir: see conf_buffer. Always fills *p, also on a failure of everything. ask->url and prefix are
 * taken from c. */
void snapshot_take(
    struct snapshot *p, const struct conf *c, const char *dir, const struct survey_options *ask);
void snapshot_free(struct snapshot *p);

/* Appends members, with a comma behind the last: target, buffer, free_bytes, counters, redis. */
void snapshot_json(struct bytes *out, const struct snapshot *p);

#endif
