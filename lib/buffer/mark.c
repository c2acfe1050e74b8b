#include <stdlib.h>
#include <string.h>

#include "buffer/mark.h"
#include "base/util.h"

void
mark_set(struct mark *m, const char *stem, uint64_t pos, uint64_t limit)
{
	if (!m->stem || strcmp(m->stem, stem) != 0) {
		free(m->stem);
		m->stem = util_strdup(stem);
	}
	m->pos = pos;
	m->limit = limit;
}

void
mark_clear(struct mark *m)
{
	free(m->stem);
	memset(m, 0, sizeof *m);
}

int
mark_cmp(const struct mark *a, const char *stem, uint64_t pos)
{
	int r = a->stem ? strcmp(a->stem, stem) : -1;

	return r ? r : a->pos < pos ? -1 : a->pos > pos;
}

struct mark *
marks_find(const struct marks *m, const char *stem)
{
	size_t i;

	for (i = 0; i < m->files; i++)
		if (strcmp(m->file[i].stem, stem) == 0)
			return &m->file[i];
	return NULL;
}

struct mark *
marks_get(struct marks *m, const char *stem)
{
	struct mark *k = marks_find(m, stem);

	if (k)
		return k;
	m->file = util_realloc(m->file, (m->files + 1) * sizeof *m->file);
	k = &m->file[m->files++];
	memset(k, 0, sizeof *k);
	k->stem = util_strdup(stem);
	return k;
}

void
marks_drop(struct marks *m, const char *stem)
{
	struct mark *k = marks_find(m, stem);

	if (!k)
		return;
	free(k->stem);
	*k = m->file[--m->files];
}

void
marks_clear(struct marks *m)
{
	size_t i;

	mark_clear(&m->chain);
	for (i = 0; i < m->files; i++)
		free(m->file[i].stem);
	free(m->file);
	memset(m, 0, sizeof *m);
}

void
marks_copy(struct marks *to, const struct marks *from)
{
	size_t i;

	memset(to, 0, sizeof *to);
	if (from->chain.stem)
		mark_set(&to->chain, from->chain.stem, from->chain.pos, 0);
	for (i = 0; i < from->files; i++)
		mark_set(marks_get(to, from->file[i].stem), from->file[i].stem, from->file[i].pos,
		    from->file[i].limit);
}

int
marks_none(const struct marks *m)
{
	return !m->chain.stem && m->files == 0;
}

int
marks_passed(const struct marks *m, bool chain, const char *stem, uint64_t pos, int *has)
{
	const struct mark *k = chain ? &m->chain : marks_find(m, stem);

	*has = k && k->stem;
	return *has && (chain ? mark_cmp(k, stem, pos) > 0 : k->pos > pos);
}
