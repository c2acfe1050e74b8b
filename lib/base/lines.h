/*
 * lines: a descriptor read as records, in bounded memory.
 *
 * Records end with '\n' or NUL (the end is not part of them; the last may lack it). One longer than
 * `max` is not kept: it is skipped to its end and reported as LINES_LONG. Works
 * on blocking and non-blocking descriptors alike: lines_fill does one read(2) of up to 256 KiB.
 */
#ifndef BASE_LINES_H
#define BASE_LINES_H

#include "base/bytes.h"

struct lines;

enum lines_got {
	LINES_NONE, /* no whole record here yet: lines_fill, or the end (lines_ended) */
	LINES_ONE,  /* *out is a record; valid until the next lines_fill */
	LINES_LONG  /* a record of more than max bytes was thrown away */
};

struct lines *lines_new(int fd, char end, size_t max);
void lines_free(struct lines *l); /* does not close fd */

/* One read: 1 something came, 0 end of input, -1 errno (EAGAIN, EINTR included). */
int lines_fill(struct lines *l);
enum lines_got lines_next(struct lines *l, struct slice *out);
int lines_ended(const struct lines *l);                 /* 1 after the end and the last record */
unsigned long long lines_number(const struct lines *l); /* of the record last given, from 1 */

#endif
