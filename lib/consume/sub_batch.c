#include "consume/sub_batch.h"

#include <string.h>

#include "event/id.h"
#include "redis/reply.h"

void
sub_batch_clear(struct sub_batch *batch)
{
	reply_free(batch->entries);
	reply_free(batch->counts);
	batch->entries = batch->counts = NULL;
	batch->claimed = false;
}

static int
for_each_entry(const struct sub_batch *batch, stream_entry_fn *fn, void *arg, struct err *err)
{
	return batch->claimed ? stream_take_entries(batch->entries, "XCLAIM", fn, arg, err)
	                      : stream_take_read(batch->entries, batch->key, fn, arg, err);
}

static int
summarize_entry(void *arg, const struct stream_entry *e)
{
	struct sub_batch_summary *summary = arg;

	if (summary->entries++ == 0)
		summary->first = e->id;
	summary->last = e->id;
	for (size_t i = 0; i < e->nkv; i++)
		summary->bytes += e->kv[i].n;
	return 0;
}

int
sub_batch_summarize(const struct sub_batch *batch, struct sub_batch_summary *sum, struct err *err)
{
	*sum = (struct sub_batch_summary){0};
	if (for_each_entry(batch, summarize_entry, sum, err) == -1)
		return -1;
	if (sum->entries > 0)
		id_parse(sum->last, &sum->last_id);
	return 0;
}

struct record_walk {
	const struct sub_batch *h;
	sub_batch_record_fn *fn;
	void *arg;
	size_t at; /* index in counts */
};

/*
 * counts is XPENDING's [[id, consumer, idle, deliveries], ...] in order of ID. It lacks entries
 * that another consumer claimed meanwhile, and is an error where XPENDING is not permitted; the
 * function returns -1 then.
 */
static int64_t
find_deliveries(struct record_walk *walk, struct slice id)
{
	const struct reply *counts = walk->h->counts;

	for (size_t i = walk->at; i < reply_count(counts); i++) {
		struct slice s = reply_text(reply_at(reply_at(counts, i), 0));

		if (s.n == id.n && memcmp(s.p, id.p, id.n) == 0) {
			walk->at = i + 1;
			return reply_int(reply_at(reply_at(counts, i), 3)) + walk->h->claimed;
		}
	}
	return counts == NULL ? 1 : -1;
}

static int
pass_record(void *arg, const struct stream_entry *entry)
{
	struct record_walk *walk = arg;
	struct record r = {
	    entry->id, slice_of(walk->h->key), slice_of(walk->h->type), entry->kv, entry->nkv, -1};
	struct stream_id id;

	if (entry->gone)
		return 0;
	id_parse(entry->id, &id);
	if (walk->h->to != NULL && id_cmp(id, *walk->h->to) > 0)
		return 0;
	if (walk->h->grouped)
		r.deliveries = find_deliveries(walk, entry->id);
	return walk->fn(walk->arg, &r);
}

int
sub_batch_each(const struct sub_batch *batch, sub_batch_record_fn *fn, void *arg)
{
	struct record_walk walk = {batch, fn, arg, 0};
	struct err err;

	return for_each_entry(batch, pass_record, &walk, &err);
}

struct ack_ids {
	struct bytes *ids;
	size_t left, gone;
};

static int
append_ack_id(void *arg, const struct stream_entry *e)
{
	struct ack_ids *acks = arg;

	if (!e->gone && acks->left == 0)
		return 0;
	if (e->gone)
		acks->gone++;
	else
		acks->left--;
	bytes_add(acks->ids, e->id.p, e->id.n);
	bytes_addc(acks->ids, '\0');
	return 0;
}

size_t
sub_batch_ack_ids(const struct sub_batch *batch, size_t n, struct bytes *ids)
{
	struct ack_ids acks = {ids, n, 0};
	struct err err;

	for_each_entry(batch, append_ack_id, &acks, &err);
	return acks.gone;
}
