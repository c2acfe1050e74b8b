#include "buffer/position.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void
position_set(struct position *p, const char *stem, uint64_t pos, uint64_t limit)
{
	if (p->stem == NULL || strcmp(p->stem, stem) != 0) {
		free(p->stem);
		p->stem = mem_strdup(stem);
	}
	p->pos = pos;
	p->limit = limit;
}

void
position_clear(struct position *p)
{
	free(p->stem);
	memset(p, 0, sizeof(*p));
}

int
position_cmp(const struct position *a, const char *stem, uint64_t pos)
{
	int r = a->stem != NULL ? strcmp(a->stem, stem) : -1;

	return r ? r : a->pos < pos ? -1 : a->pos > pos;
}

struct position *
positions_find(const struct positions *ps, const char *stem)
{
	for (size_t i = 0; i < ps->nfiles; i++)
		if (strcmp(ps->files[i].stem, stem) == 0)
			return &ps->files[i];
	return NULL;
}

struct position *
positions_add(struct positions *ps, const char *stem)
{
	struct position *p;

	ps->files = mem_realloc(ps->files, (ps->nfiles + 1) * sizeof(*ps->files));
	p = &ps->files[ps->nfiles++];
	*p = (struct position){.stem = mem_strdup(stem)};
	return p;
}

struct position *
positions_find_or_add(struct positions *ps, const char *stem)
{
	struct position *p = positions_find(ps, stem);

	return p != NULL ? p : positions_add(ps, stem);
}

struct position *
positions_get(struct positions *ps, bool chain, const char *stem)
{
	struct position *at = chain ? &ps->chain : positions_find(ps, stem);

	return at != NULL && at->stem != NULL ? at : NULL;
}

void
positions_set(struct positions *ps, bool chain, const char *stem, uint64_t pos, uint64_t limit)
{
	position_set(chain ? &ps->chain : positions_find_or_add(ps, stem), stem, pos, limit);
}

void
positions_drop(struct positions *ps, const char *stem)
{
	struct position *p;

	while ((p = positions_find(ps, stem)) != NULL) {
		free(p->stem);
		*p = ps->files[--ps->nfiles];
	}
}

void
positions_clear(struct positions *ps)
{
	position_clear(&ps->chain);
	while (ps->nfiles)
		free(ps->files[--ps->nfiles].stem);
	free(ps->files);
	ps->files = NULL;
}

void
positions_copy(struct positions *to, const struct positions *from)
{
	memset(to, 0, sizeof(*to));
	if (from->chain.stem != NULL)
		position_set(&to->chain, from->chain.stem, from->chain.pos, 0);
	for (const struct position *p = from->files; p < from->files + from->nfiles; p++)
		positions_set(to, false, p->stem, p->pos, p->limit);
}

bool
positions_empty(const struct positions *ps)
{
	return ps->chain.stem == NULL && ps->nfiles == 0;
}

bool
positions_passed(
    const struct positions *ps, bool chain, const char *stem, uint64_t pos, bool *known)
{
	const struct position *p = chain ? &ps->chain : positions_find(ps, stem);

	*known = p != NULL && p->stem != NULL;
	return *known && position_cmp(p, stem, pos) > 0;
}
