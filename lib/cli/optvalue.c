#include "cli/optvalue.h"

#include <stdbool.h>
#include <string.h>

#include "base/num.h"
#include "base/status.h"
#include "event/names.h"

static int
refuse_value(const char *option, const char *arg, const char *wanted, struct err *err)
{
	return err_set(err, STATUS_USAGE, "%s %s: %s", option, arg, wanted);
}

int
optvalue_count(const char *option, const char *arg, int64_t min, const char *wanted, int64_t *out,
    struct err *err)
{
	uint64_t n;

	if (num_parse_u64(arg, &n) == -1 || n > INT64_MAX || (int64_t)n < min)
		return refuse_value(option, arg, wanted, err);
	*out = (int64_t)n;
	return 0;
}

int
optvalue_number(const char *option, const char *arg, uint64_t max, const char *wanted,
    uint64_t *out, struct err *err)
{
	uint64_t n;

	if (num_parse_u64(arg, &n) == -1 || n > max)
		return refuse_value(option, arg, wanted, err);
	*out = n;
	return 0;
}

int
optvalue_span(const char *option, const char *arg, int64_t min, const char *wanted, int64_t *ms,
    struct err *err)
{
	int64_t n;

	if (num_parse_ms(arg, &n) == -1 || n < min)
		return refuse_value(option, arg, wanted, err);
	*ms = n;
	return 0;
}

int
optvalue_type(const char *type, const char *patterns, struct err *err)
{
	bool pattern = names_is_pattern(type);

	if (pattern && patterns != NULL)
		return err_set(err, STATUS_USAGE,
		    "'%s': patterns are allowed only with %s; name each type", type, patterns);
	if (!pattern && !names_legal(type, strlen(type)))
		return err_set(err, STATUS_USAGE, "'%s': an event type is " NAMES_LEGAL, type);
	return 0;
}
