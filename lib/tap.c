#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "group.h"
#include "pace.h"
#include "reply.h"
#include "status.h"
#include "tap.h"
#include "util.h"

enum phase {
	OWN,				/* what is pending for us from before */
	NEW
};

struct tap {
	const struct tap_plan *plan;
	char *type, *key, *group;
	tap_note_fn *note;
	void *arg;

	enum tap_state state;
	struct bus *bus;
	enum phase phase;
	bool opened;			/* once at least */
	bool have_seen, dry;
	enum bus_why unmade;		/* why the group could not be made, should it not be there; else BUS_FINE */
	struct fail refusal;
	struct stream_id seen;		/* the last ID given out, or that the group had been given */
	struct stream_id own;		/* OWN: read up to here */
	struct pace pace;
	size_t asked;
	size_t gone;			/* own pending entries that were trimmed or deleted, not yet told */
	unsigned acks;			/* unanswered acknowledgements, ahead of the question */
	struct look_part part;		/* without a group: what is looked at; has_to is false with one */
	struct haul batch;
	struct buf handled;		/* NUL-ended IDs whose acknowledgement is not answered */
};

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

static void
notef(struct tap *t, enum tap_note kind, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void
notef(struct tap *t, enum tap_note kind, const char *fmt, ...)
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
		notef(t, TAP_WARNING, "%zu pending entr%s of '%s' %s lost: trimmed or deleted before %s handled", t->gone,
		    t->gone == 1 ? "y" : "ies", t->key, t->gone == 1 ? "is" : "are", t->gone == 1 ? "it was" : "they were");
	t->gone = 0;
}

static void
drop_bus(struct tap *t, enum tap_state state)
{
	tell_gone(t);
	haul_drop(&t->batch);
	bus_close(t->bus);
	t->bus = NULL;
	t->asked = t->acks = 0;
	t->state = state;
}

void
tap_free(struct tap *t)
{
	if (t == NULL)
		return;
	drop_bus(t, TAP_CLOSED);
	buf_free(&t->handled);
	free(t->type);
	free(t->key);
	free(t->group);
	free(t);
}

void
tap_close(struct tap *t)
{
	drop_bus(t, TAP_CLOSED);
}

/* --- opening ----------------------------------------------------------------- */

static void
see(struct tap *t, struct stream_id id)
{
	if (!t->have_seen || stream_id_cmp(id, t->seen) > 0)
		t->seen = id;
	t->have_seen = true;
}

static void
group_start(const struct tap *t, char out[STREAM_ID_SIZE])
{
	if (t->have_seen)
		stream_id_format(t->seen, out);
	else if (t->plan->look.from.end)
		snprintf(out, STREAM_ID_SIZE, "$");
	else
		stream_id_format(point_before(t->plan->look.from.low), out);
}

/* Where the group stands, so that it can be made again there. Not permitted, not known; f counts when the connection died. */
static void
learn_place(struct tap *t, struct fail *f)
{
	struct stream_group *g;
	enum bus_why why;
	size_t n;

	if (stream_groups(t->bus, t->key, &g, &n, &why, f) == -1)
		return;
	for (size_t i = 0; i < n; i++)
		if (strcmp(g[i].name, t->group) == 0)
			see(t, g[i].last_delivered);
	stream_groups_free(g, n);
}

static int
ensure(struct tap *t, enum bus_why *why, struct fail *f)
{
	char start[STREAM_ID_SIZE];
	bool made, fresh;

	group_start(t, start);
	if (group_ensure(t->bus, t->key, t->group, start, &made, &fresh, why, f) == -1)
		return -1;
	t->unmade = *why;
	if (*why != BUS_FINE)
		t->refusal = *f;
	if (made && t->opened)
		notef(t, TAP_WARNING, "group '%s' had vanished; made again at %s", t->group, start);
	if (!made && !t->opened && t->plan->from_given)
		notef(t, TAP_WARNING, "--from has no effect: group '%s' was there already", t->group);
	if (fresh && !t->opened)
		notef(t, TAP_NEWS, "stream '%s' is new: nothing has been published to it yet", t->key);
	if (!t->opened)
		learn_place(t, f);
	t->phase = t->plan->kept ? NEW : OWN;
	t->own = (struct stream_id){0};
	return bus_why(t->bus) == BUS_FINE ? 0 : -1;
}

static int
find_start(struct tap *t, enum bus_why *why, struct fail *f)
{
	t->phase = NEW;
	if (t->have_seen)
		return 0;
	if (look_find(t->bus, t->key, &t->plan->look, &t->part, why, f) == -1)
		return -1;
	if (!t->part.exists)
		notef(t, TAP_WARNING, "stream '%s' does not exist", t->key);
	if (t->part.has_to)
		t->batch.to = &t->part.to;
	see(t, t->part.after);
	return 0;
}

/* IDs of buf, each with its NUL. */
static void
put_acks(struct tap *t)
{
	struct slice ids[PACE_MOST];
	size_t n = 0;

	for (size_t at = 0; at < t->handled.len; at += ids[n - 1].n + 1) {
		ids[n] = slice_of(t->handled.p + at);
		if (++n == PACE_MOST)
			break;
	}
	if (n == 0)
		return;
	group_put_ack(t->bus, t->key, t->group, ids, n);
	t->acks++;
}

int
tap_open(struct tap *t, enum bus_why *why, struct fail *f)
{
	t->bus = bus_open(t->plan->url, t->plan->timeout_ms, why, f);
	if (t->bus == NULL)
		return -1;
	if ((t->group != NULL ? ensure(t, why, f) : find_start(t, why, f)) == -1) {
		if (bus_why(t->bus) != BUS_FINE)
			*why = bus_why(t->bus);
		drop_bus(t, TAP_DOWN);
		return -1;
	}
	t->pace = pace_start(t->opened ? 1 : PACE_FIRST, 0);
	t->state = TAP_IDLE;
	t->opened = true;
	t->dry = false;
	put_acks(t);
	return 0;
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
	if (t->group != NULL)
		ask_group(t, block_ms);
	else {
		stream_id_format(t->seen, id);
		ask_look(t, id, block_ms);
	}
	if (t->asked > 1)
		bus_most(t->bus, PACE_HELD);
}

size_t
tap_asked(const struct tap *t)
{
	return t->asked;
}

/* --- answers -------------------------------------------------------------------- */

static int
down(struct tap *t, enum bus_why why, enum bus_why *out)
{
	*out = why;
	drop_bus(t, TAP_DOWN);
	return -1;
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
	return w == BUS_FINE || w == BUS_NOGROUP ? 0 : down(t, w, why);
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
	if (t->group == NULL || ensure(t, why, f) == 0)
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

	t->batch.entries = r;
	if (haul_sum(&t->batch, &s, &w, f) == -1) {
		haul_drop(&t->batch);
		return take_refusal(t, w, why, f);
	}
	pace_learn(&t->pace, s.entries, s.bytes);
	t->dry = t->phase == NEW && s.entries == 0;
	if (s.entries == 0) {
		tell_gone(t);
		haul_drop(&t->batch);
		t->asked = 0;
		t->phase = NEW;
		t->state = TAP_IDLE;
		return 0;
	}
	see(t, s.last_id);
	if (t->phase == NEW) {
		t->state = TAP_READY;
		return 0;
	}
	t->own = s.last_id;
	ask_counts(t, &s);
	return 0;
}

static int
take(struct tap *t, struct reply *r, enum bus_why *why, struct fail *f)
{
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
		put_acks(t);
	}
	if (t->part.has_to && stream_id_cmp(t->seen, t->part.to) >= 0)
		t->dry = true;
	haul_drop(&t->batch);
	t->asked = 0;
	t->state = TAP_IDLE;
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
	return t->acks == 0 && t->state != TAP_ASKED && t->state != TAP_READY;
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
