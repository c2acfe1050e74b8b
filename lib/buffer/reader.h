/*
 * reader: one segment as lines, from a position on, plain or compressed.
 *
 * A plain file that is not of the chain is open only while it is being read from: there may be
 * thousands of them.
 *
 * Bytes behind the last newline are not yet written (struct reader_line.torn tells of those in a
 * file to which nobody appends any more).
 */
#ifndef BUFFER_READER_H
#define BUFFER_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "buffer/segment.h"

struct reader;

#define READER_LINE_MAX ((uint64_t)512 << 20) /* a longer line is damage: memory is bounded */

struct reader_line {
	struct slice text; /* without newline; valid until the next call */
	uint64_t pos, end; /* byte offsets (uncompressed) of it and behind its newline */
	bool torn;         /* no newline, and the file ends */
	int64_t stamp;     /* for the caller */
};

enum reader_flags {
	/* somebody may append: the last piece without newline is not given */
	READER_LIVE = 1,
	READER_SYNC = 2 /* fdatasync first: what is given out survives a power cut */
};

/* limit: bytes beyond it do not exist (UINT64_MAX: to the end). NULL: f->sys is ENOENT when the
 * file is not there. */
struct reader *reader_open(
    int dirfd, const struct segment *s, uint64_t from, uint64_t limit, int flags, struct err *err);
void reader_close(struct reader *r); /* NULL is fine */
/* 1, 0 end, -1; f->sys is EBADMSG when a compressed file is damaged or cut, or a line is too long:
 * there is no more to be had from it. */
int reader_next(struct reader *r, struct reader_line *l, struct err *err);
/* Exactly n bytes at an offset, of a plain file; does not move the reader. */
int reader_read_at(struct reader *r, uint64_t pos, char *to, size_t n, struct err *err);
/* bytes read so far from the beginning of the file */
uint64_t reader_bytes_read(const struct reader *r);

#endif
