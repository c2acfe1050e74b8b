#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis/group.h"
#include "base/status.h"
#include "consume/subscription_int.h"
#include "base/mem.h"

struct subscription *
sub_new(const struct sub_plan *plan, const char *type, const char *key, const char *group, sub_note_fn *note, void *arg)
{
	struct subscription *t = mem_alloc(sizeof(*t));

	t->plan = plan;
	t->type = mem_strdup(type);
	t->key = mem_strdup(key);
	t->group = group != NULL ? mem_strdup(group) : NULL;
	t->batch = (struct sub_batch){.key = t->key, .type = t->type, .grouped = group != NULL};
	t->note = note;
	t->arg = arg;
	return t;
}

void
sub_notef(struct subscription *t, enum sub_note kind, const char *fmt, ...)
{
	char text[768];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	t->note(t->arg, kind, text);
}

static void
tell_gone(struct subscription *t)
{
	if (t->gone > 0)
		sub_notef(t, SUB_WARNING, "%zu pending entr%s of '%s' %s lost: trimmed or deleted before %s handled", t->gone,
		    t->gone == 1 ? "y" : "ies", t->key, t->gone == 1 ? "is" : "are", t->gone == 1 ? "it was" : "they were");
	t->gone = 0;
}

void
sub_drop(struct subscription *t, enum sub_state state)
{
	tell_gone(t);
	sub_batch_drop(&t->batch);
	reply_free(t->next);
	t->next = NULL;
	conn_close(t->bus);
	t->bus = NULL;
	t->asked = t->ahead_asked = t->acks = t->checks = 0;
	t->ahead = false;
	t->state = state;
}

void
sub_free(struct subscription *t)
{
	if (t == NULL)
		return;
	sub_drop(t, SUB_CLOSED);
	bytes_free(&t->handled);
	free(t->type);
	free(t->key);
	free(t->group);
	free(t);
}

void
sub_close(struct subscription *t)
{
	sub_drop(t, SUB_CLOSED);
}

/* --- asking ------------------------------------------------------------------- */

static void
ask_look(struct subscription *t, const char *id, int64_t block_ms)
{
	char most[24], block[24];

	snprintf(most, sizeof(most), "%zu", t->asked);
	snprintf(block, sizeof(block), "%" PRId64, block_ms);
	if (block_ms < 0)
		conn_putl(t->bus, "XREAD", "COUNT", most, "STREAMS", t->key, id, NULL);
	else
		conn_putl(t->bus, "XREAD", "COUNT", most, "BLOCK", block, "STREAMS", t->key, id, NULL);
	conn_allow(t->bus, block_ms);
}

static void
ask_group(struct subscription *t, int64_t block_ms)
{
	char id[ID_SIZE] = ">";
	const char *ids = id, *keys = t->key;

	if (t->phase == THEIRS) {
		takeover_ask(t);
		return;
	}
	if (t->phase == OWN) {
		id_format(t->own, id);
		block_ms = -1;
	}
	group_put_read(t->bus, t->group, t->plan->consumer, t->asked, block_ms, &keys, &ids, 1);
}

void
sub_ask(struct subscription *t, size_t count, int64_t block_ms)
{
	char id[ID_SIZE];

	t->asked = count < t->pace.count ? count : t->pace.count;
	t->state = SUB_ASKED;
	if (t->phase == NEW && takeover_due(t))
		takeover_begin(t);
	if (t->group != NULL)
		ask_group(t, block_ms);
	else {
		id_format(t->seen, id);
		ask_look(t, id, block_ms);
	}
	if (t->asked > 1)
		conn_most(t->bus, PAGESIZE_HELD);
}

void
sub_ahead(struct subscription *t, size_t count)
{
	const char *ids = ">", *keys = t->key;

	if (t->group == NULL || t->phase != NEW || !t->full || count == 0 || takeover_due(t))
		return;
	t->ahead = true;
	t->ahead_asked = count < t->pace.count ? count : t->pace.count;
	group_put_read(t->bus, t->group, t->plan->consumer, t->ahead_asked, -1, &keys, &ids, 1);
	if (t->ahead_asked > 1)
		conn_most(t->bus, PAGESIZE_HELD);
	conn_push(t->bus);
}

size_t
sub_asked(const struct subscription *t)
{
	return t->asked + t->ahead_asked;
}

/* --- answers -------------------------------------------------------------------- */

static int
down(struct subscription *t, enum conn_why why, enum conn_why *out)
{
	*out = why;
	sub_drop(t, SUB_DOWN);
	return -1;
}

/* The group vanished, or the stream under a blocked read: make it again and go on. */
static int
take_refusal(struct subscription *t, enum conn_why w, enum conn_why *why, struct err *f)
{
	if (w != CONN_NOGROUP && w != CONN_UNBLOCKED)
		return down(t, w, why);
	if (w == CONN_NOGROUP && t->unmade != CONN_FINE) {
		*f = t->refusal;
		return down(t, t->unmade, why);
	}
	t->asked = 0;
	t->state = SUB_IDLE;
	if (t->group == NULL || sub_ensure(t, why, f) == 0)
		return 0;
	return down(t, conn_why(t->bus) != CONN_FINE ? conn_why(t->bus) : *why, why);
}

/* How often each was delivered: one's own pending entries have been before. */
static void
ask_counts(struct subscription *t, const struct sub_batch_sum *s)
{
	char n[24];
	struct slice argv[] = {slice_of("XPENDING"), slice_of(t->key), slice_of(t->group), s->first, s->last, {0},
	    slice_of(t->plan->consumer)};

	snprintf(n, sizeof(n), "%zu", s->entries);
	argv[5] = slice_of(n);
	conn_put(t->bus, sizeof(argv) / sizeof(argv[0]), argv);
}

static int
take_batch(struct subscription *t, struct reply *r, enum conn_why *why, struct err *f)
{
	struct sub_batch_sum s;
	enum conn_why w;
	int sweep;

	if (t->phase == THEIRS && (sweep = takeover_take(t, r, why, f)) != 1)
		return sweep == 0 ? 0 : take_refusal(t, *why, why, f);
	if (t->phase != THEIRS)
		t->batch.entries = r;
	if (sub_batch_sum(&t->batch, &s, &w, f) == -1) {
		sub_batch_drop(&t->batch);
		return take_refusal(t, w, why, f);
	}
	pagesize_learn(&t->pace, s.entries, s.bytes);
	t->full = s.entries >= t->asked;
	t->dry = t->phase == NEW && s.entries == 0;
	if (s.entries == 0) {
		tell_gone(t);
		sub_batch_drop(&t->batch);
		t->asked = 0;
		if (t->phase != THEIRS || t->last_page)
			t->phase = NEW;
		t->state = SUB_IDLE;
		return 0;
	}
	sub_see(t, s.last_id);
	if (t->phase == THEIRS && t->last_page)
		t->phase = NEW;
	if (t->phase != OWN) {
		t->state = SUB_READY;
		return 0;
	}
	t->own = s.last_id;
	ask_counts(t, &s);
	return 0;
}

static int
take_ack(struct subscription *t, struct reply *r, enum conn_why *why, struct err *f)
{
	enum conn_why w = reply_why(r);
	char what[600];

	t->acks--;
	t->handled.len = 0;
	if (w != CONN_FINE && w != CONN_NOGROUP) {
		snprintf(what, sizeof(what), "acknowledge in '%s'", t->key);
		reply_fail(f, r, what);
	}
	reply_free(r);
	if (w != CONN_FINE && w != CONN_NOGROUP)
		return down(t, w, why);
	if (t->acks > 0 || (r = t->next) == NULL)
		return 0;
	t->next = NULL;
	return take_batch(t, r, why, f);
}

static int
take(struct subscription *t, struct reply *r, enum conn_why *why, struct err *f)
{
	if (t->checks > 0) {
		takeover_checked(t, r);
		return 0;
	}
	if (t->ahead && t->acks > 0) {
		t->ahead = false;
		t->next = r;
		return 0;
	}
	t->ahead = false;
	if (t->acks > 0)
		return take_ack(t, r, why, f);
	if (t->batch.entries == NULL)
		return take_batch(t, r, why, f);
	t->batch.counts = r;
	t->state = SUB_READY;
	return 0;
}

int
sub_move(struct subscription *t, enum conn_why *why, struct err *f)
{
	struct reply *r;
	struct err dead;
	int alive = conn_io(t->bus, &dead);

	while (t->state != SUB_READY && (r = conn_take(t->bus)) != NULL)
		if (take(t, r, why, f) == -1)
			return -1;
	if (alive == 0 || t->state == SUB_READY)
		return 0;
	*f = dead;
	return down(t, conn_why(t->bus), why);
}

/* --- the batch -------------------------------------------------------------------- */

const struct sub_batch *
sub_batch(const struct subscription *t)
{
	return &t->batch;
}

void
sub_done(struct subscription *t, size_t n)
{
	if (t->group != NULL) {
		t->gone += sub_batch_handled(&t->batch, n, &t->handled);
		sub_put_acks(t);
	}
	if (t->part.has_to && id_cmp(t->seen, t->part.to) >= 0)
		t->dry = true;
	sub_batch_drop(&t->batch);
	t->asked = t->ahead_asked;
	t->ahead_asked = 0;
	t->state = t->ahead ? SUB_ASKED : SUB_IDLE;
	if (t->ahead)
		conn_resume(t->bus);
}

struct reply *
sub_keep(struct subscription *t)
{
	struct reply *r = t->batch.entries;

	t->batch.entries = NULL;
	t->asked = 0;
	t->state = SUB_IDLE;
	return r;
}

/* --- looking at it ------------------------------------------------------------------ */

enum sub_state
sub_state(const struct subscription *t)
{
	return t->state;
}

bool
sub_dry(const struct subscription *t)
{
	return t->dry;
}

bool
sub_settled(const struct subscription *t)
{
	return t->acks == 0 && t->checks == 0 && t->state != SUB_ASKED && t->state != SUB_READY;
}

bool
sub_acknowledged(const struct subscription *t)
{
	return t->acks == 0;
}

const struct conn *
sub_bus(const struct subscription *t)
{
	return t->bus;
}

const char *
sub_type(const struct subscription *t)
{
	return t->type;
}

const char *
sub_key(const struct subscription *t)
{
	return t->key;
}

const char *
sub_group(const struct subscription *t)
{
	return t->group;
}

unsigned
sub_remade(const struct subscription *t)
{
	return t->remade;
}
