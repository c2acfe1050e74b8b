/*
 * quarantine: lines that cannot be delivered, kept whole and with the reason.
 *
 * quarantine/STEM.jsonl holds one JSON object a line:
 * {"quarantined_at","reason","segment","offset","line"}, with "line_base64" instead of "line" when
 * the bytes are not UTF-8. When there is no space for such records, the whole segment is moved
 * there after its good lines were delivered: STEM.bad-N.jsonl, of which N lines are bad. A process
 * that has a file open for writing holds flock(2) on it. Only requeue.h deletes files here.
 */
#ifndef BUFFER_QUARANTINE_H
#define BUFFER_QUARANTINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "buffer/buffer.h"
#include "buffer/segment.h"

struct quarantine;

/* A longer bad line stays in its segment: its record could be six times as long. */
#define QUARANTINE_LINE_MAX (16u << 20)

/* Never fails: the first record opens the directory. Closing does not sync. */
struct quarantine *quarantine_open(struct buffer *buf);
void quarantine_close(struct quarantine *q);
/* Adds one line; durable only after quarantine_sync. Does not add a line twice (same segment and
 * offset: an earlier run was interrupted before it stored the checkpoint). -1: no space, or another
 * error in err. */
int quarantine_add(struct quarantine *q, const char *stem, uint64_t pos, const char *reason,
    struct slice line, struct err *err);
/* Adds an event that was in no segment: its record has QUARANTINE_REFUSED as the segment, and its
 * place in that file as the offset. */
#define QUARANTINE_REFUSED "refused"
int quarantine_add_refused(
    struct quarantine *q, const char *reason, struct slice line, struct err *err);
int quarantine_sync(struct quarantine *q, struct err *err);
/* Moves a segment with `bad` bad lines into quarantine, durably. */
int quarantine_move_segment(
    struct quarantine *q, const struct segment *s, uint64_t bad, struct err *err);
/* Returns whether a file in quarantine/ has the name of a whole segment, also while a retry works
 * on it: STEM.bad-N.jsonl, .jsonl.gz, and either with .NUMBER.retrying. *stem: the length of STEM.
 */
bool quarantine_is_whole(const char *name, size_t *stem, uint64_t *bad);
/* Returns how many lines are in quarantine, including the bad lines of whole segments. */
uint64_t quarantine_count(struct buffer *buf);

#endif
