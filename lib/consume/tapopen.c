/* The half of tap.h that opens: connection, group, where looking begins. */
#include <stdio.h>
#include <string.h>

#include "redis/group.h"
#include "redis/kin.h"
#include "consume/tapping.h"

#define KIN_IDLE (24 * INT64_C(3600000))

void
tap_see(struct tap *t, struct stream_id id)
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
			tap_see(t, g[i].last_delivered);
	stream_groups_free(g, n);
}

int
tap_ensure(struct tap *t, enum bus_why *why, struct fail *f)
{
	char start[STREAM_ID_SIZE];
	bool made, fresh;

	group_start(t, start);
	if (group_ensure(t->bus, t->key, t->group, start, &made, &fresh, why, f) == -1)
		return -1;
	t->unmade = *why;
	if (*why != BUS_FINE)
		t->refusal = *f;
	t->remade += made && t->opened;
	if (made && t->opened)
		tap_notef(t, TAP_WARNING, "group '%s' had vanished; made again at %s", t->group, start);
	if (!made && !t->opened && t->plan->from_given)
		tap_notef(t, TAP_WARNING, "--from has no effect: group '%s' was there already", t->group);
	if (fresh && !t->opened)
		tap_notef(t, TAP_NEWS, "stream '%s' is new: nothing has been published to it yet", t->key);
	if (!t->opened) {
		learn_place(t, f);
		if (t->plan->kin != NULL && bus_why(t->bus) == BUS_FINE)
			kin_forget(t->bus, t->key, t->group, t->plan->kin, t->plan->consumer, KIN_IDLE, f);
	}
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
		tap_notef(t, TAP_WARNING, "stream '%s' does not exist", t->key);
	if (t->part.has_to)
		t->batch.to = &t->part.to;
	tap_see(t, t->part.after);
	return 0;
}

/* IDs of buf, each with its NUL. */
void
tap_put_acks(struct tap *t)
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
	if ((t->group != NULL ? tap_ensure(t, why, f) : find_start(t, why, f)) == -1) {
		if (bus_why(t->bus) != BUS_FINE)
			*why = bus_why(t->bus);
		tap_drop(t, TAP_DOWN);
		return -1;
	}
	t->pace = pace_start(t->opened ? 1 : PACE_FIRST, 0);
	t->state = TAP_IDLE;
	t->opened = true;
	t->dry = false;
	tap_put_acks(t);
	return 0;
}
