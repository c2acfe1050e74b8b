#include "drain/batch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "buffer/line.h"
#include "buffer/manifest.h"
#include "drain/commit.h"
#include "drain/drain_int.h"
#include "drain/indoubt.h"
#include "drain/trim.h"
#include "event/id.h"

#define PASSED_CHECK 256 /* passed lines between two checks of the limits */

void
batch_init(struct batch *batch)
{
	memset(batch, 0, sizeof(*batch));
	batch->item = mem_alloc((BATCH_LINES + 1) * sizeof(*batch->item));
}

void
batch_free(struct batch *batch)
{
	size_t i;

	for (i = 0; i <= BATCH_LINES; i++)
		bytes_free(&batch->item[i].text);
	free(batch->item);
	memset(batch, 0, sizeof(*batch));
}

void
batch_reset(struct batch *batch)
{
	size_t i;

	for (i = 0; i < batch->n; i++)
		if (batch->item[i].text.cap > 2 * BATCH_LARGE)
			bytes_free(&batch->item[i].text);
	batch->n = batch->bytes = batch->types = batch->next_to_queue = 0;
	batch->covered = true;
	batch->short_stream = false;
}

static bool
is_batch_full(const struct batch *batch, size_t bytes)
{
	return batch->types == BATCH_TYPES || batch->bytes >= BATCH_BYTES ||
	    (batch->n &&
	        (bytes > BATCH_LARGE || batch->item[batch->n - 1].line.e.payload.n > BATCH_LARGE));
}

static void
add_to_batch(struct batch *batch)
{
	struct batch_item *it = &batch->item[batch->n];
	size_t i;

	for (i = 0; i < batch->n && batch->item[i].dest != it->dest; i++)
		;
	batch->types += i == batch->n;
	batch->bytes += it->text.len;
	batch->n++;
}

/* Sets whether the line is in doubt (sent before without a reply), and the ID to look above. */
static void
determine_doubt(struct drain *d, struct batch_item *it)
{
	struct intent_type *covered = d->old_intent.active
	    ? intent_find_event_type(&d->old_intent, it->line.e.type.p, it->line.e.type.n)
	    : NULL;
	struct stream_id noted;

	it->in_doubt = it->was_in_doubt = it->possible_duplicate = false;
	it->after = (struct stream_id){UINT64_MAX, UINT64_MAX};
	if (covered != NULL &&
	    intent_covers(&d->old_intent, d->line.chain, d->line.stem, d->line.pos)) {
		it->in_doubt = true;
		if (id_parse(slice_of(covered->after), &it->after) == -1)
			it->after = (struct stream_id){0, 0};
	}
	if (d->checkpoint.lost || manifest_is_returned(d->line.stem)) {
		it->in_doubt = true;
		it->after = (struct stream_id){0, 0};
	}
	if (it->line.in_doubt) {
		it->in_doubt = true;
		if (id_parse(slice_of(it->line.doubt.after), &noted) == -1)
			noted = (struct stream_id){0, 0};
		if (id_cmp(noted, it->after) < 0)
			it->after = noted;
	}
}

static bool
may_retry_held(const struct drain *d, const char *type)
{
	return d->o->all || (d->o->type != NULL && strcmp(d->o->type, type) == 0);
}

struct dest *
batch_dest(struct drain *d, struct slice type)
{
	struct dest *dest = dests_get(&d->dests, d->o->conf->prefix, type);
	struct lagging_type *lagging;

	if (!dest->measured && !dest->stopped &&
	    (lagging = checkpoint_find_lagging(&d->checkpoint, type.p, type.n)) != NULL &&
	    *lagging->reason && !may_retry_held(d, dest->type))
		dest_stop(dest, CONN_OTHER, lagging->reason);
	return dest;
}

static void
move_walked_position(struct drain *d)
{
	struct positions *walked = &d->walked;

	position_set(d->line.chain ? &walked->chain : positions_find_or_add(walked, d->line.stem),
	    d->line.stem, d->line.end, d->line.limit);
}

/* Notes a change of the chain segment. A segment that was read whole without skipping a line can be
 * removed at once. */
static void
enter_chain_segment(struct drain *d)
{
	if (!d->line.chain || (d->chain_stem != NULL && strcmp(d->chain_stem, d->line.stem) == 0))
		return;
	if (d->chain_stem != NULL && d->from_start && !d->has_skipped)
		reclaim_add_drained_segment(&d->reclaim, d->chain_stem);
	free(d->chain_stem);
	d->chain_stem = mem_strdup(d->line.stem);
	d->has_skipped = false;
	d->from_start = d->covers_lagging || d->line.pos == 0;
}

/* Returns 1 when a later segment repeats the line, 0 when not, -1 with err. */
static int
check_rewritten(struct drain *d, const struct event *e, struct err *err)
{
	if (!d->line.suspect)
		return 0;
	if (d->suspect == NULL || strcmp(suspect_stem(d->suspect), d->line.stem) != 0) {
		suspect_close(d->suspect);
		d->suspect = suspect_open(d->buf, d->line.stem, d->o->limits->lock_ms, err);
		if (d->suspect == NULL)
			return -1;
	}
	return suspect_is_repeated(d->suspect, e);
}

static int
measure_dest_room(struct drain *d, struct batch_item *it, struct err *err)
{
	struct bytes words = {0};
	int r;

	if (!it->dest->measured && !it->dest->stopped)
		trim_set_policy(it->dest, d->o->conf);
	r = trim_ensure_room(it->dest, d->conn, drain_maxlen(d, it->line.maxlen, it->dest->type),
	    d->o->force, &words, err);
	if (words.len)
		drain_say(d, "%s", bytes_str(&words));
	bytes_free(&words);
	return r;
}

static void
swap_bytes(struct bytes *a, struct bytes *b)
{
	struct bytes keep = *a;

	*a = *b;
	*b = keep;
}

/* Has dest->room refer to the limit of the line. Returns whether the server has to be asked for the
 * room of the stream before the line is added. */
static bool
apply_line_limit(struct drain *d, const struct batch_item *it)
{
	struct dest *dest = it->dest;

	return !dest->stopped &&
	    (!dest->measured || dest->stale ||
	        !trim_set_limit(dest, drain_maxlen(d, it->line.maxlen, it->dest->type)) ||
	        dest->room <= 0);
}

/* Returns whether the line can be sent at once: the stored intent covers it, and nothing has to be
 * looked up. */
static bool
is_item_covered(const struct drain *d, const struct batch_item *it)
{
	const struct batch *b = &d->batch;
	const struct intent *in = &d->checkpoint.intent;

	if (!b->covered || !in->active || d->old_intent.active || d->checkpoint.lost ||
	    it->line.in_doubt || manifest_is_returned(d->line.stem) ||
	    !intent_covers(in, d->line.chain, d->line.stem, d->line.pos))
		return false;
	return (b->n > 0 && b->item[b->n - 1].dest == it->dest) ||
	    intent_find_event_type(in, it->dest->type, strlen(it->dest->type)) != NULL;
}

enum line_outcome { LINE_ADDED, LINE_PASSED, LINE_KEPT };

/* Fills the slot with what the current line says, and adds it to the batch. */
static void
fill_item(struct drain *d, struct batch_item *it, bool in_old_intent, bool covered)
{
	it->stem = d->line.stem;
	it->chain = d->line.chain;
	it->pos = d->line.pos;
	it->limit = d->line.limit;
	it->offset = d->line.at;
	/* The event borrows from these bytes. */
	swap_bytes(&it->text, &d->current->text);
	line_complete(&it->line, &it->derived, it->stem, it->offset, d->line.text);
	determine_doubt(d, it);
	it->state = BATCH_SEND;
	if (it->dest->room != INT64_MAX)
		it->dest->room--;
	d->batch.in_old_intent = in_old_intent;
	d->batch.covered = covered;
	d->batch.short_stream |= it->dest->maxlen > 0 && it->dest->maxlen < BATCH_IN_DOUBT;
	add_to_batch(&d->batch);
}

/*
 * Adds the current line to the batch, or passes it (delivered, skipped, bad), or keeps it for the
 * next batch. Returns a line_outcome, or -1 with err.
 */
static int
add_current_line(struct drain *d, struct err *err)
{
	struct batch_item *it =
	    &d->batch.item[d->batch.n]; /* part of the batch after add_to_batch */
	struct line *line = &d->current->parsed;
	bool in_old_intent = d->old_intent.active &&
	    intent_covers(&d->old_intent, d->line.chain, d->line.stem, d->line.pos),
	     covered, known;
	int rewritten;
	size_t i;

	/* Lines that the old intent covers keep its bounds; later lines get new ones. */
	if (d->batch.n && in_old_intent != d->batch.in_old_intent)
		return LINE_KEPT;
	if (d->line.text.n == 0)
		return LINE_PASSED; /* the newline that ended a torn piece */
	if (d->current->bad) {
		if (positions_passed(
		        &d->checkpoint.positions, d->line.chain, d->line.stem, d->line.pos, &known))
			return LINE_PASSED; /* quarantined already */
		drain_quarantine(d, d->line.stem, d->line.pos, d->line.text, d->current->why->text);
		return LINE_PASSED;
	}
	if (checkpoint_is_delivered(&d->checkpoint, line->e.type.p, line->e.type.n, d->line.chain,
	        d->line.stem, d->line.pos))
		return LINE_PASSED;
	if ((rewritten = check_rewritten(d, &line->e, err)) != 0)
		return rewritten == -1 ? -1 : LINE_PASSED;
	it->line = *line;
	it->dest = batch_dest(d, line->e.type);
	for (i = 0; i < d->batch.n && d->batch.item[i].dest != it->dest; i++)
		;
	covered = is_item_covered(d, it);
	if (!it->dest->stopped &&
	    (is_batch_full(&d->batch, line->e.payload.n) || (d->batch.next_to_queue && !covered)))
		return LINE_KEPT;
	if (apply_line_limit(d, it) && (i < d->batch.n || d->batch.next_to_queue))
		/* The lines of the batch have to be added before room can be measured. */
		return LINE_KEPT;
	if (measure_dest_room(d, it, err) == -1)
		return -1;
	if (it->dest->stopped) {
		commit_skip(
		    d, line->e.type, d->line.chain, d->line.stem, d->line.pos, d->line.limit);
		return LINE_PASSED;
	}
	fill_item(d, it, in_old_intent, covered);
	return LINE_ADDED;
}

size_t
batch_max_lines(const struct drain *d)
{
	size_t most = BATCH_LINES;

	if (d->o->rate && most > d->o->rate / 10 + 1)
		most = (size_t)(d->o->rate / 10 + 1);
	if (d->o->limit && most > d->o->limit - d->queued)
		most = (size_t)(d->o->limit - d->queued);
	return most;
}

/* Postpones a failure until the lines read before it are sent and their replies taken. */
static int
defer_failure(struct drain *d, size_t pending, const struct err *err)
{
	if (pending == 0)
		return -1;
	d->walk_failed = true;
	d->walk_err = *err;
	return 0;
}

int
batch_load(struct drain *d, size_t most, bool *end, struct err *err)
{
	size_t passed = 0;
	int got = 1, r;

	*end = false;
	if (d->walk_failed) {
		*err = d->walk_err;
		return -1;
	}
	while (d->batch.n < most) {
		if ((got = readahead_next(&d->ahead, &d->current, err)) != 1)
			break;
		d->line = d->current->line;
		enter_chain_segment(d);
		if ((r = add_current_line(d, err)) == -1)
			return defer_failure(d, d->batch.next_to_queue, err);
		if (r == LINE_KEPT) {
			readahead_push_back(&d->ahead);
			return 0;
		}
		move_walked_position(d);
		/* Passed lines take time too. */
		if (r == LINE_PASSED && ++passed % PASSED_CHECK == 0 &&
		    (drain_must_end(d) || !drain_walk_is_useful(d)))
			return 0;
	}
	if (got == 1)
		return 1;
	*end = got == 0;
	return got == -1 ? defer_failure(d, d->batch.n, err) : 0;
}
