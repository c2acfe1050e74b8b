/*
 * maintain: changes the disk buffer by hand, under the replay lock, and reports what was changed.
 */
#ifndef REPORT_MAINTAIN_H
#define REPORT_MAINTAIN_H

#include "buffer/requeue.h"

enum maintain_op {
	MAINTAIN_COMPRESS, /* compress closed segments: gzip.h */
	MAINTAIN_RETARGET, /* make the buffer belong to `target`: buffer.h */
	MAINTAIN_DISCARD,  /* move undelivered events into quarantine: inspect.h */
	/* return quarantined events to the buffer, or delete them; of the files in `names` */
	MAINTAIN_RETRY,
	MAINTAIN_DROP
};

struct maintain {
	const char *target; /* see buffer_bind_target */
	const struct append_limits *limits;
	struct requeue_names names;
};

/*
 * Appends a message that says what was changed to `report`; *kept: lines in quarantine that are not
 * events and stay there. Sets both also when it returns -1, to what was done until then. Status 75:
 * another replay holds the lock. The locks are kept until buffer_close.
 */
int maintain_run(const struct maintain *m, enum maintain_op op, struct buffer *buf,
    struct bytes *report, uint64_t *kept, struct err *err);

#endif
