/*
 * value: what people type behind options: a number, a span; and an event type. With the words for what is none.
 */
#ifndef VALUE_H
#define VALUE_H

#include <stdint.h>

#include "base/fail.h"

/*
 * `option` and `wanted`, "a number of events expected", are for the text. 0, or -1 with status 64 and *out as it was: less than
 * `least` too.
 */
int value_count(const char *option, const char *arg, int64_t least, const char *wanted, int64_t *out, struct fail *f);
int value_number(const char *option, const char *arg, uint64_t most, const char *wanted, uint64_t *out, struct fail *f);	/* 0 to most */
int value_span(const char *option, const char *arg, int64_t least, const char *wanted, int64_t *ms, struct fail *f);	/* util_ms */

/* An event type, or a pattern; of that it is said that it goes only with `patterns`, unless that is NULL. 0, or -1 with status 64. */
int value_type(const char *type, const char *patterns, struct fail *f);

#endif
