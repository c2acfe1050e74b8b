#include <stdio.h>

#include "look.h"
#include "pace.h"

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

/* The ID of the l->last-th entry from the end, or of the first; `low` when there is none. */
static int
find_last(struct bus *b, const char *key, const struct look *l, struct stream_id *low, enum bus_why *why, struct fail *f)
{
	struct pace pace = pace_start(0);
	uint64_t left = (uint64_t)l->last;
	struct stream_id found = *low;
	char end[STREAM_ID_SIZE] = "+";

	if (l->has_to)
		stream_id_format(l->to, end);
	while (left > 0) {
		struct count c = {0};

		if (stream_newest(b, key, end, left < pace.count ? left : pace.count, count_one, &c, why, f) == -1)
			return -1;
		if (c.got == 0)
			break;
		found = c.id;
		left -= c.got;
		stream_id_format(point_before(c.id), end);
		pace_learn(&pace, c.got, c.bytes);
	}
	if (stream_id_cmp(found, *low) > 0)
		*low = found;
	return 0;
}

int
look_start(struct bus *b, const char *key, const struct look *l, struct stream_id *after, bool *exists,
    enum bus_why *why, struct fail *f)
{
	struct stream_id low = l->from.low;
	struct stream_info info;

	if (stream_info(b, key, &info, why, f) == -1)
		return -1;
	*exists = info.exists;
	if (l->from.end || l->last == 0) {
		*after = info.last_generated;
		return 0;
	}
	if (l->last > 0 && info.length > 0 && find_last(b, key, l, &low, why, f) == -1)
		return -1;
	*after = point_before(low);
	return 0;
}
