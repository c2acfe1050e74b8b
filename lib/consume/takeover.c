/* takeover: lists and claims pending entries of other consumers, which are then delivered like
 * entries that were read. Declared in subscription_int.h. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "consume/subscription_int.h"
#include "event/id.h"
#include "redis/pending.h"
#include "redis/stream.h"

bool
takeover_due(const struct subscription *sub)
{
	return sub->group != NULL && sub->plan->claim_idle > 0 && !sub->plan->manual_ack &&
	    !sub->takeover_denied && clock_mono() >= sub->next_takeover;
}

void
takeover_begin(struct subscription *sub)
{
	sub->phase = PHASE_TAKEOVER;
	sub->cursor = (struct stream_id){0};
	sub->next_takeover = clock_mono() + sub->plan->claim_idle;
}

void
takeover_put_list(struct subscription *sub)
{
	char id[ID_SIZE + 1] = "(";

	id_format(sub->cursor, id + 1);
	pending_put_list(sub->conn,
	    &(struct pending_query){
	        sub->key, sub->group, NULL, sub->plan->claim_idle, sub->requested},
	    id);
}

/* Ends the takeover: nothing is pending for long enough, or the server does not permit it. */
static int
end_takeover(struct subscription *sub, struct reply *r)
{
	if (reply_is_error(r)) {
		sub->takeover_denied = true;
		sub_notef(sub, SUB_INFO,
		    "'%s': pending entries of other consumers are not taken over: %.*s", sub->type,
		    (int)reply_text(r).n, reply_text(r).p);
	}
	reply_free(r);
	sub_batch_clear(&sub->batch);
	sub->phase = PHASE_NEW;
	sub->requested = 0;
	sub->state = SUB_IDLE;
	return 0;
}

static int
claim_listed(struct subscription *sub, struct reply *list)
{
	struct pending_claim claim = {.key = sub->key,
	    .group = sub->group,
	    .consumer = sub->plan->consumer,
	    .min_idle = sub->plan->claim_idle,
	    .deliveries = -1,
	    .bodies = true};
	size_t n = 0, listed = reply_count(list);
	struct stream_id *ids = mem_alloc(listed * sizeof(*ids));
	struct pending listed_entry;

	while (n < listed && pending_parse(list, n, &listed_entry) == 0)
		ids[n++] = listed_entry.id;
	if (n > 0) {
		sub->cursor = ids[n - 1];
		pending_put_claim(sub->conn, &claim, ids, n);
		if (n > 1)
			conn_limit_reply(sub->conn, PAGESIZE_REPLY_MAX);
	}
	free(ids);
	sub->last_page = listed < sub->requested || n < listed;
	sub->batch.counts = list;
	return n > 0 ? 0 : end_takeover(sub, NULL);
}

/* Asks which listed entries that were not claimed are gone from the stream; the others were claimed
 * or acknowledged by another consumer. */
static void
check_unclaimed(struct subscription *sub, const struct reply *claimed)
{
	char id[ID_SIZE];
	struct pending listed;
	size_t at = 0;

	for (size_t i = 0; i < reply_count(sub->batch.counts) &&
	     pending_parse(sub->batch.counts, i, &listed) == 0;
	     i++) {
		id_format(listed.id, id);
		if (slice_is(reply_text(reply_at(reply_at(claimed, at), 0)), id)) {
			at++;
			continue;
		}
		stream_put_range(sub->conn, sub->key, id, id, 1);
		sub->checks_in_flight++;
	}
}

int
takeover_take_reply(struct subscription *sub, struct reply *r, struct err *err)
{
	if (reply_why(r) == CONN_NOPERM)
		return end_takeover(sub, r);
	if (reply_is_error(r)) {
		reply_fail(err, r, "take over pending entries");
		reply_free(r);
		sub_batch_clear(&sub->batch);
		return -1;
	}
	if (sub->batch.counts == NULL)
		return reply_count(r) > 0 ? claim_listed(sub, r) : end_takeover(sub, r);
	sub->batch.entries = r;
	sub->batch.claimed = true;
	check_unclaimed(sub, r);
	return 1;
}

void
takeover_take_check(struct subscription *sub, struct reply *r)
{
	sub->checks_in_flight--;
	if (reply_is_array(r) && reply_count(r) == 0)
		sub->gone++;
	reply_free(r);
}
