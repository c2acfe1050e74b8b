/*
 * jsonwrite: a JSON object being written, member by member.
 *
 *     jsonwrite_begin(b); jsonwrite_text(b, "name", s); ...; jsonwrite_end(b);
 *
 * Each member leaves a comma behind; jsonwrite_end turns the last into the closing brace.
 */
#ifndef BASE_JSONWRITE_H
#define BASE_JSONWRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

void jsonwrite_begin(struct bytes *out); /* { */
void jsonwrite_end(struct bytes *out);   /* } */
/* "name": and then anything, with a comma behind it */
void jsonwrite_name(struct bytes *out, const char *name);
/* NULL is null */
void jsonwrite_text(struct bytes *out, const char *name, const char *s);
void jsonwrite_slice(struct bytes *out, const char *name, struct slice s);
void jsonwrite_count(struct bytes *out, const char *name, uint64_t n);
/* negative is null: not known */
void jsonwrite_count_or_null(struct bytes *out, const char *name, int64_t n);
void jsonwrite_bool(struct bytes *out, const char *name, bool yes);
void jsonwrite_time(struct bytes *out, const char *name, int64_t us); /* 0 is null */

#endif
