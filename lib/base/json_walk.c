/* The half of json.h that looks into values; json.c holds the judge. Nothing here trusts the
 * bytes: what json_check refuses gives nonsense or an end, never a step outside. */
#include <stdint.h>
#include <string.h>

#include "base/json.h"
#include "base/json_int.h"
#include "base/mem.h"

static int
is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static const char *
space(const char *p, const char *end)
{
	while (p < end && is_space(*p))
		p++;
	return p;
}

struct slice
json_trim(const char *s, size_t n)
{
	const char *p;

	if (n == 0)
		return (struct slice){s, 0};
	p = space(s, s + n);
	n -= (size_t)(p - s);
	while (n > 0 && is_space(p[n - 1]))
		n--;
	return (struct slice){p, n};
}

/* From an opening quote to past the closing one, or NULL. */
static const char *
past_string(const char *p, const char *end)
{
	for (p = jsonrun_plain(p + 1, end, 0); p < end; p = jsonrun_plain(p + 1, end, 0)) {
		if (*p == '"')
			return p + 1;
		if (*p == '\\' && ++p == end)
			break;
	}
	return NULL;
}

/* From an opening bracket to past its partner, or NULL. */
static const char *
past_brackets(const char *p, const char *end)
{
	size_t depth = 0;

	while (p != NULL && p < end) {
		char c = *p;

		if (c == '"') {
			p = past_string(p, end);
			continue;
		}
		p++;
		if (c == '{' || c == '[')
			depth++;
		else if ((c == '}' || c == ']') && --depth == 0)
			return p;
	}
	return NULL;
}

static const char *
past_value(const char *p, const char *end)
{
	if (p == end)
		return NULL;
	if (*p == '"')
		return past_string(p, end);
	if (*p == '{' || *p == '[')
		return past_brackets(p, end);
	while (p < end && *p != ',' && *p != '}' && *p != ']' && !is_space(*p))
		p++;
	return p;
}

int
json_walk(struct json_walk *w, struct slice obj)
{
	struct slice o = json_trim(obj.p, obj.n);

	*w = (struct json_walk){o.p, o.p};
	if (o.n < 2 || o.p[0] != '{' || o.p[o.n - 1] != '}')
		return -1;
	*w = (struct json_walk){o.p + 1, o.p + o.n - 1};
	return 0;
}

int
json_next(struct json_walk *w, struct slice *key, struct slice *value)
{
	const char *p = space(w->p, w->end), *from;

	w->p = w->end;		/* the end, unless a member is found */
	if (p < w->end && *p == ',')
		p = space(p + 1, w->end);
	if (p == w->end || *p != '"')
		return 0;
	from = p + 1;
	if ((p = past_string(p, w->end)) == NULL)
		return 0;
	*key = (struct slice){from, (size_t)(p - from) - 1};
	p = space(p, w->end);
	if (p == w->end || *p != ':')
		return 0;
	from = space(p + 1, w->end);
	if ((p = past_value(from, w->end)) == NULL)
		return 0;
	*value = (struct slice){from, (size_t)(p - from)};
	w->p = p;
	return 1;
}

/* The number in four hex digits, or -1. */
static long
hex4(const char *p, const char *end)
{
	long n = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = num_hex(p[i]);

		if (digit == -1)
			return -1;
		n = n << 4 | digit;
	}
	return n;
}

static char *
put_utf8(char *o, long c)
{
	if (c < 0x80) {
		*o++ = (char)c;
		return o;
	}
	if (c < 0x800) {
		*o++ = (char)(0xc0 | c >> 6);
	} else {
		if (c < 0x10000) {
			*o++ = (char)(0xe0 | c >> 12);
		} else {
			*o++ = (char)(0xf0 | c >> 18);
			*o++ = (char)(0x80 | (c >> 12 & 0x3f));
		}
		*o++ = (char)(0x80 | (c >> 6 & 0x3f));
	}
	*o++ = (char)(0x80 | (c & 0x3f));
	return o;
}

/* The character of an escape whose digits begin at *p, which moves behind it; -1 when it is none. */
static long
unicode(const char **p, const char *end)
{
	long c = hex4(*p, end), low;

	if (c == -1)
		return -1;
	*p += 4;
	if (c < 0xd800 || c > 0xdfff)
		return c;
	if (c <= 0xdbff && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u') {
		low = hex4(*p + 2, end);
		if (low >= 0xdc00 && low <= 0xdfff) {
			*p += 6;
			return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		}
	}
	return 0xfffd;
}

/* An escape, from behind its backslash; NULL when it is none. */
static char *
put_escape(char *o, const char **p, const char *end)
{
	static const char letters[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
	const char *letter;
	long c;

	if (*p == end)
		return NULL;
	if (**p == 'u') {
		++*p;
		c = unicode(p, end);
		return c == -1 ? NULL : put_utf8(o, c);
	}
	if ((letter = memchr(letters, **p, sizeof letters - 1)) == NULL)
		return NULL;
	++*p;
	*o++ = bytes[letter - letters];
	return o;
}

/* Text up to a quote, or the end; text is never longer than its escaped form. NULL: a bad escape. */
static char *
unescape(char *o, const char **from, const char *end)
{
	const char *p = *from, *next;

	while (o != NULL && p < end) {
		next = jsonrun_plain(p, end, 0);
		memcpy(o, p, (size_t)(next - p));
		o += next - p;
		if ((p = next) == end || *p == '"')
			break;
		if (*p++ != '\\')
			*o++ = p[-1];		/* of bytes that were not checked */
		else
			o = put_escape(o, &p, end);
	}
	*from = p;
	return o;
}

int
json_text(struct bytes *out, struct slice value)
{
	const char *p = value.p, *end;
	char *o;

	if (value.n < 2 || *p++ != '"' || value.p[value.n - 1] != '"')
		return -1;
	end = value.p + value.n - 1;
	buf_reserve(out, value.n);
	for (o = out->p + out->len; (o = unescape(o, &p, end)) != NULL && p < end; p++)
		*o++ = *p;		/* a quote, of bytes that were not checked */
	if (o == NULL)
		return -1;
	out->len = (size_t)(o - out->p);
	return 0;
}

const char *
json_take(struct bytes *out, const char *p, const char *end)
{
	char *o;

	if (p == end || *p++ != '"')
		return NULL;
	buf_reserve(out, (size_t)(end - p));
	if ((o = unescape(out->p + out->len, &p, end)) == NULL || p == end)
		return NULL;
	out->len = (size_t)(o - out->p);
	return p + 1;
}

/* c, which is not plain, as an escape; six bytes at most. */
static char *
put_quoted(char *o, char c)
{
	static const char digits[] = "0123456789abcdef";
	static const char letters[] = "btn\0fr";	/* of the bytes 8 to 13 */
	char letter = '\0';

	if (c >= '\b' && c <= '\r')
		letter = letters[c - '\b'];
	else if ((unsigned char)c >= 0x20)
		letter = c;
	*o++ = '\\';
	if (letter != '\0') {
		*o++ = letter;
		return o;
	}
	memcpy(o, "u00", 3);	/* NOLINT(bugprone-not-null-terminated-result): it goes on */
	o[3] = digits[c >> 4];
	o[4] = digits[c & 15];
	return o + 5;
}

/* Most of what is quoted has few escapes: room for all bytes as such, and for one, is kept before each. */
void
json_quote(struct bytes *out, const char *s, size_t n)
{
	const char *end = n > 0 ? s + n : s, *next;

	buf_addc(out, '"');
	while (s < end) {
		buf_reserve(out, (size_t)(end - s) + 6);
		next = jsonrun_plain(s, end, 0);
		memcpy(out->p + out->len, s, (size_t)(next - s));
		out->len += (size_t)(next - s);
		if ((s = next) < end)
			out->len = (size_t)(put_quoted(out->p + out->len, *s++) - out->p);
	}
	buf_addc(out, '"');
}

void
json_quote_text(struct bytes *out, const char *s, size_t n)
{
	struct bytes clean = {0};

	if (json_utf8(s, n)) {
		json_quote(out, s, n);
		return;
	}
	for (size_t i = 0, k; i < n; i += k) {
		for (k = 1; k <= 4 && k <= n - i && !json_utf8(s + i, k); k++)
			;
		if (k <= 4 && k <= n - i) {
			buf_add(&clean, s + i, k);
		} else {
			bytes_adds(&clean, "\xef\xbf\xbd");
			k = 1;
		}
	}
	json_quote(out, clean.p, clean.len);
	bytes_free(&clean);
}

void
json_line(struct bytes *out, const char *s, size_t n)
{
	static const char ends[] = "\n\r";
	char *from, *end, *p;

	buf_add(out, s, n);
	end = out->p + out->len;
	from = end - n;
	for (size_t i = 0; n > 0 && i < 2; i++)
		for (p = from; (p = memchr(p, ends[i], (size_t)(end - p))) != NULL; )
			*p++ = ' ';
}
