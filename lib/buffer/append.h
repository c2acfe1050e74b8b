/*
 * append: adds events to the disk buffer, durably.
 *
 * append_lines returns 0 only after
 *
 *     1. fsync(2) of the directory succeeded, when the segment is new,
 *     2. all lines stand whole in the segment,
 *     3. fdatasync(2) of the segment succeeded.
 *
 * That is G1 (eventbus(7)). The lines of one call are contiguous and in order, each with a
 * buffered_at later than the line before it. The writers' lock is held for steps 1 and 2, which fix
 * the order, and released before step 3.
 *
 * On failure none of the lines remains, except in a suspect segment: after a failed fdatasync the
 * segment is renamed to *.suspect.jsonl, durably, and the lines go to another segment, in doubt,
 * before the writers' lock is released. A writer that does not get the lock in time writes a
 * segment of its own (*.own-N.jsonl): temporary file, fdatasync, rename, fsync of the directory.
 */
#ifndef BUFFER_APPEND_H
#define BUFFER_APPEND_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "buffer/buffer.h"

struct append_limits {
	uint64_t segment_max; /* bytes after which a new segment is started */
	uint64_t buffer_max;  /* bytes in all segments; 0 for no limit */
	uint64_t min_free;    /* bytes that stay free on the file system; 0 for no limit */
	/* deadline of the wait for the writers' lock; -1: write a segment of its own without it */
	int64_t lock_ms;
};

/* A line in two parts (line_head, line_tail). append_format puts buffered_at between them, and crc
 * and newline behind them. */
struct append_line {
	struct slice head, tail;
};

/* target: see buffer_bind_target. On failure err->status is 74, or 78 for another target; err->sys
 * is ENOLCK when the file system cannot lock. */
int append_lines(struct buffer *buf, const char *target, const struct append_limits *lim,
    const struct append_line *lines, size_t n, struct err *err);

/*
 * A segment written in pieces, without the writers' lock, that appears in the buffer as a whole.
 * append_own_open returns NULL on failure. append_own_link makes it durable and gives it the name
 * STEM.own-NUMBER, which must be new; nothing appears when it has no lines. append_own_close
 * discards what was not linked; NULL is fine.
 */
struct append_own;
#define APPEND_OWN_NUMBER 48
/* A number that no other process makes, whatever its process ID: the time and random bits. */
void append_own_number(char out[APPEND_OWN_NUMBER]);
struct append_own *append_own_open(struct buffer *buf, const char *target, struct err *err);
int append_own_add(struct append_own *own, const struct append_line *line, struct err *err);
int append_own_link(struct append_own *own, const char *number, struct err *err);
void append_own_close(struct append_own *own);

/* -1 with err when the limits forbid that many bytes more. */
int append_check_room(
    struct buffer *buf, const struct append_limits *lim, uint64_t more, struct err *err);

/* Appends to out the line as append_lines writes it, newline included. stamp: us. */
void append_format(struct bytes *out, const struct append_line *l, int64_t stamp);

#endif
