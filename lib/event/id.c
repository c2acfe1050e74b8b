#include "event/id.h"

#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/status.h"

/* Parses a decimal as Redis prints it: no sign, no leading zero. Returns its length, or 0 when
 * s begins with something else. */
static size_t
parse_decimal_part(struct slice s, uint64_t *out)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++) {
		uint64_t d = (uint64_t)(s.p[i] - '0');

		/* 19 digits always fit */
		if (i >= 19 && n > (UINT64_MAX - d) / 10)
			return 0;
		n = n * 10 + d;
	}
	*out = n;
	return i > 1 && s.p[0] == '0' ? 0 : i;
}

int
id_parse(struct slice s, struct stream_id *id)
{
	struct stream_id v;
	size_t n = parse_decimal_part(s, &v.ms);

	if (n == 0 || n >= s.n || s.p[n] != '-')
		return -1;
	s.p += n + 1;
	s.n -= n + 1;
	if (s.n == 0 || parse_decimal_part(s, &v.seq) != s.n)
		return -1;
	*id = v;
	return 0;
}

void
id_format(struct stream_id id, char out[ID_SIZE])
{
	out = num_put_u64(out, id.ms);
	*out++ = '-';
	*num_put_u64(out, id.seq) = '\0';
}

int
id_cmp(struct stream_id a, struct stream_id b)
{
	if (a.ms != b.ms)
		return a.ms < b.ms ? -1 : 1;
	return a.seq < b.seq ? -1 : a.seq > b.seq;
}

struct stream_id
id_next(struct stream_id id)
{
	if (id.seq < UINT64_MAX)
		return (struct stream_id){id.ms, id.seq + 1};
	if (id.ms < UINT64_MAX)
		return (struct stream_id){id.ms + 1, 0};
	return id;
}

struct stream_id
id_before(struct stream_id id)
{
	if (id.seq > 0)
		return (struct stream_id){id.ms, id.seq - 1};
	if (id.ms > 0)
		return (struct stream_id){id.ms - 1, UINT64_MAX};
	return id;
}

int
id_parse_place(
    const char *s, int64_t now, const char *option, struct id_place *out, struct err *err)
{
	uint64_t ms;
	int64_t t;

	*out = (struct id_place){.end = strcmp(s, "$") == 0};
	if (out->end || strcmp(s, "0") == 0 || strcmp(s, "-") == 0)
		return 0;
	if (id_parse(slice_of(s), &out->low) == 0) {
		out->high = out->low;
		return 0;
	}
	if (num_parse_u64(s, &ms) == -1) {
		if (strspn(s, "0123456789.") < strlen(s) && num_parse_ms(s, &t) == 0)
			t = now / 1000 - t;
		else if (clock_parse_typed(s, now, &t) == 0)
			t /= 1000;
		else
			return err_set(err, STATUS_USAGE,
			    "%s: '%s' is not a place in a stream: expected 0, $, an entry ID, a "
			    "time such as '2025-12-04 10:30' or today, or an age such as 10m",
			    option, s);
		ms = t > 0 ? (uint64_t)t : 0;
	}
	out->low = (struct stream_id){ms, 0};
	out->high = (struct stream_id){ms, UINT64_MAX};
	return 0;
}
