#include <stdio.h>

#include "redis/look.h"
#include "redis/pace.h"
#include "base/when.h"

int
look_to(struct look *l, const char *option, const char *arg, struct fail *f)
{
	struct point p;

	if (point_parse(arg, when_now(), option, &p, f) == -1)
		return -1;
	l->has_to = !p.end;
	l->to = p.high;
	return 0;
}

struct count {
	size_t got, bytes;
	struct stream_id id;		/* the last that came */
};

static int
count_one(void *arg, struct slice id, const struct slice *kv, size_t nkv)
{
	struct count *c = arg;

	stream_id_parse(id, &c->id);
	c->got++;
	for (size_t i = 0; i < nkv; i++)
		c->bytes += kv[i].n;
	return 0;
}

/* The ID of the last-th entry from the end of the part, or of the first; `low` when there is none. */
static int
find_last(struct bus *b, const char *key, uint64_t last, const struct look_part *part, struct stream_id *low,
    enum bus_why *why, struct fail *f)
{
	struct pace pace = pace_start(PACE_FIRST, 0);
	struct stream_id found = *low;
	char end[STREAM_ID_SIZE] = "+";

	if (part->has_to)
		stream_id_format(part->to, end);
	while (last > 0) {
		struct count c = {0};

		if (stream_newest(b, key, end, last < pace.count ? last : pace.count, count_one, &c, why, f) == -1)
			return -1;
		if (c.got == 0)
			break;
		found = c.id;
		last -= c.got;
		stream_id_format(point_before(c.id), end);
		pace_learn(&pace, c.got, c.bytes);
	}
	if (stream_id_cmp(found, *low) > 0)
		*low = found;
	return 0;
}

int
look_find(struct bus *b, const char *key, const struct look *l, struct look_part *part, enum bus_why *why, struct fail *f)
{
	struct stream_id low = l->from.low;
	struct stream_info info;

	if (stream_info(b, key, &info, why, f) == -1)
		return -1;
	*part = (struct look_part){.exists = info.exists, .after = info.last_generated};
	part->has_to = l->has_to || !l->follow;
	part->to = l->has_to && stream_id_cmp(l->to, info.last_generated) < 0 ? l->to : info.last_generated;
	if (l->from.end || l->last == 0)
		return 0;
	if (l->last > 0 && info.length > 0 && find_last(b, key, (uint64_t)l->last, part, &low, why, f) == -1)
		return -1;
	part->after = point_before(low);
	return 0;
}
