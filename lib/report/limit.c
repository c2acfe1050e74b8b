#include <stdlib.h>
#include <string.h>

#include "base/human.h"
#include "report/limit.h"
#include "base/status.h"
#include "base/util.h"
#include "base/when.h"

#define NONE UINT64_MAX
#define MIB (UINT64_C(1) << 20)
#define MINUTE UINT64_C(60000)

enum unit { COUNT, BYTES, TIME };

/* The table in ebhealth(1) says the same. */
static const struct {
	const char *word;
	enum unit unit;
	uint64_t warn, crit;
} known[LIMITS] = {
	[LIMIT_EVENTS] = {"events", COUNT, 1, 100000},
	[LIMIT_AGE] = {"age", TIME, 1 * MINUTE, 60 * MINUTE},
	[LIMIT_BYTES] = {"bytes", BYTES, 256 * MIB, 1024 * MIB},
	[LIMIT_QUARANTINE] = {"quarantine", COUNT, 1, NONE},
	[LIMIT_HELD] = {"held", COUNT, 1, NONE},
	[LIMIT_DOUBLES] = {"doubles", COUNT, NONE, NONE},
	[LIMIT_FREE] = {"free", BYTES, 64 * MIB, 16 * MIB},
	[LIMIT_RTT] = {"rtt", TIME, NONE, NONE},
	[LIMIT_DEAD] = {"dead", COUNT, 1, NONE},
	[LIMIT_LAG] = {"lag", COUNT, NONE, NONE},
	[LIMIT_LOST] = {"lost", COUNT, 1, NONE},
	[LIMIT_PENDING] = {"pending", COUNT, NONE, NONE},
	[LIMIT_PENDING_AGE] = {"pending-age", TIME, NONE, NONE},
};

void
limit_defaults(struct limit l[LIMITS])
{
	for (int i = 0; i < LIMITS; i++)
		l[i] = (struct limit){
			.warns = known[i].warn != NONE, .alarms = known[i].crit != NONE,
			.warn = known[i].warn, .crit = known[i].crit
		};
}

const char *
limit_word(enum limit_name name)
{
	return known[name].word;
}

const char *
limit_unit(enum limit_name name)
{
	static const char *const units[] = {"", "bytes", "ms"};

	return units[known[name].unit];
}

void
limit_text(struct buf *out, enum limit_name name, uint64_t value)
{
	char text[HUMAN_SIZE];

	if (known[name].unit == BYTES)
		human_size(value, text);
	else if (known[name].unit == TIME && value < 1000) {
		buf_addu(out, value);
		buf_adds(out, " ms");
		return;
	} else if (known[name].unit == TIME)
		when_span(value > INT64_MAX ? INT64_MAX : (int64_t)value, text, sizeof(text));
	else {
		buf_addu(out, value);
		return;
	}
	buf_adds(out, text);
}

static int
find(struct slice word)
{
	for (int i = 0; i < LIMITS; i++)
		if (slice_eq(word, known[i].word))
			return i;
	return -1;
}

static int
unknown(const char *letter, struct slice word, struct fail *f)
{
	struct buf all = {0};

	for (int i = 0; i < LIMITS; i++) {
		buf_adds(&all, i > 0 ? " " : "");
		buf_adds(&all, known[i].word);
	}
	fail_set(f, STATUS_USAGE, "%s %.*s: NAME=VALUE expected; the names are %s", letter, (int)word.n, word.p, buf_str(&all));
	buf_free(&all);
	return -1;
}

static int
read_value(enum limit_name name, const char *text, uint64_t *value)
{
	int64_t ms;

	if (known[name].unit == COUNT)
		return util_u64(text, value);
	if (known[name].unit == BYTES)
		return util_size(text, value);
	if (util_ms(text, &ms) == -1)
		return -1;
	*value = (uint64_t)ms;
	return 0;
}

static int
set(struct limit *l, enum limit_name name, bool critical, const char *text, struct fail *f)
{
	static const char *const hints[] = {"a number", "a size (64M)", "a time (90s, 5m, 1h)"};
	bool on = strcmp(text, "none") != 0;
	uint64_t value = 0;

	if (on && (read_value(name, text, &value) == -1 || (value == 0 && name != LIMIT_FREE)))
		return fail_set(f, STATUS_USAGE, "-%c %s=%s: %s above 0 expected, or none", critical ? 'c' : 'w',
		    known[name].word, text, hints[known[name].unit]);
	l->given = true;
	if (critical) {
		l->alarms = on;
		l->crit = value;
	} else {
		l->warns = on;
		l->warn = value;
	}
	return 0;
}

/* One "NAME=VALUE" of n bytes. */
static int
read_one(struct limit l[LIMITS], bool critical, struct slice one, struct fail *f)
{
	const char *letter = critical ? "-c" : "-w", *eq = one.n > 0 ? memchr(one.p, '=', one.n) : NULL;
	struct slice word = {one.p, eq != NULL ? (size_t)(eq - one.p) : one.n};
	int name = find(word), ok;
	char *value;

	if (eq == NULL || name == -1)
		return unknown(letter, word, f);
	value = util_strndup(eq + 1, one.n - word.n - 1);
	ok = set(&l[name], (enum limit_name)name, critical, value, f);
	free(value);
	return ok;
}

int
limit_read(struct limit l[LIMITS], bool critical, const char *text, struct fail *f)
{
	for (;;) {
		size_t n = strcspn(text, ",");

		if (read_one(l, critical, (struct slice){text, n}, f) == -1)
			return -1;
		if (text[n] == '\0')
			return 0;
		text += n + 1;
	}
}

bool
limit_given(const struct limit *l)
{
	return l->given && (l->warns || l->alarms);
}

bool
limit_streams(const struct limit l[LIMITS])
{
	for (int i = LIMIT_FIRST_OF_STREAM; i < LIMITS; i++)
		if (limit_given(&l[i]))
			return true;
	return false;
}

enum grade
limit_grade(const struct limit l[LIMITS], enum limit_name name, uint64_t value, uint64_t *limit)
{
	const struct limit *m = &l[name];
	bool less = name == LIMIT_FREE;

	if (m->alarms && (less ? value < m->crit : value >= m->crit)) {
		*limit = m->crit;
		return GRADE_CRITICAL;
	}
	if (m->warns && (less ? value < m->warn : value >= m->warn)) {
		*limit = m->warn;
		return GRADE_WARNING;
	}
	return GRADE_OK;
}
