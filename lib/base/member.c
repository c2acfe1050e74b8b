#include <string.h>

#include "base/json.h"
#include "base/member.h"
#include "base/when.h"

void
member_begin(struct buf *out)
{
	buf_addc(out, '{');
}

void
member_end(struct buf *out)
{
	if (out->p[out->len - 1] == ',')
		out->len--;
	buf_addc(out, '}');
}

void
member_name(struct buf *out, const char *name)
{
	buf_addc(out, '"');
	buf_adds(out, name);
	buf_adds(out, "\":");
}

void
member_slice(struct buf *out, const char *name, struct slice s)
{
	member_name(out, name);
	json_quote_text(out, s.p, s.n);
	buf_addc(out, ',');
}

void
member_text(struct buf *out, const char *name, const char *s)
{
	if (s) {
		member_slice(out, name, slice_of(s));
		return;
	}
	member_name(out, name);
	buf_adds(out, "null,");
}

void
member_count(struct buf *out, const char *name, uint64_t n)
{
	member_name(out, name);
	buf_addu(out, n);
	buf_addc(out, ',');
}

void
member_known(struct buf *out, const char *name, int64_t n)
{
	if (n < 0)
		member_text(out, name, NULL);
	else
		member_count(out, name, (uint64_t)n);
}

void
member_bool(struct buf *out, const char *name, bool yes)
{
	member_name(out, name);
	buf_adds(out, yes ? "true," : "false,");
}

void
member_time(struct buf *out, const char *name, int64_t us)
{
	char when[WHEN_SIZE];

	when_format(us, when);
	member_text(out, name, us ? when : NULL);
}
