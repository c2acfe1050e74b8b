/*
 * picture: the buffer and Redis as they are now; for those who show them and those who judge them. Changes
 * nothing, takes no lock, creates nothing.
 */
#ifndef PICTURE_H
#define PICTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "buffer/backlog.h"
#include "base/buf.h"
#include "conf/conf.h"
#include "buffer/counters.h"
#include "base/fail.h"
#include "report/survey.h"

struct picture {
	char *target;			/* "PLACE PREFIX", as in the buffer's .target */
	bool readable;			/* the buffer could be read; one that does not exist is empty */
	struct fail unread;		/* why not */
	struct backlog buffer;
	bool exists;			/* its directory */
	bool other;			/* it holds segments, and they belong to another target */
	char *warning;			/* see spool_warning; NULL when none */
	uint64_t counters[COUNTERS];
	bool free_known;
	uint64_t free;			/* bytes that may still be written where the buffer is, or would be made */
	uint64_t free_files;		/* and files; UINT64_MAX where there is no such limit */
	struct survey redis;
};

/* dir: see conf_buffer. Always fills *p, also on a failure of everything. ask->url and prefix are taken from c. */
void picture_take(struct picture *p, const struct conf *c, const char *dir, const struct survey_ask *ask);
void picture_free(struct picture *p);

/* Appends members, with a comma behind the last: target, buffer, free_bytes, counters, redis. */
void picture_json(struct buf *out, const struct picture *p);

#endif
