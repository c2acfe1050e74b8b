/*
 * json: checks JSON, walks objects in place, and decodes and encodes strings.
 *
 * The grammar is RFC 8259 in valid UTF-8 (RFC 3629), nothing more lenient. cJSON is not used,
 * because it accepts invalid documents and turns numbers into doubles. Nothing here recurses: a
 * nesting level costs one byte, up to JSON_DEPTH levels.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>

#include "base/bytes.h"

#define JSON_DEPTH 1000000 /* nesting levels; deeper documents are refused */

struct json_fault {
	size_t at;       /* byte offset of the error */
	const char *why; /* static: "leading zero", "not UTF-8", ... */
};

/* Returns 0 when the n bytes are one JSON value with optional white space around it, else -1 and
 * fills *f. */
int json_check(const char *text, size_t n, struct json_fault *f);
bool json_is_utf8(const char *text, size_t n);

/* Returns the text without JSON white space at its ends. */
struct slice json_trim_space(const char *s, size_t n);

/*
 * Iterates over the members of an object, in order of appearance. The bytes must have passed
 * json_check, alone or as part of a document.
 *     struct json_walk w; json_walk(&w, obj); while (json_next(&w, &key, &value)) ...
 * key excludes the quotes and is still escaped; value is trimmed. json_walk returns -1 when obj is
 * not an object; json_next then returns false.
 */
struct json_walk {
	const char *p, *end;
};
int json_walk(struct json_walk *w, struct slice obj);
bool json_next(struct json_walk *w, struct slice *key, struct slice *value);

/* Decodes a JSON string, quotes included in value, and appends the bytes: \u0000 becomes a NUL, a
 * lone surrogate U+FFFD. Returns -1 when value is not a string. */
int json_unquote(struct bytes *out, struct slice value);
/* Decodes a JSON string that begins at p and ends somewhere before end. Returns the byte behind its
 * closing quote, or NULL when there is no string. */
const char *json_unquote_from(struct bytes *out, const char *p, const char *end);

/* Appends s as a JSON string with its quotes. Only '"', '\\' and bytes below 0x20 are escaped, so
 * that json_unquote returns s byte for byte. Invalid UTF-8 passes unchanged. */
void json_quote(struct bytes *out, const char *s, size_t n);
/* Like json_quote, but replaces each byte that is not part of valid UTF-8 with U+FFFD, so that the
 * result is always valid JSON. */
void json_quote_text(struct bytes *out, const char *s, size_t n);

/* Appends `"name":`, with a comma before it unless it is the first of its object. The name is not
 * escaped. */
void json_add_name(struct bytes *out, struct slice name);
/* Appends a member that is a text: its name, and the text as json_quote_text writes it. */
void json_add_member(struct bytes *out, struct slice name, struct slice text);
/* Appends a checked value on one line: CR and LF, which can only stand between tokens, become
 * spaces. */
void json_add_oneline(struct bytes *out, const char *s, size_t n);

#endif
