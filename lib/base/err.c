#include "base/err.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#define BIDI_FIRST_BYTE '\xe2' /* in UTF-8 */

static void
replace_controls(char *s)
{
	bool utf8 = json_is_utf8(s, strlen(s));

	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8))
			*s = '?';
		else if (c == 0xc2 && (unsigned char)s[1] < 0xa0) /* U+0080 to U+009F */
			s[0] = s[1] = '?';
	}
}

/* Returns the code point of a character that turns the direction of writing: U+202A to U+202E,
 * U+2066 to U+2069; else 0. */
static unsigned
read_bidi_control(const unsigned char *s)
{
	unsigned c = s[0] == (unsigned char)BIDI_FIRST_BYTE && s[1] != '\0'
	    ? (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu)
	    : 0;

	return (c >= 0x2a && c <= 0x2e) || (c >= 0x66 && c <= 0x69) ? 0x2000 + c : 0;
}

static void
escape_bidi_controls(struct bytes *text)
{
	struct bytes out = {0};
	size_t done = 0;
	unsigned c;

	for (size_t i = 0; i + 2 < text->len; i++) {
		if ((c = read_bidi_control((unsigned char *)text->p + i)) == 0)
			continue;
		bytes_add(&out, text->p + done, i - done);
		bytes_addf(&out, "\\u%04X", c);
		done = i + 3;
	}
	if (done == 0)
		return;
	bytes_adds(&out, text->p + done);
	bytes_free(text);
	*text = out;
	bytes_str(text);
}

void
err_clean(struct bytes *text)
{
	bytes_str(text);
	replace_controls(text->p);
	escape_bidi_controls(text);
}

/* Returns true for a byte of a UTF-8 sequence that is not its first. */
static bool
is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* Cuts out the middle: the subject stands at the beginning of a text, the cause at its end. */
static void
cut_middle(char *out, size_t size, const char *whole)
{
	size_t head = size / 2, tail = strlen(whole) - (size - head - sizeof("..."));

	while (head > 0 && is_continuation(whole[head]))
		head--;
	while (is_continuation(whole[tail]))
		tail++;
	snprintf(out, size, "%.*s...%s", (int)head, whole, whole + tail);
}

/* Formats the text and, when sys is not 0, the cause. Returns the full length, as snprintf does. */
static size_t __attribute__((format(printf, 4, 0)))
format_text(char *out, size_t size, int sys, const char *fmt, va_list ap)
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

static void __attribute__((format(printf, 4, 0)))
fill_err(struct err *err, int status, int sys, const char *fmt, va_list ap)
{
	struct bytes whole = {0};
	va_list again;
	size_t n;

	err->status = status;
	err->sys = sys;
	err->why = 0;
	va_copy(again, ap);
	n = format_text(err->text, sizeof(err->text), sys, fmt, ap);
	if (n >= sizeof(err->text) || strchr(err->text, BIDI_FIRST_BYTE) != NULL) {
		bytes_reserve(&whole, n + 1);
		whole.len = format_text(whole.p, n + 1, sys, fmt, again);
		err_clean(&whole);
		if (whole.len < sizeof(err->text))
			memcpy(err->text, whole.p, whole.len + 1);
		else
			cut_middle(err->text, sizeof(err->text), whole.p);
		bytes_free(&whole);
	} else
		replace_controls(err->text);
	va_end(again);
}

int
err_set(struct err *err, int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill_err(err, status, 0, fmt, ap);
	va_end(ap);
	return -1;
}

int
err_setv(struct err *err, int status, const char *fmt, va_list ap)
{
	fill_err(err, status, 0, fmt, ap);
	return -1;
}

int
err_sys(struct err *err, int status, const char *fmt, ...)
{
	int sys = errno;
	va_list ap;

	va_start(ap, fmt);
	fill_err(err, status, sys, fmt, ap);
	va_end(ap);
	errno = sys;
	return -1;
}
