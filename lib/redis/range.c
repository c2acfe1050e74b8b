#include "redis/range.h"

#include <stdio.h>

#include "base/clock.h"
#include "event/id.h"
#include "redis/pagesize.h"
#include "redis/scan.h"
#include "redis/stream.h"

int
range_set_to(struct range *l, const char *option, const char *arg, struct err *err)
{
	struct id_place p;

	if (id_parse_place(arg, clock_now(), option, &p, err) == -1)
		return -1;
	l->has_to = !p.end;
	l->to = p.high;
	return 0;
}

struct range_count {
	size_t got, bytes;
	struct stream_id id; /* the last that came */
};

static int
count_one(void *arg, struct slice id, const struct slice *kv, size_t nkv)
{
	struct range_count *c = arg;

	id_parse(id, &c->id);
	c->got++;
	for (size_t i = 0; i < nkv; i++)
		c->bytes += kv[i].n;
	return 0;
}

/* The ID of the last-th entry from the end of the part, or of the first; `low` when there is none.
 */
static int
find_last(struct conn *conn, const char *key, uint64_t last, const struct range_bounds *part,
    struct stream_id *low, enum conn_why *why, struct err *err)
{
	struct pagesize pace = pagesize_start(PAGESIZE_FIRST, 0);
	struct stream_id found = *low;
	char end[ID_SIZE] = "+";

	if (part->has_to)
		id_format(part->to, end);
	while (last > 0) {
		struct range_count c = {0};

		if (scan_newest(conn, key, end, last < pace.count ? last : pace.count, count_one,
		        &c, why, err) == -1)
			return -1;
		if (c.got == 0)
			break;
		found = c.id;
		last -= c.got;
		id_format(id_before(c.id), end);
		pagesize_learn(&pace, c.got, c.bytes);
	}
	if (id_cmp(found, *low) > 0)
		*low = found;
	return 0;
}

int
range_resolve(struct conn *conn, const char *key, const struct range *l, struct range_bounds *part,
    enum conn_why *why, struct err *err)
{
	struct stream_id low = l->from.low;
	struct stream_info info;

	if (stream_info(conn, key, &info, why, err) == -1)
		return -1;
	*part = (struct range_bounds){.exists = info.exists, .after = info.last_generated};
	part->has_to = l->has_to || !l->follow;
	part->to =
	    l->has_to && id_cmp(l->to, info.last_generated) < 0 ? l->to : info.last_generated;
	if (l->from.end || l->last == 0)
		return 0;
	if (l->last > 0 && info.length > 0 &&
	    find_last(conn, key, (uint64_t)l->last, part, &low, why, err) == -1)
		return -1;
	part->after = id_before(low);
	return 0;
}
