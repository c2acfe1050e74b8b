/*
 * reader: the lines of one segment, from a byte offset on, plain or compressed.
 *
 * There may be thousands of plain files that are not in the chain: such a file is open only during
 * a read.
 */
#ifndef BUFFER_READER_H
#define BUFFER_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "buffer/segment.h"

struct reader;

#define READER_LINE_MAX ((uint64_t)512 << 20) /* bytes; a longer line is damage: bounds memory */

struct reader_line {
	struct slice text; /* without newline; valid until the next call */
	uint64_t pos,
	    end;       /* byte offsets (uncompressed) of the line and of what follows its newline */
	bool torn;     /* the file ends without a newline */
	int64_t stamp; /* for the caller */
};

enum reader_flags {
	/* a publisher may be appending: bytes behind the last newline are not yet a line */
	READER_LIVE = 1,
	READER_SYNC = 2 /* fdatasync(2) first, so that what is read survives a power cut */
};

/* Reads from offset `from` up to `limit` (UINT64_MAX: to the end). *s has to outlive the reader.
 * NULL on failure; err->sys is ENOENT when there is no such file. */
struct reader *reader_open(
    int dirfd, const struct segment *s, uint64_t from, uint64_t limit, int flags, struct err *err);
/* NULL is fine. */
void reader_close(struct reader *r);
/* 1 for a line, 0 at the end, -1 on failure. err->sys EBADMSG: the compressed file is damaged or
 * truncated, or a line exceeds READER_LINE_MAX; nothing more can be read from it. */
int reader_next(struct reader *r, struct reader_line *l, struct err *err);
/* Reads exactly n bytes of a plain file. Does not move the reader. */
int reader_read_at(struct reader *r, uint64_t pos, char *to, size_t n, struct err *err);
/* Frees the memory of a plain file's reader between two lines; the next call of reader_next
 * allocates it again. The line returned last becomes invalid. */
void reader_park(struct reader *r);
/* The offset up to which the file has been read. */
uint64_t reader_bytes_read(const struct reader *r);

#endif
