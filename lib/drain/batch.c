#include "drain/batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "buffer/edited.h"
#include "buffer/line.h"
#include "drain/trim.h"

#define PASSED_CHECK 256 /* passed lines between two checks of the limits */

void
batch_init(struct batch *b, struct run *run, struct delivery *delivery, struct readahead *ahead,
    struct dests *dests)
{
	*b = (struct batch){.run = run, .delivery = delivery, .ahead = ahead, .dests = dests};
	b->item = mem_alloc(BATCH_LINES * sizeof(*b->item));
}

void
batch_free(struct batch *b)
{
	for (size_t i = 0; i < BATCH_LINES; i++)
		drain_line_free(b->item[i].line);
	free(b->item);
	suspect_close(b->suspect);
}

void
batch_reset(struct batch *b)
{
	b->n = b->bytes = b->types = b->next_to_queue = 0;
	b->covered = true;
	b->short_stream = false;
}

size_t
batch_max_types(const struct batch *b)
{
	size_t share = b->delivery->checkpoint.nlagging / 8;

	return share > BATCH_TYPES ? share : BATCH_TYPES;
}

bool
batch_has_items_to_send(const struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->item[i].state == BATCH_SEND)
			return true;
	return false;
}

/* --- held types ----------------------------------------------------------------------- */

static bool
may_retry_held(const struct drain_options *o, const char *type)
{
	return o->all || (o->type != NULL && strcmp(o->type, type) == 0);
}

struct dest *
batch_dest(struct batch *b, struct slice type)
{
	const struct drain_options *o = b->run->o;
	struct dest *dest = dests_get(b->dests, type);
	struct lagging_type *lagging;

	if (!dest->measured && !dest->stopped &&
	    (lagging = checkpoint_find_lagging(&b->delivery->checkpoint, type.p, type.n)) != NULL &&
	    *lagging->reason && !may_retry_held(o, dest->type))
		dest_stop(dest, CONN_OTHER, lagging->reason);
	return dest;
}

bool
batch_may_deliver_lagging(struct batch *b)
{
	const struct checkpoint *cp = &b->delivery->checkpoint;

	/* A type that was stopped stays stopped: begins where the last look ended. */
	for (size_t i = 0; i < cp->nlagging; i++, b->looked_at++) {
		if (b->looked_at >= cp->nlagging)
			b->looked_at = 0;
		if (!batch_dest(b, slice_of(cp->lagging[b->looked_at]->type))->stopped)
			return true;
	}
	return false;
}

bool
batch_is_walk_useful(struct batch *b)
{
	const struct delivery *dl = b->delivery;

	return !dl->covers_lagging || !dl->checkpoint.nlagging || dl->old_intent.active ||
	    !delivery_is_behind(dl) || batch_may_deliver_lagging(b);
}

/* --- choosing lines ------------------------------------------------------------------- */

static bool
is_batch_full(const struct batch *b, size_t bytes)
{
	return b->types >= batch_max_types(b) || b->bytes >= BATCH_BYTES ||
	    (b->n > 0 &&
	        (bytes > BATCH_LARGE || b->item[b->n - 1].line->parsed.e.payload.n > BATCH_LARGE));
}

static bool
has_line_for(const struct batch *b, const struct dest *dest)
{
	for (size_t i = b->n; i-- > 0;)
		if (b->item[i].dest == dest)
			return true;
	return false;
}

/* Returns whether the line can be sent at once: the stored intent covers it, and nothing has to be
 * looked up. */
static bool
is_line_covered(const struct batch *b, const struct drain_line *line, const struct dest *dest)
{
	const struct delivery *dl = b->delivery;
	const struct intent *in = &dl->checkpoint.intent;

	if (!b->covered || !in->active || dl->old_intent.active || line->parsed.in_doubt ||
	    edited_needs_lookup(&dl->checkpoint, line->at.stem) ||
	    !intent_covers(in, line->at.chain, line->at.stem, line->at.pos))
		return false;
	return (b->n > 0 && b->item[b->n - 1].dest == dest) ||
	    intent_find_event_type(in, dest->type, strlen(dest->type)) != NULL;
}

/* Has dest->room refer to the limit of the line. Returns whether the server has to be asked for the
 * room of the stream before the line is added. */
static bool
apply_line_limit(struct dest *dest, int64_t maxlen)
{
	return !dest->stopped &&
	    (!dest->measured || dest->stale || !trim_set_limit(dest, maxlen) || dest->room <= 0);
}

/* Moves the line of readahead_next into the batch. */
static void
take_line(struct batch *b, struct dest *dest)
{
	struct batch_item *it = &b->item[b->n];
	struct drain_line *line;
	const struct positions *edited = &b->delivery->checkpoint.edited;

	b->types += !has_line_for(b, dest);
	b->n++;
	readahead_take(b->ahead, &it->line);
	line = it->line;
	it->may_differ =
	    !line->parsed.e.event_id.n && positions_find(edited, line->at.stem) != NULL;
	line_complete(&line->parsed, &line->derived, line->at.stem, line->at.at, line->at.text);
	it->dest = dest;
	it->state = BATCH_SEND;
	it->possible_duplicate = false;
	it->lookup = (struct indoubt_line){.e = &line->parsed.e};
	it->in_doubt = delivery_is_in_doubt(b->delivery, line, &it->lookup.after);
	if (dest->room != INT64_MAX)
		dest->room--;
	b->bytes += line->text.len;
	b->short_stream |= dest->maxlen > 0 && dest->maxlen < BATCH_IN_DOUBT;
}

/* Returns 1 when a later segment repeats the line of a suspect one, 0 when not, -1 with err. */
static int
is_line_repeated(struct batch *b, const struct drain_line *line, struct err *err)
{
	if (b->suspect == NULL || strcmp(suspect_stem(b->suspect), line->at.stem) != 0) {
		suspect_close(b->suspect);
		b->suspect =
		    suspect_open(b->run->buf, line->at.stem, b->run->o->limits->lock_ms, err);
		if (b->suspect == NULL)
			return -1;
	}
	return suspect_is_repeated(b->suspect, &line->parsed.e);
}

enum line_outcome { LINE_ADDED, LINE_PASSED, LINE_KEPT };

/*
 * Moves the next line into the batch, or passes it (delivered, skipped, bad), or keeps it for the
 * next batch. Returns a line_outcome, or -1 with err.
 */
static int
consider_line(struct batch *b, struct drain_line *line, struct err *err)
{
	const struct event *e = &line->parsed.e;
	bool in_old_intent = delivery_in_old_intent(b->delivery, &line->at), covered;
	int64_t maxlen;
	struct dest *dest;
	int repeated;

	/* Lines that the old intent covers keep its bounds; later lines get new ones. */
	if (b->n && in_old_intent != b->in_old_intent)
		return LINE_KEPT;
	/* Its original may be in the batch: the look-up has to find that. */
	if (b->n && line->copied && !b->item[b->n - 1].line->copied)
		return LINE_KEPT;
	if (line->at.text.n == 0)
		return LINE_PASSED; /* the newline that ended a torn piece */
	if (line->bad) {
		delivery_quarantine_bad(b->delivery, &line->at, line->why->text);
		return LINE_PASSED;
	}
	if (delivery_has(b->delivery, e->type, &line->at))
		return LINE_PASSED;
	if (line->at.suspect && (repeated = is_line_repeated(b, line, err)) != 0)
		return repeated == -1 ? -1 : LINE_PASSED;
	dest = batch_dest(b, e->type);
	maxlen = run_maxlen(b->run, line->parsed.maxlen, dest->type);
	covered = is_line_covered(b, line, dest);
	if (!dest->stopped && (is_batch_full(b, e->payload.n) || (b->next_to_queue && !covered)))
		return LINE_KEPT;
	if (apply_line_limit(dest, maxlen) && (b->next_to_queue || has_line_for(b, dest)))
		return LINE_KEPT; /* the lines of the batch are added before room is measured */
	if (trim_ensure_room(b->dests, dest, b->run->conn, maxlen, err) == -1)
		return -1;
	if (dest->stopped) {
		delivery_skip(b->delivery, e->type, &line->at);
		return LINE_PASSED;
	}
	take_line(b, dest);
	b->in_old_intent = in_old_intent;
	b->covered = covered;
	return LINE_ADDED;
}

int
batch_load(struct batch *b, size_t most, bool *end, struct err *err)
{
	struct drain_line *line;
	size_t passed = 0;
	int got = 1, outcome;

	*end = false;
	while (b->n < most && (got = readahead_next(b->ahead, &line, err)) == 1) {
		delivery_enter(b->delivery, &line->at);
		if ((outcome = consider_line(b, line, err)) == -1)
			/* what is queued is answered first; then it fails again */
			return b->next_to_queue ? 0 : -1;
		if (outcome == LINE_KEPT)
			return 0;
		delivery_pass(b->delivery, &line->at);
		if (outcome == LINE_ADDED)
			continue;
		readahead_drop(b->ahead);
		/* Passed lines take time too. */
		if (++passed % PASSED_CHECK == 0 &&
		    (run_must_end(b->run) || !batch_is_walk_useful(b)))
			return 0;
	}
	*end = got == 0;
	if (got == -1) /* what was read before the failure is sent first */
		return b->n ? 0 : -1;
	return got;
}
