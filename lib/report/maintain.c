#include "report/maintain.h"

#include <errno.h>
#include <inttypes.h>

#include "base/status.h"
#include "buffer/gzip.h"
#include "buffer/inspect.h"

static int
compress(struct buffer *buf, struct bytes *told, struct err *err)
{
	size_t files = 0;
	int ok = gzip_segments(buf, &files, err);

	bytes_addf(told, "%zu segments compressed", files);
	return ok;
}

static int
retarget(const struct maintain *u, struct buffer *buf, struct bytes *told, struct err *err)
{
	struct buffer_hints nb;

	if (buffer_lock(buf, u->limits->lock_ms, &nb, err) == -1 ||
	    buffer_retarget(buf, u->target, err) == -1)
		return -1;
	bytes_addf(told, "buffer '%s' now belongs to %s", buffer_dir(buf), u->target);
	return 0;
}

static int
discard(const struct maintain *u, struct buffer *buf, struct bytes *told, struct err *err)
{
	uint64_t lines = 0;
	int ok = inspect_discard(buf, u->limits->lock_ms, &lines, err);

	bytes_addf(told, "%" PRIu64 " events put into '%s/quarantine'", lines, buffer_dir(buf));
	return ok;
}

static int
retry(const struct maintain *u, struct buffer *buf, struct bytes *told, uint64_t *kept,
    struct err *err)
{
	struct requeue_result r;
	int ok = requeue_retry(buf, u->target, u->limits, &u->names, &r, err);

	bytes_addf(told, "%" PRIu64 " events put back into the buffer", r.back);
	*kept = r.kept;
	return ok;
}

static int
drop(const struct maintain *u, struct buffer *buf, struct bytes *told, uint64_t *kept,
    struct err *err)
{
	struct requeue_result r;
	int ok = requeue_drop(buf, &u->names, &r, err);

	bytes_addf(
	    told, "%" PRIu64 " lines dropped from '%s/quarantine'", r.dropped, buffer_dir(buf));
	*kept = r.kept;
	return ok;
}

int
maintain_run(const struct maintain *u, enum maintain_op what, struct buffer *buf,
    struct bytes *told, uint64_t *kept, struct err *err)
{
	*kept = 0;
	if (buffer_replay_lock(buf, err) == -1) {
		if (err->sys == EWOULDBLOCK)
			err->status = STATUS_AGAIN;
		return -1;
	}
	switch (what) {
	case MAINTAIN_COMPRESS: return compress(buf, told, err);
	case MAINTAIN_RETARGET: return retarget(u, buf, told, err);
	case MAINTAIN_DISCARD: return discard(u, buf, told, err);
	case MAINTAIN_RETRY: return retry(u, buf, told, kept, err);
	case MAINTAIN_DROP: break;
	}
	return drop(u, buf, told, kept, err);
}
