#include "drain/trimwatch.h"

#include <inttypes.h>

#include "event/id.h"
#include "redis/stream.h"

static uint64_t
count_pushed_out(const struct trimwatch *w, const struct stream_info *now,
    const struct stream_group *g, uint64_t removed)
{
	uint64_t lost;
	bool known;

	lost = stream_lost(now, g, &known);
	if (!known) /* the group had not reached the former first entry: that one at least is gone
	               unread */
		lost = id_cmp(g->last_delivered, w->before.first) < 0 &&
		        id_cmp(now->first, w->before.first) > 0
		    ? 1
		    : 0;
	return lost < removed ? lost : removed;
}

/* Returns the loss of the group that lost the most, and its index in g. */
static uint64_t
find_worst_group(const struct trimwatch *w, const struct stream_info *now,
    const struct stream_group *g, size_t n, uint64_t removed, size_t *worst)
{
	uint64_t most = 0, out;

	for (size_t i = 0; i < n; i++)
		if ((out = count_pushed_out(w, now, &g[i], removed)) > most) {
			most = out;
			*worst = i;
		}
	return most;
}

uint64_t
trimwatch_count_unread(
    struct trimwatch *w, struct conn *conn, const char *key, int64_t maxlen, struct bytes *words)
{
	struct stream_info now;
	struct stream_group *g;
	enum conn_why why;
	struct err err;
	uint64_t most = 0;
	size_t n, worst = 0;

	if (!w->before.groups || maxlen == 0 || w->before.length + w->added <= (uint64_t)maxlen ||
	    stream_info(conn, key, &now, &why, &err) == -1)
		return 0;
	if (now.length < w->before.length + w->added &&
	    stream_groups(conn, key, &g, &n, &why, &err) == 0) {
		most = find_worst_group(
		    w, &now, g, n, w->before.length + w->added - now.length, &worst);
		if (most && !w->warned) {
			bytes_addf(words,
			    "'%s': trimming to %" PRId64 " removed %" PRIu64
			    " entries that group '%s' has "
			    "not read: raise --maxlen, or read faster",
			    key, maxlen, most, g[worst].name);
			w->warned = true;
		}
		stream_groups_free(g, n);
	}
	w->before = now;
	w->added = 0;
	return most;
}

uint64_t
trimwatch_check_others(struct trimwatch *w, const char *key, const struct stream_info *now,
    const struct stream_group *g, size_t n, struct bytes *words)
{
	uint64_t expected = w->before.length + (now->added - w->before.added), most = 0;
	size_t worst = 0;

	/* A new group may begin before entries that were trimmed when no group needed them. */
	if (now->added >= w->before.added && now->length < expected && n == w->before.groups)
		most = find_worst_group(w, now, g, n, expected - now->length, &worst);
	if (most && !w->warned) {
		bytes_addf(words,
		    "'%s': %" PRIu64 " entries that group '%s' has not read are gone: another "
		    "client trims this stream (XADD MAXLEN, XTRIM, XDEL)",
		    key, most, g[worst].name);
		w->warned = true;
	}
	w->before = *now;
	w->before.groups = n;
	w->added = 0;
	return most;
}
