/*
 * threshold: from which value on something is a warning, and from which it is critical.
 */
#ifndef REPORT_THRESHOLD_H
#define REPORT_THRESHOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "report/problems.h"

enum threshold_name {
	/* of the buffer */
	THRESHOLD_EVENTS,
	THRESHOLD_AGE,
	THRESHOLD_BYTES,
	THRESHOLD_QUARANTINE,
	THRESHOLD_HELD,
	THRESHOLD_DUPLICATES,
	THRESHOLD_FREE, /* the only one where less is worse */
	/* of Redis */
	THRESHOLD_RTT,
	/* of streams and groups */
	THRESHOLD_DEAD,
	THRESHOLD_LAG,
	THRESHOLD_LOST,
	THRESHOLD_PENDING,
	THRESHOLD_PENDING_AGE,
	THRESHOLDS
};
#define THRESHOLD_FIRST_OF_STREAM THRESHOLD_DEAD

/* Counts, bytes or milliseconds; the value itself is over the limit already (of THRESHOLD_FREE: it
 * is not). */
struct threshold {
	bool has_warn, has_crit; /* whether there is such a limit */
	uint64_t warn, crit;
	bool given; /* by the user */
};

void threshold_defaults(struct threshold l[THRESHOLDS]);
/* "NAME=VALUE[,NAME=VALUE...]", VALUE "none" for no limit. -1 with status 64. */
int threshold_parse(
    struct threshold l[THRESHOLDS], bool critical, const char *text, struct err *err);
/* Whether the user gave one, and not "none". */
bool threshold_is_set(const struct threshold *l);
/* The same for any of streams or groups. */
bool threshold_any_of_streams(const struct threshold l[THRESHOLDS]);

/* How bad a value is; *limit is the one that it passed. */
enum severity threshold_severity(const struct threshold l[THRESHOLDS], enum threshold_name name,
    uint64_t value, uint64_t *limit);

const char *threshold_word(enum threshold_name name); /* "pending-age" */
const char *threshold_unit(enum threshold_name name); /* "ms", "bytes", "" */
/* Appends a value for people: 12, 1.5 MiB, 3 min. */
void threshold_text(struct bytes *out, enum threshold_name name, uint64_t value);

#endif
