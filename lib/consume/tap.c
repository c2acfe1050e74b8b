#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis/group.h"
#include "base/status.h"
#include "consume/tapping.h"
#include "base/util.h"

struct tap *
tap_new(const struct tap_plan *plan, const char *type, const char *key, const char *group, tap_note_fn *note, void *arg)
{
	struct tap *t = util_alloc(sizeof(*t));

	t->plan = plan;
	t->type = util_strdup(type);
	t->key = util_strdup(key);
	t->group = group != NULL ? util_strdup(group) : NULL;
	t->batch = (struct haul){.key = t->key, .type = t->type, .grouped = group != NULL};
	t->note = note;
	t->arg = arg;
	return t;
}

void
tap_notef(struct tap *t, enum tap_note kind, const char *fmt, ...)
{
	char text[768];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	t->note(t->arg, kind, text);
}

static void
tell_gone(struct tap *t)
{
	if (t->gone > 0)
		tap_notef(t, TAP_WARNING, "%zu pending entr%s of '%s' %s lost: trimmed or deleted before %s handled", t->gone,
		    t->gone == 1 ? "y" : "ies", t->key, t->gone == 1 ? "is" : "are", t->gone == 1 ? "it was" : "they were");
	t->gone = 0;
}

void
tap_drop(struct tap *t, enum tap_state state)
{
	tell_gone(t);
	haul_drop(&t->batch);
	reply_free(t->next);
	t->next = NULL;
	bus_close(t->bus);
	t->bus = NULL;
	t->asked = t->ahead_asked = t->acks = t->checks = 0;
	t->ahead = false;
	t->state = state;
}

void
tap_free(struct tap *t)
{
	if (t == NULL)
		return;
	tap_drop(t, TAP_CLOSED);
	buf_free(&t->handled);
	free(t->type);
	free(t->key);
	free(t->group);
	free(t);
}

void
tap_close(struct tap *t)
{
	tap_drop(t, TAP_CLOSED);
}

/* --- asking ------------------------------------------------------------------- */

static void
ask_look(struct tap *t, const char *id, int64_t block_ms)
{
	char most[24], block[24];

	snprintf(most, sizeof(most), "%zu", t->asked);
	snprintf(block, sizeof(block), "%" PRId64, block_ms);
	if (block_ms < 0)
		bus_putl(t->bus, "XREAD", "COUNT", most, "STREAMS", t->key, id, NULL);
	else
		bus_putl(t->bus, "XREAD", "COUNT", most, "BLOCK", block, "STREAMS", t->key, id, NULL);
	bus_allow(t->bus, block_ms);
}

static void
ask_group(struct tap *t, int64_t block_ms)
{
	char id[STREAM_ID_SIZE] = ">";
	const char *ids = id, *keys = t->key;

	if (t->phase == THEIRS) {
		tap_sweep_ask(t);
		return;
	}
	if (t->phase == OWN) {
		stream_id_format(t->own, id);
		block_ms = -1;
	}
	group_put_read(t->bus, t->group, t->plan->consumer, t->asked, block_ms, &keys, &ids, 1);
}

void
tap_ask(struct tap *t, size_t count, int64_t block_ms)
{
	char id[STREAM_ID_SIZE];

	t->asked = count < t->pace.count ? count : t->pace.count;
	t->state = TAP_ASKED;
	if (t->phase == NEW && tap_sweep_due(t))
		tap_sweep_begin(t);
	if (t->group != NULL)
		ask_group(t, block_ms);
	else {
		stream_id_format(t->seen, id);
		ask_look(t, id, block_ms);
	}
	if (t->asked > 1)
		bus_most(t->bus, PACE_HELD);
}

void
tap_ahead(struct tap *t, size_t count)
{
	const char *ids = ">", *keys = t->key;

	if (t->group == NULL || t->phase != NEW || !t->full || count == 0 || tap_sweep_due(t))
		return;
	t->ahead = true;
	t->ahead_asked = count < t->pace.count ? count : t->pace.count;
	group_put_read(t->bus, t->group, t->plan->consumer, t->ahead_asked, -1, &keys, &ids, 1);
	if (t->ahead_asked > 1)
		bus_most(t->bus, PACE_HELD);
	bus_push(t->bus);
}

size_t
tap_asked(const struct tap *t)
{
	return t->asked + t->ahead_asked;
}

/* --- answers -------------------------------------------------------------------- */

static int
down(struct tap *t, enum bus_why why, enum bus_why *out)
{
	*out = why;
	tap_drop(t, TAP_DOWN);
	return -1;
}

/* The group vanished, or the stream under a blocked read: make it again and go on. */
static int
take_refusal(struct tap *t, enum bus_why w, enum bus_why *why, struct fail *f)
{
	if (w != BUS_NOGROUP && w != BUS_UNBLOCKED)
		return down(t, w, why);
	if (w == BUS_NOGROUP && t->unmade != BUS_FINE) {
		*f = t->refusal;
		return down(t, t->unmade, why);
	}
	t->asked = 0;
	t->state = TAP_IDLE;
	if (t->group == NULL || tap_ensure(t, why, f) == 0)
		return 0;
	return down(t, bus_why(t->bus) != BUS_FINE ? bus_why(t->bus) : *why, why);
}

/* How often each was delivered: one's own pending entries have been before. */
static void
ask_counts(struct tap *t, const struct haul_sum *s)
{
	char n[24];
	struct slice argv[] = {slice_of("XPENDING"), slice_of(t->key), slice_of(t->group), s->first, s->last, {0},
	    slice_of(t->plan->consumer)};

	snprintf(n, sizeof(n), "%zu", s->entries);
	argv[5] = slice_of(n);
	bus_put(t->bus, sizeof(argv) / sizeof(argv[0]), argv);
}

static int
take_batch(struct tap *t, struct reply *r, enum bus_why *why, struct fail *f)
{
	struct haul_sum s;
	enum bus_why w;
	int sweep;

	if (t->phase == THEIRS && (sweep = tap_sweep_take(t, r, why, f)) != 1)
		return sweep == 0 ? 0 : take_refusal(t, *why, why, f);
	if (t->phase != THEIRS)
		t->batch.entries = r;
	if (haul_sum(&t->batch, &s, &w, f) == -1) {
		haul_drop(&t->batch);
		return take_refusal(t, w, why, f);
	}
	pace_learn(&t->pace, s.entries, s.bytes);
	t->full = s.entries >= t->asked;
	t->dry = t->phase == NEW && s.entries == 0;
	if (s.entries == 0) {
		tell_gone(t);
		haul_drop(&t->batch);
		t->asked = 0;
		if (t->phase != THEIRS || t->last_page)
			t->phase = NEW;
		t->state = TAP_IDLE;
		return 0;
	}
	tap_see(t, s.last_id);
	if (t->phase == THEIRS && t->last_page)
		t->phase = NEW;
	if (t->phase != OWN) {
		t->state = TAP_READY;
		return 0;
	}
	t->own = s.last_id;
	ask_counts(t, &s);
	return 0;
}

static int
take_ack(struct tap *t, struct reply *r, enum bus_why *why, struct fail *f)
{
	enum bus_why w = reply_why(r);
	char what[600];

	t->acks--;
	t->handled.len = 0;
	if (w != BUS_FINE && w != BUS_NOGROUP) {
		snprintf(what, sizeof(what), "acknowledge in '%s'", t->key);
		reply_fail(f, r, what);
	}
	reply_free(r);
	if (w != BUS_FINE && w != BUS_NOGROUP)
		return down(t, w, why);
	if (t->acks > 0 || (r = t->next) == NULL)
		return 0;
	t->next = NULL;
	return take_batch(t, r, why, f);
}

static int
take(struct tap *t, struct reply *r, enum bus_why *why, struct fail *f)
{
	if (t->checks > 0) {
		tap_sweep_checked(t, r);
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
	t->state = TAP_READY;
	return 0;
}

int
tap_move(struct tap *t, enum bus_why *why, struct fail *f)
{
	struct reply *r;
	struct fail dead;
	int alive = bus_io(t->bus, &dead);

	while (t->state != TAP_READY && (r = bus_take(t->bus)) != NULL)
		if (take(t, r, why, f) == -1)
			return -1;
	if (alive == 0 || t->state == TAP_READY)
		return 0;
	*f = dead;
	return down(t, bus_why(t->bus), why);
}

/* --- the batch -------------------------------------------------------------------- */

const struct haul *
tap_batch(const struct tap *t)
{
	return &t->batch;
}

void
tap_done(struct tap *t, size_t n)
{
	if (t->group != NULL) {
		t->gone += haul_handled(&t->batch, n, &t->handled);
		tap_put_acks(t);
	}
	if (t->part.has_to && stream_id_cmp(t->seen, t->part.to) >= 0)
		t->dry = true;
	haul_drop(&t->batch);
	t->asked = t->ahead_asked;
	t->ahead_asked = 0;
	t->state = t->ahead ? TAP_ASKED : TAP_IDLE;
	if (t->ahead)
		bus_resume(t->bus);
}

struct reply *
tap_keep(struct tap *t)
{
	struct reply *r = t->batch.entries;

	t->batch.entries = NULL;
	t->asked = 0;
	t->state = TAP_IDLE;
	return r;
}

/* --- looking at it ------------------------------------------------------------------ */

enum tap_state
tap_state(const struct tap *t)
{
	return t->state;
}

bool
tap_dry(const struct tap *t)
{
	return t->dry;
}

bool
tap_settled(const struct tap *t)
{
	return t->acks == 0 && t->checks == 0 && t->state != TAP_ASKED && t->state != TAP_READY;
}

bool
tap_acknowledged(const struct tap *t)
{
	return t->acks == 0;
}

const struct bus *
tap_bus(const struct tap *t)
{
	return t->bus;
}

const char *
tap_type(const struct tap *t)
{
	return t->type;
}

const char *
tap_key(const struct tap *t)
{
	return t->key;
}

const char *
tap_group(const struct tap *t)
{
	return t->group;
}

unsigned
tap_remade(const struct tap *t)
{
	return t->remade;
}
