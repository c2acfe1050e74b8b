#include <stdlib.h>
#include <string.h>

#include "drain/move.h"
#include "base/util.h"
#include "base/when.h"

struct mark *
move_mark(struct marks *m, bool chain, const char *stem)
{
	struct mark *k = chain ? &m->chain : marks_find(m, stem);

	return k && k->stem ? k : NULL;
}

void
move_leave(struct run *d, struct slice type, bool chain, const char *stem, uint64_t pos, uint64_t limit)
{
	struct marks *m = &progress_add_late(&d->skips, type.p, type.n)->at;

	if (!move_mark(m, chain, stem))
		mark_set(chain ? &m->chain : marks_get(m, stem), stem, pos, limit);
	if (!chain)
		return;
	if (strcmp(d->stem, stem) == 0)
		d->left_behind = true;
	else
		sweep_dirty(&d->sweep, stem);
}

static int
mark_order(const struct mark *a, const struct mark *b, bool chain)
{
	return chain ? mark_cmp(a, b->stem, b->pos) : a->pos < b->pos ? -1 : a->pos > b->pos;
}

/* What a late type's mark becomes after this walk came to `walked` in this source; see progress.h. */
static void
move_late(struct run *d, struct late *l, bool chain, const struct mark *walked, const struct mark *main)
{
	const char *stem = walked->stem;
	struct mark *at = move_mark(&l->at, chain, stem), *left = NULL, to;
	struct late *s = progress_late(&d->skips, l->type, strlen(l->type));

	if (s)
		left = move_mark(&s->at, chain, stem);
	if (left && (d->covers || !at)) {
		to = *left;
		mark_set(chain ? &l->at.chain : marks_get(&l->at, to.stem), to.stem, to.pos, to.limit);
	} else if (at && d->covers && mark_order(walked, at, chain) > 0) {
		if (mark_order(walked, main, chain) >= 0) {
			if (chain)
				mark_clear(at);
			else
				marks_drop(&l->at, stem);
		} else
			mark_set(at, stem, walked->pos, walked->limit);
	}
}

static void
move_source(struct run *d, bool chain, const struct mark *walked)
{
	struct mark *main = chain ? &d->p.marks.chain : marks_get(&d->p.marks, walked->stem);
	size_t i;

	if (!main->stem || mark_order(main, walked, chain) < 0 || (!chain && walked->limit != main->limit))
		mark_set(main, walked->stem, walked->pos, walked->limit);
	for (i = 0; i < d->p.lates; i++)
		move_late(d, &d->p.late[i], chain, walked, main);
}

static void
note_reasons(struct run *d)
{
	size_t i;

	for (i = d->p.lates; i-- > 0; ) {
		struct late *late = &d->p.late[i];
		struct lane *lane = lanes_find(&d->lanes, late->type);

		if (marks_none(&late->at)) {
			progress_drop_late(&d->p, late);
			continue;
		}
		if (!lane || !lane->opened)
			continue;	/* not tried in this run */
		free(late->reason);
		late->reason = util_strdup(lane->stopped ? lane->reason : "");
		late->tried = when_now();
	}
}

void
move_marks(struct run *d)
{
	size_t i;

	for (i = 0; i < d->skips.lates; i++)
		progress_add_late(&d->p, d->skips.late[i].type, strlen(d->skips.late[i].type));
	if (d->walked.chain.stem)
		move_source(d, true, &d->walked.chain);
	for (i = 0; i < d->walked.files; i++)
		move_source(d, false, &d->walked.file[i]);
	note_reasons(d);
	while (!d->p.lates && d->p.dones)
		free(d->p.done[--d->p.dones].stem);
}

/* Once everything that the old intent names has been walked past: what was left behind is not settled. */
void
move_forget_old(struct run *d)
{
	struct marks *u = &d->old.upto;
	struct mark *m;
	size_t i;

	if (!d->old.on)
		return;
	if (u->chain.stem && (!d->walked.chain.stem || mark_cmp(&d->walked.chain, u->chain.stem, u->chain.pos) < 0))
		return;
	for (i = 0; i < u->files; i++)
		if (!(m = marks_find(&d->walked, u->file[i].stem)) || m->pos < u->file[i].pos)
			return;
	for (i = d->old.types; i-- > 0; )
		if (!progress_late(&d->skips, d->old.sent[i].type, strlen(d->old.sent[i].type)))
			intent_drop(&d->old, &d->old.sent[i]);
	if (d->old.types == 0)
		intent_clear(&d->old);
}
