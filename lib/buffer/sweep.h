/*
 * sweep: takes away the segments whose lines are all delivered.
 *
 * Called after the marks that pass them are durable. A segment with bad lines that found no room in quarantine/ goes there whole.
 */
#ifndef SWEEP_H
#define SWEEP_H

#include <stdbool.h>

#include "buffer/progress.h"
#include "buffer/quarantine.h"
#include "buffer/release.h"
#include "buffer/walk.h"

struct sweep {
	char **clean;		/* chain segments walked through without leaving a line behind */
	size_t n;
	uint64_t torn;		/* pieces quarantined so far */
	bool *gone;		/* of the segments of this walk */
	size_t first;		/* none before it is left to go */
	struct release release;
};

void sweep_begin(struct sweep *s);			/* another walk */
void sweep_clean(struct sweep *s, const char *stem);	/* remembers one */
void sweep_dirty(struct sweep *s, const char *stem);	/* forgets it again: a line was left behind after all */
void sweep_free(struct sweep *s);

/*
 * Removes what can go. `end`: the walk w has come to its end, and all that it read was given out, so that the last chain segment and whole files may go too; the last chain segment under the
 * writers' lock, when nobody appended to it meanwhile; a torn piece at its end is quarantined first. *p loses what is gone.
 */
int sweep_run(struct sweep *s, struct spool *sp, struct quarantine *q, struct progress *p, const struct walk *w, bool end, int64_t lock_ms, struct fail *f);

#endif
