#include <stdlib.h>

#include "redis/leavers.h"
#include "base/mem.h"

static bool
is_leaver(const struct group_consumer *c, const struct retire *r, const char *name)
{
	if (name != NULL)
		return slice_eq(c->name, name);
	return c->idle >= r->idle && (c->pending == 0 || !slice_eq(c->name, r->to));
}

int
retire_find(struct retire_found *l, struct conn *conn, const struct retire *r, const char *name, enum conn_why *why, struct err *err)
{
	*l = (struct retire_found){0};
	if (group_consumers(conn, r->key, r->group, &l->list, why, err) == -1)
		return -1;
	l->was = mem_alloc((l->list.n + 1) * sizeof(*l->was));
	l->at = mem_alloc((l->list.n + 1) * sizeof(*l->at));
	for (size_t i = 0; i < l->list.n; i++) {
		const struct group_consumer *c = &l->list.at[i];

		if (!is_leaver(c, r, name))
			continue;
		l->was[l->n] = c;
		l->at[l->n++].name = c->name;
		l->pending += c->pending;
	}
	return 0;
}

void
retire_found_free(struct retire_found *l)
{
	free(l->at);
	free(l->was);
	group_consumers_free(&l->list);
}
