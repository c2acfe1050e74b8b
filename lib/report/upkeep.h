/*
 * upkeep: the buffer changed because somebody wants it so, under the replay lock; told in words.
 */
#ifndef UPKEEP_H
#define UPKEEP_H

#include "buffer/requeue.h"

enum upkeep_what {
	UPKEEP_COMPRESS,		/* closed segments: compress.h */
	UPKEEP_RETARGET,		/* it belongs to `target` from now on: spool.h */
	UPKEEP_DISCARD,			/* all that is undelivered into quarantine: inspect.h */
	UPKEEP_RETRY, UPKEEP_DROP	/* what is in quarantine, in the files named: requeue.h */
};

struct upkeep {
	const char *target;		/* see spool_claim */
	const struct append_limits *limits;
	struct requeue_names names;
};

/*
 * Appends to `told` what was changed; *kept: lines in quarantine that are no events and stay there. Both also when -1 is returned: what was
 * done by then. Status 75: another replay has the lock. The locks are kept until the spool is closed.
 */
int upkeep_run(const struct upkeep *u, enum upkeep_what what, struct spool *sp, struct buf *told, uint64_t *kept, struct fail *f);

#endif
