#include "consume/subscription.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "consume/subscription_int.h"
#include "event/id.h"
#include "redis/group.h"
#include "redis/retire.h"
#include "redis/stream.h"

struct subscription *
sub_new(const struct sub_plan *plan, const char *type, const char *key, const char *group,
    sub_note_fn *note, void *arg)
{
	struct subscription *sub = mem_alloc(sizeof(*sub));

	sub->plan = plan;
	sub->type = mem_strdup(type);
	sub->key = mem_strdup(key);
	sub->group = group != NULL ? mem_strdup(group) : NULL;
	sub->batch =
	    (struct sub_batch){.key = sub->key, .type = sub->type, .grouped = group != NULL};
	sub->note = note;
	sub->arg = arg;
	return sub;
}

void
sub_notef(struct subscription *sub, enum sub_note kind, const char *fmt, ...)
{
	char text[768];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sub->note(sub->arg, kind, text);
}

static void
tell_gone(struct subscription *sub)
{
	if (sub->gone > 0)
		sub_notef(sub, SUB_WARNING,
		    "%zu pending entr%s of '%s' %s lost: trimmed or deleted before %s handled",
		    sub->gone, sub->gone == 1 ? "y" : "ies", sub->key,
		    sub->gone == 1 ? "is" : "are", sub->gone == 1 ? "it was" : "they were");
	sub->gone = 0;
}

void
sub_disconnect(struct subscription *sub, enum sub_state state)
{
	tell_gone(sub);
	sub_batch_clear(&sub->batch);
	reply_free(sub->next);
	sub->next = NULL;
	conn_close(sub->conn);
	sub->conn = NULL;
	sub->asked = sub->ahead_asked = sub->acks = sub->checks = 0;
	sub->ahead = false;
	sub->state = state;
}

void
sub_free(struct subscription *sub)
{
	if (sub == NULL)
		return;
	sub_disconnect(sub, SUB_CLOSED);
	bytes_free(&sub->handled);
	free(sub->type);
	free(sub->key);
	free(sub->group);
	free(sub);
}

void
sub_close(struct subscription *sub)
{
	sub_disconnect(sub, SUB_CLOSED);
}

/* --- asking ------------------------------------------------------------------- */

static void
ask_look(struct subscription *sub, const char *id, int64_t block_ms)
{
	char most[24], block[24];

	snprintf(most, sizeof(most), "%zu", sub->asked);
	snprintf(block, sizeof(block), "%" PRId64, block_ms);
	if (block_ms < 0)
		conn_putl(sub->conn, "XREAD", "COUNT", most, "STREAMS", sub->key, id, NULL);
	else
		conn_putl(sub->conn, "XREAD", "COUNT", most, "BLOCK", block, "STREAMS", sub->key,
		    id, NULL);
	conn_extend_deadline(sub->conn, block_ms);
}

static void
ask_group(struct subscription *sub, int64_t block_ms)
{
	char id[ID_SIZE] = ">";
	const char *ids = id, *keys = sub->key;

	if (sub->phase == THEIRS) {
		takeover_put_list(sub);
		return;
	}
	if (sub->phase == OWN) {
		id_format(sub->own, id);
		block_ms = -1;
	}
	group_put_read(
	    sub->conn, sub->group, sub->plan->consumer, sub->asked, block_ms, &keys, &ids, 1);
}

void
sub_request(struct subscription *sub, size_t count, int64_t block_ms)
{
	char id[ID_SIZE];

	sub->asked = count < sub->pace.count ? count : sub->pace.count;
	sub->state = SUB_REQUESTED;
	if (sub->phase == NEW && takeover_due(sub))
		takeover_begin(sub);
	if (sub->group != NULL)
		ask_group(sub, block_ms);
	else {
		id_format(sub->seen, id);
		ask_look(sub, id, block_ms);
	}
	if (sub->asked > 1)
		conn_limit_reply(sub->conn, PAGESIZE_REPLY_MAX);
}

void
sub_prefetch(struct subscription *sub, size_t count)
{
	const char *ids = ">", *keys = sub->key;

	if (sub->group == NULL || sub->phase != NEW || !sub->full || count == 0 ||
	    takeover_due(sub))
		return;
	sub->ahead = true;
	sub->ahead_asked = count < sub->pace.count ? count : sub->pace.count;
	group_put_read(
	    sub->conn, sub->group, sub->plan->consumer, sub->ahead_asked, -1, &keys, &ids, 1);
	if (sub->ahead_asked > 1)
		conn_limit_reply(sub->conn, PAGESIZE_REPLY_MAX);
	conn_flush(sub->conn);
}

size_t
sub_requested(const struct subscription *sub)
{
	return sub->asked + sub->ahead_asked;
}

/* --- answers -------------------------------------------------------------------- */

static int
down(struct subscription *sub, enum conn_why why, enum conn_why *out)
{
	*out = why;
	sub_disconnect(sub, SUB_DOWN);
	return -1;
}

/* The group vanished, or the stream under a blocked read: make it again and go on. */
static int
take_refusal(struct subscription *sub, enum conn_why w, enum conn_why *why, struct err *err)
{
	if (w != CONN_NOGROUP && w != CONN_UNBLOCKED)
		return down(sub, w, why);
	if (w == CONN_NOGROUP && sub->unmade != CONN_OK) {
		*err = sub->refusal;
		return down(sub, sub->unmade, why);
	}
	sub->asked = 0;
	sub->state = SUB_IDLE;
	if (sub->group == NULL || sub_ensure_group(sub, why, err) == 0)
		return 0;
	return down(sub, conn_why(sub->conn) != CONN_OK ? conn_why(sub->conn) : *why, why);
}

/* How often each was delivered: one's own pending entries have been before. */
static void
ask_counts(struct subscription *sub, const struct sub_batch_summary *s)
{
	char n[24];
	struct slice argv[] = {slice_of("XPENDING"), slice_of(sub->key), slice_of(sub->group),
	    s->first, s->last, {0}, slice_of(sub->plan->consumer)};

	snprintf(n, sizeof(n), "%zu", s->entries);
	argv[5] = slice_of(n);
	conn_put(sub->conn, sizeof(argv) / sizeof(argv[0]), argv);
}

static int
take_batch(struct subscription *sub, struct reply *r, enum conn_why *why, struct err *err)
{
	struct sub_batch_summary s;
	enum conn_why w;
	int sweep;

	if (sub->phase == THEIRS && (sweep = takeover_take_reply(sub, r, why, err)) != 1)
		return sweep == 0 ? 0 : take_refusal(sub, *why, why, err);
	if (sub->phase != THEIRS)
		sub->batch.entries = r;
	if (sub_batch_summarize(&sub->batch, &s, &w, err) == -1) {
		sub_batch_clear(&sub->batch);
		return take_refusal(sub, w, why, err);
	}
	pagesize_learn(&sub->pace, s.entries, s.bytes);
	sub->full = s.entries >= sub->asked;
	sub->dry = sub->phase == NEW && s.entries == 0;
	if (s.entries == 0) {
		tell_gone(sub);
		sub_batch_clear(&sub->batch);
		sub->asked = 0;
		if (sub->phase != THEIRS || sub->last_page)
			sub->phase = NEW;
		sub->state = SUB_IDLE;
		return 0;
	}
	sub_advance(sub, s.last_id);
	if (sub->phase == THEIRS && sub->last_page)
		sub->phase = NEW;
	if (sub->phase != OWN) {
		sub->state = SUB_READY;
		return 0;
	}
	sub->own = s.last_id;
	ask_counts(sub, &s);
	return 0;
}

static int
take_ack(struct subscription *sub, struct reply *r, enum conn_why *why, struct err *err)
{
	enum conn_why w = reply_why(r);
	char what[600];

	sub->acks--;
	sub->handled.len = 0;
	if (w != CONN_OK && w != CONN_NOGROUP) {
		snprintf(what, sizeof(what), "acknowledge in '%s'", sub->key);
		reply_fail(err, r, what);
	}
	reply_free(r);
	if (w != CONN_OK && w != CONN_NOGROUP)
		return down(sub, w, why);
	if (sub->acks > 0 || (r = sub->next) == NULL)
		return 0;
	sub->next = NULL;
	return take_batch(sub, r, why, err);
}

static int
take(struct subscription *sub, struct reply *r, enum conn_why *why, struct err *err)
{
	if (sub->checks > 0) {
		takeover_take_check(sub, r);
		return 0;
	}
	if (sub->ahead && sub->acks > 0) {
		sub->ahead = false;
		sub->next = r;
		return 0;
	}
	sub->ahead = false;
	if (sub->acks > 0)
		return take_ack(sub, r, why, err);
	if (sub->batch.entries == NULL)
		return take_batch(sub, r, why, err);
	sub->batch.counts = r;
	sub->state = SUB_READY;
	return 0;
}

int
sub_process(struct subscription *sub, enum conn_why *why, struct err *err)
{
	struct reply *r;
	struct err dead;
	int alive = conn_io(sub->conn, &dead);

	while (sub->state != SUB_READY && (r = conn_take(sub->conn)) != NULL)
		if (take(sub, r, why, err) == -1)
			return -1;
	if (alive == 0 || sub->state == SUB_READY)
		return 0;
	*err = dead;
	return down(sub, conn_why(sub->conn), why);
}

/* --- the batch -------------------------------------------------------------------- */

const struct sub_batch *
sub_batch(const struct subscription *sub)
{
	return &sub->batch;
}

void
sub_finish_batch(struct subscription *sub, size_t n)
{
	if (sub->group != NULL) {
		sub->gone += sub_batch_ack_ids(&sub->batch, n, &sub->handled);
		sub_put_acks(sub);
	}
	if (sub->part.has_to && id_cmp(sub->seen, sub->part.to) >= 0)
		sub->dry = true;
	sub_batch_clear(&sub->batch);
	sub->asked = sub->ahead_asked;
	sub->ahead_asked = 0;
	sub->state = sub->ahead ? SUB_REQUESTED : SUB_IDLE;
	if (sub->ahead)
		conn_restart_deadline(sub->conn);
}

struct reply *
sub_take_reply(struct subscription *sub)
{
	struct reply *r = sub->batch.entries;

	sub->batch.entries = NULL;
	sub->asked = 0;
	sub->state = SUB_IDLE;
	return r;
}

/* --- looking at it ------------------------------------------------------------------ */

enum sub_state
sub_state(const struct subscription *sub)
{
	return sub->state;
}

bool
sub_at_end(const struct subscription *sub)
{
	return sub->dry;
}

bool
sub_settled(const struct subscription *sub)
{
	return sub->acks == 0 && sub->checks == 0 && sub->state != SUB_REQUESTED &&
	    sub->state != SUB_READY;
}

bool
sub_acknowledged(const struct subscription *sub)
{
	return sub->acks == 0;
}

const struct conn *
sub_conn(const struct subscription *sub)
{
	return sub->conn;
}

const char *
sub_type(const struct subscription *sub)
{
	return sub->type;
}

const char *
sub_key(const struct subscription *sub)
{
	return sub->key;
}

const char *
sub_group(const struct subscription *sub)
{
	return sub->group;
}

unsigned
sub_group_recreations(const struct subscription *sub)
{
	return sub->remade;
}

#define KIN_IDLE (24 * INT64_C(3600000))

void
sub_advance(struct subscription *sub, struct stream_id id)
{
	if (!sub->have_seen || id_cmp(id, sub->seen) > 0)
		sub->seen = id;
	sub->have_seen = true;
}

static void
group_start(const struct subscription *sub, char out[ID_SIZE])
{
	if (sub->have_seen)
		id_format(sub->seen, out);
	else if (sub->plan->range.from.end)
		snprintf(out, ID_SIZE, "$");
	else
		id_format(id_before(sub->plan->range.from.low), out);
}

/* Where the group stands, so that it can be made again there. Not permitted, not known; f counts
 * when the connection died. */
static void
learn_place(struct subscription *sub, struct err *err)
{
	struct stream_group *g;
	enum conn_why why;
	size_t n;

	if (stream_groups(sub->conn, sub->key, &g, &n, &why, err) == -1)
		return;
	for (size_t i = 0; i < n; i++)
		if (strcmp(g[i].name, sub->group) == 0)
			sub_advance(sub, g[i].last_delivered);
	stream_groups_free(g, n);
}

int
sub_ensure_group(struct subscription *sub, enum conn_why *why, struct err *err)
{
	char start[ID_SIZE];
	bool made, fresh;

	group_start(sub, start);
	if (group_ensure(sub->conn, sub->key, sub->group, start, &made, &fresh, why, err) == -1)
		return -1;
	sub->unmade = *why;
	if (*why != CONN_OK)
		sub->refusal = *err;
	sub->remade += made && sub->opened;
	if (made && sub->opened)
		sub_notef(sub, SUB_WARNING, "group '%s' had vanished; made again at %s", sub->group,
		    start);
	if (!made && !sub->opened && sub->plan->from_given)
		sub_notef(sub, SUB_WARNING, "--from has no effect: group '%s' was there already",
		    sub->group);
	if (fresh && !sub->opened)
		sub_notef(sub, SUB_INFO, "stream '%s' is new: nothing has been published to it yet",
		    sub->key);
	if (!sub->opened) {
		learn_place(sub, err);
		if (sub->plan->host_prefix != NULL && conn_why(sub->conn) == CONN_OK)
			retire_delete_idle(sub->conn, sub->key, sub->group, sub->plan->host_prefix,
			    sub->plan->consumer, KIN_IDLE, err);
	}
	sub->phase = sub->plan->manual_ack ? NEW : OWN;
	sub->own = (struct stream_id){0};
	return conn_why(sub->conn) == CONN_OK ? 0 : -1;
}

static int
find_start(struct subscription *sub, enum conn_why *why, struct err *err)
{
	sub->phase = NEW;
	if (sub->have_seen)
		return 0;
	if (range_resolve(sub->conn, sub->key, &sub->plan->range, &sub->part, why, err) == -1)
		return -1;
	if (!sub->part.exists)
		sub_notef(sub, SUB_WARNING, "stream '%s' does not exist", sub->key);
	if (sub->part.has_to)
		sub->batch.to = &sub->part.to;
	sub_advance(sub, sub->part.after);
	return 0;
}

/* IDs of buf, each with its NUL. */
void
sub_put_acks(struct subscription *sub)
{
	struct slice ids[PAGESIZE_MOST];
	size_t n = 0;

	for (size_t at = 0; at < sub->handled.len; at += ids[n - 1].n + 1) {
		ids[n] = slice_of(sub->handled.p + at);
		if (++n == PAGESIZE_MOST)
			break;
	}
	if (n == 0)
		return;
	group_put_ack(sub->conn, sub->key, sub->group, ids, n);
	sub->acks++;
}

int
sub_open(struct subscription *sub, enum conn_why *why, struct err *err)
{
	sub->conn = conn_open(sub->plan->url, sub->plan->timeout_ms, why, err);
	if (sub->conn == NULL)
		return -1;
	if ((sub->group != NULL ? sub_ensure_group(sub, why, err) : find_start(sub, why, err)) ==
	    -1) {
		if (conn_why(sub->conn) != CONN_OK)
			*why = conn_why(sub->conn);
		sub_disconnect(sub, SUB_DOWN);
		return -1;
	}
	sub->pace = pagesize_start(sub->opened ? 1 : PAGESIZE_FIRST, 0);
	sub->state = SUB_IDLE;
	sub->opened = true;
	sub->dry = false;
	sub_put_acks(sub);
	return 0;
}
