/*
 * threshold: the limits of ebhealth: a measurement that reaches one is a warning or critical.
 */
#ifndef REPORT_THRESHOLD_H
#define REPORT_THRESHOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

/* The values are exit statuses. From the worst: CRITICAL, WARNING, UNKNOWN, OK. */
enum severity { SEVERITY_OK, SEVERITY_WARNING, SEVERITY_CRITICAL, SEVERITY_UNKNOWN };

enum threshold_index {
	/* the buffer */
	THRESHOLD_EVENTS,
	THRESHOLD_AGE,
	THRESHOLD_BYTES,
	THRESHOLD_QUARANTINE,
	THRESHOLD_HELD,
	THRESHOLD_DUPLICATES,
	THRESHOLD_FREE, /* the only one where a lower value is worse */
	/* Redis */
	THRESHOLD_RTT,
	/* streams and groups */
	THRESHOLD_DEAD,
	THRESHOLD_LAG,
	THRESHOLD_LOST,
	THRESHOLD_PENDING,
	THRESHOLD_PENDING_AGE,
	THRESHOLDS
};
#define THRESHOLD_FIRST_OF_STREAM THRESHOLD_DEAD

#define THRESHOLD_NONE UINT64_MAX

/* Limits in counts, bytes or milliseconds, or THRESHOLD_NONE. A value that equals its limit has
 * reached it, except for THRESHOLD_FREE. */
struct threshold {
	uint64_t warn, crit;
	bool given; /* set by the user, perhaps to none */
};

void threshold_defaults(struct threshold all[THRESHOLDS]);
/* Parses "NAME=VALUE[,NAME=VALUE...]", the argument of -c (critical) or -w; VALUE "none" removes
 * the limit. Returns 0, or -1 with status 64. */
int threshold_parse(
    struct threshold all[THRESHOLDS], bool critical, const char *text, struct err *err);
/* Returns true when the user set a limit other than none. */
bool threshold_is_set(const struct threshold *t);
/* Returns true when threshold_is_set holds for one of the streams or groups. */
bool threshold_any_of_streams(const struct threshold all[THRESHOLDS]);

/* Returns the severity of a value; *limit: the limit that it reached, unless it is OK. */
enum severity threshold_severity(const struct threshold all[THRESHOLDS], enum threshold_index which,
    uint64_t value, uint64_t *limit);

const char *threshold_name(enum threshold_index which); /* "pending-age" */
const char *threshold_unit(enum threshold_index which); /* "ms", "bytes", "" */
/* Appends the value for people: 12, 1.5 MiB, 3 min, none. */
void threshold_text(struct bytes *out, enum threshold_index which, uint64_t value);

#endif
