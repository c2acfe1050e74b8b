#include "buffer/idset.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void
idset_add(struct idset *s, struct slice id)
{
	/* n is a power of two: the array is full */
	if ((s->n & (s->n - 1)) == 0)
		s->entry = mem_realloc(s->entry, (s->n ? 2 * s->n : 1) * sizeof(*s->entry));
	s->entry[s->n++] = (struct idset_entry){.id = mem_strndup(id.p, id.n)};
}

static int
compare_entry_ids(const void *a, const void *b)
{
	return strcmp(((const struct idset_entry *)a)->id, ((const struct idset_entry *)b)->id);
}

void
idset_sort(struct idset *s)
{
	if (s->n)
		qsort(s->entry, s->n, sizeof(*s->entry), compare_entry_ids);
}

/* Of equal ids any entry serves, because the search always ends at the same one. */
size_t *
idset_find(const struct idset *s, struct slice id)
{
	size_t lo = 0, hi = s->n, mid;
	int r;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		r = strncmp(s->entry[mid].id, id.p, id.n);
		if (r == 0)
			r = s->entry[mid].id[id.n] != '\0';
		if (r == 0)
			return &s->entry[mid].count;
		if (r < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

void
idset_free(struct idset *s)
{
	while (s->n)
		free(s->entry[--s->n].id);
	free(s->entry);
	*s = (struct idset){0};
}
