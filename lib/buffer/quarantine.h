/*
 * quarantine: what cannot be replayed, kept whole and with its reason, out of the way.
 *
 * quarantine/STEM.jsonl holds one JSON object a line:
 * {"quarantined_at","reason","segment","offset","line"}, with "line_base64" instead when the bytes
 * are not UTF-8. Where there is no room for that, the whole segment is moved there once its good
 * lines are delivered: STEM.bad-N.jsonl, N of its lines being bad. Nothing here is ever deleted,
 * except by hand (requeue.h).
 *
 * A file is locked (flock) by who has it open to write.
 */
#ifndef BUFFER_QUARANTINE_H
#define BUFFER_QUARANTINE_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "buffer/buffer.h"
#include "buffer/segment.h"

struct quarantine;

#define QUARANTINE_LINE_MAX \
	(16u << 20) /* a longer bad line is kept in its segment: a record could be six times as \
	               long */

/* Opens nothing yet; never fails. Close drops what was not synced from mind, not from disk. */
struct quarantine *quarantine_open(struct buffer *buf);
void quarantine_close(struct quarantine *q);
/*
 * Adds one line; durable only after quarantine_sync. A line that is there already (same segment and
 * offset: a run that was cut off before it recorded its progress) is not added twice. -1: no room,
 * or f.
 */
int quarantine_add(struct quarantine *q, const char *stem, uint64_t pos, const char *reason,
    struct slice line, struct err *err);
/* The same for an event that was in no segment: QUARANTINE_REFUSED is its segment, its place there
 * the offset. */
#define QUARANTINE_REFUSED "refused"
int quarantine_add_refused(
    struct quarantine *q, const char *reason, struct slice line, struct err *err);
int quarantine_sync(struct quarantine *q, struct err *err);
/* Moves a segment with `bad` lines there, durably. */
int quarantine_move_segment(
    struct quarantine *q, const struct segment *s, uint64_t bad, struct err *err);
/* How many lines are there; bad lines of whole segments included. */
uint64_t quarantine_count(struct buffer *buf);

#endif
