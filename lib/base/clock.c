#include "base/clock.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECOND INT64_C(1000000)
#define DAY (86400 * SECOND)
#define FIRST (-719528 * DAY) /* 0000-01-01 */

int64_t
clock_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * SECOND + t.tv_nsec / 1000;
}

int64_t
clock_mono(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Returns the days from 1970-01-01 to a date in the Gregorian calendar, from year 0 on. Month 13
 * is January of the next year. Years begin in March here, so that the leap day is the last of its
 * year. gmtime(3) and timegm(3) would read /etc/localtime. */
static int64_t
days_from_date(int64_t y, int m, int d)
{
	y -= m <= 2;
	y += 400; /* 146097 days; keeps the divisions positive */
	return y * 365 + y / 4 - y / 100 + y / 400 + (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d -
	    1 - 719468 - 146097;
}

static void
put_digits(char *p, int n, int width)
{
	for (int i = width - 1; i >= 0; i--, n /= 10)
		p[i] = (char)('0' + n % 10);
}

/* The days by the mean length of a year are in the right year or a neighbour of it. */
static void
format_second(int64_t second, char out[CLOCK_SIZE])
{
	int64_t days = second / 86400 - (second % 86400 < 0);
	int y = (int)((days + 719528) * 400 / 146097) + 1, m = 12, s = (int)(second - days * 86400);

	while (days_from_date(y, 1, 1) > days)
		y--;
	while (days_from_date(y, m, 1) > days)
		m--;
	memcpy(out, "YYYY-mm-ddTHH:MM:SS.ffffffZ", CLOCK_SIZE);
	put_digits(out, y, 4);
	put_digits(out + 5, m, 2);
	put_digits(out + 8, (int)(days - days_from_date(y, m, 1)) + 1, 2);
	put_digits(out + 11, s / 3600, 2);
	put_digits(out + 14, s / 60 % 60, 2);
	put_digits(out + 17, s % 60, 2);
}

/* Caches the text of the last second, because many events share one. */
void
clock_format(int64_t us, char out[CLOCK_SIZE])
{
	static int64_t cached = INT64_MIN;
	static char text[CLOCK_SIZE];
	int64_t second;

	us = us < FIRST ? FIRST : us > CLOCK_LAST ? CLOCK_LAST : us;
	second = us / SECOND - (us % SECOND < 0);
	if (second != cached)
		format_second(second, text);
	cached = second;
	memcpy(out, text, CLOCK_SIZE);
	put_digits(out + 20, (int)(us - second * SECOND), 6);
}

struct text {
	const char *p, *end;
};

/* take_* functions consume their part of the text and return true, or return false on a mismatch.
 */
static bool
take_char(struct text *t, char c)
{
	if (t->p == t->end || *t->p != c)
		return false;
	t->p++;
	return true;
}

/* Takes exactly `width` digits, with a value from lo to hi. */
static bool
take_number(struct text *t, int width, int lo, int hi, int *out)
{
	int n = 0;

	if (t->end - t->p < width)
		return false;
	for (; width > 0; width--) {
		unsigned digit = (unsigned)(*t->p++ - '0');

		if (digit > 9)
			return false;
		n = n * 10 + (int)digit;
	}
	*out = n;
	return n >= lo && n <= hi;
}

static bool
take_date(struct text *t, int64_t *us)
{
	int y, m, d;

	if (!take_number(t, 4, 0, 9999, &y) || !take_char(t, '-') ||
	    !take_number(t, 2, 1, 12, &m) || !take_char(t, '-') || !take_number(t, 2, 1, 31, &d))
		return false;
	*us = days_from_date(y, m, d) * DAY;
	return *us < days_from_date(y, m + 1, 1) * DAY;
}

static bool
take_fraction(struct text *t, int64_t *us)
{
	int64_t unit = SECOND / 10;
	const char *from = t->p;

	for (; t->p < t->end && *t->p >= '0' && *t->p <= '9'; t->p++, unit /= 10)
		*us += (*t->p - '0') * unit;
	return t->p > from;
}

static bool
take_time(struct text *t, bool strict, int64_t *us)
{
	int h, m, s = 0;

	if (!take_number(t, 2, 0, 23, &h) || !take_char(t, ':') || !take_number(t, 2, 0, 59, &m))
		return false;
	if (take_char(t, ':')) {
		if (!take_number(t, 2, 0, 60, &s)) /* 60: a leap second */
			return false;
		if (take_char(t, '.') && !take_fraction(t, us))
			return false;
	} else if (strict) {
		return false;
	}
	*us += (h * 3600 + m * 60 + s) * SECOND;
	return true;
}

static bool
take_zone(struct text *t, bool strict, int64_t *us)
{
	int sign, h, m;

	if (t->p == t->end)
		return !strict;
	if (take_char(t, 'Z') || take_char(t, 'z'))
		return true;
	sign = take_char(t, '+') ? 1 : take_char(t, '-') ? -1 : 0;
	if (sign == 0 || !take_number(t, 2, 0, 23, &h))
		return false;
	if (!take_char(t, ':') && strict)
		return false;
	if (!take_number(t, 2, 0, 59, &m))
		return false;
	*us -= SECOND * 60 * sign * (h * 60 + m);
	return true;
}

static int
parse_timestamp(const char *s, size_t n, bool strict, int64_t *us)
{
	struct text t = {s, s};
	int64_t when;

	if (n > 0)
		t.end += n;
	if (!take_date(&t, &when))
		return -1;
	if (!take_char(&t, 'T') && !take_char(&t, 't') && (strict || !take_char(&t, ' ')))
		return -1;
	if (!take_time(&t, strict, &when) || !take_zone(&t, strict, &when) || t.p != t.end)
		return -1;
	*us = when;
	return 0;
}

int
clock_parse(const char *s, size_t n, int64_t *us)
{
	return parse_timestamp(s, n, false, us);
}

int
clock_parse_rfc3339(const char *s, size_t n, int64_t *us)
{
	return parse_timestamp(s, n, true, us);
}

/* Moves the fields of *us, which were read as UTC, to the local time zone. Returns 0 or -1. */
static int
take_as_local(int64_t *us)
{
	int64_t part = (*us % SECOND + SECOND) % SECOND;
	time_t t = (time_t)((*us - part) / SECOND);
	struct tm tm;

	gmtime_r(&t, &tm);
	tm.tm_isdst = -1;
	errno = 0;
	if ((t = mktime(&tm)) == -1 && errno != 0)
		return -1;
	*us = (int64_t)t * SECOND + part;
	return 0;
}

/* Returns the beginning of a day, `days` before that of now, us. */
static int64_t
local_midnight(int64_t now, int days)
{
	time_t t = (time_t)(now / SECOND);
	struct tm tm;

	localtime_r(&t, &tm);
	tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
	tm.tm_mday -= days;
	tm.tm_isdst = -1;
	return (int64_t)mktime(&tm) * SECOND;
}

int
clock_parse_typed(const char *s, int64_t now, int64_t *us)
{
	struct text date = {s, s + strlen(s)};
	bool yesterday = strcmp(s, "yesterday") == 0;

	if (yesterday || strcmp(s, "today") == 0) {
		*us = local_midnight(now, yesterday);
		return 0;
	}
	if (take_date(&date, us) && date.p == date.end)
		return take_as_local(us);
	if (clock_parse(s, strlen(s), us) == -1)
		return -1;
	return strpbrk(date.p, "Zz+-") != NULL ? 0 : take_as_local(us);
}

void
clock_format_span(int64_t ms, char *out, size_t size)
{
	long long s = ms < 0 ? 0 : ms / 1000;

	if (s < 120)
		snprintf(out, size, "%lld s", s);
	else if (s < 120LL * 60)
		snprintf(out, size, "%lld min", s / 60);
	else if (s < 48LL * 3600)
		snprintf(out, size, "%lld h", s / 3600);
	else
		snprintf(out, size, "%lld d", s / 86400);
}
