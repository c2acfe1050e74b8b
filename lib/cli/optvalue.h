/*
 * optvalue: what people type behind options: a number, a span; and an event type. With the words
 * for what is none.
 */
#ifndef CLI_OPTVALUE_H
#define CLI_OPTVALUE_H

#include <stdint.h>

#include "base/err.h"

/*
 * `option` and `wanted`, "a number of events expected", are for the text. 0, or -1 with status 64
 * and *out as it was: less than `least` too.
 */
int optvalue_count(const char *option, const char *arg, int64_t least, const char *wanted,
    int64_t *out, struct err *err);
/* 0 to most */
int optvalue_number(const char *option, const char *arg, uint64_t most, const char *wanted,
    uint64_t *out, struct err *err);
/* num_parse_ms */
int optvalue_span(const char *option, const char *arg, int64_t least, const char *wanted,
    int64_t *ms, struct err *err);

/* An event type, or a pattern; of that it is said that it goes only with `patterns`, unless that is
 * NULL. 0, or -1 with status 64. */
int optvalue_type(const char *type, const char *patterns, struct err *err);

#endif
