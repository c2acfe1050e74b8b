/*
 * clock: reads the clocks, formats and parses times.
 *
 * Wall-clock times are microseconds since 1970-01-01 UTC. Time spans are measured in milliseconds
 * on CLOCK_MONOTONIC, never on the wall clock.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CLOCK_LAST INT64_C(253402300799999999) /* 9999-12-31T23:59:59.999999Z */
#define CLOCK_SIZE 28                          /* "2025-12-04T10:30:00.123456Z" and a NUL */

int64_t clock_now(void);  /* wall clock, us */
int64_t clock_mono(void); /* CLOCK_MONOTONIC, ms */

/* Formats a time as RFC 3339 in UTC, with six fraction digits and 'Z'. Times outside the years 0000
 * to 9999 are clamped. */
void clock_format(int64_t us, char out[CLOCK_SIZE]);

/*
 * Parses RFC 3339 and the output of Python's isoformat(): 'T' or ' ' between date and time, seconds
 * optional, any number of fraction digits (those after the sixth are ignored), then 'Z', "+hh:mm",
 * "+hhmm" or nothing (UTC). All n bytes must be the time. Returns 0 or -1.
 */
int clock_parse(const char *s, size_t n, int64_t *us);

/* Parses strict RFC 3339 (section 5.6: date, T, time with seconds, Z or +hh:mm). Returns 0 or -1.
 */
int clock_parse_rfc3339(const char *s, size_t n, int64_t *us);

/* Parses a time that a user typed: "today", "yesterday", a date, or what clock_parse takes. Without
 * a zone it is local time, as in date(1) and journalctl(1). now: the wall clock. Returns 0 or -1.
 */
int clock_parse_typed(const char *s, int64_t now, int64_t *us);

/* Lowers *by to t, where -1 stands for never in both. */
static inline void
clock_earliest(int64_t *by, int64_t t)
{
	if (t != -1 && (*by == -1 || t < *by))
		*by = t;
}

/* Formats a span for people: "12 s", "3 min", "5 h", "2 d". Negative spans count as 0. */
void clock_format_span(int64_t ms, char *out, size_t size);

#endif
