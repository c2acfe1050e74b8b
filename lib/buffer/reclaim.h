/*
 * reclaim: removes the segments whose lines are all delivered.
 *
 * Called after a checkpoint that has passed them is durable (invariant 7 of lib/README.md). A
 * segment with bad lines for which quarantine/ had no space is moved there whole.
 *
 * The last close of a removed file frees its blocks. Where freed blocks are discarded (ext4 with -o
 * discard), or the file has many extents, this takes as long as Redis takes for a batch, or longer:
 * 2.3 ms for each 10 MB were measured. So a thread closes large files, and does nothing else.
 */
#ifndef BUFFER_RECLAIM_H
#define BUFFER_RECLAIM_H

#include <pthread.h>
#include <stdbool.h>

#include "buffer/checkpoint.h"
#include "buffer/quarantine.h"
#include "buffer/walk.h"

struct reclaim {
	/* set by the caller */
	struct buffer *buf;
	struct quarantine *quarantine;
	struct checkpoint *checkpoint;
	int64_t lock_ms; /* deadline of the wait for the writers' lock */

	const struct walk *walk;
	/* stems of chain segments in which no line of a lagging type was left */
	char **clean;
	size_t nclean;
	char *stem;        /* the chain segment that the walk is in */
	bool from_start;   /* the walk read it from its first line */
	bool has_skipped;  /* a line in it was skipped */
	bool entered;      /* the walk has entered another segment, see reclaim_has_entered */
	uint64_t torn;     /* torn ends quarantined so far */
	bool moved;        /* a position was changed: the checkpoint has to be stored */
	bool *gone;        /* per segment of this walk: removed */
	size_t first_left; /* index of the first that is not removed */
	pthread_t closer;  /* the thread that closes closing_fd */
	int closing_fd;
	bool closing;
};

/* Called for each new walk. */
void reclaim_begin_walk(struct reclaim *rc);
/* Called for each line of the chain, in order. `first`: no undelivered line of the segment is
 * before it. A segment that was read whole without skipping a line can be removed at once. */
void reclaim_note_line(struct reclaim *rc, const char *stem, bool first);
/* Called when a line of this chain segment is not delivered by this walk. */
void reclaim_note_skipped(struct reclaim *rc, const char *stem);
/* Returns whether the walk has entered another chain segment since the last call. */
bool reclaim_has_entered(struct reclaim *rc);
void reclaim_free(struct reclaim *rc);

/* Removes what can be removed, and its records in the checkpoint. at_end: the walk has ended and
 * all its lines are delivered or recorded, so that adopted files and the last chain segment may go
 * too. The last chain segment goes under the writers' lock (if not taken, it stays), unless a
 * publisher appended to it since; a torn end is quarantined first. */
int reclaim_run(struct reclaim *rc, const struct walk *walk, bool at_end, struct err *err);

#endif
