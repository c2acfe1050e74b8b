#include "drain/send.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "buffer/line.h"
#include "buffer/manifest.h"
#include "drain/commit.h"
#include "drain/drain_int.h"
#include "drain/indoubt.h"
#include "event/id.h"
#include "redis/fence.h"
#include "redis/reply.h"
#include "redis/stream.h"

/* as many as fit into a slot of the checkpoint file */
#define INTENT_TYPES ((size_t)2 * BATCH_TYPES)

/* Fences off the connections that sent the lines in doubt: their XADDs may still be executed. */
static int
fence_doubt_connections(struct drain *d, struct err *err)
{
	const struct doubt *last = NULL, *now;
	size_t i;

	for (i = 0; i < d->batch.n; i++) {
		if (!d->batch.item[i].line.in_doubt)
			continue;
		now = &d->batch.item[i].line.doubt;
		if (last != NULL && last->client == now->client &&
		    strcmp(last->run_id, now->run_id) == 0)
			continue;
		if (fence_conn(d->conn, now->run_id, now->client, now->addr, err) == -1)
			return -1;
		last = now;
	}
	return 0;
}

static void
note_added_entry(struct drain *d, const struct dest *dest, struct stream_id id)
{
	if (d->added_total < DRAIN_ENTRIES &&
	    (d->added_total & (d->added_total - 1)) == 0) /* the array is full at powers of two */
		d->added = mem_realloc(
		    d->added, (d->added_total ? 2 * d->added_total : 1) * sizeof(*d->added));
	d->added[d->added_total++ % DRAIN_ENTRIES] = (struct drain_entry){dest, id};
}

struct match_query {
	const struct drain *d;
	const struct dest *dest;
};

/* Returns whether the entry was added by this run, or resolved another line. */
static bool
is_entry_matched(void *arg, struct stream_id entry)
{
	const struct match_query *query = arg;
	size_t i, n = query->d->added_total < DRAIN_ENTRIES ? query->d->added_total : DRAIN_ENTRIES;
	char id[ID_SIZE];

	/* cppcheck-suppress knownConditionTrueFalse ; it sees only n = 0 */
	for (i = 0; i < n; i++)
		if (query->d->added[i].dest == query->dest &&
		    id_cmp(query->d->added[i].id, entry) == 0)
			return true;
	id_format(entry, id);
	return checkpoint_is_matched(&query->d->checkpoint, query->dest->type, id);
}

static int
resolve_dest(struct drain *d, struct dest *dest, struct err *err)
{
	struct indoubt_line *lines = mem_alloc((d->batch.n + 1) * sizeof(*lines));
	uint64_t possible_duplicate = 0;
	size_t i, n = 0;
	int result;

	for (i = 0; i < d->batch.n; i++) {
		struct batch_item *it = &d->batch.item[i];

		if (it->dest != dest || !it->in_doubt)
			continue;
		/* Each line has its own bound: lines of several publishers may be in another order
		 * than their entries. */
		lines[n].after = it->after;
		lines[n++].e = &it->line.e;
	}
	result = indoubt_resolve(d->conn, dest->key, is_entry_matched,
	    &(struct match_query){d, dest}, lines, n, &possible_duplicate, err);
	for (i = 0, n = 0; result == 0 && i < d->batch.n; i++) {
		struct batch_item *it = &d->batch.item[i];

		if (it->dest != dest || !it->in_doubt)
			continue;
		if (lines[n].found) {
			it->state = BATCH_FOUND;
			it->id = lines[n].entry;
			d->r->found++;
		}
		n++;
		it->possible_duplicate = possible_duplicate && it->state != BATCH_FOUND;
		it->in_doubt = false;
		it->was_in_doubt = true;
	}
	free(lines);
	return result;
}

void
send_note_matched(struct drain *d)
{
	char id[ID_SIZE];
	size_t i;

	for (i = 0; i < d->batch.n; i++) {
		struct batch_item *it = &d->batch.item[i];

		if (!it->was_in_doubt || (it->state != BATCH_FOUND && it->state != BATCH_ADDED))
			continue;
		id_format(it->id, id);
		checkpoint_add_matched(&d->checkpoint, it->dest->type, id);
	}
}

int
send_resolve(struct drain *d, struct err *err)
{
	size_t i;

	if (fence_doubt_connections(d, err) == -1)
		return -1;
	for (i = 0; i < d->batch.n; i++)
		if (d->batch.item[i].in_doubt && resolve_dest(d, d->batch.item[i].dest, err) == -1)
			return -1;
	return 0;
}

static void
add_intent_type(struct intent *in, const char *type, struct stream_id after)
{
	struct intent_type *s;

	if (intent_find_event_type(in, type, strlen(type)) != NULL)
		return; /* the type was added before, perhaps with an older bound, which is needed
		         */
	in->types = mem_realloc(in->types, (in->ntypes + 1) * sizeof(*in->types));
	s = &in->types[in->ntypes++];
	s->type = mem_strdup(type);
	id_format(after, s->after);
}

/* Adds the unresolved types of an earlier run's intent, with their older bounds. */
static void
merge_old_intent(struct intent *in, const struct intent *old)
{
	struct stream_id after;
	struct position *at;
	size_t i;

	for (i = 0; i < old->ntypes; i++) {
		if (id_parse(slice_of(old->types[i].after), &after) == -1)
			after = (struct stream_id){0, 0};
		add_intent_type(in, old->types[i].type, after);
	}
	if (old->upto.chain.stem != NULL &&
	    position_cmp(&in->upto.chain, old->upto.chain.stem, old->upto.chain.pos) < 0)
		position_set(&in->upto.chain, old->upto.chain.stem, old->upto.chain.pos, 0);
	for (i = 0; i < old->upto.nfiles; i++) {
		at = positions_find_or_add(&in->upto, old->upto.files[i].stem);
		if (at->pos < old->upto.files[i].pos)
			position_set(at, old->upto.files[i].stem, old->upto.files[i].pos,
			    old->upto.files[i].limit);
	}
}

/* Stores the limit of each file in the first checkpoint that names it: it decides whether positions
 * in the file count bytes or sorted lines, which must not change later. */
static void
fix_file_limits(struct drain *d)
{
	const struct position *m;
	size_t i;

	for (i = 0; i < d->checkpoint.intent.upto.nfiles; i++) {
		m = &d->checkpoint.intent.upto.files[i];
		if (positions_find(&d->checkpoint.positions, m->stem) == NULL)
			position_set(positions_find_or_add(&d->checkpoint.positions, m->stem),
			    m->stem, 0, m->limit);
	}
}

static void
build_intent(struct drain *d)
{
	struct intent *in = &d->checkpoint.intent;
	size_t i;

	intent_clear(in);
	in->active = true;
	snprintf(in->run_id, sizeof(in->run_id), "%s", conn_run_id(d->conn));
	in->client = conn_client_id(d->conn);
	snprintf(in->addr, sizeof(in->addr), "%s", conn_client_addr(d->conn));
	positions_copy(&in->upto, &d->walked);
	fix_file_limits(d);
	if (d->old_intent.active)
		merge_old_intent(in, &d->old_intent);
	for (i = 0; i < d->batch.n; i++)
		if (d->batch.item[i].state == BATCH_SEND)
			add_intent_type(
			    in, d->batch.item[i].dest->type, d->batch.item[i].dest->after);
}

/*
 * Returns whether the intent can cover a line that was read ahead. It cannot cover a line in doubt:
 * the connection that sent it must not be replaced by this one. It cannot cover a line for a short
 * stream: the entries would trim each other and could not be looked up.
 */
static bool
may_send_ahead(const struct drain *d, const struct readahead_line *ahead, const struct dest *dest)
{
	int64_t limit = drain_maxlen(d, ahead->parsed.maxlen, dest->type);

	if (ahead->parsed.in_doubt || manifest_is_returned(ahead->line.stem))
		return false;
	return dest->stopped ||
	    (dest->measured && !dest->stale && (limit == 0 || limit >= BATCH_IN_DOUBT));
}

/* Extends the intent to the lines that were read ahead. Each may be sent or not; the
 * look-up of a line that was not sent finds nothing. Returns false if the intent may not cover them
 * all. */
static bool
extend_intent(struct drain *d)
{
	_Static_assert(CHECKPOINT_MATCHED >= BATCH_IN_DOUBT,
	    "what is found for lines in doubt must be known until the last of them is settled");
	struct intent *in = &d->checkpoint.intent;
	const struct dest *dest = NULL, *last = NULL;
	const struct readahead_line *ahead;
	size_t i;

	for (i = 0; (ahead = readahead_peek(&d->ahead, i)) != NULL; i++) {
		struct slice type = ahead->parsed.e.type;

		if (!ahead->bad && (dest == NULL || !slice_is(type, dest->type)))
			dest = batch_dest(d, type);
		if (!ahead->bad && !may_send_ahead(d, ahead, dest))
			return false;
		if (!ahead->bad && dest != last && !dest->stopped) {
			if (in->ntypes >= INTENT_TYPES &&
			    intent_find_event_type(in, type.p, type.n) == NULL)
				break;
			add_intent_type(in, dest->type, dest->after);
			last = dest;
		}
		position_set(ahead->line.chain ? &in->upto.chain
		                               : positions_find_or_add(&in->upto, ahead->line.stem),
		    ahead->line.stem, ahead->line.end, ahead->line.limit);
	}
	fix_file_limits(d);
	return i > 0;
}

static int
sync_and_store_checkpoint(struct drain *d, struct err *err)
{
	return quarantine_sync(d->quarantine, err) == -1
	    ? -1
	    : checkpoint_store(d->buf, &d->checkpoint, err);
}

int
send_store_checkpoint(struct drain *d, bool sending, struct err *err)
{
	if (sending || d->old_intent.active)
		build_intent(d);
	else
		intent_clear(&d->checkpoint.intent);
	return sync_and_store_checkpoint(d, err);
}

int
send_store_checkpoint_ahead(struct drain *d, struct err *err)
{
	if (d->old_intent.active || d->checkpoint.lost || d->batch.short_stream)
		/* all lines have to be looked up first, or the batch's entries may trim each other
		 */
		return 0;
	build_intent(d);
	if (!extend_intent(d)) {
		/* the intent in memory may cover more than the stored one */
		intent_clear(&d->checkpoint.intent);
		return 0;
	}
	return sync_and_store_checkpoint(d, err) == -1 ? -1 : 1;
}

static void
queue_item(struct drain *d, struct batch_item *it)
{
	dest_put_add(it->dest, d->conn,
	    it->dest->mode == DEST_PLAIN ? drain_maxlen(d, it->line.maxlen, it->dest->type) : 0,
	    &it->line.e);
}

/* Quarantines an event that the server will never accept. */
static int
quarantine_refused(struct drain *d, struct batch_item *it, const char *why)
{
	struct bytes line = {0};

	line_format(&line, &it->line.e, it->line.maxlen, NULL, it->line.buffered_at);
	drain_quarantine(d, it->stem, it->pos, (struct slice){line.p, line.len - 1}, why);
	bytes_free(&line);
	return 0;
}

/* Takes the reply to one XADD. Returns 0, or -1 when the connection is unusable. Sets *worst when
 * the server refuses all commands. */
static int
take_add_reply(struct drain *d, struct batch_item *it, enum conn_why *worst, struct err *err)
{
	struct reply *reply = conn_wait(d->conn, 0, err);
	struct stream_id id;
	struct err refusal;

	if (reply == NULL)
		return -1;
	if (stream_take_add(reply, &id, &refusal) == 0) {
		it->state = BATCH_ADDED;
		it->dest->after = it->id = id;
		it->dest->watch.added++;
		note_added_entry(d, it->dest, id);
		d->r->replayed++;
		d->r->possible_duplicates += it->possible_duplicate;
		if (it->dest->stopped) {
			checkpoint_add_delivered(&d->checkpoint, it->stem, it->pos);
			d->r->disordered++;
			drain_say(d,
			    "'%s': Redis accepted an event after it refused an earlier one: they "
			    "are out of order",
			    it->dest->type);
		}
		reply_free(reply);
		return 0;
	}
	reply_free(reply);
	if (refusal.why == CONN_GARBAGE) { /* this line and all later ones are in doubt */
		*err = refusal;
		d->r->garbage = true;
		return -1;
	}
	it->state = BATCH_REFUSED;
	if (refusal.why == CONN_TOOBIG)
		return quarantine_refused(d, it, refusal.text);
	commit_skip(d, it->line.e.type, it->chain, it->stem, it->pos, it->limit);
	if (conn_is_server_wide(refusal.why)) {
		dest_stop(it->dest, refusal.why, "");
		*worst = refusal.why;
		*err = refusal;
	} else
		dest_stop(it->dest, refusal.why, refusal.text);
	return 0;
}

void
send_queue(struct drain *d)
{
	struct batch_item *it;

	while (d->batch.next_to_queue < d->batch.n) {
		it = &d->batch.item[d->batch.next_to_queue++];
		if (it->state != BATCH_SEND)
			continue;
		queue_item(d, it);
		d->queued++;
		if (d->batch.next_to_queue % SEND_CHUNK == 0)
			conn_flush(d->conn); /* the server can start */
	}
	conn_flush(d->conn);
}

int
send_await_replies(struct drain *d, enum conn_why *worst, struct err *err)
{
	size_t i;

	for (i = 0; i < d->batch.n; i++) {
		struct batch_item *it = &d->batch.item[i];

		if (it->state == BATCH_SEND) {
			if (take_add_reply(d, it, worst, err) == -1)
				return -1;
		} else if (it->dest->stopped)
			checkpoint_add_delivered(&d->checkpoint, it->stem, it->pos);
	}
	return 0;
}
