#include "redis/range.h"

#include <stdio.h>

#include "base/clock.h"
#include "event/id.h"
#include "redis/pagesize.h"
#include "redis/scan.h"
#include "redis/stream.h"

int
range_set_to(struct range *range, const char *option, const char *arg, struct err *err)
{
	struct id_place p;

	if (id_parse_place(arg, clock_now(), option, &p, err) == -1)
		return -1;
	range->has_to = !p.end;
	range->to = p.high;
	return 0;
}

struct range_count {
	size_t got, bytes;
	struct stream_id id; /* of the last entry */
};

static int
measure_entry(void *arg, struct slice id, const struct slice *kv, size_t nkv)
{
	struct range_count *c = arg;

	id_parse(id, &c->id);
	c->got++;
	for (size_t i = 0; i < nkv; i++)
		c->bytes += kv[i].n;
	return 0;
}

/* Raises *low to the ID of the last-th entry from the end, or of the first when there are fewer. */
static int
find_newest(struct conn *conn, const char *key, uint64_t last, const struct range_bounds *bounds,
    struct stream_id *low, struct err *err)
{
	struct pagesize size = pagesize_start(PAGESIZE_FIRST, 0);
	struct stream_id found = *low;
	char end[ID_SIZE] = "+";

	if (bounds->has_to)
		id_format(bounds->to, end);
	while (last > 0) {
		struct range_count count = {0};

		if (scan_newest(conn, key, end, last < size.count ? last : size.count,
		        measure_entry, &count, err) == -1)
			return -1;
		if (count.got == 0)
			break;
		found = count.id;
		last -= count.got;
		id_format(id_before(count.id), end);
		pagesize_learn(&size, count.got, count.bytes);
	}
	if (id_cmp(found, *low) > 0)
		*low = found;
	return 0;
}

int
range_resolve(struct conn *conn, const char *key, const struct range *range,
    struct range_bounds *bounds, struct err *err)
{
	struct stream_id low = range->from.low;
	struct stream_info info;

	if (stream_info(conn, key, &info, err) == -1)
		return -1;
	*bounds = (struct range_bounds){.exists = info.exists, .after = info.last_generated};
	bounds->has_to = range->has_to || !range->follow;
	bounds->to = range->has_to && id_cmp(range->to, info.last_generated) < 0
	    ? range->to
	    : info.last_generated;
	if (range->from.end || range->last == 0)
		return 0;
	if (range->last > 0 && info.length > 0 &&
	    find_newest(conn, key, (uint64_t)range->last, bounds, &low, err) == -1)
		return -1;
	bounds->after = id_before(low);
	return 0;
}
