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

#include "backlog.h"
#include "buf.h"
#include "fail.h"
#include "inspect.h"
#include "requeue.h"
#include "spool.h"

/* text is valid during the call. Returns non-zero to stop. */
typedef int listing_fn(void *arg, const char *text);

struct listing {
	bool json;
	bool quiet;		/* without the names of the columns and what a check counted; JSON has all */
	uint64_t limit;		/* so many records; 0: all */
	listing_fn *put;
	void *arg;
	bool bad;		/* out: there were lines that cannot be replayed */
	struct buf text;	/* the record: listing_free */
};

/* See inspect_lines and requeue_list. 0, also when it was stopped, or -1. */
int listing_buffer(struct listing *l, struct spool *sp, struct fail *f);
int listing_quarantine(struct listing *l, struct spool *sp, const struct requeue_names *names, struct fail *f);
/* See inspect_check: the bad lines, where they are for people, and what was counted. */
int listing_check(struct listing *l, struct spool *sp, struct inspect_report *r, struct fail *f);
void listing_report(struct listing *l, const struct inspect_report *r);
/* What a drain to target would send. */
void listing_backlog(struct listing *l, const struct backlog *b, const char *target);
void listing_free(struct listing *l);

#endif
