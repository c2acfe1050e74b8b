/*
 * optvalue: parses the values of options, and event types, with error texts for the user.
 *
 * All functions return 0, or -1 with status 64 and *out unchanged. `option` and `wanted` ("a number
 * of events expected") are parts of the text.
 */
#ifndef CLI_OPTVALUE_H
#define CLI_OPTVALUE_H

#include <stdint.h>

#include "base/err.h"

/* Parses a number from `min` to INT64_MAX. */
int optvalue_count(const char *option, const char *arg, int64_t min, const char *wanted,
    int64_t *out, struct err *err);
/* Parses a number from 0 to `max`. */
int optvalue_number(const char *option, const char *arg, uint64_t max, const char *wanted,
    uint64_t *out, struct err *err);
/* Parses a time span of at least `min` ms, in the form of num_parse_ms. */
int optvalue_span(const char *option, const char *arg, int64_t min, const char *wanted, int64_t *ms,
    struct err *err);

/* Checks an event type or a pattern. `patterns` names the option or command that takes patterns;
 * NULL allows them here. */
int optvalue_type(const char *type, const char *patterns, struct err *err);

#endif
