#include <stdlib.h>
#include <string.h>

#include "drain/lane.h"
#include "event/names.h"
#include "base/util.h"

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
lanes_stale(struct lanes *ls)
{
	size_t i;

	for (i = 0; i < ls->n; i++)
		ls->lane[i]->stale = true;
}

void
lanes_free(struct lanes *ls)
{
	while (ls->n) {
		struct lane *l = ls->lane[--ls->n];

		free(l->type);
		free(l->key);
		free(l->reason);
		bus_form_free(&l->add);
		free(l);
	}
	free(ls->lane);
	ls->lane = NULL;
}

uint64_t
lane_put(struct lane *l, struct bus *b, int64_t maxlen, const struct event *e)
{
	struct slice value[EVENT_FIELDS];

	_Static_assert(EVENT_FIELDS <= BUS_GAPS, "an event has more fields than a form has gaps");
	if (l->add.gaps == 0 || l->add_maxlen != maxlen)
		stream_add_form(&l->add, l->key, maxlen, event_names, EVENT_FIELDS);
	l->add_maxlen = maxlen;
	event_values(e, value);
	return bus_put_form(b, &l->add, value);
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
