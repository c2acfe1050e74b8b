#include "buffer/position.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void
position_set(struct position *m, const char *stem, uint64_t pos, uint64_t limit)
{
	if (m->stem == NULL || strcmp(m->stem, stem) != 0) {
		free(m->stem);
		m->stem = mem_strdup(stem);
	}
	m->pos = pos;
	m->limit = limit;
}

void
position_clear(struct position *m)
{
	free(m->stem);
	memset(m, 0, sizeof(*m));
}

int
position_cmp(const struct position *a, const char *stem, uint64_t pos)
{
	int r = a->stem != NULL ? strcmp(a->stem, stem) : -1;

	return r ? r : a->pos < pos ? -1 : a->pos > pos;
}

struct position *
positions_find(const struct positions *m, const char *stem)
{
	size_t i;

	for (i = 0; i < m->nfiles; i++)
		if (strcmp(m->files[i].stem, stem) == 0)
			return &m->files[i];
	return NULL;
}

struct position *
positions_find_or_add(struct positions *m, const char *stem)
{
	struct position *k = positions_find(m, stem);

	if (k != NULL)
		return k;
	m->files = mem_realloc(m->files, (m->nfiles + 1) * sizeof(*m->files));
	k = &m->files[m->nfiles++];
	memset(k, 0, sizeof(*k));
	k->stem = mem_strdup(stem);
	return k;
}

void
positions_drop(struct positions *m, const char *stem)
{
	struct position *k = positions_find(m, stem);

	if (k == NULL)
		return;
	free(k->stem);
	*k = m->files[--m->nfiles];
}

void
positions_clear(struct positions *m)
{
	size_t i;

	position_clear(&m->chain);
	for (i = 0; i < m->nfiles; i++)
		free(m->files[i].stem);
	free(m->files);
	memset(m, 0, sizeof(*m));
}

void
positions_copy(struct positions *to, const struct positions *from)
{
	size_t i;

	memset(to, 0, sizeof(*to));
	if (from->chain.stem != NULL)
		position_set(&to->chain, from->chain.stem, from->chain.pos, 0);
	for (i = 0; i < from->nfiles; i++)
		position_set(positions_find_or_add(to, from->files[i].stem), from->files[i].stem,
		    from->files[i].pos, from->files[i].limit);
}

int
positions_empty(const struct positions *m)
{
	return m->chain.stem == NULL && m->nfiles == 0;
}

int
positions_passed(const struct positions *m, bool chain, const char *stem, uint64_t pos, int *has)
{
	const struct position *k = chain ? &m->chain : positions_find(m, stem);

	*has = k != NULL && k->stem != NULL;
	return *has && (chain ? position_cmp(k, stem, pos) > 0 : k->pos > pos);
}
