#include "consume/takeover.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "redis/reply.h"

/* The kinds of entries that one XCLAIM cannot claim together. */
enum kind {
	KIND_FRESH, /* own, idle for less than half of claim_idle: held without a claim */
	KIND_FOREIGN,
	KIND_OTHER
};

/* Returns the idle time in ms from which an entry is claimed. Own entries that idled for half of
 * claim_idle could be claimed by another consumer at any moment. */
static int64_t
min_claim_idle(const struct takeover *t)
{
	return t->claim_idle / (t->own ? 2 : 1);
}

static enum kind
find_kind(const struct takeover *t, const struct pending *p)
{
	if (t->own && (p->idle < min_claim_idle(t) || t->claim_idle == 0))
		return KIND_FRESH;
	return !t->bodies && !pending_is_ebsub_consumer(p->consumer) ? KIND_FOREIGN : KIND_OTHER;
}

bool
takeover_due(const struct takeover *t)
{
	return t->group != NULL && t->claim_idle > 0 && !t->denied && clock_mono() >= t->next;
}

void
takeover_begin(struct takeover *t, bool own)
{
	takeover_clear(t);
	t->own = own;
	t->cursor = (struct stream_id){0};
	if (!own)
		t->next = clock_mono() + t->claim_idle;
}

void
takeover_put_list(const struct takeover *t, struct conn *conn, size_t count)
{
	struct pending_query query = {.key = t->key, .group = t->group, .limit = count};
	char from[ID_SIZE + 1] = "(";

	if (t->own)
		query.consumer = t->consumer;
	else
		query.idle = t->claim_idle;
	id_format(t->cursor, from + 1);
	pending_put_list(conn, &query, from);
}

bool
takeover_take_list(struct takeover *t, struct conn *conn, struct reply *list, size_t count)
{
	struct pending_claim claim = {.key = t->key,
	    .group = t->group,
	    .consumer = t->consumer,
	    .min_idle = min_claim_idle(t),
	    .deliveries = -1,
	    .bodies = t->bodies};
	size_t listed = reply_count(list);
	struct stream_id *ids = mem_alloc((listed + 1) * sizeof(*ids));
	enum kind first = KIND_FRESH;
	struct pending p;

	takeover_clear(t);
	t->list = list;
	t->last_page = listed < count;
	for (; t->n < listed; ids[t->n++] = p.id) {
		if (pending_parse(list, t->n, &p) == -1) {
			t->last_page = true;
			break;
		}
		if (t->n == 0)
			first = find_kind(t, &p);
		else if (find_kind(t, &p) != first) {
			t->last_page = false;
			break;
		}
	}
	if (t->n > 0)
		t->cursor = ids[t->n - 1];
	if (first == KIND_FOREIGN)
		claim.deliveries = 1;
	if (first != KIND_FRESH)
		pending_put_claim(conn, &claim, ids, t->n);
	free(ids);
	return first != KIND_FRESH;
}

void
takeover_each(const struct takeover *t, const struct reply *claim, takeover_fn *fn, void *arg)
{
	struct pending p;
	size_t at = 0;

	for (size_t i = 0; i < t->n && pending_parse(t->list, i, &p) == 0; i++)
		fn(arg, &p, pending_next_claimed(claim, &at, p.id) != NULL);
}

void
takeover_clear(struct takeover *t)
{
	reply_free(t->list);
	t->list = NULL;
	t->n = 0;
}
