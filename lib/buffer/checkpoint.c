#include "buffer/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

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
	for (size_t i = 0; i < from->nfiles; i++) {
		const struct position *p = &from->files[i];

		positions_set(to, false, p->stem, p->pos, p->limit);
	}
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

struct lagging_type *
checkpoint_find_lagging(struct checkpoint *cp, const char *type, size_t n)
{
	for (size_t i = 0; i < cp->nlagging; i++)
		if (is_type(cp->lagging[i].type, type, n))
			return &cp->lagging[i];
	return NULL;
}

struct lagging_type *
checkpoint_add_lagging(struct checkpoint *cp, const char *type, size_t n)
{
	struct lagging_type *l = cp->nlagging > 0 ? &cp->lagging[cp->nlagging - 1] : NULL;

	/* records of one type are contiguous in .progress */
	if (l != NULL && is_type(l->type, type, n))
		return l;
	if ((l = checkpoint_find_lagging(cp, type, n)) != NULL)
		return l;
	cp->lagging = mem_realloc(cp->lagging, (cp->nlagging + 1) * sizeof(*cp->lagging));
	l = &cp->lagging[cp->nlagging++];
	memset(l, 0, sizeof(*l));
	l->type = mem_strndup(type, n);
	l->reason = mem_strdup("");
	return l;
}

void
checkpoint_drop_lagging(struct checkpoint *cp, struct lagging_type *l)
{
	free(l->type);
	free(l->reason);
	positions_clear(&l->positions);
	*l = cp->lagging[--cp->nlagging];
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
checkpoint_add_delivered(struct checkpoint *cp, const char *stem, uint64_t pos)
{
	positions_add(&cp->delivered, stem)->pos = pos;
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
	for (size_t i = 0; !passed && i < cp->delivered.nfiles; i++)
		passed = cp->delivered.files[i].pos == pos &&
		    strcmp(cp->delivered.files[i].stem, stem) == 0;
	return passed;
}

void
checkpoint_drop_source(struct checkpoint *cp, const char *stem)
{
	positions_drop(&cp->positions, stem);
	for (size_t i = 0; i < cp->nlagging; i++)
		positions_drop(&cp->lagging[i].positions, stem);
	positions_drop(&cp->delivered, stem);
	positions_drop(&cp->bad, stem);
}

void
checkpoint_free(struct checkpoint *cp)
{
	while (cp->nlagging)
		checkpoint_drop_lagging(cp, &cp->lagging[cp->nlagging - 1]);
	free(cp->lagging);
	positions_clear(&cp->delivered);
	positions_clear(&cp->bad);
	positions_clear(&cp->positions);
	intent_clear(&cp->intent);
	memset(cp, 0, sizeof(*cp));
}
