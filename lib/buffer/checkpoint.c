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

struct lagging *
checkpoint_lagging(struct checkpoint *p, const char *type, size_t n)
{
	size_t i;

	for (i = 0; i < p->lates; i++)
		if (same(p->late[i].type, type, n))
			return &p->late[i];
	return NULL;
}

struct lagging *
checkpoint_add_lagging(struct checkpoint *p, const char *type, size_t n)
{
	struct lagging *l = NULL;

	if (p->lates && same(p->late[p->lates - 1].type, type, n))
		return &p->late[p->lates - 1]; /* the lines of a state file stand together */
	if ((l = checkpoint_lagging(p, type, n)) != NULL)
		return l;
	p->late = mem_realloc(p->late, (p->lates + 1) * sizeof(*p->late));
	l = &p->late[p->lates++];
	memset(l, 0, sizeof(*l));
	l->type = mem_strndup(type, n);
	l->reason = mem_strdup("");
	return l;
}

void
checkpoint_drop_lagging(struct checkpoint *p, struct lagging *l)
{
	free(l->type);
	free(l->reason);
	positions_clear(&l->at);
	*l = p->late[--p->lates];
}

struct intent_type *
intent_sent(const struct intent *in, const char *type, size_t n)
{
	size_t i;

	for (i = 0; i < in->types; i++)
		if (same(in->sent[i].type, type, n))
			return &in->sent[i];
	return NULL;
}

bool
intent_reaches(const struct intent *in, bool chain, const char *stem, uint64_t pos)
{
	int has;

	return positions_passed(&in->upto, chain, stem, pos, &has);
}

void
intent_drop(struct intent *in, struct intent_type *s)
{
	free(s->type);
	*s = in->sent[--in->types];
}

void
intent_clear(struct intent *in)
{
	size_t i;

	positions_clear(&in->upto);
	for (i = 0; i < in->types; i++)
		free(in->sent[i].type);
	free(in->sent);
	memset(in, 0, sizeof(*in));
}

void
checkpoint_spend(struct checkpoint *p, const char *type, const char *entry)
{
	struct spent_entry *t;

	if (p->spents == SPENT) {
		free(p->spent[0].type);
		memmove(p->spent, p->spent + 1, --p->spents * sizeof(*p->spent));
	}
	p->spent = mem_realloc(p->spent, (p->spents + 1) * sizeof(*p->spent));
	t = &p->spent[p->spents++];
	t->type = mem_strdup(type);
	snprintf(t->entry, sizeof(t->entry), "%s", entry);
}

int
checkpoint_is_spent(const struct checkpoint *p, const char *type, const char *entry)
{
	size_t i;

	for (i = 0; i < p->spents; i++)
		if (strcmp(p->spent[i].entry, entry) == 0 && strcmp(p->spent[i].type, type) == 0)
			return 1;
	return 0;
}

void
checkpoint_drop_spent(struct checkpoint *p)
{
	while (p->spents)
		free(p->spent[--p->spents].type);
	free(p->spent);
	p->spent = NULL;
}

int
checkpoint_is_done(const struct checkpoint *p, const char *stem, uint64_t pos)
{
	size_t i;

	for (i = 0; i < p->dones; i++)
		if (p->done[i].pos == pos && strcmp(p->done[i].stem, stem) == 0)
			return 1;
	return 0;
}

void
checkpoint_add_done(struct checkpoint *p, const char *stem, uint64_t pos)
{
	p->done = mem_realloc(p->done, (p->dones + 1) * sizeof(*p->done));
	p->done[p->dones].stem = mem_strdup(stem);
	p->done[p->dones++].pos = pos;
}

struct broken_segment *
checkpoint_broken(struct checkpoint *p, const char *stem)
{
	size_t i;

	for (i = 0; i < p->brokens; i++)
		if (strcmp(p->broken[i].stem, stem) == 0)
			return &p->broken[i];
	return NULL;
}

struct broken_segment *
checkpoint_add_broken(struct checkpoint *p, const char *stem)
{
	struct broken_segment *b = checkpoint_broken(p, stem);

	if (b == NULL) {
		p->broken = mem_realloc(p->broken, (p->brokens + 1) * sizeof(*p->broken));
		b = &p->broken[p->brokens++];
		b->stem = mem_strdup(stem);
		b->lines = 0;
	}
	b->lines++;
	return b;
}

int
checkpoint_delivered(
    struct checkpoint *p, const char *type, size_t n, bool chain, const char *stem, uint64_t pos)
{
	struct lagging *l = p->lates ? checkpoint_lagging(p, type, n) : NULL;
	int has = 0, over = 0;

	if (l != NULL)
		over = positions_passed(&l->at, chain, stem, pos, &has);
	if (!has)
		over = positions_passed(&p->marks, chain, stem, pos, &has);
	return over || (p->dones && checkpoint_is_done(p, stem, pos));
}

void
checkpoint_forget(struct checkpoint *p, const char *stem)
{
	struct broken_segment *b = checkpoint_broken(p, stem);
	size_t i;

	positions_drop(&p->marks, stem);
	for (i = 0; i < p->lates; i++)
		positions_drop(&p->late[i].at, stem);
	for (i = p->dones; i-- > 0;)
		if (strcmp(p->done[i].stem, stem) == 0) {
			free(p->done[i].stem);
			p->done[i] = p->done[--p->dones];
		}
	if (b != NULL) {
		free(b->stem);
		*b = p->broken[--p->brokens];
	}
}

void
checkpoint_free(struct checkpoint *p)
{
	while (p->lates)
		checkpoint_drop_lagging(p, &p->late[p->lates - 1]);
	while (p->dones)
		free(p->done[--p->dones].stem);
	while (p->brokens)
		free(p->broken[--p->brokens].stem);
	checkpoint_drop_spent(p);
	free(p->late);
	free(p->done);
	free(p->broken);
	positions_clear(&p->marks);
	intent_clear(&p->intent);
	memset(p, 0, sizeof(*p));
}
