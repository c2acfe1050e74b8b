/*
 * json: bytes of JSON, looked at in place and never printed anew.
 *
 * The judge is RFC 8259 in valid UTF-8 (RFC 3629), nothing more lenient; it is
 * not cJSON, which takes invalid documents and turns numbers into doubles.
 * Nothing here recurses: depth costs one bit a level, up to JSON_DEPTH.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/bytes.h"

#define JSON_DEPTH 1000000 /* brackets open at once; more is refused */

struct json_fault {
	size_t at;       /* byte offset where it stopped being JSON */
	const char *why; /* static: "leading zero", "not UTF-8", ... */
};

/* 0 when the n bytes are one JSON value, white space around it allowed; else -1. */
int json_check(const char *text, size_t n, struct json_fault *f);
int json_is_utf8(const char *text, size_t n); /* 1 when valid UTF-8 */

/* The value without the JSON white space around it. */
struct slice json_trim(const char *s, size_t n);

/*
 * Members of an object, in order of appearance; the bytes must have passed
 * json_check (or be inside bytes that have).
 *   struct json_walk w; json_walk(&w, obj); while (json_next(&w, &key, &value)) ...
 * key is what stands between its quotes, still escaped; value is trimmed.
 * json_walk returns -1 when obj is not an object.
 */
struct json_walk {
	const char *p, *end;
};
int json_walk(struct json_walk *w, struct slice obj);
int json_next(struct json_walk *w, struct slice *key, struct slice *value);

/* Appends the text of a JSON string value (quotes included in value) as bytes:
 * escapes resolved, \u0000 becomes a NUL, a lone surrogate becomes U+FFFD.
 * -1 when value is not a string. */
int json_unquote(struct bytes *out, struct slice value);
/* The same for a string that begins at p and ends somewhere before end: returns what stands behind
 * it. NULL when there is none. */
const char *json_unquote_from(struct bytes *out, const char *p, const char *end);

/* Appends s as a JSON string, quotes included: only '"', '\\' and bytes below 0x20 are
 * escaped, so that json_unquote gives s back byte for byte. Bytes that are not UTF-8 pass. */
void json_quote(struct bytes *out, const char *s, size_t n);
/* The same, but each byte that is not UTF-8 becomes U+FFFD, so that the result is always JSON. */
void json_quote_text(struct bytes *out, const char *s, size_t n);

/* Appends a checked value on one line: CR and LF (which can stand only between
 * tokens) become spaces. */
void json_add_oneline(struct bytes *out, const char *s, size_t n);

#endif
