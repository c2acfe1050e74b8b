#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

void
err_clean(char *s)
{
	int utf8 = json_is_utf8(s, strlen(s));

	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8))
			*s = '?';
	}
}

static bool
within_char(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* Leaves out the middle: at the beginning stands what it is about, at the end what is wrong with
 * that. */
static void
shorten(char *out, size_t size, const char *whole)
{
	size_t head = size / 2, tail = strlen(whole) - (size - head - sizeof("..."));

	while (head > 0 && within_char(whole[head]))
		head--;
	while (within_char(whole[tail]))
		tail++;
	snprintf(out, size, "%.*s...%s", (int)head, whole, whole + tail);
}

static size_t put(char *out, size_t size, int sys, const char *fmt, va_list ap)
    __attribute__((format(printf, 4, 0)));

/* What snprintf would return. */
static size_t
put(char *out, size_t size, int sys, const char *fmt, va_list ap)
{
	const char *why = sys != 0 ? strerror(sys) : "";
	int n = vsnprintf(out, size, fmt, ap);

	if (n < 0)
		out[n = 0] = '\0';
	if (sys == 0)
		return (size_t)n;
	if ((size_t)n < size)
		snprintf(out + n, size - (size_t)n, ": %s", why);
	return (size_t)n + strlen(": ") + strlen(why);
}

static void fill(struct err *err, int status, int sys, const char *fmt, va_list ap)
    __attribute__((format(printf, 4, 0)));

static void
fill(struct err *err, int status, int sys, const char *fmt, va_list ap)
{
	va_list again;
	char *whole;
	size_t n;

	err->status = status;
	err->sys = sys;
	va_copy(again, ap);
	n = put(err->text, sizeof(err->text), sys, fmt, ap);
	/* without memory it is cut at its end */
	if (n >= sizeof(err->text) && (whole = malloc(n + 1)) != NULL) {
		put(whole, n + 1, sys, fmt, again);
		shorten(err->text, sizeof(err->text), whole);
		free(whole);
	}
	va_end(again);
	err_clean(err->text);
}

int
err_set(struct err *err, int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(err, status, 0, fmt, ap);
	va_end(ap);
	return -1;
}

int
err_sys(struct err *err, int status, const char *fmt, ...)
{
	int sys = errno;
	va_list ap;

	va_start(ap, fmt);
	fill(err, status, sys, fmt, ap);
	va_end(ap);
	errno = sys;
	return -1;
}
