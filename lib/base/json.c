#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/json_int.h"
#include "base/mem.h"

typedef unsigned char byte;

struct scan {
	const byte *p, *end;
	const char *why;
	size_t depth;
	size_t room;			/* levels that fit into bits */
	uint64_t *bits;			/* one a level: 1 inside an object, 0 inside an array */
	uint64_t few[4];
};

static int
fault(struct scan *s, const char *why)
{
	s->why = why;
	return -1;
}

static const byte *
space(const byte *p, const byte *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	return p;
}

/* Past one sequence of two bytes or more (RFC 3629, section 4); NULL when it is not one. */
static const byte *
sequence(const byte *p, const byte *end)
{
	byte c = *p, low = 0x80, high = 0xbf;
	int more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;

	if (c < 0xc2 || c > 0xf4 || end - p <= more)
		return NULL;
	if (c == 0xe0)
		low = 0xa0;
	else if (c == 0xed)
		high = 0x9f;		/* surrogates */
	else if (c == 0xf0)
		low = 0x90;
	else if (c == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return NULL;
	for (p += 2; more > 1; more--, p++)
		if ((*p & 0xc0) != 0x80)
			return NULL;
	return p;
}

static int
check_escape(struct scan *s)
{
	int digits = 0;

	if (++s->p == s->end)
		return fault(s, "string not closed");
	if (*s->p == 'u')
		digits = 4;
	else if (*s->p == '\0' || strchr("\"\\/bfnrt", *s->p) == NULL)
		return fault(s, "bad escape");
	for (s->p++; digits > 0; digits--, s->p++) {
		if (s->p == s->end)
			return fault(s, "string not closed");
		if (num_hex((char)*s->p) == -1)
			return fault(s, "bad \\u escape");
	}
	return 0;
}

static int
check_string(struct scan *s)
{
	const byte *next;

	for (s->p++;;) {
		s->p = (const byte *)jsonrun_plain((const char *)s->p, (const char *)s->end, 1);
		if (s->p == s->end)
			return fault(s, "string not closed");
		if (*s->p == '"')
			break;
		if (*s->p == '\\') {
			if (check_escape(s) == -1)
				return -1;
		} else if (*s->p < 0x20) {
			return fault(s, "control character in a string");
		} else if ((next = sequence(s->p, s->end)) == NULL) {
			return fault(s, "not UTF-8");
		} else {
			s->p = next;
		}
	}
	s->p++;
	return 0;
}

static int
check_digits(struct scan *s)
{
	const byte *from = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return s->p > from ? 0 : fault(s, "digit expected");
}

static int
at(const struct scan *s, char c)
{
	return s->p < s->end && *s->p == (byte)c;
}

static int
check_number(struct scan *s)
{
	int zero;

	if (at(s, '-'))
		s->p++;
	zero = at(s, '0');
	if (zero && s->end - s->p > 1 && s->p[1] >= '0' && s->p[1] <= '9')
		return fault(s, "leading zero");
	if (check_digits(s) == -1)
		return -1;
	if (at(s, '.')) {
		s->p++;
		if (check_digits(s) == -1)
			return -1;
	}
	if (at(s, 'e') || at(s, 'E')) {
		s->p++;
		if (at(s, '+') || at(s, '-'))
			s->p++;
		if (check_digits(s) == -1)
			return -1;
	}
	return 0;
}

static int
check_word(struct scan *s, const char *word)
{
	for (; *word != '\0'; word++, s->p++)
		if (!at(s, *word))
			return fault(s, "value expected");
	return 0;
}

static int
push(struct scan *s, int object)
{
	uint64_t bit = UINT64_C(1) << s->depth % 64;

	if (s->depth == JSON_DEPTH)
		return fault(s, "deeper than 1000000");
	if (s->depth == s->room) {
		uint64_t *old = s->bits == s->few ? NULL : s->bits;

		s->bits = mem_realloc(old, s->room / 4);	/* twice room / 8 bytes */
		if (old == NULL)
			memcpy(s->bits, s->few, sizeof s->few);
		s->room *= 2;
	}
	if (object)
		s->bits[s->depth / 64] |= bit;
	else
		s->bits[s->depth / 64] &= ~bit;
	s->depth++;
	return 0;
}

static int
in_object(const struct scan *s)
{
	return (int)(s->bits[(s->depth - 1) / 64] >> (s->depth - 1) % 64 & 1);
}

static int
check_key(struct scan *s)
{
	s->p = space(s->p, s->end);
	if (!at(s, '"'))
		return fault(s, "member name expected");
	if (check_string(s) == -1)
		return -1;
	s->p = space(s->p, s->end);
	if (!at(s, ':'))
		return fault(s, "':' expected");
	s->p++;
	return 0;
}

/* 1 when a value has to follow, 0 when an empty one is over. */
static int
check_open(struct scan *s, int object)
{
	if (push(s, object) == -1)
		return -1;
	s->p = space(s->p + 1, s->end);
	if (at(s, object ? '}' : ']')) {
		s->p++;
		s->depth--;
		return 0;
	}
	if (object && check_key(s) == -1)
		return -1;
	return 1;
}

/* 0 after a value, 1 after a bracket that a value has to follow. */
static int
check_value(struct scan *s)
{
	s->p = space(s->p, s->end);
	if (s->p == s->end)
		return fault(s, s->depth == 0 ? "empty" : "value expected");
	switch (*s->p) {
	case '"':
		return check_string(s);
	case '{':
		return check_open(s, 1);
	case '[':
		return check_open(s, 0);
	case 't':
		return check_word(s, "true");
	case 'f':
		return check_word(s, "false");
	case 'n':
		return check_word(s, "null");
	case '-': case '0': case '1': case '2': case '3': case '4':
	case '5': case '6': case '7': case '8': case '9':
		return check_number(s);
	case 0xef:
		return fault(s, s->depth == 0 ? "byte order mark" : "value expected");
	default:
		return fault(s, "value expected");
	}
}

/* What follows a value: closing brackets, then 1 before another value or 0 at the end. */
static int
check_after(struct scan *s)
{
	for (;;) {
		s->p = space(s->p, s->end);
		if (s->depth == 0)
			return s->p == s->end ? 0 : fault(s, "something after the value");
		if (s->p == s->end)
			return fault(s, "bracket not closed");
		if (*s->p == ',') {
			s->p++;
			return in_object(s) && check_key(s) == -1 ? -1 : 1;
		}
		if (!at(s, in_object(s) ? '}' : ']'))
			return fault(s, in_object(s) ? "',' or '}' expected" : "',' or ']' expected");
		s->p++;
		s->depth--;
	}
}

int
json_check(const char *text, size_t n, struct json_fault *f)
{
	struct scan s = {.room = 64 * sizeof s.few / sizeof *s.few};
	int more;

	if (n == 0)
		text = "";	/* also for NULL */
	s.p = (const byte *)text;
	s.end = s.p + n;
	s.bits = s.few;
	do
		if ((more = check_value(&s)) == 0)
			more = check_after(&s);
	while (more == 1);
	if (s.bits != s.few)
		free(s.bits);
	if (more == -1)
		*f = (struct json_fault){(size_t)(s.p - (const byte *)text), s.why};
	return more;
}

int
json_utf8(const char *text, size_t n)
{
	const byte *p = (const byte *)text, *end;

	if (n == 0)
		return 1;
	end = p + n;
	while (p < end) {
		p = (const byte *)jsonrun_ascii((const char *)p, (const char *)end);
		if (p < end && (p = sequence(p, end)) == NULL)
			return 0;
	}
	return 1;
}
