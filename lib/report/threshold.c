#include "report/threshold.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/status.h"

#define NONE THRESHOLD_NONE
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
threshold_defaults(struct threshold all[THRESHOLDS])
{
	for (int i = 0; i < THRESHOLDS; i++)
		all[i] = (struct threshold){definitions[i].warn, definitions[i].crit, false};
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
	enum unit unit = definitions[which].unit;
	char text[NUM_SIZE_TEXT] = "none";

	if (unit == BYTES && value != NONE)
		num_format_size(value, text);
	else if (unit == TIME && value != NONE && value >= 1000)
		clock_format_span(
		    value > INT64_MAX ? INT64_MAX : (int64_t)value, text, sizeof(text));
	else if (value != NONE)
		snprintf(text, sizeof(text), "%" PRIu64 "%s", value, unit == TIME ? " ms" : "");
	bytes_adds(out, text);
}

static int
fail_unknown_name(char option, const char *name, struct err *err)
{
	struct bytes all = {0};

	for (int i = 0; i < THRESHOLDS; i++)
		bytes_addf(&all, "%s%s", i > 0 ? " " : "", definitions[i].name);
	err_set(err, STATUS_USAGE, "-%c %s: NAME=VALUE expected, with NAME one of %s", option, name,
	    bytes_str(&all));
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

/* Parses one "NAME=VALUE", which is changed. */
static int
parse_one(struct threshold all[THRESHOLDS], bool critical, char *one, struct err *err)
{
	static const char *const hints[] = {"a number", "a size (64M)", "a time (90s, 5m, 1h)"};
	char *text = strchr(one, '='), option = critical ? 'c' : 'w';
	uint64_t value = NONE;
	int i = 0;

	if (text != NULL)
		*text++ = '\0';
	while (i < THRESHOLDS && strcmp(one, definitions[i].name) != 0)
		i++;
	if (text == NULL || i == THRESHOLDS)
		return fail_unknown_name(option, one, err);
	if (strcmp(text, "none") != 0 &&
	    (parse_value((enum threshold_index)i, text, &value) == -1 ||
	        (value == 0 && i != THRESHOLD_FREE)))
		return err_set(err, STATUS_USAGE, "-%c %s=%s: %s above 0 expected, or none", option,
		    one, text, hints[definitions[i].unit]);
	all[i].given = true;
	*(critical ? &all[i].crit : &all[i].warn) = value;
	return 0;
}

int
threshold_parse(struct threshold all[THRESHOLDS], bool critical, const char *text, struct err *err)
{
	char *copy = mem_strdup(text), *rest = copy, *one;
	int ok = 0;

	while (ok == 0 && (one = strsep(&rest, ",")) != NULL)
		ok = parse_one(all, critical, one, err);
	free(copy);
	return ok;
}

bool
threshold_is_set(const struct threshold *t)
{
	return t->given && (t->warn != NONE || t->crit != NONE);
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
	const uint64_t limits[] = {t->crit, t->warn};

	for (int i = 0; i < 2; i++)
		if (limits[i] != NONE &&
		    (which == THRESHOLD_FREE ? value < limits[i] : value >= limits[i])) {
			*limit = limits[i];
			return i == 0 ? SEVERITY_CRITICAL : SEVERITY_WARNING;
		}
	return SEVERITY_OK;
}
