/*
 * value: a number or a span behind an option, as people type it, with the words for one that is none.
 */
#ifndef VALUE_H
#define VALUE_H

#include <stdint.h>

#include "fail.h"

/*
 * `option` and `wanted`, "a number of events expected", are for the text. 0, or -1 with status 64 and *out as it was: less than
 * `least` too.
 */
int value_count(const char *option, const char *arg, int64_t least, const char *wanted, int64_t *out, struct fail *f);
int value_number(const char *option, const char *arg, uint64_t most, const char *wanted, uint64_t *out, struct fail *f);	/* 0 to most */
int value_span(const char *option, const char *arg, int64_t least, const char *wanted, int64_t *ms, struct fail *f);	/* util_ms */

#endif
