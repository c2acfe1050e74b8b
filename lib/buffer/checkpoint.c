#include "buffer/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

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
	struct lagging_type *l = NULL;

	if (cp->nlagging && is_type(cp->lagging[cp->nlagging - 1].type, type, n))
		return &cp->lagging[cp->nlagging -
		    1]; /* records of one type are contiguous in .progress */
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

static bool
is_listed_delivered(const struct positions *ps, const char *stem, uint64_t pos)
{
	for (size_t i = 0; i < ps->nfiles; i++)
		if (ps->files[i].pos == pos && strcmp(ps->files[i].stem, stem) == 0)
			return true;
	return false;
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
	return passed || is_listed_delivered(&cp->delivered, stem, pos);
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
