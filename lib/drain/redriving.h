/*
 * redriving: the state of one re-driving of dead letters, shared by its parts. A part of redrive; nobody else includes it.
 */
#ifndef REDRIVING_H
#define REDRIVING_H

#include "drain/lane.h"
#include "drain/letter.h"
#include "redis/pace.h"
#include "drain/redrive.h"

/* Of one run; the second half of one type. */
struct redriving {
	const struct redrive_options *o;
	struct redrive_result *r;
	struct bus *b;
	struct lanes lanes;
	uint64_t done, of;		/* moved or, of a dry run, shown; of how many there are */
	int64_t started;
	bool over;			/* for a reason that is no failure */
	struct buf text;		/* of a dry run */

	const char *type;
	char *dead;
	struct lane *lane;
	struct letter_way way;
	struct stream_id from, to;
	struct pace pace;
	bool stopped;			/* the type */
	struct letter page[PACE_MOST];
	size_t n;
};

void redrive_say(const struct redriving *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Refusals of one key stop the type; those of the whole server, and of the connection, end the run: -1. */
int redrive_refused(struct redriving *d, enum bus_why why, const struct fail *f);
void redrive_stop_type(struct redriving *d, int status, const char *reason);
bool redrive_stopping(const struct redriving *d);	/* a signal came */
bool redrive_enough(const struct redriving *d);		/* the limit is reached */
/* There is one more to do, and it is not done. */
void redrive_leave(struct redriving *d);

/* Chooses from a page, an answer to XRANGE, which has to live until redrive_move; shows those of a dry run. 0 or -1. */
int redrive_choose(struct redriving *d, const struct reply *r, struct fail *f);
/* Moves what was chosen. -1: the run is over. */
int redrive_move(struct redriving *d, struct fail *f);

#endif
