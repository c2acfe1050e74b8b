#include "status.h"
#include "util.h"
#include "value.h"

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
