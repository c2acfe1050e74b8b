#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/util.h"

void
buf_free(struct buf *b)
{
	free(b->p);
	*b = (struct buf){0};
}

void
buf_grow(struct buf *b, size_t more)
{
	size_t cap = b->cap < 64 ? 64 : b->cap;

	if (more > SIZE_MAX - b->len)
		util_realloc(NULL, SIZE_MAX);	/* ends the process */
	while (cap - b->len < more || cap < b->len)
		cap = cap > SIZE_MAX / 2 ? SIZE_MAX : cap * 2;
	b->p = util_realloc(b->p, cap);
	b->cap = cap;
}

void
buf_fit(struct buf *b, size_t n)
{
	if (b->cap < n) {
		buf_free(b);
		b->cap = (n + 63) / 64 * 64;
		b->p = util_realloc(NULL, b->cap);
	}
	b->len = 0;
}

void
buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_addu(struct buf *b, uint64_t n)
{
	buf_reserve(b, UTIL_DIGITS);
	b->len = (size_t)(util_digits(b->p + b->len, n) - b->p);
}

void
buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n <= 0)
		return;
	buf_reserve(b, (size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(b->p + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

void
buf_drop(struct buf *b, size_t n)
{
	if (n == 0)
		return;
	b->len -= n;
	memmove(b->p, b->p + n, b->len);
}

const char *
buf_str(struct buf *b)
{
	buf_reserve(b, 1);
	b->p[b->len] = '\0';
	return b->p;
}
