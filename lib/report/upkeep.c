#include <errno.h>
#include <inttypes.h>

#include "buffer/compress.h"
#include "buffer/inspect.h"
#include "base/status.h"
#include "report/upkeep.h"

static int
compress(struct spool *sp, struct buf *told, struct fail *f)
{
	size_t files = 0;
	int ok = compress_closed(sp, &files, f);

	buf_addf(told, "%zu segments compressed", files);
	return ok;
}

static int
retarget(const struct upkeep *u, struct spool *sp, struct buf *told, struct fail *f)
{
	struct notebook nb;

	if (spool_lock(sp, u->limits->lock_ms, &nb, f) == -1 || spool_retarget(sp, u->target, f) == -1)
		return -1;
	buf_addf(told, "buffer '%s' now belongs to %s", spool_dir(sp), u->target);
	return 0;
}

static int
discard(const struct upkeep *u, struct spool *sp, struct buf *told, struct fail *f)
{
	uint64_t lines = 0;
	int ok = inspect_discard(sp, u->limits->lock_ms, &lines, f);

	buf_addf(told, "%" PRIu64 " events put into '%s/quarantine'", lines, spool_dir(sp));
	return ok;
}

static int
retry(const struct upkeep *u, struct spool *sp, struct buf *told, uint64_t *kept, struct fail *f)
{
	struct requeue_result r;
	int ok = requeue_retry(sp, u->target, u->limits, &u->names, &r, f);

	buf_addf(told, "%" PRIu64 " events put back into the buffer", r.back);
	*kept = r.kept;
	return ok;
}

static int
drop(const struct upkeep *u, struct spool *sp, struct buf *told, uint64_t *kept, struct fail *f)
{
	struct requeue_result r;
	int ok = requeue_drop(sp, &u->names, &r, f);

	buf_addf(told, "%" PRIu64 " lines dropped from '%s/quarantine'", r.dropped, spool_dir(sp));
	*kept = r.kept;
	return ok;
}

int
upkeep_run(const struct upkeep *u, enum upkeep_what what, struct spool *sp, struct buf *told, uint64_t *kept, struct fail *f)
{
	*kept = 0;
	if (spool_replay_lock(sp, f) == -1) {
		if (f->sys == EWOULDBLOCK)
			f->status = STATUS_AGAIN;
		return -1;
	}
	switch (what) {
	case UPKEEP_COMPRESS:
		return compress(sp, told, f);
	case UPKEEP_RETARGET:
		return retarget(u, sp, told, f);
	case UPKEEP_DISCARD:
		return discard(u, sp, told, f);
	case UPKEEP_RETRY:
		return retry(u, sp, told, kept, f);
	case UPKEEP_DROP:
		break;
	}
	return drop(u, sp, told, kept, f);
}
