#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lane.h"
#include "names.h"
#include "status.h"
#include "util.h"

#define NODE 100	/* entries of a stream's node (stream-node-max-entries): trimming goes by whole ones */
#define STEP 1000	/* how much room is made at a time, at most */

/* --- the set ------------------------------------------------------------------------ */

static int
compare(struct slice type, const char *have)
{
	size_t n = strlen(have);
	int r = memcmp(type.p, have, type.n < n ? type.n : n);

	return r ? r : type.n < n ? -1 : type.n > n;
}

static size_t
position(const struct lanes *ls, struct slice type, bool *found)
{
	size_t lo = 0, hi = ls->n, mid;
	int r;

	for (*found = false; lo < hi; ) {
		mid = (lo + hi) / 2;
		if ((r = compare(type, ls->lane[mid]->type)) == 0) {
			*found = true;
			return mid;
		}
		if (r < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

struct lane *
lanes_get(struct lanes *ls, const char *prefix, struct slice type)
{
	bool found;
	size_t at = position(ls, type, &found);
	struct lane *l;

	if (found)
		return ls->lane[at];
	ls->lane = util_realloc(ls->lane, (ls->n + 1) * sizeof *ls->lane);
	memmove(ls->lane + at + 1, ls->lane + at, (ls->n - at) * sizeof *ls->lane);
	ls->n++;
	l = ls->lane[at] = util_alloc(sizeof *l);
	l->type = util_strndup(type.p, type.n);
	l->key = names_stream(prefix, l->type);
	return l;
}

struct lane *
lanes_find(const struct lanes *ls, const char *type)
{
	bool found;
	size_t at = position(ls, slice_of(type), &found);

	return found ? ls->lane[at] : NULL;
}

void
lanes_free(struct lanes *ls)
{
	while (ls->n) {
		struct lane *l = ls->lane[--ls->n];

		free(l->type);
		free(l->key);
		free(l->reason);
		free(l);
	}
	free(ls->lane);
	ls->lane = NULL;
}

void
lane_stop(struct lane *l, enum bus_why why, const char *reason)
{
	if (l->stopped)
		return;
	l->stopped = true;
	l->why = why;
	l->reason = util_strdup(reason);
}

/* --- room ------------------------------------------------------------------------------ */

/* Refusals of one key stop the lane; those of the whole server end the run. */
static int
refused(struct lane *l, struct bus *b, enum bus_why why, struct fail *f)
{
	if (bus_why(b) != BUS_FINE || why == BUS_LATER || why == BUS_READONLY || why == BUS_DENIED ||
	    why == BUS_MOVED)
		return -1;
	lane_stop(l, why, f->text);
	return 0;
}

static void
stop_full(struct lane *l, uint64_t length, const struct stream_group *g, size_t n)
{
	struct stream_id need = stream_needed(g, n);
	char id[STREAM_ID_SIZE], text[512];
	const char *name = "?";
	uint64_t pending = 0;
	size_t i;

	for (i = 0; i < n; i++)
		if (stream_id_cmp(stream_needed(&g[i], 1), need) == 0) {
			name = g[i].name;
			pending = g[i].pending;
			break;
		}
	stream_id_format(need, id);
	snprintf(text, sizeof text, "stream full: %" PRIu64 " entries, limit %" PRId64 ", and group '%.200s' still needs "
	    "those from %s (%" PRIu64 " pending): consume, remove the group, or ebreplay --force",
	    length, l->maxlen, name, id, pending);
	lane_stop(l, BUS_FINE, text);
}

/* Trims what nobody needs, and counts what then may be added. */
static int
make_room(struct lane *l, struct bus *b, uint64_t length, struct fail *f)
{
	struct stream_group *g;
	size_t n;
	uint64_t limit = (uint64_t)l->maxlen, want = limit / 10 + 1, removed = 0;
	enum bus_why why = BUS_FINE;
	int r = 0;

	if (want > STEP)
		want = STEP;
	if (length + want > limit) {
		if (stream_groups(b, l->key, &g, &n, &why, f) == -1)
			return refused(l, b, why, f);
		if (n == 0) {	/* the last group went away just now */
			stream_groups_free(g, n);
			l->mode = LANE_PLAIN;
			l->room = INT64_MAX;
			return 0;
		}
		if (stream_trim(b, l->key, stream_needed(g, n), length + want - limit + NODE - 1,
		    &removed, &why, f) == -1)
			r = refused(l, b, why, f);
		length -= removed < length ? removed : length;
		if (r == 0 && !l->stopped && length >= limit + NODE)
			stop_full(l, length, g, n);
		stream_groups_free(g, n);
	}
	l->room = (int64_t)(limit + NODE) - (int64_t)length;
	return r;
}

static int
measure(struct lane *l, struct bus *b, bool force, struct fail *f)
{
	struct stream_info info;
	enum bus_why why = BUS_FINE;

	if (stream_info(b, l->key, &info, &why, f) == -1) {
		if (why != BUS_NOPERM)
			return refused(l, b, why, f);
		l->mode = LANE_BLIND;
		l->room = INT64_MAX;
		return 0;
	}
	if (!l->opened) {
		l->after = info.last_generated;
		l->watch.before = info;
	}
	l->mode = info.groups && !force ? LANE_GUARDED : LANE_PLAIN;
	l->room = INT64_MAX;
	if (l->mode == LANE_GUARDED && l->maxlen > 0)
		return make_room(l, b, info.length, f);
	return 0;
}

int
lane_limit(struct lane *l, int64_t maxlen)
{
	if (l->maxlen == maxlen)
		return 1;
	if (l->mode == LANE_GUARDED && (l->maxlen == 0 || maxlen == 0))
		return 0;
	if (l->mode == LANE_GUARDED)
		l->room += maxlen - l->maxlen;
	l->maxlen = maxlen;
	return 1;
}

int
lane_ready(struct lane *l, struct bus *b, int64_t maxlen, bool force, struct fail *f)
{
	if (l->stopped || (l->opened && lane_limit(l, maxlen) && l->room > 0))
		return 0;
	l->maxlen = maxlen;
	if (measure(l, b, force, f) == -1)
		return -1;
	l->opened = true;
	return 0;
}
