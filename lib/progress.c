#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "progress.h"
#include "util.h"

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
intent_sent(struct intent *in, const char *type, size_t n)
{
	size_t i;

	for (i = 0; i < in->types; i++)
		if (same(in->sent[i].type, type, n))
			return &in->sent[i];
	return NULL;
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

static struct floor *
find_floor(const struct progress *p, const char *type, const char *id, size_t n)
{
	size_t i;

	for (i = 0; i < p->floors; i++)
		if (same(p->floor[i].id, id, n) && strcmp(p->floor[i].type, type) == 0)
			return &p->floor[i];
	return NULL;
}

static void
drop_floor(struct progress *p, struct floor *f)
{
	free(f->type);
	free(f->id);
	memmove(f, f + 1, (size_t)(p->floor + p->floors - (f + 1)) * sizeof *f);
	p->floors--;
}

void
progress_set_floor(struct progress *p, const char *type, const char *id, const char *entry)
{
	struct floor *f = find_floor(p, type, id, strlen(id));

	if (f)
		drop_floor(p, f);
	else if (p->floors == FLOORS)
		drop_floor(p, p->floor);
	p->floor = util_realloc(p->floor, (p->floors + 1) * sizeof *p->floor);
	f = &p->floor[p->floors++];
	f->type = util_strdup(type);
	f->id = util_strdup(id);
	snprintf(f->entry, sizeof f->entry, "%s", entry);
}

const char *
progress_floor(const struct progress *p, const char *type, const char *id, size_t n)
{
	const struct floor *f = find_floor(p, type, id, n);

	return f ? f->entry : NULL;
}

void
progress_drop_floors(struct progress *p)
{
	while (p->floors) {
		p->floors--;
		free(p->floor[p->floors].type);
		free(p->floor[p->floors].id);
	}
	free(p->floor);
	p->floor = NULL;
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
	progress_drop_floors(p);
	free(p->late);
	free(p->done);
	free(p->broken);
	marks_clear(&p->marks);
	intent_clear(&p->intent);
	memset(p, 0, sizeof *p);
}
