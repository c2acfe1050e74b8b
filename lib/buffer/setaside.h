/*
 * setaside: moves single waiting events into quarantine, on the user's command.
 *
 * The checkpoint first lists the chosen lines, with the reason (`aside`). Then each line goes into
 * quarantine, and when that is durable, the lines count as delivered (`delivered`). What a run that
 * was killed has listed, the next drain or set-aside completes before it does anything else
 * (setaside_complete). So an event is never both in quarantine and sent.
 */
#ifndef BUFFER_SETASIDE_H
#define BUFFER_SETASIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "buffer/buffer.h"
#include "event/event.h"

struct setaside_match {
	size_t field; /* an index of event_field_names */
	struct slice value;
};

/* Which events: those with one of the IDs (none: all) that match every one of `match`. */
struct setaside {
	char *const *ids;
	size_t nids;
	bool *seen; /* per ID, set by setaside_chooses; the caller's */
	struct setaside_match *match;
	size_t nmatch;
};

/* Adds "FIELD=VALUE". -1 with status 64. The caller frees s->match. */
int setaside_add_match(struct setaside *s, const char *text, struct err *err);
bool setaside_chooses(struct setaside *s, const struct event *e);

struct setaside_result {
	uint64_t moved;
	uint64_t kept;  /* quarantine did not take them: they stay in the buffer */
	struct err why; /* of the first that was kept */
};

/* Adopts plain writers' files, and moves the chosen events of all segments. The caller holds the
 * replay lock. Returns -1 when the checkpoint or quarantine/ cannot be written; a later run
 * completes what was begun. */
int setaside_run(struct buffer *buf, struct setaside *s, const char *reason, int64_t lock_ms,
    struct setaside_result *r, struct err *err);
/* Moves the lines that the checkpoint lists as `aside`; nothing when it lists none. Under the
 * replay lock. */
int setaside_complete(
    struct buffer *buf, int64_t lock_ms, struct setaside_result *r, struct err *err);

#endif
