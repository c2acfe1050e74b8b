/*
 * reclaim: takes away the segments whose lines are all delivered.
 *
 * Called after the marks that pass them are durable. A segment with bad lines that found no room in
 * quarantine/ goes there whole.
 */
#ifndef BUFFER_RECLAIM_H
#define BUFFER_RECLAIM_H

#include <stdbool.h>

#include "buffer/checkpoint.h"
#include "buffer/lateclose.h"
#include "buffer/quarantine.h"
#include "buffer/walk.h"

struct reclaim {
	/* chain segments walked through without leaving a line behind */
	char **clean;
	size_t nclean;
	uint64_t torn;     /* pieces quarantined so far */
	bool *gone;        /* of the segments of this walk */
	size_t first_left; /* none before it is left to go */
	struct lateclose closer;
};

void reclaim_begin_walk(struct reclaim *rc);                  /* another walk */
void reclaim_add_clean(struct reclaim *rc, const char *stem); /* remembers one */
/* forgets it again: a line was left behind after all */
void reclaim_drop_clean(struct reclaim *rc, const char *stem);
void reclaim_free(struct reclaim *rc);

/*
 * Removes what can go. `end`: the walk w has come to its end, and all that it read was given out,
 * so that the last chain segment and whole files may go too; the last chain segment under the
 * writers' lock, when nobody appended to it meanwhile; a torn piece at its end is quarantined
 * first. *p loses what is gone.
 */
int reclaim_run(struct reclaim *rc, struct buffer *buf, struct quarantine *q, struct checkpoint *cp,
    const struct walk *w, bool end, int64_t lock_ms, struct err *err);

#endif
