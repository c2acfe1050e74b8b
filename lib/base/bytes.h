/*
 * bytes: a growing run of bytes, and a borrowed one.
 *
 * A zeroed struct bytes is empty and valid. The bytes belong to the buf; a
 * pointer into them holds until the next call that may grow it. Out of memory
 * ends the process (see mem.h).
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	char *p;
	size_t len, cap;
};

/* Borrowed bytes; not NUL-terminated unless said. */
struct slice {
	const char *p;
	size_t n;
};

void bytes_free(struct bytes *b);              /* back to empty, memory released */
void bytes_grow(struct bytes *b, size_t more); /* as bytes_reserve, when there is no room */
/* Empty, with room for n bytes and hardly more: for one of many that stay. */
void bytes_fit(struct bytes *b, size_t n);
void bytes_adds(struct bytes *b, const char *s);
void bytes_addu(struct bytes *b, uint64_t n); /* decimal */
void bytes_addf(struct bytes *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void bytes_drop(struct bytes *b, size_t n); /* forget the first n bytes */
/* The bytes as a C string: a NUL stands behind them, not counted in len. */
const char *bytes_str(struct bytes *b);

/* Room for `more` further bytes. */
static inline void
bytes_reserve(struct bytes *b, size_t more)
{
	if (more > b->cap - b->len)
		bytes_grow(b, more);
}

static inline void
bytes_add(struct bytes *b, const void *p, size_t n)
{
	if (n == 0)
		return;
	bytes_reserve(b, n);
	memcpy(b->p + b->len, p, n);
	b->len += n;
}

static inline void
bytes_addc(struct bytes *b, char c)
{
	bytes_reserve(b, 1);
	b->p[b->len++] = c;
}

/* Of a C string; NULL is empty. */
static inline struct slice
slice_of(const char *s)
{
	return (struct slice){s, s == NULL ? 0 : strlen(s)};
}

static inline int
slice_equal(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* 1 when equal to the C string. */
static inline int
slice_is(struct slice a, const char *s)
{
	return slice_equal(a, slice_of(s));
}

#endif
