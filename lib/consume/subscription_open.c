/* The half of subscription.h that opens: connection, group, where looking begins. */
#include <stdio.h>
#include <string.h>

#include "redis/group.h"
#include "redis/kin.h"
#include "consume/subscription_int.h"

#define KIN_IDLE (24 * INT64_C(3600000))

void
sub_see(struct subscription *sub, struct stream_id id)
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
	else if (sub->plan->look.from.end)
		snprintf(out, ID_SIZE, "$");
	else
		id_format(id_before(sub->plan->look.from.low), out);
}

/* Where the group stands, so that it can be made again there. Not permitted, not known; f counts when the connection died. */
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
			sub_see(sub, g[i].last_delivered);
	stream_groups_free(g, n);
}

int
sub_ensure(struct subscription *sub, enum conn_why *why, struct err *err)
{
	char start[ID_SIZE];
	bool made, fresh;

	group_start(sub, start);
	if (group_ensure(sub->conn, sub->key, sub->group, start, &made, &fresh, why, err) == -1)
		return -1;
	sub->unmade = *why;
	if (*why != CONN_FINE)
		sub->refusal = *err;
	sub->remade += made && sub->opened;
	if (made && sub->opened)
		sub_notef(sub, SUB_WARNING, "group '%s' had vanished; made again at %s", sub->group, start);
	if (!made && !sub->opened && sub->plan->from_given)
		sub_notef(sub, SUB_WARNING, "--from has no effect: group '%s' was there already", sub->group);
	if (fresh && !sub->opened)
		sub_notef(sub, SUB_NEWS, "stream '%s' is new: nothing has been published to it yet", sub->key);
	if (!sub->opened) {
		learn_place(sub, err);
		if (sub->plan->kin != NULL && conn_why(sub->conn) == CONN_FINE)
			retire_forget_idle(sub->conn, sub->key, sub->group, sub->plan->kin, sub->plan->consumer, KIN_IDLE, err);
	}
	sub->phase = sub->plan->kept ? NEW : OWN;
	sub->own = (struct stream_id){0};
	return conn_why(sub->conn) == CONN_FINE ? 0 : -1;
}

static int
find_start(struct subscription *sub, enum conn_why *why, struct err *err)
{
	sub->phase = NEW;
	if (sub->have_seen)
		return 0;
	if (range_find(sub->conn, sub->key, &sub->plan->look, &sub->part, why, err) == -1)
		return -1;
	if (!sub->part.exists)
		sub_notef(sub, SUB_WARNING, "stream '%s' does not exist", sub->key);
	if (sub->part.has_to)
		sub->batch.to = &sub->part.to;
	sub_see(sub, sub->part.after);
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
	if ((sub->group != NULL ? sub_ensure(sub, why, err) : find_start(sub, why, err)) == -1) {
		if (conn_why(sub->conn) != CONN_FINE)
			*why = conn_why(sub->conn);
		sub_drop(sub, SUB_DOWN);
		return -1;
	}
	sub->pace = pagesize_start(sub->opened ? 1 : PAGESIZE_FIRST, 0);
	sub->state = SUB_IDLE;
	sub->opened = true;
	sub->dry = false;
	sub_put_acks(sub);
	return 0;
}
