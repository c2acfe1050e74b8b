#include "redis/range.h"

#include "base/clock.h"
#include "event/id.h"
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

static int
note_entry_id(void *arg, const struct stream_entry *e)
{
	return id_parse(e->id, arg);
}

int
range_resolve(struct conn *conn, const char *key, const struct range *range,
    struct range_bounds *bounds, struct err *err)
{
	struct stream_id low = range->from.low, oldest = low;
	struct scan newest = {.key = key, .newest_first = true};
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
	newest.from = bounds->to;
	newest.limit = (uint64_t)range->last;
	if (range->last > 0 && info.length > 0 &&
	    scan_entries(conn, &newest, note_entry_id, &oldest, err) == -1)
		return -1;
	bounds->after = id_before(id_cmp(oldest, low) > 0 ? oldest : low);
	return 0;
}
