#include "base/jsonwrite.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"

void
jsonwrite_begin_object(struct bytes *out)
{
	bytes_addc(out, '{');
}

void
jsonwrite_end_object(struct bytes *out)
{
	if (out->p[out->len - 1] == ',')
		out->len--;
	bytes_addc(out, '}');
}

void
jsonwrite_name(struct bytes *out, const char *name)
{
	bytes_addc(out, '"');
	bytes_adds(out, name);
	bytes_adds(out, "\":");
}

void
jsonwrite_slice(struct bytes *out, const char *name, struct slice s)
{
	jsonwrite_name(out, name);
	json_quote_text(out, s.p, s.n);
	bytes_addc(out, ',');
}

void
jsonwrite_text(struct bytes *out, const char *name, const char *s)
{
	if (s != NULL) {
		jsonwrite_slice(out, name, slice_of(s));
		return;
	}
	jsonwrite_name(out, name);
	bytes_adds(out, "null,");
}

void
jsonwrite_count(struct bytes *out, const char *name, uint64_t n)
{
	jsonwrite_name(out, name);
	bytes_addu(out, n);
	bytes_addc(out, ',');
}

void
jsonwrite_count_or_null(struct bytes *out, const char *name, int64_t n)
{
	if (n < 0)
		jsonwrite_text(out, name, NULL);
	else
		jsonwrite_count(out, name, (uint64_t)n);
}

void
jsonwrite_bool(struct bytes *out, const char *name, bool yes)
{
	jsonwrite_name(out, name);
	bytes_adds(out, yes ? "true," : "false,");
}

void
jsonwrite_time(struct bytes *out, const char *name, int64_t us)
{
	char when[CLOCK_SIZE];

	clock_format(us, when);
	jsonwrite_text(out, name, us ? when : NULL);
}
