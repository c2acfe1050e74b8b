#include "redis/scan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "event/id.h"
#include "redis/pagesize.h"
#include "redis/reply.h"
#include "redis/stream.h"

/* The entries of one page. */
struct page {
	size_t entries, bytes;
	struct stream_id last;
};

static size_t
kv_bytes(const struct slice *kv, size_t n)
{
	size_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		bytes += kv[i].n;
	return bytes;
}

static int
take_page_entries(
    const struct reply *reply, stream_entry_fn *fn, void *arg, struct page *page, struct err *err)
{
	struct bytes kv = {0};
	struct slice id;
	bool gone;
	int result = 0;

	*page = (struct page){0};
	if (!reply_is_array(reply))
		return reply_unexpected(err, reply, "XRANGE");
	for (size_t i = 0; i < reply_count(reply) && result == 0; i++) {
		if (stream_parse_entry(reply_at(reply, i), &id, &kv, &gone) == -1) {
			result = reply_unexpected(err, reply, "XRANGE");
			break;
		}
		page->entries++;
		page->bytes += kv_bytes((const void *)kv.p, kv.len / sizeof(id));
		id_parse(id, &page->last);
		result = fn(arg, id, (const void *)kv.p, kv.len / sizeof(id));
	}
	bytes_free(&kv);
	return result;
}

static int
await_entry_page(
    struct conn *conn, stream_entry_fn *fn, void *arg, struct page *page, struct err *err)
{
	struct reply *r = conn_wait(conn, 0, err);
	int result;

	if (r == NULL)
		return -1;
	result = take_page_entries(r, fn, arg, page, err);
	reply_free(r);
	return result;
}

int
scan_entries(struct conn *conn, const char *key, struct stream_id after, size_t page,
    stream_entry_fn *fn, void *arg, struct err *err)
{
	struct pagesize size = pagesize_start(PAGESIZE_FIRST, page);
	struct page got = {.last = after};
	char from[ID_SIZE + 1] = "(";
	int result;

	do {
		id_format(after, from + 1);
		stream_put_range(conn, key, from, "+", size.count);
		if ((result = await_entry_page(conn, fn, arg, &got, err)) != 0)
			return result;
		after = got.last;
		pagesize_learn(&size, got.entries, got.bytes);
	} while (got.entries > 0);
	return 0;
}

int
scan_newest(struct conn *conn, const char *key, const char *end, size_t count, stream_entry_fn *fn,
    void *arg, struct err *err)
{
	struct page got;
	char n[24];

	snprintf(n, sizeof(n), "%zu", count);
	conn_putl(conn, "XREVRANGE", key, end, "-", "COUNT", n, NULL);
	return await_entry_page(conn, fn, arg, &got, err);
}

/* --- keys --- */

struct key_list {
	char **p;
	size_t n, cap;
};

static void
add_key(struct key_list *list, struct slice s)
{
	if (list->n == list->cap) {
		list->cap = list->cap == 0 ? 64 : list->cap * 2;
		list->p = mem_realloc(list->p, list->cap * sizeof(*list->p));
	}
	list->p[list->n++] = mem_strndup(s.p, s.n);
}

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
	int ok = -1;

	if (reply == NULL)
		return -1;
	if (next.n == 0 || next.n >= 24 || !reply_is_array(names))
		reply_unexpected(err, reply, "SCAN");
	else
		ok = 0;
	for (size_t i = 0; ok == 0 && i < reply_count(names); i++)
		add_key(list, reply_text(reply_at(names, i)));
	if (ok == 0)
		snprintf(cursor, 24, "%.*s", (int)next.n, next.p);
	reply_free(reply);
	return ok;
}

int
scan_keys(struct conn *conn, const char *pattern, int64_t deadline, char ***keys, size_t *n,
    bool *complete, struct err *err)
{
	struct key_list list = {0};
	char cursor[24] = "0";
	int ok;

	*complete = false;
	while ((ok = scan_next_keys(conn, pattern, cursor, &list, err)) == 0) {
		*complete = strcmp(cursor, "0") == 0;
		if (*complete || clock_mono() >= deadline)
			break;
	}
	sort_unique_keys(&list);
	*keys = list.p;
	*n = list.n;
	for (size_t i = 0; ok == -1 && i < list.n; i++)
		free(list.p[i]);
	if (ok == -1) {
		free(list.p);
		*keys = NULL;
		*n = 0;
	}
	return ok;
}
