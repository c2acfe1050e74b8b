#include "drain/commit.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

/* Returns the position of a source, or NULL if it has none. */
static struct position *
find_source_position(struct positions *positions, bool chain, const char *stem)
{
	struct position *at = chain ? &positions->chain : positions_find(positions, stem);

	return at != NULL && at->stem != NULL ? at : NULL;
}

void
commit_skip(
    struct drain *d, struct slice type, bool chain, const char *stem, uint64_t pos, uint64_t limit)
{
	struct positions *positions =
	    &checkpoint_add_lagging(&d->skipped, type.p, type.n)->positions;

	if (find_source_position(positions, chain, stem) == NULL)
		position_set(chain ? &positions->chain : positions_find_or_add(positions, stem),
		    stem, pos, limit);
	if (!chain)
		return;
	if (strcmp(d->chain_stem, stem) == 0)
		d->has_skipped = true;
	else
		reclaim_drop_drained_segment(&d->reclaim, stem);
}

static int
compare_positions_in_source(const struct position *a, const struct position *b, bool chain)
{
	return chain ? position_cmp(a, b->stem, b->pos) : a->pos < b->pos ? -1 : a->pos > b->pos;
}

/* Updates the position of a lagging type in one source, now that the walk has reached `walked`
 * there; see checkpoint.h. */
static void
move_lagging_type(struct drain *d, struct lagging_type *lagging, bool chain,
    const struct position *walked, const struct position *common)
{
	const char *stem = walked->stem;
	struct position *at = find_source_position(&lagging->positions, chain, stem), *left = NULL,
	                to;
	struct lagging_type *skipped =
	    checkpoint_find_lagging(&d->skipped, lagging->type, strlen(lagging->type));

	if (skipped != NULL)
		left = find_source_position(&skipped->positions, chain, stem);
	if (left != NULL && (d->covers_lagging || at == NULL)) {
		to = *left;
		position_set(chain ? &lagging->positions.chain
		                   : positions_find_or_add(&lagging->positions, to.stem),
		    to.stem, to.pos, to.limit);
	} else if (at != NULL && d->covers_lagging &&
	    compare_positions_in_source(walked, at, chain) > 0) {
		if (compare_positions_in_source(walked, common, chain) >= 0) {
			if (chain)
				position_clear(at);
			else
				positions_drop(&lagging->positions, stem);
		} else
			position_set(at, stem, walked->pos, walked->limit);
	}
}

static void
move_source_position(struct drain *d, bool chain, const struct position *walked)
{
	struct position *common = chain
	    ? &d->checkpoint.positions.chain
	    : positions_find_or_add(&d->checkpoint.positions, walked->stem);
	size_t i;

	if (common->stem == NULL || compare_positions_in_source(common, walked, chain) < 0 ||
	    (!chain && walked->limit != common->limit))
		position_set(common, walked->stem, walked->pos, walked->limit);
	for (i = 0; i < d->checkpoint.nlagging; i++)
		move_lagging_type(d, &d->checkpoint.lagging[i], chain, walked, common);
}

static void
note_hold_reasons(struct drain *d)
{
	size_t i;

	for (i = d->checkpoint.nlagging; i-- > 0;) {
		struct lagging_type *lagging = &d->checkpoint.lagging[i];
		struct dest *dest = dests_find(&d->dests, lagging->type);

		if (positions_empty(&lagging->positions)) {
			checkpoint_drop_lagging(&d->checkpoint, lagging);
			continue;
		}
		if (dest == NULL || !dest->measured)
			continue; /* not tried in this run */
		free(lagging->reason);
		lagging->reason = mem_strdup(dest->stopped ? dest->reason : "");
		lagging->tried = clock_now();
	}
}

void
commit_positions(struct drain *d)
{
	size_t i;

	for (i = 0; i < d->skipped.nlagging; i++)
		checkpoint_add_lagging(
		    &d->checkpoint, d->skipped.lagging[i].type, strlen(d->skipped.lagging[i].type));
	if (d->walked.chain.stem != NULL)
		move_source_position(d, true, &d->walked.chain);
	for (i = 0; i < d->walked.nfiles; i++)
		move_source_position(d, false, &d->walked.files[i]);
	note_hold_reasons(d);
	while (!d->checkpoint.nlagging && d->checkpoint.ndelivered)
		free(d->checkpoint.delivered[--d->checkpoint.ndelivered].stem);
}

/* Types of which this walk skipped lines stay in the old intent: those lines are still in doubt. */
void
commit_drop_resolved(struct drain *d)
{
	struct positions *upto = &d->old_intent.upto;
	struct position *reached;
	size_t i;

	if (!d->old_intent.active)
		return;
	if (upto->chain.stem != NULL &&
	    (d->walked.chain.stem == NULL ||
	        position_cmp(&d->walked.chain, upto->chain.stem, upto->chain.pos) < 0))
		return;
	for (i = 0; i < upto->nfiles; i++)
		if ((reached = positions_find(&d->walked, upto->files[i].stem)) == NULL ||
		    reached->pos < upto->files[i].pos)
			return;
	for (i = d->old_intent.ntypes; i-- > 0;)
		if (checkpoint_find_lagging(&d->skipped, d->old_intent.types[i].type,
		        strlen(d->old_intent.types[i].type)) == NULL)
			intent_drop_type(&d->old_intent, &d->old_intent.types[i]);
	if (d->old_intent.ntypes == 0)
		intent_clear(&d->old_intent);
}
