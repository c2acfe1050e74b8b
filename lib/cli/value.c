#include <stdbool.h>
#include <string.h>

#include "event/names.h"
#include "base/status.h"
#include "base/util.h"
#include "cli/value.h"

static int
wrong(const char *option, const char *arg, const char *wanted, struct fail *f)
{
	return fail_set(f, STATUS_USAGE, "%s %s: %s", option, arg, wanted);
}

int
value_count(const char *option, const char *arg, int64_t least, const char *wanted, int64_t *out, struct fail *f)
{
	uint64_t n;

	if (util_u64(arg, &n) == -1 || n > INT64_MAX || (int64_t)n < least)
		return wrong(option, arg, wanted, f);
	*out = (int64_t)n;
	return 0;
}

int
value_number(const char *option, const char *arg, uint64_t most, const char *wanted, uint64_t *out, struct fail *f)
{
	uint64_t n;

	if (util_u64(arg, &n) == -1 || n > most)
		return wrong(option, arg, wanted, f);
	*out = n;
	return 0;
}

int
value_span(const char *option, const char *arg, int64_t least, const char *wanted, int64_t *ms, struct fail *f)
{
	int64_t n;

	if (util_ms(arg, &n) == -1 || n < least)
		return wrong(option, arg, wanted, f);
	*ms = n;
	return 0;
}

int
value_type(const char *type, const char *patterns, struct fail *f)
{
	bool pattern = names_pattern(type);

	if (pattern && patterns != NULL)
		return fail_set(f, STATUS_USAGE, "'%s': a pattern goes only with %s; name the types", type, patterns);
	if (!pattern && !names_legal(type, strlen(type)))
		return fail_set(f, STATUS_USAGE, "'%s': an event type is " NAMES_LEGAL, type);
	return 0;
}
