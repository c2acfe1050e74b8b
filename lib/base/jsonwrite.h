/*
 * jsonwrite: writes a JSON object member by member.
 *
 *     jsonwrite_begin_object(b); jsonwrite_text(b, "name", s); ...; jsonwrite_end_object(b);
 *
 * Each member ends with a comma; jsonwrite_end_object replaces the last one with the closing brace.
 * Names are not escaped.
 */
#ifndef BASE_JSONWRITE_H
#define BASE_JSONWRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

void jsonwrite_begin_object(struct bytes *out); /* { */
void jsonwrite_end_object(struct bytes *out);   /* } */
/* Writes "name": only. The caller appends the value and a comma. */
void jsonwrite_name(struct bytes *out, const char *name);
/* Writes null when s is NULL. */
void jsonwrite_text(struct bytes *out, const char *name, const char *s);
void jsonwrite_slice(struct bytes *out, const char *name, struct slice s);
void jsonwrite_count(struct bytes *out, const char *name, uint64_t n);
/* Writes null when n is negative. */
void jsonwrite_count_or_null(struct bytes *out, const char *name, int64_t n);
void jsonwrite_bool(struct bytes *out, const char *name, bool yes);
/* Writes null when us is 0. */
void jsonwrite_time(struct bytes *out, const char *name, int64_t us);

#endif
