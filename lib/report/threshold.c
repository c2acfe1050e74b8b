#include "report/threshold.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/status.h"

#define NONE UINT64_MAX
#define MIB (UINT64_C(1) << 20)
#define MINUTE UINT64_C(60000)

enum unit { COUNT, BYTES, TIME };

/* The table in ebhealth(1) says the same. */
static const struct {
	const char *word;
	enum unit unit;
	uint64_t warn, crit;
} known[THRESHOLDS] = {
    [THRESHOLD_EVENTS] = {"events", COUNT, 1, 100000},
    [THRESHOLD_AGE] = {"age", TIME, 1 * MINUTE, 60 * MINUTE},
    [THRESHOLD_BYTES] = {"bytes", BYTES, 256 * MIB, 1024 * MIB},
    [THRESHOLD_QUARANTINE] = {"quarantine", COUNT, 1, NONE},
    [THRESHOLD_HELD] = {"held", COUNT, 1, NONE},
    [THRESHOLD_DUPLICATES] = {"doubles", COUNT, NONE, NONE},
    [THRESHOLD_FREE] = {"free", BYTES, 64 * MIB, 16 * MIB},
    [THRESHOLD_RTT] = {"rtt", TIME, NONE, NONE},
    [THRESHOLD_DEAD] = {"dead", COUNT, 1, NONE},
    [THRESHOLD_LAG] = {"lag", COUNT, NONE, NONE},
    [THRESHOLD_LOST] = {"lost", COUNT, 1, NONE},
    [THRESHOLD_PENDING] = {"pending", COUNT, NONE, NONE},
    [THRESHOLD_PENDING_AGE] = {"pending-age", TIME, NONE, NONE},
};

void
threshold_defaults(struct threshold l[THRESHOLDS])
{
	for (int i = 0; i < THRESHOLDS; i++)
		l[i] = (struct threshold){.has_warn = known[i].warn != NONE,
		    .has_crit = known[i].crit != NONE,
		    .warn = known[i].warn,
		    .crit = known[i].crit};
}

const char *
threshold_word(enum threshold_name name)
{
	return known[name].word;
}

const char *
threshold_unit(enum threshold_name name)
{
	static const char *const units[] = {"", "bytes", "ms"};

	return units[known[name].unit];
}

void
threshold_text(struct bytes *out, enum threshold_name name, uint64_t value)
{
	char text[NUM_SIZE_TEXT];

	if (known[name].unit == BYTES)
		num_format_size(value, text);
	else if (known[name].unit == TIME && value < 1000) {
		bytes_addu(out, value);
		bytes_adds(out, " ms");
		return;
	} else if (known[name].unit == TIME)
		clock_format_span(
		    value > INT64_MAX ? INT64_MAX : (int64_t)value, text, sizeof(text));
	else {
		bytes_addu(out, value);
		return;
	}
	bytes_adds(out, text);
}

static int
find(struct slice word)
{
	for (int i = 0; i < THRESHOLDS; i++)
		if (slice_is(word, known[i].word))
			return i;
	return -1;
}

static int
unknown(const char *letter, struct slice word, struct err *err)
{
	struct bytes all = {0};

	for (int i = 0; i < THRESHOLDS; i++) {
		bytes_adds(&all, i > 0 ? " " : "");
		bytes_adds(&all, known[i].word);
	}
	err_set(err, STATUS_USAGE, "%s %.*s: NAME=VALUE expected; the names are %s", letter,
	    (int)word.n, word.p, bytes_str(&all));
	bytes_free(&all);
	return -1;
}

static int
read_value(enum threshold_name name, const char *text, uint64_t *value)
{
	int64_t ms;

	if (known[name].unit == COUNT)
		return num_parse_u64(text, value);
	if (known[name].unit == BYTES)
		return num_parse_size(text, value);
	if (num_parse_ms(text, &ms) == -1)
		return -1;
	*value = (uint64_t)ms;
	return 0;
}

static int
set(struct threshold *l, enum threshold_name name, bool critical, const char *text, struct err *err)
{
	static const char *const hints[] = {"a number", "a size (64M)", "a time (90s, 5m, 1h)"};
	bool on = strcmp(text, "none") != 0;
	uint64_t value = 0;

	if (on && (read_value(name, text, &value) == -1 || (value == 0 && name != THRESHOLD_FREE)))
		return err_set(err, STATUS_USAGE, "-%c %s=%s: %s above 0 expected, or none",
		    critical ? 'c' : 'w', known[name].word, text, hints[known[name].unit]);
	l->given = true;
	if (critical) {
		l->has_crit = on;
		l->crit = value;
	} else {
		l->has_warn = on;
		l->warn = value;
	}
	return 0;
}

/* One "NAME=VALUE" of n bytes. */
static int
read_one(struct threshold l[THRESHOLDS], bool critical, struct slice one, struct err *err)
{
	const char *letter = critical ? "-c" : "-w",
	           *eq = one.n > 0 ? memchr(one.p, '=', one.n) : NULL;
	struct slice word = {one.p, eq != NULL ? (size_t)(eq - one.p) : one.n};
	int name = find(word), ok;
	char *value;

	if (eq == NULL || name == -1)
		return unknown(letter, word, err);
	value = mem_strndup(eq + 1, one.n - word.n - 1);
	ok = set(&l[name], (enum threshold_name)name, critical, value, err);
	free(value);
	return ok;
}

int
threshold_parse(struct threshold l[THRESHOLDS], bool critical, const char *text, struct err *err)
{
	for (;;) {
		size_t n = strcspn(text, ",");

		if (read_one(l, critical, (struct slice){text, n}, err) == -1)
			return -1;
		if (text[n] == '\0')
			return 0;
		text += n + 1;
	}
}

bool
threshold_is_set(const struct threshold *l)
{
	return l->given && (l->has_warn || l->has_crit);
}

bool
threshold_any_of_streams(const struct threshold l[THRESHOLDS])
{
	for (int i = THRESHOLD_FIRST_OF_STREAM; i < THRESHOLDS; i++)
		if (threshold_is_set(&l[i]))
			return true;
	return false;
}

enum severity
threshold_severity(
    const struct threshold l[THRESHOLDS], enum threshold_name name, uint64_t value, uint64_t *limit)
{
	const struct threshold *m = &l[name];
	bool less = name == THRESHOLD_FREE;

	if (m->has_crit && (less ? value < m->crit : value >= m->crit)) {
		*limit = m->crit;
		return SEVERITY_CRITICAL;
	}
	if (m->has_warn && (less ? value < m->warn : value >= m->warn)) {
		*limit = m->warn;
		return SEVERITY_WARNING;
	}
	return SEVERITY_OK;
}
