/*
 * requeue: lists the quarantine (quarantine.h), puts its events back into the buffer, or deletes
 * quarantine files; on the user's command only.
 *
 * Files are named as in quarantine/; an empty list of names selects all files. The events of a file
 * are put back all at once, at the end of the buffer, with their old event_id; an interrupted run
 * that is repeated puts each back once.
 */
#ifndef BUFFER_REQUEUE_H
#define BUFFER_REQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "buffer/append.h"
#include "buffer/buffer.h"
#include "buffer/line.h"
#include "event/event.h"

struct requeue_names {
	char *const *name;
	size_t n;
};

struct requeue_line {
	const char *file;             /* in quarantine/ */
	struct slice segment, reason; /* segment it was in, why it was quarantined */
	uint64_t offset;
	int64_t at;               /* quarantined_at, us; 0: unknown */
	struct slice line;        /* the quarantined bytes */
	const struct line *event; /* NULL: not an event, cannot be put back */
	bool damaged;             /* no line: nothing more can be read from the file */
};

/* Calls fn for each line of each file. In a file NAME.bad-N.jsonl, a whole segment, it calls fn
 * for the bad lines only. fn returns non-zero to stop. Takes no lock. */
typedef int requeue_fn(void *arg, const struct requeue_line *l);
int requeue_list_quarantine(struct buffer *buf, const struct requeue_names *names, requeue_fn *fn,
    void *arg, struct err *err);

struct requeue_result {
	uint64_t back; /* lines put back into the buffer */
	uint64_t kept; /* lines that are not events and stay in quarantine */
	uint64_t dropped;
};

/* Puts events back. The caller holds the replay lock. target, lim: see append_lines. */
int requeue_retry(struct buffer *buf, const char *target, const struct append_limits *lim,
    const struct requeue_names *names, struct requeue_result *r, struct err *err);
/* Deletes the files. The caller holds the replay lock. */
int requeue_drop(struct buffer *buf, const struct requeue_names *names, struct requeue_result *r,
    struct err *err);
/* Fills err, status 64: quarantine/ of this buffer, or the buffer, has no file of this name. */
int requeue_refuse_name(const char *dir, const char *name, struct err *err);

#endif
