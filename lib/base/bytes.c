#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"

void
bytes_free(struct bytes *b)
{
	free(b->p);
	*b = (struct bytes){0};
}

void
bytes_grow(struct bytes *b, size_t more)
{
	size_t cap = b->cap < 64 ? 64 : b->cap;

	if (more > SIZE_MAX - b->len)
		mem_realloc(NULL, SIZE_MAX); /* overflow: ends the process, as out of memory does */
	while (cap - b->len < more || cap < b->len)
		cap = cap > SIZE_MAX / 2 ? SIZE_MAX : cap * 2;
	b->p = mem_realloc(b->p, cap);
	b->cap = cap;
}

void
bytes_fit(struct bytes *b, size_t n)
{
	if (b->cap < n) {
		bytes_free(b);
		b->cap = (n + 63) / 64 * 64;
		b->p = mem_realloc(NULL, b->cap);
	}
	b->len = 0;
}

void
bytes_adds(struct bytes *b, const char *s)
{
	bytes_add(b, s, strlen(s));
}

void
bytes_addu(struct bytes *b, uint64_t n)
{
	bytes_reserve(b, NUM_DIGITS);
	b->len = (size_t)(num_put_u64(b->p + b->len, n) - b->p);
}

void
bytes_addf(struct bytes *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n <= 0)
		return;
	bytes_reserve(b, (size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(b->p + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

void
bytes_drop(struct bytes *b, size_t n)
{
	if (n == 0)
		return;
	b->len -= n;
	memmove(b->p, b->p + n, b->len);
}

const char *
bytes_str(struct bytes *b)
{
	bytes_reserve(b, 1);
	b->p[b->len] = '\0';
	return b->p;
}
