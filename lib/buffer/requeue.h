/*
 * requeue: what stands in quarantine (quarantine.h), looked at, put back into the buffer, or
 * dropped: by hand only.
 *
 * Files are named as they are called in quarantine/; none named means all of them. What is put back
 * is appended as a new event of the same identity, behind what the buffer holds. Cut off and run
 * again, it is put back once: a file is renamed first (NAME.retrying), and what an earlier run may
 * have put back is looked for in the buffer, and marked as in doubt so that the next drain looks in
 * the stream.
 */
#ifndef BUFFER_REQUEUE_H
#define BUFFER_REQUEUE_H

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
	struct slice segment, reason; /* where it stood and why it is here */
	uint64_t offset;
	int64_t at;               /* when, us; 0: not known */
	struct slice line;        /* its bytes */
	const struct line *event; /* NULL: it is none, and cannot be put back */
};

/* Each line, by file. Of a whole segment (NAME.bad-N.jsonl) only the bad ones. fn returns non-zero
 * to stop. Takes no lock. */
typedef int requeue_fn(void *arg, const struct requeue_line *l);
int requeue_list(struct buffer *buf, const struct requeue_names *names, requeue_fn *fn, void *arg,
    struct err *err);

struct requeue_result {
	uint64_t back; /* lines put back into the buffer */
	uint64_t kept; /* lines that are no events and stay */
	uint64_t dropped;
};

/* Under the replay lock. target, lim: see append_lines. */
int requeue_retry(struct buffer *buf, const char *target, const struct append_limits *lim,
    const struct requeue_names *names, struct requeue_result *r, struct err *err);
/* Deletes, under the replay lock. */
int requeue_drop(struct buffer *buf, const struct requeue_names *names, struct requeue_result *r,
    struct err *err);

#endif
