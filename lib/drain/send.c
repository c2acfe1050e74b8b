#include "drain/send.h"

#include <string.h>

#include "buffer/counters.h"
#include "drain/outage.h"
#include "redis/fence.h"
#include "redis/reply.h"
#include "redis/stream.h"

/* Fences off the connections that sent the lines in doubt: their XADDs may still be executed. */
static int
fence_doubt_connections(struct batch *b, struct err *err)
{
	const struct doubt *last = NULL, *now;

	for (size_t i = 0; i < b->n; i++) {
		if (!b->item[i].line->parsed.in_doubt)
			continue;
		now = &b->item[i].line->parsed.doubt;
		if (last != NULL && last->client == now->client &&
		    strcmp(last->run_id, now->run_id) == 0)
			continue;
		if (fence_conn(b->run->conn, now->run_id, now->client, now->addr, err) == -1)
			return -1;
		last = now;
	}
	return 0;
}

/* Looks up the lines of one stream. Each has its own bound: lines of several publishers may be in
 * another order than their entries. */
static int
resolve_dest(struct batch *b, struct dest *dest, struct err *err)
{
	struct indoubt_line *lines[BATCH_LINES];
	uint64_t possible_duplicates;
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++)
		if (b->item[i].dest == dest && b->item[i].in_doubt)
			lines[n++] = &b->item[i].lookup;
	if (indoubt_resolve(b->run->conn, dest->key, lines, n, &possible_duplicates, err) == -1)
		return -1;
	for (size_t i = 0; i < b->n; i++) {
		struct batch_item *it = &b->item[i];

		if (it->dest != dest || !it->in_doubt)
			continue;
		it->in_doubt = false;
		if (it->lookup.found) {
			it->state = BATCH_FOUND;
			b->run->r->found++;
		} else
			it->possible_duplicate = possible_duplicates > 0 || it->may_differ;
	}
	return 0;
}

int
send_resolve(struct batch *b, struct err *err)
{
	if (fence_doubt_connections(b, err) == -1)
		return -1;
	for (size_t i = 0; i < b->n; i++)
		if (b->item[i].in_doubt && resolve_dest(b, b->item[i].dest, err) == -1)
			return -1;
	return 0;
}

/* Counts possible duplicates before they are sent, so that a kill does not hide them. What is not
 * added is taken back at the end of the drain. */
static void
count_possible_duplicates(struct batch *b)
{
	uint64_t n = 0;

	for (size_t i = b->next_to_queue; i < b->n; i++)
		n += b->item[i].state == BATCH_SEND && b->item[i].possible_duplicate;
	counters_add(b->run->buf, (uint64_t[COUNTERS]){[COUNT_POSSIBLE_DUPLICATES] = n});
	b->counted_duplicates += n;
}

void
send_queue(struct batch *b)
{
	count_possible_duplicates(b);
	while (b->next_to_queue < b->n) {
		struct batch_item *it = &b->item[b->next_to_queue++];
		const struct line *line = &it->line->parsed;

		if (it->state != BATCH_SEND)
			continue;
		dest_put_add(it->dest, b->run->conn,
		    it->dest->mode == DEST_PLAIN ? run_maxlen(b->run, line->maxlen, it->dest->type)
		                                 : 0,
		    &line->e);
		b->run->pace.done++;
		if (b->next_to_queue % SEND_CHUNK == 0)
			conn_flush(b->run->conn); /* the server can start */
	}
	conn_flush(b->run->conn);
}

static void
note_added(struct batch *b, struct batch_item *it)
{
	struct drain_result *r = b->run->r;

	it->state = BATCH_ADDED;
	r->replayed++;
	r->possible_duplicates += it->possible_duplicate;
	if (!it->dest->stopped)
		return;
	checkpoint_add_delivered(&b->delivery->checkpoint, it->line->at.stem, it->line->at.pos,
	    it->line->at.mark_before);
	r->disordered++;
	run_say(b->run,
	    "'%s': Redis accepted an event after it refused an earlier one: they are out of order",
	    it->dest->type);
}

/* Quarantines the event with the members that a plain writer's line lacks, so that it can be put
 * back. */
static void
quarantine_refused(struct batch *b, const struct batch_item *it, const char *why)
{
	const struct line *l = &it->line->parsed;
	struct walk_line at = it->line->at;
	struct bytes text = {0};

	line_format(&text, &l->e, l->maxlen, NULL, l->buffered_at);
	at.text = (struct slice){text.p, text.len - 1};
	delivery_quarantine(b->delivery, &at, why);
	bytes_free(&text);
}

/* An event that no user has written, and that this one may not: the line counts as delivered. */
static void
drop_outage_event(struct batch *b, const char *why)
{
	counters_add(b->run->buf, (uint64_t[COUNTERS]){[COUNT_REFUSED] = 1});
	run_say(b->run,
	    "%s: " OUTAGE_TYPE " is dropped; outage-event = no in the config file avoids it", why);
}

/* Handles an error reply to one XADD. Returns 0, or -1 with err when the connection is unusable. */
static int
take_refusal(struct batch *b, struct batch_item *it, const struct err *cause, struct err *err)
{
	it->state = BATCH_REFUSED;
	if (cause->why == CONN_TOOBIG) { /* the server will never accept it */
		quarantine_refused(b, it, cause->text);
		return 0;
	}
	if (cause->why == CONN_NOPERM && slice_is(it->line->parsed.e.type, OUTAGE_TYPE)) {
		drop_outage_event(b, cause->text);
		return 0;
	}
	delivery_skip(b->delivery, it->line->parsed.e.type, &it->line->at);
	if (dest_refuse(it->dest, cause) == 0)
		return 0;
	*err = *cause;
	if (cause->why == CONN_GARBAGE) /* this line and all later ones are in doubt */
		return -1;
	b->run->r->server = (enum conn_why)cause->why;
	return 0;
}

static int
take_add_reply(struct batch *b, struct batch_item *it, struct err *err)
{
	struct reply *reply = conn_wait(b->run->conn, err);
	struct stream_id id;
	struct err cause;
	int r;

	if (reply == NULL)
		return -1;
	r = dest_take_add(it->dest, reply, &id, &cause);
	reply_free(reply);
	if (r == 0)
		note_added(b, it);
	if (r != 1)
		return r == -1 ? take_refusal(b, it, &cause, err) : 0;
	/* the bounds of all intents are wrong if the stream was made anew */
	b->delivery->checkpoint.lost = true;
	if (checkpoint_store(b->run->buf, &b->delivery->checkpoint, err) == 0)
		*err = cause;
	return -1;
}

int
send_await_replies(struct batch *b, struct err *err)
{
	for (size_t i = 0; i < b->n; i++) {
		struct batch_item *it = &b->item[i];

		if (it->state == BATCH_SEND) {
			if (take_add_reply(b, it, err) == -1)
				return -1;
		} else if (it->dest->stopped)
			checkpoint_add_delivered(&b->delivery->checkpoint, it->line->at.stem,
			    it->line->at.pos, it->line->at.mark_before);
	}
	return 0;
}
