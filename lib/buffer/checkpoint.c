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
is_listed_delivered(const struct checkpoint *cp, const char *stem, uint64_t pos)
{
	for (size_t i = 0; i < cp->ndelivered; i++)
		if (cp->delivered[i].pos == pos && strcmp(cp->delivered[i].stem, stem) == 0)
			return true;
	return false;
}

void
checkpoint_add_delivered(struct checkpoint *cp, const char *stem, uint64_t pos)
{
	cp->delivered = mem_realloc(cp->delivered, (cp->ndelivered + 1) * sizeof(*cp->delivered));
	cp->delivered[cp->ndelivered].stem = mem_strdup(stem);
	cp->delivered[cp->ndelivered++].pos = pos;
}

struct bad_segment *
checkpoint_find_bad(struct checkpoint *cp, const char *stem)
{
	for (size_t i = 0; i < cp->nbad; i++)
		if (strcmp(cp->bad[i].stem, stem) == 0)
			return &cp->bad[i];
	return NULL;
}

struct bad_segment *
checkpoint_count_bad_line(struct checkpoint *cp, const char *stem)
{
	struct bad_segment *b = checkpoint_find_bad(cp, stem);

	if (b == NULL) {
		cp->bad = mem_realloc(cp->bad, (cp->nbad + 1) * sizeof(*cp->bad));
		b = &cp->bad[cp->nbad++];
		b->stem = mem_strdup(stem);
		b->lines = 0;
	}
	b->lines++;
	return b;
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
	return passed || (cp->ndelivered && is_listed_delivered(cp, stem, pos));
}

void
checkpoint_drop_source(struct checkpoint *cp, const char *stem)
{
	struct bad_segment *b = checkpoint_find_bad(cp, stem);

	positions_drop(&cp->positions, stem);
	for (size_t i = 0; i < cp->nlagging; i++)
		positions_drop(&cp->lagging[i].positions, stem);
	for (size_t i = cp->ndelivered; i-- > 0;)
		if (strcmp(cp->delivered[i].stem, stem) == 0) {
			free(cp->delivered[i].stem);
			cp->delivered[i] = cp->delivered[--cp->ndelivered];
		}
	if (b != NULL) {
		free(b->stem);
		*b = cp->bad[--cp->nbad];
	}
}

void
checkpoint_free(struct checkpoint *cp)
{
	while (cp->nlagging)
		checkpoint_drop_lagging(cp, &cp->lagging[cp->nlagging - 1]);
	while (cp->ndelivered)
		free(cp->delivered[--cp->ndelivered].stem);
	while (cp->nbad)
		free(cp->bad[--cp->nbad].stem);
	free(cp->lagging);
	free(cp->delivered);
	free(cp->bad);
	positions_clear(&cp->positions);
	intent_clear(&cp->intent);
	memset(cp, 0, sizeof(*cp));
}
