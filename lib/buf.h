/*
 * buf: a growing run of bytes, and a borrowed one.
 *
 * A zeroed struct buf is empty and valid. The bytes belong to the buf; a
 * pointer into them holds until the next call that may grow it. Out of memory
 * ends the process (see util.h).
 */
#ifndef BUF_H
#define BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf {
	char *p;
	size_t len, cap;
};

/* Borrowed bytes; not NUL-terminated unless said. */
struct slice {
	const char *p;
	size_t n;
};

void buf_free(struct buf *b);			/* back to empty, memory released */
void buf_reserve(struct buf *b, size_t more);	/* room for `more` further bytes */
void buf_add(struct buf *b, const void *p, size_t n);
void buf_addc(struct buf *b, char c);
void buf_adds(struct buf *b, const char *s);
void buf_addu(struct buf *b, uint64_t n);	/* decimal */
void buf_addf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void buf_drop(struct buf *b, size_t n);		/* forget the first n bytes */
/* The bytes as a C string: a NUL stands behind them, not counted in len. */
const char *buf_str(struct buf *b);

struct slice slice_of(const char *s);		/* of a C string; NULL is empty */
int slice_eq(struct slice a, const char *s);	/* 1 when equal to the C string */

#endif
