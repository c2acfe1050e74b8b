/*
 * bytes: a growable byte buffer, and a slice of borrowed bytes.
 *
 * A zeroed struct bytes is empty and valid. It owns its bytes; a pointer into them is valid until
 * the next call that may grow the buffer. Out of memory ends the process (mem.h).
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	char *p;
	size_t len, cap;
};

/* Borrowed bytes, in general not NUL-terminated. */
struct slice {
	const char *p;
	size_t n;
};

/* Releases the memory and leaves an empty buffer. */
void bytes_free(struct bytes *b);
/* Makes room for `more` further bytes. For bytes_reserve, which looks first. */
void bytes_grow(struct bytes *b, size_t more);
/* Empties the buffer and makes room for n bytes, rounded up to 64, without doubling: for buffers
 * that are kept in large numbers. */
void bytes_fit(struct bytes *b, size_t n);
void bytes_adds(struct bytes *b, const char *s);
void bytes_addu(struct bytes *b, uint64_t n); /* decimal */
void bytes_addf(struct bytes *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Removes the first n bytes. */
void bytes_drop(struct bytes *b, size_t n);
/* Returns the bytes as a C string. The NUL is not counted in len. */
const char *bytes_str(struct bytes *b);

/* Makes room for `more` further bytes. */
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

/* The initializer of a slice of a string literal. */
/* clang-format off */
#define SLICE(s) {(s), sizeof(s) - 1}
/* clang-format on */

/* Returns a slice of a C string; NULL gives an empty one. */
static inline struct slice
slice_of(const char *s)
{
	return (struct slice){s, s == NULL ? 0 : strlen(s)};
}

static inline bool
slice_equal(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Returns true when the slice equals a C string. */
static inline bool
slice_is(struct slice a, const char *s)
{
	return slice_equal(a, slice_of(s));
}

#endif
