/*
 * maintain: the buffer changed because somebody wants it so, under the replay lock; told in words.
 */
#ifndef REPORT_MAINTAIN_H
#define REPORT_MAINTAIN_H

#include "buffer/requeue.h"

enum maintain_op {
	MAINTAIN_COMPRESS, /* closed segments: gzip.h */
	MAINTAIN_RETARGET, /* it belongs to `target` from now on: buffer.h */
	/* all that is undelivered into quarantine: dump.h */
	MAINTAIN_DISCARD,
	MAINTAIN_RETRY,
	MAINTAIN_DROP /* what is in quarantine, in the files named: requeue.h */
};

struct maintain {
	const char *target; /* see buffer_bind_target */
	const struct append_limits *limits;
	struct requeue_names names;
};

/*
 * Appends to `told` what was changed; *kept: lines in quarantine that are no events and stay there.
 * Both also when -1 is returned: what was done by then. Status 75: another replay has the lock. The
 * locks are kept until the spool is closed.
 */
int maintain_run(const struct maintain *u, enum maintain_op what, struct buffer *buf,
    struct bytes *told, uint64_t *kept, struct err *err);

#endif
