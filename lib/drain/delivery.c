#include "drain/delivery.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/status.h"
#include "buffer/counters.h"
#include "buffer/edited.h"
#include "buffer/setaside.h"
#include "event/id.h"
#include "redis/fence.h"

/* Completes an ebbuffer set-aside that was killed. What quarantine/ has no space for is sent. */
static int
complete_set_aside(struct delivery *dl, struct err *err)
{
	const struct run *run = dl->run;
	struct setaside_result r;

	if (setaside_complete(run->buf, run->o->limits->lock_ms, &r, err) == -1)
		return -1;
	run_say(run, "%" PRIu64 " events put into quarantine: ebbuffer set-aside was interrupted",
	    r.moved);
	if (r.kept)
		run_say(run, "%s: %" PRIu64 " events were not set aside", r.why.text, r.kept);
	checkpoint_free(&dl->checkpoint);
	return checkpoint_load(run->buf, &dl->checkpoint, err);
}

int
delivery_open(struct delivery *dl, const struct run *run, struct err *err)
{
	struct intent *in = &dl->checkpoint.intent;

	*dl = (struct delivery){.run = run, .quarantine = quarantine_open(run->buf)};
	dl->reclaim = (struct reclaim){.buf = run->buf,
	    .quarantine = dl->quarantine,
	    .checkpoint = &dl->checkpoint,
	    .lock_ms = run->o->limits->lock_ms};
	if (checkpoint_load(run->buf, &dl->checkpoint, err) == -1)
		return -1;
	if (!positions_empty(&dl->checkpoint.aside) && complete_set_aside(dl, err) == -1)
		return -1;
	edited_check(run->buf, &dl->checkpoint);
	for (size_t i = 0; i < dl->checkpoint.edited.nfiles; i++)
		run_say(run,
		    "segment '%s' was changed by hand: looking up which of its events the streams "
		    "already hold",
		    dl->checkpoint.edited.files[i].stem);
	if (dl->checkpoint.lost)
		run_say(run, "'%s%s: looking up which events the streams already hold",
		    run->buf->dir,
		    dl->checkpoint.copied ? "' was copied or restored from a backup"
		                          : "/.progress' was lost");
	if (!in->active)
		return 0;
	if (fence_conn(run->conn, in->run_id, in->client, in->addr, err) == -1)
		return -1;
	dl->old_intent = *in;
	memset(in, 0, sizeof(*in));
	return 0;
}

void
delivery_close(struct delivery *dl)
{
	quarantine_close(dl->quarantine);
	reclaim_free(&dl->reclaim);
	positions_clear(&dl->walked);
	checkpoint_free(&dl->checkpoint);
	checkpoint_free(&dl->skipped);
	intent_clear(&dl->old_intent);
}

void
delivery_begin_walk(struct delivery *dl, bool covers_lagging)
{
	checkpoint_free(&dl->skipped);
	positions_clear(&dl->walked);
	intent_clear(&dl->checkpoint.intent);
	reclaim_begin_walk(&dl->reclaim);
	dl->covers_lagging = covers_lagging;
}

/* --- lines ---------------------------------------------------------------------------- */

bool
delivery_has(struct delivery *dl, struct slice type, const struct walk_line *at)
{
	return checkpoint_is_delivered(
	    &dl->checkpoint, type.p, type.n, at->chain, at->stem, at->pos);
}

bool
delivery_is_behind(const struct delivery *dl)
{
	const struct position *common = &dl->checkpoint.positions.chain,
	                      *reached = &dl->walked.chain;

	return reached->stem != NULL && common->stem != NULL &&
	    position_cmp(reached, common->stem, common->pos) < 0;
}

bool
delivery_in_old_intent(const struct delivery *dl, const struct walk_line *at)
{
	return dl->old_intent.active &&
	    intent_covers(&dl->old_intent, at->chain, at->stem, at->pos);
}

/* Lowers *after to an ID that was noted as text. */
static void
lower_bound(struct stream_id *after, const char *noted)
{
	struct stream_id id;

	if (id_parse(slice_of(noted), &id) == -1)
		id = (struct stream_id){0, 0};
	if (id_cmp(id, *after) < 0)
		*after = id;
}

bool
delivery_is_in_doubt(
    const struct delivery *dl, const struct drain_line *line, struct stream_id *after)
{
	struct slice type = line->parsed.e.type;
	const struct intent_type *covered = delivery_in_old_intent(dl, &line->at)
	    ? intent_find_event_type(&dl->old_intent, type.p, type.n)
	    : NULL;
	bool lost = edited_needs_lookup(&dl->checkpoint, line->at.stem);

	*after = (struct stream_id){UINT64_MAX, UINT64_MAX};
	if (covered != NULL)
		lower_bound(after, covered->after);
	if (line->parsed.in_doubt)
		lower_bound(after, line->parsed.doubt.after);
	if (lost)
		*after = (struct stream_id){0, 0};
	return covered != NULL || line->parsed.in_doubt || lost;
}

void
delivery_enter(struct delivery *dl, const struct walk_line *at)
{
	if (at->chain)
		reclaim_note_line(&dl->reclaim, at->stem, dl->covers_lagging || at->pos == 0);
}

void
delivery_pass(struct delivery *dl, const struct walk_line *at)
{
	positions_set(&dl->walked, at->chain, at->stem, at->end, at->limit)->mark = at->mark;
}

void
delivery_skip(struct delivery *dl, struct slice type, const struct walk_line *at)
{
	struct positions *skipped =
	    &checkpoint_add_lagging(&dl->skipped, type.p, type.n)->positions;

	if (positions_get(skipped, at->chain, at->stem) == NULL)
		positions_set(skipped, at->chain, at->stem, at->pos, at->limit)->mark =
		    at->mark_before;
	if (at->chain)
		reclaim_note_skipped(&dl->reclaim, at->stem);
}

static void
count_quarantined(struct delivery *dl, uint64_t n)
{
	dl->run->r->quarantined += n;
	counters_add(dl->run->buf, (uint64_t[COUNTERS]){[COUNT_QUARANTINED] = n});
}

void
delivery_quarantine(struct delivery *dl, const struct walk_line *at, const char *reason)
{
	struct err err;

	err_set(&err, STATUS_SOME, "'%s' at %" PRIu64 ": a line of %zu bytes is too long", at->stem,
	    at->pos, at->text.n);
	if (at->text.n > QUARANTINE_LINE_MAX ||
	    quarantine_add(dl->quarantine, at->stem, at->pos, reason, at->text, &err) == -1) {
		checkpoint_count_bad_line(&dl->checkpoint, at->stem);
		run_say(dl->run, "quarantine: %s; the whole segment will be quarantined", err.text);
	}
	count_quarantined(dl, 1);
	if (dl->run->r->quarantined <= DELIVERY_NAMED)
		run_say(dl->run, "'%s' at %" PRIu64 ": %s: put into quarantine", at->stem, at->pos,
		    reason);
}

void
delivery_quarantine_bad(struct delivery *dl, const struct walk_line *at, const char *reason)
{
	bool known;

	if (!positions_passed(&dl->checkpoint.positions, at->chain, at->stem, at->pos, &known))
		delivery_quarantine(dl, at, reason);
}

void
delivery_note_damaged(struct delivery *dl, const struct segment *seg)
{
	checkpoint_count_bad_line(&dl->checkpoint, seg->stem);
	if (seg->kind != SEGMENT_CHAIN) /* nothing more can be read from it */
		positions_set(&dl->walked, false, seg->stem, UINT64_MAX, 0);
	count_quarantined(dl, 1);
	dl->damaged_pieces++;
	run_say(dl->run,
	    "'%s' is damaged: the lines that can be decoded are replayed, the file is put into "
	    "quarantine",
	    seg->stem);
}

/* --- between batches ------------------------------------------------------------------ */

static int
compare_positions_in_source(const struct position *a, const struct position *b, bool chain)
{
	return chain ? position_cmp(a, b->stem, b->pos) : a->pos < b->pos ? -1 : a->pos > b->pos;
}

/* Updates the position of a lagging type in one source, now that the walk has reached `walked`
 * there; see checkpoint.h. */
static void
move_lagging_type(struct delivery *dl, struct lagging_type *lagging, bool chain,
    const struct position *walked, const struct position *common)
{
	const char *stem = walked->stem;
	struct position *at = positions_get(&lagging->positions, chain, stem), *left = NULL;
	struct lagging_type *skipped =
	    checkpoint_find_lagging(&dl->skipped, lagging->type, strlen(lagging->type));

	if (skipped != NULL)
		left = positions_get(&skipped->positions, chain, stem);
	if (left != NULL && (dl->covers_lagging || at == NULL))
		position_copy(chain ? &lagging->positions.chain
		                    : positions_find_or_add(&lagging->positions, left->stem),
		    left);
	else if (at != NULL && dl->covers_lagging &&
	    compare_positions_in_source(walked, at, chain) > 0) {
		if (compare_positions_in_source(walked, common, chain) < 0)
			position_copy(at, walked);
		else if (chain)
			position_clear(at);
		else
			positions_drop(&lagging->positions, stem);
	}
}

static void
move_source_position(struct delivery *dl, bool chain, const struct position *walked)
{
	struct checkpoint *cp = &dl->checkpoint;
	struct position *common =
	    chain ? &cp->positions.chain : positions_find_or_add(&cp->positions, walked->stem);

	if (common->stem == NULL || compare_positions_in_source(common, walked, chain) < 0 ||
	    (!chain && walked->limit != common->limit))
		position_copy(common, walked);
	for (size_t i = 0; i < cp->nlagging; i++)
		move_lagging_type(dl, cp->lagging[i], chain, walked, common);
}

static void
note_hold_reasons(struct checkpoint *cp, const struct dests *dests)
{
	for (size_t i = cp->nlagging; i-- > 0;) {
		struct lagging_type *lagging = cp->lagging[i];
		const struct dest *dest = dests_find(dests, lagging->type);

		if (positions_empty(&lagging->positions)) {
			checkpoint_drop_lagging(cp, lagging);
			continue;
		}
		if (dest == NULL || !dest->measured)
			continue; /* not tried in this run */
		free(lagging->reason);
		lagging->reason = mem_strdup(dest->stopped ? dest->reason : "");
		lagging->tried = clock_now();
	}
}

/* Returns whether the walk has passed all that the intent covers. */
static bool
has_passed_intent(const struct positions *walked, const struct positions *upto)
{
	const struct position *reached;

	if (upto->chain.stem != NULL &&
	    (walked->chain.stem == NULL ||
	        position_cmp(&walked->chain, upto->chain.stem, upto->chain.pos) < 0))
		return false;
	for (size_t i = 0; i < upto->nfiles; i++)
		if ((reached = positions_find(walked, upto->files[i].stem)) == NULL ||
		    reached->pos < upto->files[i].pos)
			return false;
	return true;
}

/* Types of which this walk skipped lines stay in the old intent: those lines are still in doubt. */
static void
drop_resolved_types(struct delivery *dl)
{
	struct intent *in = &dl->old_intent;

	if (!in->active || !has_passed_intent(&dl->walked, &in->upto))
		return;
	for (size_t i = in->ntypes; i-- > 0;)
		if (checkpoint_find_lagging(
		        &dl->skipped, in->types[i].type, strlen(in->types[i].type)) == NULL)
			intent_drop_type(in, &in->types[i]);
	if (in->ntypes == 0)
		intent_clear(in);
}

void
delivery_commit(struct delivery *dl, const struct dests *dests)
{
	struct checkpoint *cp = &dl->checkpoint;

	for (size_t i = 0; i < dl->skipped.nlagging; i++)
		checkpoint_add_lagging(
		    cp, dl->skipped.lagging[i]->type, strlen(dl->skipped.lagging[i]->type));
	if (dl->walked.chain.stem != NULL)
		move_source_position(dl, true, &dl->walked.chain);
	for (size_t i = 0; i < dl->walked.nfiles; i++)
		move_source_position(dl, false, &dl->walked.files[i]);
	note_hold_reasons(cp, dests);
	checkpoint_forget_passed(cp);
	drop_resolved_types(dl);
}

int
delivery_store(struct delivery *dl, struct err *err)
{
	return quarantine_sync(dl->quarantine, err) == -1
	    ? -1
	    : checkpoint_store(dl->run->buf, &dl->checkpoint, err);
}

int
delivery_reclaim(struct delivery *dl, const struct walk *walk, bool at_end, struct err *err)
{
	uint64_t torn = dl->reclaim.torn;
	int r = reclaim_run(&dl->reclaim, walk, at_end, err);

	if (r == 0 && dl->reclaim.moved)
		r = delivery_store(dl, err);
	dl->reclaim.moved = false;
	torn = dl->reclaim.torn - torn;
	if (torn) {
		count_quarantined(dl, torn);
		dl->damaged_pieces += torn;
		run_say(dl->run,
		    "an incomplete line at the end of the buffer, left by a dead writer: put into "
		    "quarantine");
	}
	return r;
}

uint64_t
delivery_removed(const struct delivery *dl)
{
	const struct drain_result *r = dl->run->r;

	return r->replayed + r->found + r->quarantined - dl->damaged_pieces;
}
