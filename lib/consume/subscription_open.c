/* The half of subscription.h that opens: connection, group, where looking begins. */
#include <stdio.h>
#include <string.h>

#include "redis/group.h"
#include "redis/kin.h"
#include "consume/subscription_int.h"

#define KIN_IDLE (24 * INT64_C(3600000))

void
sub_see(struct subscription *t, struct stream_id id)
{
	if (!t->have_seen || id_cmp(id, t->seen) > 0)
		t->seen = id;
	t->have_seen = true;
}

static void
group_start(const struct subscription *t, char out[ID_SIZE])
{
	if (t->have_seen)
		id_format(t->seen, out);
	else if (t->plan->look.from.end)
		snprintf(out, ID_SIZE, "$");
	else
		id_format(id_before(t->plan->look.from.low), out);
}

/* Where the group stands, so that it can be made again there. Not permitted, not known; f counts when the connection died. */
static void
learn_place(struct subscription *t, struct err *f)
{
	struct stream_group *g;
	enum conn_why why;
	size_t n;

	if (stream_groups(t->bus, t->key, &g, &n, &why, f) == -1)
		return;
	for (size_t i = 0; i < n; i++)
		if (strcmp(g[i].name, t->group) == 0)
			sub_see(t, g[i].last_delivered);
	stream_groups_free(g, n);
}

int
sub_ensure(struct subscription *t, enum conn_why *why, struct err *f)
{
	char start[ID_SIZE];
	bool made, fresh;

	group_start(t, start);
	if (group_ensure(t->bus, t->key, t->group, start, &made, &fresh, why, f) == -1)
		return -1;
	t->unmade = *why;
	if (*why != CONN_FINE)
		t->refusal = *f;
	t->remade += made && t->opened;
	if (made && t->opened)
		sub_notef(t, SUB_WARNING, "group '%s' had vanished; made again at %s", t->group, start);
	if (!made && !t->opened && t->plan->from_given)
		sub_notef(t, SUB_WARNING, "--from has no effect: group '%s' was there already", t->group);
	if (fresh && !t->opened)
		sub_notef(t, SUB_NEWS, "stream '%s' is new: nothing has been published to it yet", t->key);
	if (!t->opened) {
		learn_place(t, f);
		if (t->plan->kin != NULL && conn_why(t->bus) == CONN_FINE)
			retire_forget_idle(t->bus, t->key, t->group, t->plan->kin, t->plan->consumer, KIN_IDLE, f);
	}
	t->phase = t->plan->kept ? NEW : OWN;
	t->own = (struct stream_id){0};
	return conn_why(t->bus) == CONN_FINE ? 0 : -1;
}

static int
find_start(struct subscription *t, enum conn_why *why, struct err *f)
{
	t->phase = NEW;
	if (t->have_seen)
		return 0;
	if (range_find(t->bus, t->key, &t->plan->look, &t->part, why, f) == -1)
		return -1;
	if (!t->part.exists)
		sub_notef(t, SUB_WARNING, "stream '%s' does not exist", t->key);
	if (t->part.has_to)
		t->batch.to = &t->part.to;
	sub_see(t, t->part.after);
	return 0;
}

/* IDs of buf, each with its NUL. */
void
sub_put_acks(struct subscription *t)
{
	struct slice ids[PAGESIZE_MOST];
	size_t n = 0;

	for (size_t at = 0; at < t->handled.len; at += ids[n - 1].n + 1) {
		ids[n] = slice_of(t->handled.p + at);
		if (++n == PAGESIZE_MOST)
			break;
	}
	if (n == 0)
		return;
	group_put_ack(t->bus, t->key, t->group, ids, n);
	t->acks++;
}

int
sub_open(struct subscription *t, enum conn_why *why, struct err *f)
{
	t->bus = conn_open(t->plan->url, t->plan->timeout_ms, why, f);
	if (t->bus == NULL)
		return -1;
	if ((t->group != NULL ? sub_ensure(t, why, f) : find_start(t, why, f)) == -1) {
		if (conn_why(t->bus) != CONN_FINE)
			*why = conn_why(t->bus);
		sub_drop(t, SUB_DOWN);
		return -1;
	}
	t->pace = pagesize_start(t->opened ? 1 : PAGESIZE_FIRST, 0);
	t->state = SUB_IDLE;
	t->opened = true;
	t->dry = false;
	sub_put_acks(t);
	return 0;
}
