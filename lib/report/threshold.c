#include "report/threshold.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/status.h"

#define NO_LIMIT UINT64_MAX
#define MIB (UINT64_C(1) << 20)
#define MINUTE UINT64_C(60000)

enum unit { COUNT, BYTES, TIME };

/* ebhealth(1) documents these values. */
static const struct {
	const char *name;
	enum unit unit;
	uint64_t warn, crit;
} definitions[THRESHOLDS] = {
    [THRESHOLD_EVENTS] = {"events", COUNT, 1, 100000},
    [THRESHOLD_AGE] = {"age", TIME, 1 * MINUTE, 60 * MINUTE},
    [THRESHOLD_BYTES] = {"bytes", BYTES, 256 * MIB, 1024 * MIB},
    [THRESHOLD_QUARANTINE] = {"quarantine", COUNT, 1, NO_LIMIT},
    [THRESHOLD_HELD] = {"held", COUNT, 1, NO_LIMIT},
    [THRESHOLD_DUPLICATES] = {"doubles", COUNT, NO_LIMIT, NO_LIMIT},
    [THRESHOLD_FREE] = {"free", BYTES, 64 * MIB, 16 * MIB},
    [THRESHOLD_RTT] = {"rtt", TIME, NO_LIMIT, NO_LIMIT},
    [THRESHOLD_DEAD] = {"dead", COUNT, 1, NO_LIMIT},
    [THRESHOLD_LAG] = {"lag", COUNT, NO_LIMIT, NO_LIMIT},
    [THRESHOLD_LOST] = {"lost", COUNT, 1, NO_LIMIT},
    [THRESHOLD_PENDING] = {"pending", COUNT, NO_LIMIT, NO_LIMIT},
    [THRESHOLD_PENDING_AGE] = {"pending-age", TIME, NO_LIMIT, NO_LIMIT},
};

void
threshold_defaults(struct threshold all[THRESHOLDS])
{
	for (int i = 0; i < THRESHOLDS; i++)
		all[i] = (struct threshold){.has_warn = definitions[i].warn != NO_LIMIT,
		    .has_crit = definitions[i].crit != NO_LIMIT,
		    .warn = definitions[i].warn,
		    .crit = definitions[i].crit};
}

const char *
threshold_name(enum threshold_index which)
{
	return definitions[which].name;
}

const char *
threshold_unit(enum threshold_index which)
{
	static const char *const units[] = {"", "bytes", "ms"};

	return units[definitions[which].unit];
}

void
threshold_text(struct bytes *out, enum threshold_index which, uint64_t value)
{
	char text[NUM_SIZE_TEXT];

	if (definitions[which].unit == BYTES)
		num_format_size(value, text);
	else if (definitions[which].unit == TIME && value < 1000) {
		bytes_addu(out, value);
		bytes_adds(out, " ms");
		return;
	} else if (definitions[which].unit == TIME)
		clock_format_span(
		    value > INT64_MAX ? INT64_MAX : (int64_t)value, text, sizeof(text));
	else {
		bytes_addu(out, value);
		return;
	}
	bytes_adds(out, text);
}

static int
find_name(struct slice word)
{
	for (int i = 0; i < THRESHOLDS; i++)
		if (slice_is(word, definitions[i].name))
			return i;
	return -1;
}

static int
fail_unknown_name(const char *option, struct slice word, struct err *err)
{
	struct bytes all = {0};

	for (int i = 0; i < THRESHOLDS; i++) {
		bytes_adds(&all, i > 0 ? " " : "");
		bytes_adds(&all, definitions[i].name);
	}
	err_set(err, STATUS_USAGE, "%s '%.*s': expected NAME=VALUE, with NAME one of %s", option,
	    (int)word.n, word.p, bytes_str(&all));
	bytes_free(&all);
	return -1;
}

static int
parse_value(enum threshold_index which, const char *text, uint64_t *value)
{
	int64_t ms;

	if (definitions[which].unit == COUNT)
		return num_parse_u64(text, value);
	if (definitions[which].unit == BYTES)
		return num_parse_size(text, value);
	if (num_parse_ms(text, &ms) == -1)
		return -1;
	*value = (uint64_t)ms;
	return 0;
}

static int
set_limit(struct threshold *t, enum threshold_index which, bool critical, const char *text,
    struct err *err)
{
	static const char *const hints[] = {"a number", "a size (64M)", "a time (90s, 5m, 1h)"};
	bool on = strcmp(text, "none") != 0;
	uint64_t value = 0;

	if (on &&
	    (parse_value(which, text, &value) == -1 || (value == 0 && which != THRESHOLD_FREE)))
		return err_set(err, STATUS_USAGE, "-%c '%s=%s': expected %s above 0, or none",
		    critical ? 'c' : 'w', definitions[which].name, text,
		    hints[definitions[which].unit]);
	t->given = true;
	if (critical) {
		t->has_crit = on;
		t->crit = value;
	} else {
		t->has_warn = on;
		t->warn = value;
	}
	return 0;
}

/* Parses one "NAME=VALUE". */
static int
parse_one(struct threshold all[THRESHOLDS], bool critical, struct slice one, struct err *err)
{
	const char *option = critical ? "-c" : "-w",
	           *eq = one.n > 0 ? memchr(one.p, '=', one.n) : NULL;
	struct slice word = {one.p, eq != NULL ? (size_t)(eq - one.p) : one.n};
	int which = find_name(word), ok;
	char *value;

	if (eq == NULL || which == -1)
		return fail_unknown_name(option, word, err);
	value = mem_strndup(eq + 1, one.n - word.n - 1);
	ok = set_limit(&all[which], (enum threshold_index)which, critical, value, err);
	free(value);
	return ok;
}

int
threshold_parse(struct threshold all[THRESHOLDS], bool critical, const char *text, struct err *err)
{
	for (;;) {
		size_t n = strcspn(text, ",");

		if (parse_one(all, critical, (struct slice){text, n}, err) == -1)
			return -1;
		if (text[n] == '\0')
			return 0;
		text += n + 1;
	}
}

bool
threshold_is_set(const struct threshold *t)
{
	return t->given && (t->has_warn || t->has_crit);
}

bool
threshold_any_of_streams(const struct threshold all[THRESHOLDS])
{
	for (int i = THRESHOLD_FIRST_OF_STREAM; i < THRESHOLDS; i++)
		if (threshold_is_set(&all[i]))
			return true;
	return false;
}

enum severity
threshold_severity(const struct threshold all[THRESHOLDS], enum threshold_index which,
    uint64_t value, uint64_t *limit)
{
	const struct threshold *t = &all[which];
	bool lower_is_worse = which == THRESHOLD_FREE;

	if (t->has_crit && (lower_is_worse ? value < t->crit : value >= t->crit)) {
		*limit = t->crit;
		return SEVERITY_CRITICAL;
	}
	if (t->has_warn && (lower_is_worse ? value < t->warn : value >= t->warn)) {
		*limit = t->warn;
		return SEVERITY_WARNING;
	}
	return SEVERITY_OK;
}
