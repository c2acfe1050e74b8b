#include <errno.h>
#include <inttypes.h>

#include "buffer/gzip.h"
#include "buffer/dump.h"
#include "base/status.h"
#include "report/maintain.h"

static int
compress(struct buffer *sp, struct bytes *told, struct err *f)
{
	size_t files = 0;
	int ok = gzip_closed(sp, &files, f);

	bytes_addf(told, "%zu segments compressed", files);
	return ok;
}

static int
retarget(const struct maintain *u, struct buffer *sp, struct bytes *told, struct err *f)
{
	struct notebook nb;

	if (buffer_lock(sp, u->limits->lock_ms, &nb, f) == -1 || buffer_retarget(sp, u->target, f) == -1)
		return -1;
	bytes_addf(told, "buffer '%s' now belongs to %s", buffer_dir(sp), u->target);
	return 0;
}

static int
discard(const struct maintain *u, struct buffer *sp, struct bytes *told, struct err *f)
{
	uint64_t lines = 0;
	int ok = discard_lines(sp, u->limits->lock_ms, &lines, f);

	bytes_addf(told, "%" PRIu64 " events put into '%s/quarantine'", lines, buffer_dir(sp));
	return ok;
}

static int
retry(const struct maintain *u, struct buffer *sp, struct bytes *told, uint64_t *kept, struct err *f)
{
	struct requeue_result r;
	int ok = requeue_retry(sp, u->target, u->limits, &u->names, &r, f);

	bytes_addf(told, "%" PRIu64 " events put back into the buffer", r.back);
	*kept = r.kept;
	return ok;
}

static int
drop(const struct maintain *u, struct buffer *sp, struct bytes *told, uint64_t *kept, struct err *f)
{
	struct requeue_result r;
	int ok = requeue_drop(sp, &u->names, &r, f);

	bytes_addf(told, "%" PRIu64 " lines dropped from '%s/quarantine'", r.dropped, buffer_dir(sp));
	*kept = r.kept;
	return ok;
}

int
maintain_run(const struct maintain *u, enum maintain_what what, struct buffer *sp, struct bytes *told, uint64_t *kept, struct err *f)
{
	*kept = 0;
	if (buffer_replay_lock(sp, f) == -1) {
		if (f->sys == EWOULDBLOCK)
			f->status = STATUS_AGAIN;
		return -1;
	}
	switch (what) {
	case MAINTAIN_COMPRESS:
		return compress(sp, told, f);
	case MAINTAIN_RETARGET:
		return retarget(u, sp, told, f);
	case MAINTAIN_DISCARD:
		return discard(u, sp, told, f);
	case MAINTAIN_RETRY:
		return retry(u, sp, told, kept, f);
	case MAINTAIN_DROP:
		break;
	}
	return drop(u, sp, told, kept, f);
}
