/*
 * redrive_int: the state of one re-driving of dead letters, shared by its parts. A part of redrive; nobody else includes it.
 */
#ifndef DRAIN_REDRIVE_INT_H
#define DRAIN_REDRIVE_INT_H

#include "drain/dest.h"
#include "drain/redrive_move.h"
#include "redis/pagesize.h"
#include "drain/redrive.h"

/* Of one run; the second half of one type. */
struct redrive {
	const struct redrive_options *o;
	struct redrive_result *r;
	struct conn *conn;
	struct dests dests;
	uint64_t done, of;		/* moved or, of a dry run, shown; of how many there are */
	int64_t started;
	bool over;			/* for a reason that is no failure */
	struct bytes text;		/* of a dry run */

	const char *type;
	char *dead;
	struct dest *dest;
	struct redrive_way way;
	struct stream_id from, to;
	struct pagesize pace;
	bool stopped;			/* the type */
	struct redrive_letter page[PAGESIZE_MOST];
	size_t n;
};

void redrive_say(const struct redrive *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Refusals of one key stop the type; those of the whole server, and of the connection, end the run: -1. */
int redrive_refused(struct redrive *d, enum conn_why why, const struct err *err);
void redrive_stop_type(struct redrive *d, int status, const char *reason);
bool redrive_stopping(const struct redrive *d);	/* a signal came */
bool redrive_enough(const struct redrive *d);		/* the limit is reached */
/* There is one more to do, and it is not done. */
void redrive_leave(struct redrive *d);

/* Chooses from a page, an answer to XRANGE, which has to live until redrive_move; shows those of a dry run. 0 or -1. */
int redrive_choose(struct redrive *d, const struct reply *r, struct err *err);
/* Moves what was chosen. -1: the run is over. */
int redrive_move(struct redrive *d, struct err *err);

#endif
