#include "redis/scan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "redis/reply.h"

/* field names and values of one page should not be larger */
#define PAGE_BYTES (512UL * 1024)

struct pagesize
pagesize_start(size_t first, size_t most)
{
	if (most == 0 || most > PAGESIZE_MOST)
		most = PAGESIZE_MOST;
	return (struct pagesize){.count = first < most ? first : most, .most = most};
}

void
pagesize_learn(struct pagesize *p, size_t got, size_t bytes)
{
	size_t fit;

	if (got == 0)
		return;
	fit = PAGE_BYTES / (bytes / got + 1);
	if (got >= p->count && p->count < p->most)
		p->count *= 4;
	if (p->count > fit)
		p->count = fit;
	if (p->count > p->most)
		p->count = p->most;
	if (p->count == 0)
		p->count = 1;
}

/* Passes the entries of one page on, and measures them. */
struct page {
	stream_entry_fn *fn;
	void *arg;
	size_t entries, bytes;
	struct stream_id last;
};

static int
pass_page_entry(void *arg, const struct stream_entry *e)
{
	struct page *page = arg;

	page->entries++;
	for (size_t i = 0; i < e->nkv; i++)
		page->bytes += e->kv[i].n;
	id_parse(e->id, &page->last);
	return page->fn(page->arg, e);
}

int
scan_entries(
    struct conn *conn, const struct scan *scan, stream_entry_fn *fn, void *arg, struct err *err)
{
	struct pagesize size = pagesize_start(PAGESIZE_FIRST, scan->page);
	uint64_t left = scan->limit > 0 ? scan->limit : UINT64_MAX;
	char from[ID_SIZE + 1] = "(", count[24];
	struct page page;
	int result;

	id_format(scan->from, from + !scan->newest_first);
	do {
		struct reply *r;

		snprintf(count, sizeof(count), "%" PRIu64, left < size.count ? left : size.count);
		conn_putl(conn, scan->newest_first ? "XREVRANGE" : "XRANGE", scan->key, from,
		    scan->newest_first ? "-" : "+", "COUNT", count, NULL);
		conn_limit_reply(conn, CONN_PAYLOADS);
		if ((r = conn_wait(conn, err)) == NULL)
			return -1;
		page = (struct page){.fn = fn, .arg = arg};
		result = stream_take_entries(r, "XRANGE", pass_page_entry, &page, err);
		reply_free(r);
		left -= page.entries < left ? page.entries : left;
		pagesize_learn(&size, page.entries, page.bytes);
		from[0] = '(';
		id_format(page.last, from + 1);
	} while (result == 0 && page.entries > 0 && left > 0);
	return result;
}

/* --- keys --- */

static int
compare_keys(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* SCAN may return a key more than once. */
static void
sort_unique_keys(struct key_list *list)
{
	size_t kept = 0;

	if (list->n > 0)
		qsort(list->p, list->n, sizeof(*list->p), compare_keys);
	for (size_t i = 0; i < list->n; i++) {
		if (kept > 0 && strcmp(list->p[kept - 1], list->p[i]) == 0)
			free(list->p[i]);
		else
			list->p[kept++] = list->p[i];
	}
	list->n = kept;
}

/* SCAN's reply: [cursor, [key, ...]]. The cursor is an unsigned 64-bit number in text, "0" at the
 * end. */
static int
scan_next_keys(
    struct conn *conn, const char *pattern, char cursor[24], struct key_list *list, struct err *err)
{
	struct reply *reply = conn_call(
	    conn, err, "SCAN", cursor, "MATCH", pattern, "TYPE", "stream", "COUNT", "1000", NULL);
	struct slice next = reply_text(reply_at(reply, 0));
	const struct reply *names = reply_at(reply, 1);
	size_t n = reply_count(names);
	int ok = 0;

	if (reply == NULL)
		return -1;
	if (next.n == 0 || next.n >= 24 || !reply_is_array(names))
		ok = reply_unexpected(err, reply, "SCAN");
	else
		snprintf(cursor, 24, "%.*s", (int)next.n, next.p);
	if (ok == 0 && n > 0)
		list->p = mem_realloc(list->p, (list->n + n) * sizeof(*list->p));
	for (size_t i = 0; ok == 0 && i < n; i++) {
		struct slice key = reply_text(reply_at(names, i));

		list->p[list->n++] = mem_strndup(key.p, key.n);
	}
	reply_free(reply);
	return ok;
}

int
scan_keys(struct conn *conn, const char *pattern, int64_t deadline, struct key_list *list,
    struct err *err)
{
	char cursor[24] = "0";

	*list = (struct key_list){0};
	do {
		if (scan_next_keys(conn, pattern, cursor, list, err) == -1) {
			key_list_free(list);
			return -1;
		}
		list->complete = strcmp(cursor, "0") == 0;
	} while (!list->complete && clock_mono() < deadline);
	sort_unique_keys(list);
	return 0;
}

void
key_list_free(struct key_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->p[i]);
	free(list->p);
	*list = (struct key_list){0};
}

/* --- the part of a stream that a user asks for --- */

int
range_set_to(struct range *range, const char *option, const char *arg, struct err *err)
{
	struct id_place p;

	if (id_parse_place(arg, clock_now(), option, &p, err) == -1)
		return -1;
	range->has_to = !p.end;
	range->to = p.high;
	return 0;
}

static int
note_entry_id(void *arg, const struct stream_entry *e)
{
	return id_parse(e->id, arg);
}

int
range_resolve(struct conn *conn, const char *key, const struct range *range,
    struct range_bounds *bounds, struct err *err)
{
	struct stream_id low = range->from.low, oldest = low;
	struct scan newest = {.key = key, .newest_first = true};
	struct stream_info info;

	if (stream_info(conn, key, &info, err) == -1)
		return -1;
	*bounds = (struct range_bounds){.exists = info.exists, .after = info.last_generated};
	bounds->has_to = range->has_to || !range->follow;
	bounds->to = range->has_to && id_cmp(range->to, info.last_generated) < 0
	    ? range->to
	    : info.last_generated;
	if (range->from.end || range->last == 0)
		return 0;
	newest.from = bounds->to;
	newest.limit = (uint64_t)range->last;
	if (range->last > 0 && info.length > 0 &&
	    scan_entries(conn, &newest, note_entry_id, &oldest, err) == -1)
		return -1;
	bounds->after = id_before(id_cmp(oldest, low) > 0 ? oldest : low);
	return 0;
}
