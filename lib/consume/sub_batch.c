#include "consume/sub_batch.h"

#include <string.h>

#include "event/id.h"
#include "redis/group.h"
#include "redis/reply.h"

void
sub_batch_clear(struct sub_batch *h)
{
	reply_free(h->entries);
	reply_free(h->counts);
	h->entries = h->counts = NULL;
	h->claimed = false;
}

static int
each_entry(
    const struct sub_batch *h, group_entry_fn *fn, void *arg, enum conn_why *why, struct err *err)
{
	return h->claimed ? group_take_claim(h->entries, fn, arg, why, err)
	                  : group_take_read(h->entries, &h->key, 1, fn, arg, why, err);
}

static int
sum_entry(void *arg, size_t key, const struct group_entry *e)
{
	struct sub_batch_summary *s = arg;

	(void)key;
	if (s->entries++ == 0)
		s->first = e->id;
	s->last = e->id;
	for (size_t i = 0; i < e->nkv; i++)
		s->bytes += e->kv[i].n;
	return 0;
}

int
sub_batch_summarize(
    const struct sub_batch *h, struct sub_batch_summary *sum, enum conn_why *why, struct err *err)
{
	*sum = (struct sub_batch_summary){0};
	if (each_entry(h, sum_entry, sum, why, err) == -1)
		return -1;
	if (sum->entries > 0)
		id_parse(sum->last, &sum->last_id);
	return 0;
}

struct each {
	const struct sub_batch *h;
	sub_batch_record_fn *fn;
	void *arg;
	size_t at; /* in counts */
};

/* XPENDING's answer: [[id, consumer, idle, deliveries], ...] in order of ID; not an entry that
 * somebody claimed meanwhile, and none where it is not permitted. */
static int64_t
deliveries(struct each *e, struct slice id)
{
	const struct reply *counts = e->h->counts;

	for (size_t i = e->at; i < reply_count(counts); i++) {
		struct slice s = reply_text(reply_at(reply_at(counts, i), 0));

		if (s.n == id.n && memcmp(s.p, id.p, id.n) == 0) {
			e->at = i + 1;
			return reply_int(reply_at(reply_at(counts, i), 3)) + e->h->claimed;
		}
	}
	return counts == NULL ? 1 : -1;
}

static int
give_entry(void *arg, size_t key, const struct group_entry *entry)
{
	struct each *e = arg;
	struct record r = {
	    entry->id, slice_of(e->h->key), slice_of(e->h->type), entry->kv, entry->nkv, -1};
	struct stream_id id;

	(void)key;
	if (entry->gone)
		return 0;
	id_parse(entry->id, &id);
	if (e->h->to != NULL && id_cmp(id, *e->h->to) > 0)
		return 0;
	if (e->h->grouped)
		r.deliveries = deliveries(e, entry->id);
	return e->fn(e->arg, &r);
}

int
sub_batch_each(const struct sub_batch *h, sub_batch_record_fn *fn, void *arg)
{
	struct each e = {h, fn, arg, 0};
	enum conn_why why;
	struct err err;

	return each_entry(h, give_entry, &e, &why, &err);
}

struct handled {
	struct bytes *ids;
	size_t left, gone;
};

static int
note_handled(void *arg, size_t key, const struct group_entry *e)
{
	struct handled *h = arg;

	(void)key;
	if (!e->gone && h->left == 0)
		return 0;
	if (e->gone)
		h->gone++;
	else
		h->left--;
	bytes_add(h->ids, e->id.p, e->id.n);
	bytes_addc(h->ids, '\0');
	return 0;
}

size_t
sub_batch_ack_ids(const struct sub_batch *h, size_t n, struct bytes *ids)
{
	struct handled handled = {ids, n, 0};
	enum conn_why why;
	struct err err;

	each_entry(h, note_handled, &handled, &why, &err);
	return handled.gone;
}
