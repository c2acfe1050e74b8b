#include "buffer/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static int
same(const char *s, const char *p, size_t n)
{
	return strlen(s) == n && memcmp(s, p, n) == 0; /* p may hold NULs */
}

struct lagging_type *
checkpoint_find_lagging(struct checkpoint *p, const char *type, size_t n)
{
	size_t i;

	for (i = 0; i < p->nlagging; i++)
		if (same(p->lagging[i].type, type, n))
			return &p->lagging[i];
	return NULL;
}

struct lagging_type *
checkpoint_add_lagging(struct checkpoint *p, const char *type, size_t n)
{
	struct lagging_type *l = NULL;

	if (p->nlagging && same(p->lagging[p->nlagging - 1].type, type, n))
		return &p->lagging[p->nlagging - 1]; /* the lines of a state file stand together */
	if ((l = checkpoint_find_lagging(p, type, n)) != NULL)
		return l;
	p->lagging = mem_realloc(p->lagging, (p->nlagging + 1) * sizeof(*p->lagging));
	l = &p->lagging[p->nlagging++];
	memset(l, 0, sizeof(*l));
	l->type = mem_strndup(type, n);
	l->reason = mem_strdup("");
	return l;
}

void
checkpoint_drop_lagging(struct checkpoint *p, struct lagging_type *l)
{
	free(l->type);
	free(l->reason);
	positions_clear(&l->positions);
	*l = p->lagging[--p->nlagging];
}

struct intent_type *
intent_find_type(const struct intent *in, const char *type, size_t n)
{
	size_t i;

	for (i = 0; i < in->nsent; i++)
		if (same(in->sent[i].type, type, n))
			return &in->sent[i];
	return NULL;
}

bool
intent_covers(const struct intent *in, bool chain, const char *stem, uint64_t pos)
{
	int has;

	return positions_passed(&in->upto, chain, stem, pos, &has);
}

void
intent_drop_type(struct intent *in, struct intent_type *s)
{
	free(s->type);
	*s = in->sent[--in->nsent];
}

void
intent_clear(struct intent *in)
{
	size_t i;

	positions_clear(&in->upto);
	for (i = 0; i < in->nsent; i++)
		free(in->sent[i].type);
	free(in->sent);
	memset(in, 0, sizeof(*in));
}

void
checkpoint_add_matched(struct checkpoint *p, const char *type, const char *entry)
{
	struct matched_entry *t;

	if (p->nmatched == CHECKPOINT_MATCHED) {
		free(p->matched[0].type);
		memmove(p->matched, p->matched + 1, --p->nmatched * sizeof(*p->matched));
	}
	p->matched = mem_realloc(p->matched, (p->nmatched + 1) * sizeof(*p->matched));
	t = &p->matched[p->nmatched++];
	t->type = mem_strdup(type);
	snprintf(t->entry, sizeof(t->entry), "%s", entry);
}

int
checkpoint_is_matched(const struct checkpoint *p, const char *type, const char *entry)
{
	size_t i;

	for (i = 0; i < p->nmatched; i++)
		if (strcmp(p->matched[i].entry, entry) == 0 &&
		    strcmp(p->matched[i].type, type) == 0)
			return 1;
	return 0;
}

void
checkpoint_drop_matched(struct checkpoint *p)
{
	while (p->nmatched)
		free(p->matched[--p->nmatched].type);
	free(p->matched);
	p->matched = NULL;
}

int
checkpoint_is_done(const struct checkpoint *p, const char *stem, uint64_t pos)
{
	size_t i;

	for (i = 0; i < p->ndelivered; i++)
		if (p->delivered[i].pos == pos && strcmp(p->delivered[i].stem, stem) == 0)
			return 1;
	return 0;
}

void
checkpoint_add_delivered(struct checkpoint *p, const char *stem, uint64_t pos)
{
	p->delivered = mem_realloc(p->delivered, (p->ndelivered + 1) * sizeof(*p->delivered));
	p->delivered[p->ndelivered].stem = mem_strdup(stem);
	p->delivered[p->ndelivered++].pos = pos;
}

struct bad_segment *
checkpoint_find_bad(struct checkpoint *p, const char *stem)
{
	size_t i;

	for (i = 0; i < p->nbad; i++)
		if (strcmp(p->bad[i].stem, stem) == 0)
			return &p->bad[i];
	return NULL;
}

struct bad_segment *
checkpoint_add_bad(struct checkpoint *p, const char *stem)
{
	struct bad_segment *b = checkpoint_find_bad(p, stem);

	if (b == NULL) {
		p->bad = mem_realloc(p->bad, (p->nbad + 1) * sizeof(*p->bad));
		b = &p->bad[p->nbad++];
		b->stem = mem_strdup(stem);
		b->lines = 0;
	}
	b->lines++;
	return b;
}

int
checkpoint_is_delivered(
    struct checkpoint *p, const char *type, size_t n, bool chain, const char *stem, uint64_t pos)
{
	struct lagging_type *l = p->nlagging ? checkpoint_find_lagging(p, type, n) : NULL;
	int has = 0, over = 0;

	if (l != NULL)
		over = positions_passed(&l->positions, chain, stem, pos, &has);
	if (!has)
		over = positions_passed(&p->positions, chain, stem, pos, &has);
	return over || (p->ndelivered && checkpoint_is_done(p, stem, pos));
}

void
checkpoint_drop_source(struct checkpoint *p, const char *stem)
{
	struct bad_segment *b = checkpoint_find_bad(p, stem);
	size_t i;

	positions_drop(&p->positions, stem);
	for (i = 0; i < p->nlagging; i++)
		positions_drop(&p->lagging[i].positions, stem);
	for (i = p->ndelivered; i-- > 0;)
		if (strcmp(p->delivered[i].stem, stem) == 0) {
			free(p->delivered[i].stem);
			p->delivered[i] = p->delivered[--p->ndelivered];
		}
	if (b != NULL) {
		free(b->stem);
		*b = p->bad[--p->nbad];
	}
}

void
checkpoint_free(struct checkpoint *p)
{
	while (p->nlagging)
		checkpoint_drop_lagging(p, &p->lagging[p->nlagging - 1]);
	while (p->ndelivered)
		free(p->delivered[--p->ndelivered].stem);
	while (p->nbad)
		free(p->bad[--p->nbad].stem);
	checkpoint_drop_matched(p);
	free(p->lagging);
	free(p->delivered);
	free(p->bad);
	positions_clear(&p->positions);
	intent_clear(&p->intent);
	memset(p, 0, sizeof(*p));
}
