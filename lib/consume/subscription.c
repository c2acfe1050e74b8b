#include "consume/subscription.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "redis/group.h"
#include "redis/retire.h"
#include "redis/stream.h"

/* ms after which an idle consumer of this host without pending entries is deleted */
#define FORGET_IDLE (24 * INT64_C(3600000))

struct subscription *
sub_new(const struct sub_plan *plan, const char *type, const char *key, const char *group)
{
	struct subscription *sub = mem_alloc(sizeof(*sub));

	sub->plan = plan;
	sub->pool = (struct pool){.url = plan->url, .timeout_ms = plan->timeout_ms};
	sub->type = mem_strdup(type);
	sub->key = mem_strdup(key);
	sub->group = group != NULL ? mem_strdup(group) : NULL;
	sub->takeover = (struct takeover){.key = sub->key,
	    .group = sub->group,
	    .consumer = plan->consumer,
	    .claim_idle = plan->claim_idle,
	    .bodies = !plan->manual_ack};
	return sub;
}

void
sub_notef(const struct sub_plan *plan, enum sub_note kind, const char *fmt, ...)
{
	struct err message;
	va_list ap;

	va_start(ap, fmt);
	err_setv(&message, 0, fmt, ap);
	va_end(ap);
	plan->note(plan->arg, kind, message.text);
}

static void
report_gone(struct subscription *sub)
{
	if (sub->gone > 0)
		sub_notef(sub->plan, SUB_WARNING,
		    "%zu pending entr%s of '%s' %s lost: trimmed or deleted before %s handled",
		    sub->gone, sub->gone == 1 ? "y" : "ies", sub->key,
		    sub->gone == 1 ? "is" : "are", sub->gone == 1 ? "it was" : "they were");
	sub->gone = 0;
}

static void
clear_batch(struct subscription *sub)
{
	reply_free(sub->entries);
	reply_free(sub->counts);
	sub->entries = sub->counts = NULL;
	sub->claimed = false;
}

static void
disconnect_sub(struct subscription *sub, enum sub_state state)
{
	report_gone(sub);
	clear_batch(sub);
	reply_free(sub->prefetched);
	sub->prefetched = NULL;
	pool_close(&sub->pool);
	sub->conn = NULL;
	sub->requested = sub->prefetch_requested = sub->acks_in_flight = sub->checks_in_flight = 0;
	sub->prefetching = false;
	sub->state = state;
}

void
sub_free(struct subscription *sub)
{
	if (sub == NULL)
		return;
	disconnect_sub(sub, SUB_CLOSED);
	takeover_clear(&sub->takeover);
	bytes_free(&sub->unacked_ids);
	free(sub->type);
	free(sub->key);
	free(sub->group);
	free(sub);
}

void
sub_close(struct subscription *sub)
{
	disconnect_sub(sub, SUB_CLOSED);
}

/* --- the connection and the group ---------------------------------------------------- */

static void
advance_last_seen(struct subscription *sub, struct stream_id id)
{
	if (!sub->has_last_seen || id_cmp(id, sub->last_seen) > 0)
		sub->last_seen = id;
	sub->has_last_seen = true;
}

/* Learns the last ID that the group delivered, so that a vanished group can be created again there.
 * A refusal leaves it unknown; err matters only when the connection was lost. */
static void
learn_group_position(struct subscription *sub, struct err *err)
{
	struct stream_group *g;
	size_t n;

	if (stream_groups(sub->conn, sub->key, &g, &n, err) == -1)
		return;
	for (size_t i = 0; i < n; i++)
		if (strcmp(g[i].name, sub->group) == 0)
			advance_last_seen(sub, g[i].last_delivered);
	stream_groups_free(g, n);
}

static int
ensure_group(struct subscription *sub, struct err *err)
{
	char start[ID_SIZE];
	struct group_made made;

	if (sub->has_last_seen)
		id_format(sub->last_seen, start);
	else if (sub->plan->range.from.end)
		snprintf(start, ID_SIZE, "$");
	else
		id_format(id_before(sub->plan->range.from.low), start);
	if (group_ensure(sub->conn, sub->key, sub->group, start, &made, err) == -1)
		return -1;
	sub->create_err.why = CONN_OK;
	if (err->why != CONN_OK)
		sub->create_err = *err;
	sub->group_recreations += made.created && sub->opened;
	if (made.created && sub->opened)
		sub_notef(sub->plan, SUB_WARNING, "group '%s' had vanished; created again at %s",
		    sub->group, start);
	if (!made.created && !sub->opened && sub->plan->from_given)
		sub_notef(sub->plan, SUB_WARNING, "--from has no effect: group '%s' already exists",
		    sub->group);
	if (made.stream_new && !sub->opened)
		sub_notef(sub->plan, SUB_INFO,
		    "stream '%s' is new: nothing has been published to it yet", sub->key);
	if (!sub->opened) {
		learn_group_position(sub, err);
		if (sub->plan->host_prefix != NULL && conn_why(sub->conn) == CONN_OK)
			retire_delete_idle(sub->conn,
			    &(struct retire){
			        sub->key, sub->group, sub->plan->consumer, FORGET_IDLE},
			    sub->plan->host_prefix, err);
	}
	sub->phase = sub->plan->manual_ack ? PHASE_NEW : PHASE_OWN;
	sub->cursor = (struct stream_id){0};
	return conn_why(sub->conn) == CONN_OK ? 0 : -1;
}

static int
find_read_start(struct subscription *sub, struct err *err)
{
	sub->phase = PHASE_NEW;
	if (sub->has_last_seen)
		return 0;
	if (range_resolve(sub->conn, sub->key, &sub->plan->range, &sub->bounds, err) == -1)
		return -1;
	if (!sub->bounds.exists)
		sub_notef(sub->plan, SUB_WARNING, "stream '%s' does not exist", sub->key);
	advance_last_seen(sub, sub->bounds.after);
	return 0;
}

/* Appends an XACK of the first PAGESIZE_MOST IDs in unacked_ids. */
static void
put_acks(struct subscription *sub)
{
	struct slice ids[PAGESIZE_MOST];
	size_t n = 0;

	for (size_t at = 0; at < sub->unacked_ids.len; at += ids[n - 1].n + 1) {
		ids[n] = slice_of(sub->unacked_ids.p + at);
		if (++n == PAGESIZE_MOST)
			break;
	}
	if (n == 0)
		return;
	group_put_ack(sub->conn, sub->key, sub->group, ids, n);
	sub->acks_in_flight++;
}

int
sub_open(struct subscription *sub, struct err *err)
{
	sub->conn = pool_get(&sub->pool, sub->key, err);
	if (sub->conn == NULL)
		return -1;
	if ((sub->group != NULL ? ensure_group(sub, err) : find_read_start(sub, err)) == -1) {
		if (conn_why(sub->conn) != CONN_OK)
			err->why = conn_why(sub->conn);
		disconnect_sub(sub, SUB_DOWN);
		return -1;
	}
	sub->pagesize = pagesize_start(sub->opened ? 1 : PAGESIZE_FIRST, 0);
	sub->state = SUB_IDLE;
	sub->opened = true;
	sub->at_end = false;
	put_acks(sub);
	return 0;
}

/* --- the entries of a batch ---------------------------------------------------------- */

static int
each_entry(const struct subscription *sub, stream_entry_fn *fn, void *arg, struct err *err)
{
	return sub->claimed ? stream_take_entries(sub->entries, "XCLAIM", fn, arg, err)
	                    : stream_take_read(sub->entries, sub->key, fn, arg, err);
}

struct summary {
	size_t entries, bytes;    /* bytes of field names and values */
	struct slice first, last; /* IDs; borrowed from the reply */
};

static int
summarize_entry(void *arg, const struct stream_entry *e)
{
	struct summary *summary = arg;

	if (summary->entries++ == 0)
		summary->first = e->id;
	summary->last = e->id;
	for (size_t i = 0; i < e->nkv; i++)
		summary->bytes += e->kv[i].n;
	return 0;
}

struct record_walk {
	const struct subscription *sub;
	sub_record_fn *fn;
	void *arg;
	size_t at, n; /* index in counts; records */
};

/*
 * counts is XPENDING's [[id, consumer, idle, deliveries], ...] in order of ID. It lacks entries
 * that another consumer claimed meanwhile, and is an error where XPENDING is not permitted; the
 * function returns -1 then.
 */
static int64_t
find_deliveries(struct record_walk *walk, struct slice id)
{
	const struct reply *counts = walk->sub->counts;

	for (size_t i = walk->at; i < reply_count(counts); i++)
		if (slice_equal(reply_text(reply_at(reply_at(counts, i), 0)), id)) {
			walk->at = i + 1;
			return reply_int(reply_at(reply_at(counts, i), 3)) + walk->sub->claimed;
		}
	return counts == NULL ? 1 : -1;
}

static int
pass_record(void *arg, const struct stream_entry *e)
{
	struct record_walk *walk = arg;
	const struct subscription *sub = walk->sub;
	struct event_entry r = {e->id, slice_of(sub->key), slice_of(sub->type), e->kv, e->nkv, -1};
	struct stream_id id;

	if (e->gone)
		return 0;
	if (sub->bounds.has_to && id_parse(e->id, &id) == 0 && id_cmp(id, sub->bounds.to) > 0)
		return 0;
	if (sub->group != NULL)
		r.deliveries = find_deliveries(walk, e->id);
	walk->fn(walk->arg, &r);
	walk->n++;
	return 0;
}

size_t
sub_each(const struct subscription *sub, sub_record_fn *fn, void *arg)
{
	struct record_walk walk = {.sub = sub, .fn = fn, .arg = arg};
	struct err err;

	each_entry(sub, pass_record, &walk, &err);
	return walk.n;
}

struct ack_walk {
	struct subscription *sub;
	size_t left; /* records to acknowledge */
};

static int
add_ack_id(void *arg, const struct stream_entry *e)
{
	struct ack_walk *walk = arg;

	if (!e->gone && walk->left == 0)
		return 0;
	if (e->gone)
		walk->sub->gone++;
	else
		walk->left--;
	bytes_add(&walk->sub->unacked_ids, e->id.p, e->id.n);
	bytes_addc(&walk->sub->unacked_ids, '\0');
	return 0;
}

/* --- requests ------------------------------------------------------------------------ */

static void
put_read(struct subscription *sub, const char *from, size_t count, int64_t block_ms)
{
	stream_put_read(sub->conn,
	    &(struct stream_read){.key = sub->key,
	        .group = sub->group,
	        .consumer = sub->plan->consumer,
	        .from = from,
	        .count = count,
	        .block_ms = block_ms});
	if (count > 1)
		conn_limit_reply(sub->conn, PAGESIZE_REPLY_MAX);
}

void
sub_request(struct subscription *sub, size_t count, int64_t block_ms)
{
	char from[ID_SIZE] = ">";

	sub->requested = count < sub->pagesize.count ? count : sub->pagesize.count;
	sub->state = SUB_REQUESTED;
	if (sub->phase == PHASE_NEW && !sub->plan->manual_ack && takeover_due(&sub->takeover)) {
		sub->phase = PHASE_TAKEOVER;
		takeover_begin(&sub->takeover, false);
	}
	if (sub->phase == PHASE_TAKEOVER) {
		takeover_put_list(&sub->takeover, sub->conn, sub->requested);
		return;
	}
	if (sub->group == NULL)
		id_format(sub->last_seen, from);
	else if (sub->phase == PHASE_OWN)
		id_format(sub->cursor, from);
	put_read(sub, from, sub->requested, sub->phase == PHASE_OWN ? -1 : block_ms);
}

void
sub_prefetch(struct subscription *sub, size_t count)
{
	if (sub->group == NULL || sub->phase != PHASE_NEW || !sub->full || count == 0 ||
	    takeover_due(&sub->takeover))
		return;
	sub->prefetching = true;
	sub->prefetch_requested = count < sub->pagesize.count ? count : sub->pagesize.count;
	put_read(sub, ">", sub->prefetch_requested, -1);
	conn_flush(sub->conn);
}

size_t
sub_requested(const struct subscription *sub)
{
	return sub->requested + sub->prefetch_requested;
}

/* --- replies ------------------------------------------------------------------------- */

static int
fail_connection(struct subscription *sub)
{
	disconnect_sub(sub, SUB_DOWN);
	return -1;
}

/* Creates the group again after it vanished, or its stream did under a blocked read; other errors
 * end the connection. */
static int
take_read_error(struct subscription *sub, struct err *err)
{
	if (err->why != CONN_NOGROUP && err->why != CONN_UNBLOCKED)
		return fail_connection(sub);
	if (err->why == CONN_NOGROUP && sub->create_err.why != CONN_OK) {
		*err = sub->create_err;
		return fail_connection(sub);
	}
	sub->requested = 0;
	sub->state = SUB_IDLE;
	if (sub->group == NULL || ensure_group(sub, err) == 0)
		return 0;
	if (conn_why(sub->conn) != CONN_OK)
		err->why = conn_why(sub->conn);
	return fail_connection(sub);
}

/* --- pending entries of other consumers --- */

/* Ends the takeover: nothing is pending for long enough, or the server does not permit it. */
static int
end_takeover(struct subscription *sub, struct reply *error)
{
	if (error != NULL) {
		sub->takeover.denied = true;
		sub_notef(sub->plan, SUB_INFO,
		    "'%s': pending entries of other consumers are not taken over: %.*s", sub->type,
		    (int)reply_text(error).n, reply_text(error).p);
		reply_free(error);
	}
	takeover_clear(&sub->takeover);
	sub->phase = PHASE_NEW;
	sub->requested = 0;
	sub->state = SUB_IDLE;
	return 0;
}

/* Asks whether a listed entry that was not claimed is gone from the stream; else it was claimed or
 * acknowledged by another consumer. */
static void
check_unclaimed(void *arg, const struct pending *p, bool claimed)
{
	struct subscription *sub = arg;
	char id[ID_SIZE];

	if (claimed)
		return;
	id_format(p->id, id);
	stream_put_range(sub->conn, sub->key, id, id, 1);
	sub->checks_in_flight++;
}

/* Takes a reply of the list or of the claim. Returns 1: the batch is complete; 0: a reply is still
 * to come, or there was nothing to take over; -1 with err. */
static int
take_takeover_reply(struct subscription *sub, struct reply *r, struct err *err)
{
	struct takeover *t = &sub->takeover;

	if (reply_why(r) == CONN_NOPERM)
		return end_takeover(sub, r);
	if (reply_is_error(r)) {
		reply_fail(err, r, "take over pending entries");
		reply_free(r);
		return -1;
	}
	if (t->list == NULL) {
		if (!takeover_take_list(t, sub->conn, r, sub->requested))
			return end_takeover(sub, NULL);
		if (t->n > 1)
			conn_limit_reply(sub->conn, PAGESIZE_REPLY_MAX);
		return 0;
	}
	takeover_each(t, r, check_unclaimed, sub);
	sub->entries = r;
	sub->claimed = true;
	sub->counts = t->list;
	t->list = NULL;
	return 1;
}

/* --- entries --- */

static int
take_read_reply(struct subscription *sub, struct reply *reply, struct err *err)
{
	struct summary summary = {0};
	struct stream_id last = {0};
	int taken;

	if (sub->phase != PHASE_TAKEOVER)
		sub->entries = reply;
	else if ((taken = take_takeover_reply(sub, reply, err)) != 1)
		return taken == 0 ? 0 : take_read_error(sub, err);
	if (each_entry(sub, summarize_entry, &summary, err) == -1) {
		clear_batch(sub);
		return take_read_error(sub, err);
	}
	pagesize_learn(&sub->pagesize, summary.entries, summary.bytes);
	sub->full = summary.entries >= sub->requested;
	sub->at_end = sub->phase == PHASE_NEW && summary.entries == 0;
	if (sub->phase == PHASE_TAKEOVER ? sub->takeover.last_page : summary.entries == 0)
		sub->phase = PHASE_NEW;
	if (summary.entries == 0) {
		report_gone(sub);
		clear_batch(sub);
		sub->requested = 0;
		sub->state = SUB_IDLE;
		return 0;
	}
	id_parse(summary.last, &last);
	advance_last_seen(sub, last);
	if (sub->phase != PHASE_OWN) {
		sub->state = SUB_READY;
		return 0;
	}
	sub->cursor = last;
	/* XREADGROUP does not send the delivery counts of pending entries */
	pending_put_list(sub->conn,
	    &(struct pending_query){sub->key, sub->group, sub->plan->consumer, 0, summary.entries},
	    summary.first.p);
	return 0;
}

static int
take_xack_reply(struct subscription *sub, struct reply *reply, struct err *err)
{
	enum conn_why cause = reply_why(reply);
	char what[600];

	sub->acks_in_flight--;
	sub->unacked_ids.len = 0;
	if (cause != CONN_OK && cause != CONN_NOGROUP) {
		snprintf(what, sizeof(what), "acknowledge in '%s'", sub->key);
		reply_fail(err, reply, what);
		reply_free(reply);
		return fail_connection(sub);
	}
	reply_free(reply);
	if (sub->acks_in_flight > 0 || (reply = sub->prefetched) == NULL)
		return 0;
	sub->prefetched = NULL;
	return take_read_reply(sub, reply, err);
}

static int
dispatch_reply(struct subscription *sub, struct reply *reply, struct err *err)
{
	bool ahead = sub->prefetching;

	if (sub->checks_in_flight > 0) {
		sub->checks_in_flight--;
		sub->gone += reply_is_array(reply) && reply_count(reply) == 0;
		reply_free(reply);
		return 0;
	}
	sub->prefetching = false;
	if (sub->acks_in_flight > 0 && !ahead)
		return take_xack_reply(sub, reply, err);
	if (sub->acks_in_flight > 0)
		sub->prefetched = reply;
	else if (sub->entries == NULL)
		return take_read_reply(sub, reply, err);
	else {
		sub->counts = reply;
		sub->state = SUB_READY;
	}
	return 0;
}

int
sub_process(struct subscription *sub, struct err *err)
{
	struct reply *r;
	struct err dead;
	int alive = conn_io(sub->conn, &dead);

	while (sub->state != SUB_READY && (r = conn_take(sub->conn)) != NULL)
		if (dispatch_reply(sub, r, err) == -1)
			return -1;
	if (alive == 0 || sub->state == SUB_READY)
		return 0;
	*err = dead;
	return fail_connection(sub);
}

/* --- the batch ----------------------------------------------------------------------- */

void
sub_finish_batch(struct subscription *sub, size_t n)
{
	struct ack_walk walk = {sub, n};
	struct err err;

	if (sub->group != NULL) {
		each_entry(sub, add_ack_id, &walk, &err);
		put_acks(sub);
	}
	if (sub->bounds.has_to && id_cmp(sub->last_seen, sub->bounds.to) >= 0)
		sub->at_end = true;
	clear_batch(sub);
	sub->requested = sub->prefetch_requested;
	sub->prefetch_requested = 0;
	sub->state = sub->prefetching ? SUB_REQUESTED : SUB_IDLE;
	if (sub->prefetching)
		conn_restart_deadline(sub->conn);
}

struct reply *
sub_take_reply(struct subscription *sub)
{
	struct reply *r = sub->entries;

	sub->entries = NULL;
	sub->requested = 0;
	sub->state = SUB_IDLE;
	return r;
}

bool
sub_settled(const struct subscription *sub)
{
	return sub->acks_in_flight == 0 && sub->checks_in_flight == 0 &&
	    sub->state != SUB_REQUESTED && sub->state != SUB_READY;
}
