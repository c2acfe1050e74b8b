#include <inttypes.h>

#include "watch.h"

static uint64_t
pushed_out(const struct watch *w, const struct stream_info *now, const struct stream_group *g)
{
	uint64_t removed = w->before.length + w->added - now->length, lost;
	bool known;

	lost = stream_lost(now, g, &known);
	if (!known)	/* it stands before what was the first entry: that one at least is gone unread */
		lost = stream_id_cmp(g->last_delivered, w->before.first) < 0 &&
		    stream_id_cmp(now->first, w->before.first) > 0 ? 1 : 0;
	return lost < removed ? lost : removed;
}

uint64_t
watch_look(struct watch *w, struct bus *b, const char *key, int64_t maxlen, struct buf *words)
{
	struct stream_info now;
	struct stream_group *g;
	enum bus_why why;
	struct fail f;
	uint64_t most = 0, out;
	size_t i, n, worst = 0;

	if (!w->before.groups || maxlen == 0 || w->before.length + w->added <= (uint64_t)maxlen ||
	    stream_info(b, key, &now, &why, &f) == -1)
		return 0;
	if (now.length < w->before.length + w->added && stream_groups(b, key, &g, &n, &why, &f) == 0) {
		for (i = 0; i < n; i++)
			if ((out = pushed_out(w, &now, &g[i])) > most) {
				most = out;
				worst = i;
			}
		if (most && !w->told) {
			buf_addf(words, "'%s': trimming to %" PRId64 " pushed out %" PRIu64 " entries that group '%s' has "
			    "not read: raise --maxlen, or read faster", key, maxlen, most, g[worst].name);
			w->told = true;
		}
		stream_groups_free(g, n);
	}
	w->before = now;
	w->added = 0;
	return most;
}
