#include "redis/pending.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "event/id.h"
#include "redis/reply.h"

uint64_t
pending_put_list(struct conn *conn, const struct pending_query *query, const char *from)
{
	char idle[24], most[24];

	snprintf(idle, sizeof(idle), "%" PRId64, query->idle);
	snprintf(most, sizeof(most), "%" PRIu64, query->limit);
	return conn_putl(conn, "XPENDING", query->key, query->group,
	    query->idle > 0 ? "IDLE" : CONN_SKIP, query->idle > 0 ? idle : CONN_SKIP, from, "+",
	    most, query->consumer != NULL ? query->consumer : CONN_SKIP, NULL);
}

int
pending_parse(const struct reply *r, size_t i, struct pending *out)
{
	const struct reply *e = reply_at(r, i);

	if (reply_count(e) != 4 || !reply_is_text(reply_at(e, 1)) ||
	    id_parse(reply_text(reply_at(e, 0)), &out->id) == -1)
		return -1;
	out->consumer = reply_text(reply_at(e, 1));
	out->idle = reply_int(reply_at(e, 2));
	out->deliveries = reply_int(reply_at(e, 3));
	return 0;
}

uint64_t
pending_put_claim(
    struct conn *conn, const struct pending_claim *claim, const struct stream_id *ids, size_t n)
{
	struct slice *argv = mem_alloc((9 + n) * sizeof(*argv));
	char(*text)[ID_SIZE] = mem_alloc(n * sizeof(*text)), idle[24], count[24];
	size_t argc = 0;
	uint64_t number;

	snprintf(idle, sizeof(idle), "%" PRId64, claim->min_idle);
	snprintf(count, sizeof(count), "%" PRId64, claim->deliveries);
	argv[argc++] = slice_of("XCLAIM");
	argv[argc++] = slice_of(claim->key);
	argv[argc++] = slice_of(claim->group);
	argv[argc++] = slice_of(claim->consumer);
	argv[argc++] = slice_of(idle);
	for (size_t i = 0; i < n; i++) {
		id_format(ids[i], text[i]);
		argv[argc++] = slice_of(text[i]);
	}
	if (claim->deliveries >= 0) {
		argv[argc++] = slice_of("RETRYCOUNT");
		argv[argc++] = slice_of(count);
	}
	if (claim->force)
		argv[argc++] = slice_of("FORCE");
	if (!claim->bodies)
		argv[argc++] = slice_of("JUSTID");
	number = conn_put(conn, argc, argv);
	free(text);
	free(argv);
	return number;
}

const struct reply *
pending_next_claimed(const struct reply *r, size_t *at, struct stream_id id)
{
	const struct reply *e = reply_at(r, *at);
	struct stream_id got;

	if (id_parse(reply_text(reply_is_array(e) ? reply_at(e, 0) : e), &got) == -1 ||
	    id_cmp(got, id) != 0)
		return NULL;
	++*at;
	return e;
}

bool
pending_is_ebsub_consumer(struct slice consumer)
{
	return consumer.n > 3 && memcmp(consumer.p, "eb-", 3) == 0;
}

#define PAGE 500 /* entries */

/* Takes a page of at most `want` entries. *last is the last ID of the page before, and then of this
 * one: IDs must rise, else the scan might never end. */
static int
take_pending_page(const struct reply *r, uint64_t want, struct stream_id *last, pending_fn *fn,
    void *arg, struct err *err)
{
	struct pending p;
	int result = 0;

	for (size_t i = 0; i < reply_count(r) && result == 0; i++) {
		if (i == want || pending_parse(r, i, &p) == -1 || id_cmp(p.id, *last) <= 0)
			return reply_unexpected(err, r, "XPENDING");
		*last = p.id;
		result = fn(arg, &p);
	}
	return result;
}

int
pending_scan(struct conn *conn, const struct pending_query *query, pending_fn *fn, void *arg,
    struct err *err)
{
	struct pending_query page = *query;
	char from[ID_SIZE + 1] = "-";
	struct stream_id last = {0};
	uint64_t left = query->limit, got;
	struct reply *reply;
	int result;

	do {
		page.limit = left < PAGE ? left : PAGE;
		pending_put_list(conn, &page, from);
		if ((reply = reply_await(conn, reply_is_array, "XPENDING", err)) == NULL)
			return -1;
		got = reply_count(reply);
		left -= got;
		result = take_pending_page(reply, page.limit, &last, fn, arg, err);
		reply_free(reply);
		from[0] = '(';
		id_format(last, from + 1);
	} while (result == 0 && got == page.limit && left > 0);
	return result;
}
