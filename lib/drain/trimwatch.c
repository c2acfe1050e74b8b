#include "drain/trimwatch.h"

#include <inttypes.h>

#include "event/id.h"
#include "redis/stream.h"

static uint64_t
count_pushed_out(const struct trimwatch *watch, const struct stream_info *now,
    const struct stream_group *groups, uint64_t removed)
{
	uint64_t lost;
	bool known;

	lost = stream_lost(now, groups, &known);
	if (!known) /* the group had not reached the former first entry: that one at least is gone
	               unread */
		lost = id_cmp(groups->last_delivered, watch->before.first) < 0 &&
		        id_cmp(now->first, watch->before.first) > 0
		    ? 1
		    : 0;
	return lost < removed ? lost : removed;
}

/* Returns the loss of the group that lost the most, and its index in g. */
static uint64_t
find_worst_group(const struct trimwatch *watch, const struct stream_info *now,
    const struct stream_group *groups, size_t n, uint64_t removed, size_t *worst)
{
	uint64_t most = 0, out;

	for (size_t i = 0; i < n; i++)
		if ((out = count_pushed_out(watch, now, &groups[i], removed)) > most) {
			most = out;
			*worst = i;
		}
	return most;
}

uint64_t
trimwatch_check(struct trimwatch *watch, const char *key, int64_t maxlen,
    const struct stream_info *now, const struct stream_group *groups, struct bytes *words)
{
	const struct stream_info *was = &watch->before;
	uint64_t expected = was->length + (now->added - was->added), most = 0;
	size_t worst = 0;

	/* A new group may begin before entries that were trimmed when no group needed them. */
	if (now->added >= was->added && now->length < expected && now->groups == was->groups)
		most = find_worst_group(
		    watch, now, groups, now->groups, expected - now->length, &worst);
	if (most && !watch->warned && maxlen >= 0)
		bytes_addf(words,
		    "'%s': trimming to %" PRId64 " removed %" PRIu64 " entries that group '%s' has "
		    "not read: raise --maxlen, or read faster",
		    key, maxlen, most, groups[worst].name);
	else if (most && !watch->warned)
		bytes_addf(words,
		    "'%s': %" PRIu64 " entries that group '%s' has not read are gone: another "
		    "client trims this stream (XADD MAXLEN, XTRIM, XDEL)",
		    key, most, groups[worst].name);
	watch->warned |= most > 0;
	watch->before = *now;
	watch->added = 0;
	return most;
}
