/*
 * append: events into the buffer, durably.
 *
 * append_lines returns 0 only when every line stands whole in a segment, fdatasync(2) said so, and
 * so did fsync of the directory for a new segment (contract, G1). All lines of one call stand
 * together, in order, each with a buffered_at above the one before. On failure nothing of them
 * remains, except in a segment marked suspect.
 *
 * Rules and where they come from: reliability, section 2; ebbuffer(5).
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
	/* how long to wait for the writers' lock before a segment of one's own is written */
	int64_t lock_ms;
};
#define APPEND_SEGMENT_MAX (8u << 20)

/* A line in two parts, see line_head and line_tail; append puts buffered_at between, crc and
 * newline behind. */
struct append_line {
	struct slice head, tail;
};

/* target: see buffer_bind_target. f->status 74, or 78 for another target. */
int append_lines(struct buffer *buf, const char *target, const struct append_limits *lim,
    const struct append_line *lines, size_t n, struct err *err);

/* What append writes for one line, newline included; for tests and for lines of one's own. */
void append_format(struct bytes *out, const struct append_line *l, int64_t stamp);

#endif
