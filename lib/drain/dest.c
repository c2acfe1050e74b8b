#include <stdlib.h>
#include <string.h>

#include "drain/dest.h"
#include "event/names.h"
#include "base/mem.h"

static int
compare(struct slice type, const char *have)
{
	size_t n = strlen(have);
	int r = memcmp(type.p, have, type.n < n ? type.n : n);

	return r ? r : type.n < n ? -1 : type.n > n;
}

static size_t
position(const struct dests *ls, struct slice type, bool *found)
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

struct dest *
dests_get(struct dests *ls, const char *prefix, struct slice type)
{
	bool found;
	size_t at = position(ls, type, &found);
	struct dest *l;

	if (found)
		return ls->lane[at];
	ls->lane = mem_realloc(ls->lane, (ls->n + 1) * sizeof *ls->lane);
	memmove(ls->lane + at + 1, ls->lane + at, (ls->n - at) * sizeof *ls->lane);
	ls->n++;
	l = ls->lane[at] = mem_alloc(sizeof *l);
	l->type = mem_strndup(type.p, type.n);
	l->key = names_stream(prefix, l->type);
	return l;
}

struct dest *
dests_find(const struct dests *ls, const char *type)
{
	bool found;
	size_t at = position(ls, slice_of(type), &found);

	return found ? ls->lane[at] : NULL;
}

void
dests_stale(struct dests *ls)
{
	size_t i;

	for (i = 0; i < ls->n; i++)
		ls->lane[i]->stale = true;
}

void
dests_free(struct dests *ls)
{
	while (ls->n) {
		struct dest *l = ls->lane[--ls->n];

		free(l->type);
		free(l->key);
		free(l->reason);
		conn_form_free(&l->add);
		free(l);
	}
	free(ls->lane);
	ls->lane = NULL;
}

uint64_t
dest_put(struct dest *l, struct conn *b, int64_t maxlen, const struct event *e)
{
	struct slice value[EVENT_FIELDS];

	_Static_assert(EVENT_FIELDS <= CONN_GAPS, "an event has more fields than a form has gaps");
	if (l->add.gaps == 0 || l->add_maxlen != maxlen)
		stream_add_form(&l->add, l->key, maxlen, event_names, EVENT_FIELDS);
	l->add_maxlen = maxlen;
	event_values(e, value);
	return conn_put_form(b, &l->add, value);
}

void
dest_stop(struct dest *l, enum conn_why why, const char *reason)
{
	if (l->stopped)
		return;
	l->stopped = true;
	l->why = why;
	l->reason = mem_strdup(reason);
}
