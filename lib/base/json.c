#include "base/json.h"

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

#define EACH_BYTE(b) ((b)*UINT64_C(0x0101010101010101))

/* --- skipping over bytes, eight at a time ---------------------------------- */

static inline uint64_t
load_le64(const char *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return le64toh(w);
}

/* Returns the first quote, backslash or control character, with ascii_only also the first byte
 * above 0x7f; else end. */
static inline const char *
skip_plain(const char *p, const char *end, bool ascii_only)
{
	uint64_t w, hit;

	for (; end - p >= 8; p += 8) {
		w = load_le64(p);
		hit = (w - EACH_BYTE(0x20)) | ((w ^ EACH_BYTE('"')) - EACH_BYTE(1)) |
		    ((w ^ EACH_BYTE('\\')) - EACH_BYTE(1));
		hit = (ascii_only ? hit | w : hit & ~w) & EACH_BYTE(0x80);
		if (hit != 0)
			return p + __builtin_ctzll(hit) / 8;
	}
	while (p < end && (unsigned char)*p >= 0x20 && *p != '"' && *p != '\\' &&
	    !(ascii_only && (unsigned char)*p >= 0x80))
		p++;
	return p;
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static const char *
skip_space(const char *p, const char *end)
{
	while (p < end && is_space(*p))
		p++;
	return p;
}

/* --- UTF-8 ----------------------------------------------------------------- */

/* Returns the end of a UTF-8 sequence of two bytes or more (RFC 3629, section 4); NULL when it is
 * invalid. */
static const char *
skip_sequence(const char *p, const char *end)
{
	unsigned char c = (unsigned char)*p, next, low = 0x80, high = 0xbf;
	int more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;

	if (c < 0xc2 || c > 0xf4 || end - p <= more)
		return NULL;
	if (c == 0xe0)
		low = 0xa0;
	else if (c == 0xed)
		high = 0x9f; /* surrogates */
	else if (c == 0xf0)
		low = 0x90;
	else if (c == 0xf4)
		high = 0x8f;
	next = (unsigned char)p[1];
	if (next < low || next > high)
		return NULL;
	for (p += 2; more > 1; more--, p++)
		if ((*p & 0xc0) != 0x80)
			return NULL;
	return p;
}

bool
json_is_utf8(const char *text, size_t n)
{
	const char *p = text, *end = n > 0 ? text + n : text;

	while (p < end) {
		while (end - p >= 8 && (load_le64(p) & EACH_BYTE(0x80)) == 0)
			p += 8;
		while (p < end && (unsigned char)*p < 0x80)
			p++;
		if (p < end && (p = skip_sequence(p, end)) == NULL)
			return false;
	}
	return true;
}

/* --- checking -------------------------------------------------------------- */

#define FIRST_DEPTH 256 /* levels without an allocation */

struct scan {
	const char *p, *end;
	const char *why;
	size_t depth;
	char *closing; /* the bracket that closes each open level */
	char *heap;    /* the same when they are more than FIRST_DEPTH, or NULL */
};

static int
set_fault(struct scan *s, const char *why)
{
	s->why = why;
	return -1;
}

/* Passes the byte when it is the next one. */
static bool
take_byte(struct scan *s, char c)
{
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

static int
check_escape(struct scan *s)
{
	int digits = 0;

	if (++s->p == s->end)
		return set_fault(s, "string not closed");
	if (*s->p == 'u')
		digits = 4;
	else if (*s->p == '\0' || strchr("\"\\/bfnrt", *s->p) == NULL)
		return set_fault(s, "bad escape");
	for (s->p++; digits > 0; digits--, s->p++) {
		if (s->p == s->end)
			return set_fault(s, "string not closed");
		if (num_hex_digit(*s->p) == -1)
			return set_fault(s, "bad \\u escape");
	}
	return 0;
}

static int
check_string(struct scan *s)
{
	const char *next;

	for (s->p++;;) {
		s->p = skip_plain(s->p, s->end, true);
		if (s->p == s->end)
			return set_fault(s, "string not closed");
		if (*s->p == '"')
			break;
		if (*s->p == '\\') {
			if (check_escape(s) == -1)
				return -1;
		} else if ((unsigned char)*s->p < 0x20) {
			return set_fault(s, "control character in a string");
		} else if ((next = skip_sequence(s->p, s->end)) == NULL) {
			return set_fault(s, "not UTF-8");
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
	const char *from = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return s->p > from ? 0 : set_fault(s, "digit expected");
}

static int
check_number(struct scan *s)
{
	take_byte(s, '-');
	if (s->end - s->p > 1 && s->p[0] == '0' && s->p[1] >= '0' && s->p[1] <= '9')
		return set_fault(s, "leading zero");
	if (check_digits(s) == -1 || (take_byte(s, '.') && check_digits(s) == -1))
		return -1;
	if (!take_byte(s, 'e') && !take_byte(s, 'E'))
		return 0;
	if (!take_byte(s, '+'))
		take_byte(s, '-');
	return check_digits(s);
}

static int
check_word(struct scan *s, const char *word)
{
	while (*word != '\0')
		if (!take_byte(s, *word++))
			return set_fault(s, "value expected");
	return 0;
}

/* Opens a level that the bracket c closes. */
static int
push_level(struct scan *s, char c)
{
	if (s->depth == JSON_DEPTH)
		return set_fault(s, "deeper than 1000000");
	if (s->depth == FIRST_DEPTH && s->heap == NULL) {
		s->heap = mem_realloc(NULL, JSON_DEPTH);
		s->closing = memcpy(s->heap, s->closing, FIRST_DEPTH);
	}
	s->closing[s->depth++] = c;
	return 0;
}

static int
check_key(struct scan *s)
{
	s->p = skip_space(s->p, s->end);
	if (s->p == s->end || *s->p != '"')
		return set_fault(s, "member name expected");
	if (check_string(s) == -1)
		return -1;
	s->p = skip_space(s->p, s->end);
	return take_byte(s, ':') ? 0 : set_fault(s, "':' expected");
}

/* Checks an opening bracket and the first key. Returns 1 when a value must follow, 0 when the
 * object or array is empty and closed. */
static int
check_open(struct scan *s, char closing)
{
	if (push_level(s, closing) == -1)
		return -1;
	s->p = skip_space(s->p + 1, s->end);
	if (take_byte(s, closing)) {
		s->depth--;
		return 0;
	}
	return closing == '}' && check_key(s) == -1 ? -1 : 1;
}

/* Returns 0 after a complete value, 1 after an opening bracket that a value must follow. */
static int
check_any_value(struct scan *s)
{
	s->p = skip_space(s->p, s->end);
	if (s->p == s->end)
		return set_fault(s, s->depth == 0 ? "empty" : "value expected");
	switch (*s->p) {
	case '"': return check_string(s);
	case '{': return check_open(s, '}');
	case '[': return check_open(s, ']');
	case 't': return check_word(s, "true");
	case 'f': return check_word(s, "false");
	case 'n': return check_word(s, "null");
	case '\xef': return set_fault(s, s->depth == 0 ? "byte order mark" : "value expected");
	default: break;
	}
	if (*s->p == '-' || (*s->p >= '0' && *s->p <= '9'))
		return check_number(s);
	return set_fault(s, "value expected");
}

/* Checks what follows a value: closing brackets, then a comma or the end. Returns 1 when another
 * value must follow, 0 at the end. */
static int
check_after(struct scan *s)
{
	for (;; s->p++, s->depth--) {
		bool object;

		s->p = skip_space(s->p, s->end);
		if (s->depth == 0)
			return s->p == s->end ? 0 : set_fault(s, "something after the value");
		if (s->p == s->end)
			return set_fault(s, "bracket not closed");
		object = s->closing[s->depth - 1] == '}';
		if (take_byte(s, ','))
			return object && check_key(s) == -1 ? -1 : 1;
		if (*s->p != s->closing[s->depth - 1])
			return set_fault(s, object ? "',' or '}' expected" : "',' or ']' expected");
	}
}

int
json_check(const char *text, size_t n, struct json_fault *f)
{
	char first[FIRST_DEPTH];
	struct scan s = {.p = n > 0 ? text : "", .closing = first}; /* text may be NULL */
	int more;

	s.end = s.p + n;
	do
		if ((more = check_any_value(&s)) == 0)
			more = check_after(&s);
	while (more == 1);
	free(s.heap);
	if (more == -1)
		*f = (struct json_fault){n - (size_t)(s.end - s.p), s.why};
	return more;
}

/* --- walking through an object --------------------------------------------- */

struct slice
json_trim_space(const char *s, size_t n)
{
	const char *p;

	if (n == 0)
		return (struct slice){s, 0};
	p = skip_space(s, s + n);
	n -= (size_t)(p - s);
	while (n > 0 && is_space(p[n - 1]))
		n--;
	return (struct slice){p, n};
}

/* Returns the end of the string that opens at p, or NULL. */
static const char *
skip_string(const char *p, const char *end)
{
	for (p = skip_plain(p + 1, end, false); p < end; p = skip_plain(p + 1, end, false)) {
		if (*p == '"')
			return p + 1;
		if (*p == '\\' && ++p == end)
			break;
	}
	return NULL;
}

/* Returns the end of the value at p, or NULL. */
static const char *
skip_value(const char *p, const char *end)
{
	size_t depth = 0;

	do {
		if (p == NULL || p == end)
			return NULL;
		switch (*p++) {
		case '"': p = skip_string(p - 1, end); break;
		case '{':
		case '[': depth++; break;
		case '}':
		case ']': depth--; break;
		default:
			while (depth == 0 && p < end && *p != ',' && *p != '}' && *p != ']' &&
			    !is_space(*p))
				p++;
		}
	} while (depth > 0);
	return p;
}

int
json_walk(struct json_walk *w, struct slice obj)
{
	struct slice o = json_trim_space(obj.p, obj.n);

	*w = (struct json_walk){o.p, o.p};
	if (o.n < 2 || o.p[0] != '{' || o.p[o.n - 1] != '}')
		return -1;
	*w = (struct json_walk){o.p + 1, o.p + o.n - 1};
	return 0;
}

bool
json_next(struct json_walk *w, struct slice *key, struct slice *value)
{
	const char *p = skip_space(w->p, w->end), *from;

	w->p = w->end; /* ends the walk unless a member is found */
	if (p < w->end && *p == ',')
		p = skip_space(p + 1, w->end);
	if (p == w->end || *p != '"')
		return false;
	from = p + 1;
	if ((p = skip_string(p, w->end)) == NULL)
		return false;
	*key = (struct slice){from, (size_t)(p - from) - 1};
	p = skip_space(p, w->end);
	if (p == w->end || *p != ':')
		return false;
	from = skip_space(p + 1, w->end);
	if ((p = skip_value(from, w->end)) == NULL)
		return false;
	*value = (struct slice){from, (size_t)(p - from)};
	w->p = p;
	return true;
}

/* --- decoding strings ------------------------------------------------------ */

/* Returns the value of four hex digits, or -1. */
static long
parse_hex4(const char *p, const char *end)
{
	long n = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = num_hex_digit(p[i]);

		if (digit == -1)
			return -1;
		n = n << 4 | digit;
	}
	return n;
}

static char *
put_utf8(char *o, long c)
{
	static const int lead[] = {0, 0xc0, 0xe0, 0xf0};
	int more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;

	*o++ = (char)(lead[more] | c >> 6 * more);
	while (more-- > 0)
		*o++ = (char)(0x80 | (c >> 6 * more & 0x3f));
	return o;
}

/* Returns the character of a \u escape, or of a surrogate pair of them. *p points to the first
 * digit and moves behind the escape. Returns -1 on bad digits, U+FFFD for a lone surrogate. */
static long
parse_unicode_escape(const char **p, const char *end)
{
	long c = parse_hex4(*p, end), low;

	if (c == -1)
		return -1;
	*p += 4;
	if (c < 0xd800 || c > 0xdfff)
		return c;
	if (c <= 0xdbff && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u') {
		low = parse_hex4(*p + 2, end);
		if (low >= 0xdc00 && low <= 0xdfff) {
			*p += 6;
			return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		}
	}
	return 0xfffd;
}

/* Decodes the escape behind a backslash at *p and moves *p behind it. Returns the end of the
 * output, or NULL on a bad escape. */
static char *
decode_escape(char *o, const char **p, const char *end)
{
	static const char letters[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
	const char *letter;
	long c;

	if (*p == end)
		return NULL;
	if (**p == 'u') {
		++*p;
		c = parse_unicode_escape(p, end);
		return c == -1 ? NULL : put_utf8(o, c);
	}
	if ((letter = memchr(letters, **p, sizeof(letters) - 1)) == NULL)
		return NULL;
	++*p;
	*o++ = bytes[letter - letters];
	return o;
}

/* The output is never longer than the input. */
const char *
json_unquote_from(struct bytes *out, const char *p, const char *end)
{
	const char *next;
	char *o;

	if (p == end || *p++ != '"')
		return NULL;
	bytes_reserve(out, (size_t)(end - p));
	for (o = out->p + out->len; o != NULL && p < end;) {
		next = skip_plain(p, end, false);
		memcpy(o, p, (size_t)(next - p));
		o += next - p;
		if ((p = next) == end)
			break;
		if (*p == '"') {
			out->len = (size_t)(o - out->p);
			return p + 1;
		}
		if (*p++ != '\\')
			*o++ = p[-1]; /* a control character: the bytes were not checked */
		else
			o = decode_escape(o, &p, end);
	}
	return NULL;
}

int
json_unquote(struct bytes *out, struct slice value)
{
	size_t before = out->len;

	if (value.n > 0 && json_unquote_from(out, value.p, value.p + value.n) == value.p + value.n)
		return 0;
	out->len = before;
	return -1;
}

/* --- encoding strings ------------------------------------------------------ */

/* Writes a byte that skip_plain stops at as an escape of at most six bytes. */
static char *
put_escaped(char *o, char c)
{
	static const char digits[] = "0123456789abcdef";
	static const char letters[] = "btn\0fr"; /* for the bytes 8 to 13 */
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
	memcpy(o, "u00", 3); /* NOLINT(bugprone-not-null-terminated-result): more follows */
	o[3] = digits[c >> 4];
	o[4] = digits[c & 15];
	return o + 5;
}

/* Most strings have few escapes: before each run of plain bytes, reserves room for the rest as
 * plain bytes and for one escape. */
void
json_quote(struct bytes *out, const char *s, size_t n)
{
	const char *end = n > 0 ? s + n : s, *next;

	bytes_addc(out, '"');
	while (s < end) {
		bytes_reserve(out, (size_t)(end - s) + 6);
		next = skip_plain(s, end, false);
		memcpy(out->p + out->len, s, (size_t)(next - s));
		out->len += (size_t)(next - s);
		if ((s = next) < end)
			out->len = (size_t)(put_escaped(out->p + out->len, *s++) - out->p);
	}
	bytes_addc(out, '"');
}

void
json_quote_text(struct bytes *out, const char *s, size_t n)
{
	struct bytes clean = {0};

	if (json_is_utf8(s, n)) {
		json_quote(out, s, n);
		return;
	}
	for (const char *end = s + n, *next; s < end; s = next)
		if ((next = (unsigned char)*s < 0x80 ? s + 1 : skip_sequence(s, end)) != NULL) {
			bytes_add(&clean, s, (size_t)(next - s));
		} else {
			bytes_adds(&clean, "\xef\xbf\xbd");
			next = s + 1;
		}
	json_quote(out, clean.p, clean.len);
	bytes_free(&clean);
}

void
json_add_name(struct bytes *out, struct slice name)
{
	if (out->p[out->len - 1] != '{')
		bytes_addc(out, ',');
	bytes_addc(out, '"');
	bytes_add(out, name.p, name.n);
	bytes_add(out, "\":", 2);
}

void
json_add_member(struct bytes *out, struct slice name, struct slice text)
{
	json_add_name(out, name);
	json_quote_text(out, text.p, text.n);
}

void
json_add_oneline(struct bytes *out, const char *s, size_t n)
{
	static const char ends[] = "\n\r";
	char *from, *end, *p;

	bytes_add(out, s, n);
	end = out->p + out->len;
	from = end - n;
	for (size_t i = 0; n > 0 && i < 2; i++)
		for (p = from; (p = memchr(p, ends[i], (size_t)(end - p))) != NULL;)
			*p++ = ' ';
}
