#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "fail.h"
#include "json.h"

void
fail_clean(char *s)
{
	int utf8 = json_utf8(s, strlen(s));

	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8))
			*s = '?';
	}
}

static void fill(struct fail *f, int status, int sys, const char *fmt, va_list ap)
    __attribute__((format(printf, 4, 0)));

static void
fill(struct fail *f, int status, int sys, const char *fmt, va_list ap)
{
	int n;

	f->status = status;
	f->sys = sys;
	n = vsnprintf(f->text, sizeof f->text, fmt, ap);
	if (n < 0)
		f->text[n = 0] = '\0';
	if (sys != 0 && (size_t)n < sizeof f->text)
		snprintf(f->text + n, sizeof f->text - (size_t)n, ": %s", strerror(sys));
	fail_clean(f->text);
}

int
fail_set(struct fail *f, int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(f, status, 0, fmt, ap);
	va_end(ap);
	return -1;
}

int
fail_errno(struct fail *f, int status, const char *fmt, ...)
{
	int sys = errno;
	va_list ap;

	va_start(ap, fmt);
	fill(f, status, sys, fmt, ap);
	va_end(ap);
	errno = sys;
	return -1;
}
