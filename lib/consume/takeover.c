/* The part of subscription.h that takes over what other consumers left: listed, claimed, and given out like what is read. */
#include <stdio.h>
#include <stdlib.h>

#include "redis/pending.h"
#include "consume/subscription_int.h"
#include "base/mem.h"
#include "base/clock.h"

bool
takeover_due(const struct subscription *t)
{
	return t->group != NULL && t->plan->claim_idle > 0 && !t->plan->kept && !t->no_sweep && clock_mono() >= t->next_sweep;
}

void
takeover_begin(struct subscription *t)
{
	t->phase = THEIRS;
	t->own = (struct stream_id){0};
	t->next_sweep = clock_mono() + t->plan->claim_idle;
}

void
takeover_ask(struct subscription *t)
{
	char id[ID_SIZE + 1] = "(";

	id_format(t->own, id + 1);
	pending_put_list(t->bus, t->key, t->group, t->plan->claim_idle, id, t->asked, NULL);
}

/* Nothing, or nothing that we may see. */
static int
no_more(struct subscription *t, struct reply *r)
{
	if (reply_is_error(r)) {
		t->no_sweep = true;
		sub_notef(t, SUB_NEWS, "what others left pending of '%s' is left to them: %.*s", t->type, (int)reply_text(r).n,
		    reply_text(r).p);
	}
	reply_free(r);
	sub_batch_drop(&t->batch);
	t->phase = NEW;
	t->asked = 0;
	t->state = SUB_IDLE;
	return 0;
}

static int
claim(struct subscription *t, struct reply *list)
{
	struct claim c = {
		.key = t->key, .group = t->group, .consumer = t->plan->consumer, .min_idle = t->plan->claim_idle, .deliveries = -1,
		.bodies = true
	};
	size_t n = 0, listed = reply_count(list);
	struct stream_id *ids = mem_alloc(listed * sizeof(*ids));
	struct pending p;

	while (n < listed && pending_at(list, n, &p) == 0)
		ids[n++] = p.id;
	if (n > 0) {
		t->own = ids[n - 1];
		pending_put_claim(t->bus, &c, ids, n);
		if (n > 1)
			conn_most(t->bus, PAGESIZE_HELD);
	}
	free(ids);
	t->last_page = listed < t->asked || n < listed;
	t->batch.counts = list;
	return n > 0 ? 0 : no_more(t, NULL);
}

/* Those listed that were not claimed: somebody was faster, or they are gone from the stream. */
static void
check_missing(struct subscription *t, const struct reply *claimed)
{
	char id[ID_SIZE];
	struct pending p;
	size_t at = 0;

	for (size_t i = 0; i < reply_count(t->batch.counts) && pending_at(t->batch.counts, i, &p) == 0; i++) {
		id_format(p.id, id);
		if (slice_eq(reply_text(reply_at(reply_at(claimed, at), 0)), id)) {
			at++;
			continue;
		}
		stream_put_range(t->bus, t->key, id, id, 1);
		t->checks++;
	}
}

int
takeover_take(struct subscription *t, struct reply *r, enum conn_why *why, struct err *f)
{
	*why = reply_why(r);
	if (*why == CONN_NOPERM)
		return no_more(t, r);
	if (*why != CONN_FINE) {
		reply_fail(f, r, "take over what is pending");
		reply_free(r);
		sub_batch_drop(&t->batch);
		return -1;
	}
	if (t->batch.counts == NULL)
		return reply_count(r) > 0 ? claim(t, r) : no_more(t, r);
	t->batch.entries = r;
	t->batch.claimed = true;
	check_missing(t, r);
	return 1;
}

void
takeover_checked(struct subscription *t, struct reply *r)
{
	t->checks--;
	if (reply_is_array(r) && reply_count(r) == 0)
		t->gone++;
	reply_free(r);
}
