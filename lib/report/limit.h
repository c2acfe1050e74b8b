/*
 * limit: from which value on something is a warning, and from which it is critical.
 */
#ifndef LIMIT_H
#define LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/fail.h"
#include "report/verdict.h"

enum limit_name {
	/* of the buffer */
	LIMIT_EVENTS,
	LIMIT_AGE,
	LIMIT_BYTES,
	LIMIT_QUARANTINE,
	LIMIT_HELD,
	LIMIT_DOUBLES,
	LIMIT_FREE,		/* the only one where less is worse */
	/* of Redis */
	LIMIT_RTT,
	/* of streams and groups */
	LIMIT_DEAD,
	LIMIT_LAG,
	LIMIT_LOST,
	LIMIT_PENDING,
	LIMIT_PENDING_AGE,
	LIMITS
};
#define LIMIT_FIRST_OF_STREAM LIMIT_DEAD

/* Counts, bytes or milliseconds; the value itself is over the limit already (of LIMIT_FREE: it is not). */
struct limit {
	bool warns, alarms;	/* whether there is such a limit */
	uint64_t warn, crit;
	bool given;		/* by the user */
};

void limit_defaults(struct limit l[LIMITS]);
/* "NAME=VALUE[,NAME=VALUE...]", VALUE "none" for no limit. -1 with status 64. */
int limit_read(struct limit l[LIMITS], bool critical, const char *text, struct fail *f);
/* Whether the user gave one, and not "none". */
bool limit_given(const struct limit *l);
/* The same for any of streams or groups. */
bool limit_streams(const struct limit l[LIMITS]);

/* How bad a value is; *limit is the one that it passed. */
enum grade limit_grade(const struct limit l[LIMITS], enum limit_name name, uint64_t value, uint64_t *limit);

const char *limit_word(enum limit_name name);	/* "pending-age" */
const char *limit_unit(enum limit_name name);	/* "ms", "bytes", "" */
/* Appends a value for people: 12, 1.5 MiB, 3 min. */
void limit_text(struct buf *out, enum limit_name name, uint64_t value);

#endif
