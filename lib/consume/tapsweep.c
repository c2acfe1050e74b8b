/* The part of tap.h that takes over what other consumers left: listed, claimed, and given out like what is read. */
#include <stdio.h>
#include <stdlib.h>

#include "redis/pending.h"
#include "consume/tapping.h"
#include "base/util.h"
#include "base/when.h"

bool
tap_sweep_due(const struct tap *t)
{
	return t->group != NULL && t->plan->claim_idle > 0 && !t->plan->kept && !t->no_sweep && when_mono() >= t->next_sweep;
}

void
tap_sweep_begin(struct tap *t)
{
	t->phase = THEIRS;
	t->own = (struct stream_id){0};
	t->next_sweep = when_mono() + t->plan->claim_idle;
}

void
tap_sweep_ask(struct tap *t)
{
	char id[STREAM_ID_SIZE + 1] = "(";

	stream_id_format(t->own, id + 1);
	pending_put_list(t->bus, t->key, t->group, t->plan->claim_idle, id, t->asked, NULL);
}

/* Nothing, or nothing that we may see. */
static int
no_more(struct tap *t, struct reply *r)
{
	if (reply_is_error(r)) {
		t->no_sweep = true;
		tap_notef(t, TAP_NEWS, "what others left pending of '%s' is left to them: %.*s", t->type, (int)reply_text(r).n,
		    reply_text(r).p);
	}
	reply_free(r);
	haul_drop(&t->batch);
	t->phase = NEW;
	t->asked = 0;
	t->state = TAP_IDLE;
	return 0;
}

static int
claim(struct tap *t, struct reply *list)
{
	struct claim c = {
		.key = t->key, .group = t->group, .consumer = t->plan->consumer, .min_idle = t->plan->claim_idle, .deliveries = -1,
		.bodies = true
	};
	size_t n = 0, listed = reply_count(list);
	struct stream_id *ids = util_alloc(listed * sizeof(*ids));
	struct pending p;

	while (n < listed && pending_at(list, n, &p) == 0)
		ids[n++] = p.id;
	if (n > 0) {
		t->own = ids[n - 1];
		pending_put_claim(t->bus, &c, ids, n);
		if (n > 1)
			bus_most(t->bus, PACE_HELD);
	}
	free(ids);
	t->last_page = listed < t->asked || n < listed;
	t->batch.counts = list;
	return n > 0 ? 0 : no_more(t, NULL);
}

/* Those listed that were not claimed: somebody was faster, or they are gone from the stream. */
static void
check_missing(struct tap *t, const struct reply *claimed)
{
	char id[STREAM_ID_SIZE];
	struct pending p;
	size_t at = 0;

	for (size_t i = 0; i < reply_count(t->batch.counts) && pending_at(t->batch.counts, i, &p) == 0; i++) {
		stream_id_format(p.id, id);
		if (slice_eq(reply_text(reply_at(reply_at(claimed, at), 0)), id)) {
			at++;
			continue;
		}
		stream_put_range(t->bus, t->key, id, id, 1);
		t->checks++;
	}
}

int
tap_sweep_take(struct tap *t, struct reply *r, enum bus_why *why, struct fail *f)
{
	*why = reply_why(r);
	if (*why == BUS_NOPERM)
		return no_more(t, r);
	if (*why != BUS_FINE) {
		reply_fail(f, r, "take over what is pending");
		reply_free(r);
		haul_drop(&t->batch);
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
tap_sweep_checked(struct tap *t, struct reply *r)
{
	t->checks--;
	if (reply_is_array(r) && reply_count(r) == 0)
		t->gone++;
	reply_free(r);
}
