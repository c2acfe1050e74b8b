/*
 * listing: what is in the buffer and in quarantine as it is shown: in words and columns for people, as JSON for programs; both as
 * ebreplay(1) says.
 *
 * Records are given one after the other, without newline, to a function of the caller's. Reads only; takes no lock.
 */
#ifndef LISTING_H
#define LISTING_H

#include <stdbool.h>
#include <stdint.h>

#include "buffer/backlog.h"
#include "base/buf.h"
#include "base/fail.h"
#include "buffer/inspect.h"
#include "buffer/requeue.h"
#include "buffer/spool.h"

/* text is valid during the call. Returns non-zero to stop. */
typedef int listing_fn(void *arg, const char *text);

enum listing_what {
	LISTING_WAITING,	/* see inspect_lines */
	LISTING_CHECK,		/* see inspect_check: the bad lines, where they are for people, and what was counted */
	LISTING_DRAIN,		/* what a drain to `target` would send, as far as can be seen without asking Redis */
	LISTING_QUARANTINE	/* see requeue_list */
};

struct listing {
	bool json;
	bool quiet;		/* without the names of the columns and what a check counted; JSON has all */
	uint64_t limit;		/* so many records; 0: all */
	const char *target;
	struct requeue_names names;
	listing_fn *put;
	void *arg;
	int status;		/* out: 1 when there is something that cannot be replayed, or stands wrong; 74 when something vanished */
	struct buf text;	/* the record: listing_free */
};

/* 0, also when it was stopped, or -1. */
int listing_show(struct listing *l, enum listing_what what, struct spool *sp, struct fail *f);
/* Of a directory that is not there: as of an empty buffer. */
void listing_nothing(struct listing *l, enum listing_what what, char *dir);
void listing_free(struct listing *l);

#endif
