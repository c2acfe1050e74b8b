#include "report/maintain.h"

#include <inttypes.h>

#include "buffer/gzip.h"
#include "buffer/inspect.h"

static int
compress_segments(struct buffer *buf, struct bytes *report, struct err *err)
{
	size_t files = 0;
	int ok = gzip_segments(buf, &files, err);

	bytes_addf(report, "%zu segments compressed", files);
	return ok;
}

static int
retarget_buffer(const struct maintain *m, struct buffer *buf, struct bytes *report, struct err *err)
{
	struct buffer_hints hints;

	if (buffer_lock(buf, m->limits->lock_ms, &hints, err) == -1 ||
	    buffer_retarget(buf, m->target, err) == -1)
		return -1;
	bytes_addf(report, "buffer '%s' now belongs to %s", buf->dir, m->target);
	return 0;
}

static int
discard_events(const struct maintain *m, struct buffer *buf, struct bytes *report, struct err *err)
{
	uint64_t lines = 0;
	int ok = inspect_discard(buf, m->limits->lock_ms, &lines, err);

	bytes_addf(report, "%" PRIu64 " events moved to '%s/quarantine'", lines, buf->dir);
	return ok;
}

static int
retry_quarantine(const struct maintain *m, struct buffer *buf, struct bytes *report, uint64_t *kept,
    struct err *err)
{
	struct requeue_result r;
	int ok = requeue_retry(buf, m->target, m->limits, &m->names, &r, err);

	bytes_addf(report, "%" PRIu64 " events returned to the buffer", r.back);
	*kept = r.kept;
	return ok;
}

static int
drop_quarantine(const struct maintain *m, struct buffer *buf, struct bytes *report, uint64_t *kept,
    struct err *err)
{
	struct requeue_result r;
	int ok = requeue_drop(buf, &m->names, &r, err);

	bytes_addf(report, "%" PRIu64 " lines deleted from '%s/quarantine'", r.dropped, buf->dir);
	*kept = r.kept;
	return ok;
}

int
maintain_run(const struct maintain *m, enum maintain_op op, struct buffer *buf,
    struct bytes *report, uint64_t *kept, struct err *err)
{
	*kept = 0;
	if (buffer_replay_lock(buf, err) == -1)
		return -1;
	switch (op) {
	case MAINTAIN_COMPRESS: return compress_segments(buf, report, err);
	case MAINTAIN_RETARGET: return retarget_buffer(m, buf, report, err);
	case MAINTAIN_DISCARD: return discard_events(m, buf, report, err);
	case MAINTAIN_RETRY: return retry_quarantine(m, buf, report, kept, err);
	case MAINTAIN_DROP: break;
	}
	return drop_quarantine(m, buf, report, kept, err);
}
