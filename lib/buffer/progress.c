#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffer/progress.h"
#include "base/util.h"

static int
same(const char *s, const char *p, size_t n)
{
	return strlen(s) == n && memcmp(s, p, n) == 0;	/* p may hold NULs */
}

struct late *
progress_late(struct progress *p, const char *type, size_t n)
{
	size_t i;

	for (i = 0; i < p->lates; i++)
		if (same(p->late[i].type, type, n))
			return &p->late[i];
	return NULL;
}

struct late *
progress_add_late(struct progress *p, const char *type, size_t n)
{
	struct late *l = NULL;

	if (p->lates && same(p->late[p->lates - 1].type, type, n))
		return &p->late[p->lates - 1];	/* the lines of a state file stand together */
	if ((l = progress_late(p, type, n)))
		return l;
	p->late = util_realloc(p->late, (p->lates + 1) * sizeof *p->late);
	l = &p->late[p->lates++];
	memset(l, 0, sizeof *l);
	l->type = util_strndup(type, n);
	l->reason = util_strdup("");
	return l;
}

void
progress_drop_late(struct progress *p, struct late *l)
{
	free(l->type);
	free(l->reason);
	marks_clear(&l->at);
	*l = p->late[--p->lates];
}

struct sent *
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

	return marks_passed(&in->upto, chain, stem, pos, &has);
}

void
intent_drop(struct intent *in, struct sent *s)
{
	free(s->type);
	*s = in->sent[--in->types];
}

void
intent_clear(struct intent *in)
{
	size_t i;

	marks_clear(&in->upto);
	for (i = 0; i < in->types; i++)
		free(in->sent[i].type);
	free(in->sent);
	memset(in, 0, sizeof *in);
}

void
progress_spend(struct progress *p, const char *type, const char *entry)
{
	struct spent *t;

	if (p->spents == SPENT) {
		free(p->spent[0].type);
		memmove(p->spent, p->spent + 1, --p->spents * sizeof *p->spent);
	}
	p->spent = util_realloc(p->spent, (p->spents + 1) * sizeof *p->spent);
	t = &p->spent[p->spents++];
	t->type = util_strdup(type);
	snprintf(t->entry, sizeof t->entry, "%s", entry);
}

int
progress_is_spent(const struct progress *p, const char *type, const char *entry)
{
	size_t i;

	for (i = 0; i < p->spents; i++)
		if (strcmp(p->spent[i].entry, entry) == 0 && strcmp(p->spent[i].type, type) == 0)
			return 1;
	return 0;
}

void
progress_drop_spent(struct progress *p)
{
	while (p->spents)
		free(p->spent[--p->spents].type);
	free(p->spent);
	p->spent = NULL;
}

int
progress_is_done(const struct progress *p, const char *stem, uint64_t pos)
{
	size_t i;

	for (i = 0; i < p->dones; i++)
		if (p->done[i].pos == pos && strcmp(p->done[i].stem, stem) == 0)
			return 1;
	return 0;
}

void
progress_add_done(struct progress *p, const char *stem, uint64_t pos)
{
	p->done = util_realloc(p->done, (p->dones + 1) * sizeof *p->done);
	p->done[p->dones].stem = util_strdup(stem);
	p->done[p->dones++].pos = pos;
}

struct broken *
progress_broken(struct progress *p, const char *stem)
{
	size_t i;

	for (i = 0; i < p->brokens; i++)
		if (strcmp(p->broken[i].stem, stem) == 0)
			return &p->broken[i];
	return NULL;
}

struct broken *
progress_add_broken(struct progress *p, const char *stem)
{
	struct broken *b = progress_broken(p, stem);

	if (!b) {
		p->broken = util_realloc(p->broken, (p->brokens + 1) * sizeof *p->broken);
		b = &p->broken[p->brokens++];
		b->stem = util_strdup(stem);
		b->lines = 0;
	}
	b->lines++;
	return b;
}

int
progress_delivered(struct progress *p, const char *type, size_t n, bool chain, const char *stem, uint64_t pos)
{
	struct late *l = p->lates ? progress_late(p, type, n) : NULL;
	int has = 0, over = 0;

	if (l)
		over = marks_passed(&l->at, chain, stem, pos, &has);
	if (!has)
		over = marks_passed(&p->marks, chain, stem, pos, &has);
	return over || (p->dones && progress_is_done(p, stem, pos));
}

void
progress_forget(struct progress *p, const char *stem)
{
	struct broken *b = progress_broken(p, stem);
	size_t i;

	marks_drop(&p->marks, stem);
	for (i = 0; i < p->lates; i++)
		marks_drop(&p->late[i].at, stem);
	for (i = p->dones; i-- > 0; )
		if (strcmp(p->done[i].stem, stem) == 0) {
			free(p->done[i].stem);
			p->done[i] = p->done[--p->dones];
		}
	if (b) {
		free(b->stem);
		*b = p->broken[--p->brokens];
	}
}

void
progress_free(struct progress *p)
{
	while (p->lates)
		progress_drop_late(p, &p->late[p->lates - 1]);
	while (p->dones)
		free(p->done[--p->dones].stem);
	while (p->brokens)
		free(p->broken[--p->brokens].stem);
	progress_drop_spent(p);
	free(p->late);
	free(p->done);
	free(p->broken);
	marks_clear(&p->marks);
	intent_clear(&p->intent);
	memset(p, 0, sizeof *p);
}
