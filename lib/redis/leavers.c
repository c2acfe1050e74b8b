#include <stdlib.h>

#include "redis/leavers.h"
#include "base/util.h"

static bool
is_leaver(const struct consumers_one *c, const struct retire *r, const char *name)
{
	if (name != NULL)
		return slice_eq(c->name, name);
	return c->idle >= r->idle && (c->pending == 0 || !slice_eq(c->name, r->to));
}

int
leavers_find(struct leavers *l, struct bus *b, const struct retire *r, const char *name, enum bus_why *why, struct fail *f)
{
	*l = (struct leavers){0};
	if (consumers_list(b, r->key, r->group, &l->list, why, f) == -1)
		return -1;
	l->was = util_alloc((l->list.n + 1) * sizeof(*l->was));
	l->at = util_alloc((l->list.n + 1) * sizeof(*l->at));
	for (size_t i = 0; i < l->list.n; i++) {
		const struct consumers_one *c = &l->list.at[i];

		if (!is_leaver(c, r, name))
			continue;
		l->was[l->n] = c;
		l->at[l->n++].name = c->name;
		l->pending += c->pending;
	}
	return 0;
}

void
leavers_free(struct leavers *l)
{
	free(l->at);
	free(l->was);
	consumers_free(&l->list);
}
