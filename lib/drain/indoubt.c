#include "drain/indoubt.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "event/id.h"
#include "redis/scan.h"
#include "redis/stream.h"

#define ENTRIES_PER_PAGE 100 /* entries may be large */

struct indoubt_search {
	struct indoubt_line **by_id; /* sorted by event_id; lines of one event_id in their order */
	size_t n, left;
};

static int
compare_slices(struct slice a, struct slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int r = n ? memcmp(a.p, b.p, n) : 0; /* p is NULL where a reply was not a string */

	return r ? r : a.n < b.n ? -1 : a.n > b.n;
}

static int
compare_by_event_id(const void *pa, const void *pb)
{
	const struct indoubt_line *a = *(struct indoubt_line *const *)pa,
	                          *b = *(struct indoubt_line *const *)pb;
	int r = compare_slices(a->e->event_id, b->e->event_id);

	return r ? r : a < b ? -1 : a > b;
}

/* Returns the index of the first line with this event_id, or n. */
static size_t
find_first_with_id(const struct indoubt_search *search, struct slice id)
{
	size_t lo = 0, hi = search->n, mid;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (compare_slices(search->by_id[mid]->e->event_id, id) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < search->n && compare_slices(search->by_id[lo]->e->event_id, id) == 0
	    ? lo
	    : search->n;
}

/* Returns the first line from i on that is equal to e, unresolved, and may have this entry ID. */
static struct indoubt_line *
find_unresolved_line(
    struct indoubt_search *search, size_t i, const struct event *e, struct stream_id at)
{
	for (; i < search->n && compare_slices(search->by_id[i]->e->event_id, e->event_id) == 0;
	     i++)
		if (!search->by_id[i]->found && id_cmp(at, search->by_id[i]->after) > 0 &&
		    event_equal(search->by_id[i]->e, e))
			return search->by_id[i];
	return NULL;
}

static int
match_entry(void *arg, const struct stream_entry *entry)
{
	struct indoubt_search *search = arg;
	struct indoubt_line *line;
	struct event event;
	struct stream_id at;
	size_t i;

	if (id_parse(entry->id, &at) == -1)
		return 1;
	for (i = 0; i + 1 < entry->nkv && !slice_is(entry->kv[i], "event_id"); i += 2)
		;
	if (i + 1 >= entry->nkv || (i = find_first_with_id(search, entry->kv[i + 1])) == search->n)
		return 0;
	event_from_fields(&event, entry->kv, entry->nkv);
	if ((line = find_unresolved_line(search, i, &event, at)) != NULL) {
		line->found = true;
		search->left--;
	}
	return search->left == 0;
}

/* Returns whether no entry above the bound was trimmed or deleted. */
static bool
is_history_complete(const struct stream_info *search, struct stream_id after)
{
	const struct stream_id zero = {0, 0};

	if (!search->exists)
		return id_cmp(after, zero) == 0;
	if (id_cmp(search->max_deleted, after) > 0)
		return false;
	return search->added == search->length || id_cmp(search->last_generated, after) == 0 ||
	    (search->length && id_cmp(search->first, after) <= 0);
}

static bool
ends_lookup(struct conn *conn, const struct err *err)
{
	return conn_why(conn) != CONN_OK || conn_is_server_wide(err->why);
}

static int
search_stream(struct conn *conn, const char *key, struct stream_id after,
    struct indoubt_search *search, bool *sure, struct err *err)
{
	struct scan scan = {.key = key, .from = after, .page = ENTRIES_PER_PAGE};
	struct stream_info info;
	int r;

	*sure = false;
	r = scan_entries(conn, &scan, match_entry, search, err);
	if (r == -1 && ends_lookup(conn, err))
		return -1;
	if (search->left == 0 || r == -1)
		return 0;
	if (stream_info(conn, key, &info, err) == -1)
		return ends_lookup(conn, err) ? -1 : 0;
	*sure = is_history_complete(&info, after);
	return 0;
}

int
indoubt_resolve(struct conn *conn, const char *key, struct indoubt_line **lines, size_t n,
    uint64_t *possible_duplicates, struct err *err)
{
	struct indoubt_search search = {.by_id = lines, .n = n, .left = n};
	struct stream_id after = {UINT64_MAX, UINT64_MAX};
	bool sure;

	for (size_t i = 0; i < n; i++)
		if (id_cmp(lines[i]->after, after) < 0)
			after = lines[i]->after;
	qsort(lines, n, sizeof(*lines), compare_by_event_id);
	if (search_stream(conn, key, after, &search, &sure, err) == -1)
		return -1;
	*possible_duplicates = sure ? 0 : search.left;
	return 0;
}
