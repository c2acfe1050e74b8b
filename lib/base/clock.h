/*
 * clock: clocks and times.
 *
 * Wall-clock times are microseconds since 1970 UTC; spans are measured on
 * CLOCK_MONOTONIC in milliseconds and never on the wall clock.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CLOCK_LAST INT64_C(253402300799999999) /* 9999-12-31T23:59:59.999999Z */
#define CLOCK_SIZE 28                          /* "2025-12-04T10:30:00.123456Z" and a NUL */

int64_t clock_now(void);  /* wall clock, us */
int64_t clock_mono(void); /* CLOCK_MONOTONIC, ms */

/* RFC 3339, UTC, six digits, Z. Years 0000 to 9999; out of range is clamped. */
void clock_format(int64_t us, char out[CLOCK_SIZE]);

/*
 * RFC 3339 and what Python's isoformat() prints: 'T' or ' ' between date and
 * time, seconds optional, any number of fraction digits (cut to six), 'Z',
 * "+hh:mm", "+hhmm" or nothing (then UTC). All n bytes must be the time. 0 or -1.
 */
int clock_parse(const char *s, size_t n, int64_t *us);

/* Strict RFC 3339 (section 5.6: date, T, time with seconds, Z or +hh:mm). 0 or -1. */
int clock_parse_rfc3339(const char *s, size_t n, int64_t *us);

/* How long, for people: "12 s", "3 min", "5 h", "2 d". Negative spans are 0. */
void clock_format_span(int64_t ms, char *out, size_t size);

#endif
