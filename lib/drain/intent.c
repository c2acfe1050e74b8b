#include "drain/intent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "buffer/edited.h"
#include "event/id.h"

/* Adds a type. One that was added before keeps its bound, which may be older and is needed. */
static void
add_intent_type(struct intent *in, const char *type, struct stream_id after)
{
	struct intent_type *s;

	if (intent_find_event_type(in, type, strlen(type)) != NULL)
		return;
	in->types = mem_realloc(in->types, (in->ntypes + 1) * sizeof(*in->types));
	s = &in->types[in->ntypes++];
	s->type = mem_strdup(type);
	id_format(after, s->after);
}

/* Adds the unresolved types of an earlier run's intent, with their older bounds. */
static void
merge_old_intent(struct intent *in, const struct intent *old)
{
	const struct position *at = &old->upto.chain;
	struct stream_id after;

	for (size_t i = 0; i < old->ntypes; i++) {
		if (id_parse(slice_of(old->types[i].after), &after) == -1)
			after = (struct stream_id){0, 0};
		add_intent_type(in, old->types[i].type, after);
	}
	if (at->stem != NULL && position_cmp(&in->upto.chain, at->stem, at->pos) < 0)
		position_set(&in->upto.chain, at->stem, at->pos, 0);
	for (size_t i = 0; i < old->upto.nfiles; i++) {
		at = &old->upto.files[i];
		if (positions_find_or_add(&in->upto, at->stem)->pos < at->pos)
			positions_set(&in->upto, false, at->stem, at->pos, at->limit);
	}
}

/* Stores the limit of each file in the first checkpoint that names it: it decides whether positions
 * in the file count bytes or sorted lines, which must not change later. */
static void
fix_file_limits(struct checkpoint *cp)
{
	for (size_t i = 0; i < cp->intent.upto.nfiles; i++) {
		const struct position *m = &cp->intent.upto.files[i];

		if (positions_find(&cp->positions, m->stem) == NULL)
			positions_set(&cp->positions, false, m->stem, 0, m->limit);
	}
}

/* Copies what the walk has reached, and the checkpoint's positions have not passed: what they have
 * passed cannot be in doubt, unless a type lags. */
static void
copy_walked_positions(struct positions *upto, const struct delivery *dl)
{
	const struct checkpoint *cp = &dl->checkpoint;
	const struct position *at = &dl->walked.chain, *common;

	if (at->stem != NULL)
		position_copy(&upto->chain, at);
	for (size_t i = 0; i < dl->walked.nfiles; i++) {
		at = &dl->walked.files[i];
		common = cp->nlagging ? NULL : positions_find(&cp->positions, at->stem);
		if (common == NULL || common->limit != at->limit || common->pos < at->pos)
			position_copy(positions_find_or_add(upto, at->stem), at);
	}
}

static void
build_intent(struct batch *b)
{
	struct delivery *dl = b->delivery;
	struct intent *in = &dl->checkpoint.intent;
	const struct conn *conn = b->run->conn;

	intent_clear(in);
	in->active = true;
	snprintf(in->run_id, sizeof(in->run_id), "%s", conn_facts(conn)->run_id);
	in->client = conn_facts(conn)->client;
	snprintf(in->addr, sizeof(in->addr), "%s", conn_facts(conn)->addr);
	copy_walked_positions(&in->upto, dl);
	fix_file_limits(&dl->checkpoint);
	if (dl->old_intent.active)
		merge_old_intent(in, &dl->old_intent);
	for (size_t i = 0; i < b->n; i++)
		if (b->item[i].state == BATCH_SEND)
			add_intent_type(in, b->item[i].dest->type, b->item[i].dest->after);
}

/*
 * Returns whether the intent can cover a line that was read ahead. It cannot cover a line in doubt:
 * the connection that sent it must not be replaced by this one. It cannot cover a line for a short
 * stream: the entries would trim each other and could not be looked up.
 */
static bool
may_send_ahead(const struct batch *b, const struct drain_line *line, const struct dest *dest)
{
	int64_t limit = run_maxlen(b->run, line->parsed.maxlen, dest->type);

	if (line->parsed.in_doubt || edited_needs_lookup(&b->delivery->checkpoint, line->at.stem))
		return false;
	return dest->stopped ||
	    (dest->measured && !dest->stale && (limit == 0 || limit >= BATCH_IN_DOUBT));
}

/* Extends the intent to the lines that were read ahead. Each may be sent or not; the look-up of a
 * line that was not sent finds nothing. Returns false if the intent may not cover them all. */
static bool
extend_intent(struct batch *b)
{
	struct intent *in = &b->delivery->checkpoint.intent;
	const struct dest *dest = NULL, *last = NULL;
	const struct drain_line *line;
	size_t i;

	for (i = 0; (line = readahead_peek(b->ahead, i)) != NULL; i++) {
		struct slice type = line->parsed.e.type;

		if (!line->bad && (dest == NULL || !slice_is(type, dest->type)))
			dest = batch_dest(b, type);
		if (!line->bad && !may_send_ahead(b, line, dest))
			return false;
		if (!line->bad && dest != last && !dest->stopped) {
			/* as many as fit into a slot of the checkpoint file */
			if (in->ntypes >= 2 * batch_max_types(b) &&
			    intent_find_event_type(in, type.p, type.n) == NULL)
				break;
			add_intent_type(in, dest->type, dest->after);
			last = dest;
		}
		positions_set(
		    &in->upto, line->at.chain, line->at.stem, line->at.end, line->at.limit)
		    ->mark = line->at.mark;
	}
	fix_file_limits(&b->delivery->checkpoint);
	return i > 0;
}

int
intent_store(struct batch *b, bool sending, struct err *err)
{
	if (sending || b->delivery->old_intent.active)
		build_intent(b);
	else
		intent_clear(&b->delivery->checkpoint.intent);
	return delivery_store(b->delivery, err);
}

int
intent_store_ahead(struct batch *b, struct err *err)
{
	struct delivery *dl = b->delivery;

	/* all lines have to be looked up first, or the batch's entries may trim each other */
	if (dl->old_intent.active || dl->checkpoint.lost || b->short_stream)
		return 0;
	build_intent(b);
	if (!extend_intent(b)) {
		/* the intent in memory may cover more than the stored one */
		intent_clear(&dl->checkpoint.intent);
		return 0;
	}
	return delivery_store(dl, err) == -1 ? -1 : 1;
}
