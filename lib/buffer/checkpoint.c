#include "buffer/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "buffer/segment.h"

/* --- positions -------------------------------------------------------------------- */

void
position_set(struct position *p, const char *stem, uint64_t pos, uint64_t limit)
{
	if (p->stem == NULL || strcmp(p->stem, stem) != 0) {
		free(p->stem);
		p->stem = mem_strdup(stem);
	}
	p->pos = pos;
	p->limit = limit;
	p->mark = 0;
}

void
position_copy(struct position *p, const struct position *from)
{
	position_set(p, from->stem, from->pos, from->limit);
	p->mark = from->mark;
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

/* Returns the index of the first position that is not before this one. */
static size_t
find_position_index(const struct positions *ps, const char *stem, uint64_t pos)
{
	size_t lo = 0, hi = ps->nfiles, mid;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (position_cmp(&ps->files[mid], stem, pos) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct position *
positions_find(const struct positions *ps, const char *stem)
{
	size_t i = find_position_index(ps, stem, 0);

	return i < ps->nfiles && strcmp(ps->files[i].stem, stem) == 0 ? &ps->files[i] : NULL;
}

bool
positions_has(const struct positions *ps, const char *stem, uint64_t pos)
{
	size_t i = find_position_index(ps, stem, pos);

	return i < ps->nfiles && position_cmp(&ps->files[i], stem, pos) == 0;
}

struct position *
positions_add(struct positions *ps, const char *stem, uint64_t pos)
{
	size_t i = find_position_index(ps, stem, pos);

	ps->files = mem_realloc(ps->files, (ps->nfiles + 1) * sizeof(*ps->files));
	memmove(ps->files + i + 1, ps->files + i, (ps->nfiles++ - i) * sizeof(*ps->files));
	ps->files[i] = (struct position){.stem = mem_strdup(stem), .pos = pos};
	return &ps->files[i];
}

struct position *
positions_find_or_add(struct positions *ps, const char *stem)
{
	struct position *p = positions_find(ps, stem);

	return p != NULL ? p : positions_add(ps, stem, 0);
}

struct position *
positions_get(struct positions *ps, bool chain, const char *stem)
{
	struct position *at = chain ? &ps->chain : positions_find(ps, stem);

	return at != NULL && at->stem != NULL ? at : NULL;
}

struct position *
positions_set(struct positions *ps, bool chain, const char *stem, uint64_t pos, uint64_t limit)
{
	struct position *p = chain ? &ps->chain : positions_find_or_add(ps, stem);

	position_set(p, stem, pos, limit);
	return p;
}

void
positions_drop(struct positions *ps, const char *stem)
{
	size_t from = find_position_index(ps, stem, 0), to = from;

	while (to < ps->nfiles && strcmp(ps->files[to].stem, stem) == 0)
		free(ps->files[to++].stem);
	if (to > from)
		memmove(ps->files + from, ps->files + to, (ps->nfiles - to) * sizeof(*ps->files));
	ps->nfiles -= to - from;
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

/* --- checkpoints ------------------------------------------------------------------- */

static bool
is_type(const char *s, const char *type, size_t n)
{
	return strlen(s) == n && memcmp(s, type, n) == 0; /* type may contain NULs */
}

static int
compare_type_with(const char *have, const char *type, size_t n)
{
	size_t m = strlen(have);
	int r = memcmp(have, type, m < n ? m : n);

	return r ? r : m < n ? -1 : m > n;
}

/* Returns the index of the first lagging type that is not before this one. */
static size_t
find_lagging_index(const struct checkpoint *cp, const char *type, size_t n)
{
	size_t lo = 0, hi = cp->nlagging, mid;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (compare_type_with(cp->lagging[mid]->type, type, n) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct lagging_type *
checkpoint_find_lagging(struct checkpoint *cp, const char *type, size_t n)
{
	size_t i = find_lagging_index(cp, type, n);

	return i < cp->nlagging && is_type(cp->lagging[i]->type, type, n) ? cp->lagging[i] : NULL;
}

struct lagging_type *
checkpoint_add_lagging(struct checkpoint *cp, const char *type, size_t n)
{
	size_t i = find_lagging_index(cp, type, n);
	struct lagging_type *l;

	if (i < cp->nlagging && is_type(cp->lagging[i]->type, type, n))
		return cp->lagging[i];
	l = mem_alloc(sizeof(*l));
	*l = (struct lagging_type){.type = mem_strndup(type, n), .reason = mem_strdup("")};
	cp->lagging = mem_realloc(cp->lagging, (cp->nlagging + 1) * sizeof(*cp->lagging));
	memmove(cp->lagging + i + 1, cp->lagging + i, (cp->nlagging++ - i) * sizeof(*cp->lagging));
	cp->lagging[i] = l;
	return l;
}

void
checkpoint_drop_lagging(struct checkpoint *cp, struct lagging_type *l)
{
	size_t i = find_lagging_index(cp, l->type, strlen(l->type));

	memmove(cp->lagging + i, cp->lagging + i + 1, (--cp->nlagging - i) * sizeof(*cp->lagging));
	free(l->type);
	free(l->reason);
	positions_clear(&l->positions);
	free(l);
}

struct intent_type *
intent_find_event_type(const struct intent *in, const char *type, size_t n)
{
	for (size_t i = 0; i < in->ntypes; i++)
		if (is_type(in->types[i].type, type, n))
			return &in->types[i];
	return NULL;
}

bool
intent_covers(const struct intent *in, bool chain, const char *stem, uint64_t pos)
{
	bool known;

	return positions_passed(&in->upto, chain, stem, pos, &known);
}

void
intent_drop_type(struct intent *in, struct intent_type *s)
{
	free(s->type);
	*s = in->types[--in->ntypes];
}

void
intent_clear(struct intent *in)
{
	positions_clear(&in->upto);
	for (size_t i = 0; i < in->ntypes; i++)
		free(in->types[i].type);
	free(in->types);
	memset(in, 0, sizeof(*in));
}

void
checkpoint_add_delivered(struct checkpoint *cp, const char *stem, uint64_t pos, uint64_t mark)
{
	positions_add(&cp->delivered, stem, pos)->mark = mark;
}

void
checkpoint_forget_passed(struct checkpoint *cp)
{
	struct positions *ps = &cp->delivered;
	size_t n = ps->nfiles;
	bool known;

	if (cp->nlagging > 0)
		return;
	ps->nfiles = 0;
	for (size_t i = 0; i < n; i++) {
		struct position *p = &ps->files[i];

		if (positions_passed(
		        &cp->positions, segment_is_chain(p->stem), p->stem, p->pos, &known))
			free(p->stem);
		else
			ps->files[ps->nfiles++] = *p;
	}
}

void
checkpoint_clear_aside(struct checkpoint *cp)
{
	positions_clear(&cp->aside);
	free(cp->aside_reason);
	cp->aside_reason = NULL;
}

void
checkpoint_count_bad_line(struct checkpoint *cp, const char *stem)
{
	positions_find_or_add(&cp->bad, stem)->pos++;
}

bool
checkpoint_is_delivered(
    struct checkpoint *cp, const char *type, size_t n, bool chain, const char *stem, uint64_t pos)
{
	struct lagging_type *l = cp->nlagging ? checkpoint_find_lagging(cp, type, n) : NULL;
	bool known = false, passed = false;

	if (l != NULL)
		passed = positions_passed(&l->positions, chain, stem, pos, &known);
	if (!known)
		passed = positions_passed(&cp->positions, chain, stem, pos, &known);
	return passed || positions_has(&cp->delivered, stem, pos);
}

void
checkpoint_drop_source(struct checkpoint *cp, const char *stem)
{
	positions_drop(&cp->positions, stem);
	for (size_t i = 0; i < cp->nlagging; i++)
		positions_drop(&cp->lagging[i]->positions, stem);
	positions_drop(&cp->delivered, stem);
	positions_drop(&cp->aside, stem);
	positions_drop(&cp->bad, stem);
	positions_drop(&cp->edited, stem);
}

void
checkpoint_free(struct checkpoint *cp)
{
	while (cp->nlagging)
		checkpoint_drop_lagging(cp, cp->lagging[cp->nlagging - 1]);
	free(cp->lagging);
	positions_clear(&cp->delivered);
	checkpoint_clear_aside(cp);
	positions_clear(&cp->bad);
	positions_clear(&cp->edited);
	positions_clear(&cp->positions);
	intent_clear(&cp->intent);
	memset(cp, 0, sizeof(*cp));
}
