#include "redis/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "redis/reply.h"

#define ADD_FRONT 6UL /* arguments of XADD before the fields */

/* --- adding --- */

/* Writes the arguments before the fields to argv, which borrows from limit. Returns their number.
 */
static size_t
put_add_front(struct slice argv[ADD_FRONT], const char *key, int64_t maxlen, char limit[24])
{
	size_t n = 0;

	argv[n++] = slice_of("XADD");
	argv[n++] = slice_of(key);
	if (maxlen > 0) {
		snprintf(limit, 24, "%" PRId64, maxlen);
		argv[n++] = slice_of("MAXLEN");
		argv[n++] = slice_of("~");
		argv[n++] = slice_of(limit);
	}
	argv[n++] = slice_of("*");
	return n;
}

uint64_t
stream_put_add(
    struct conn *conn, const char *key, int64_t maxlen, const struct slice *kv, size_t nkv)
{
	size_t most = nkv + ADD_FRONT, n;
	struct slice few[64], *argv = most <= 64 ? few : mem_alloc(most * sizeof(*argv));
	char limit[24];
	uint64_t number;

	n = put_add_front(argv, key, maxlen, limit);
	memcpy(argv + n, kv, nkv * sizeof(*kv));
	number = conn_put(conn, n + nkv, argv);
	if (argv != few)
		free(argv);
	return number;
}

void
stream_add_template(struct resp_template *template, const char *key, int64_t maxlen,
    const struct slice *names, size_t n)
{
	struct slice argv[ADD_FRONT + 2UL * RESP_GAPS];
	char limit[24];
	size_t at = put_add_front(argv, key, maxlen, limit);

	for (size_t i = 0; i < n && i < RESP_GAPS; i++) {
		argv[at++] = names[i];
		argv[at++] = (struct slice){0};
	}
	resp_template_init(template, at, argv);
}

int
stream_take_add(const struct reply *r, struct stream_id *id, struct err *err)
{
	if (!reply_is_text(r) || id_parse(reply_text(r), id) == -1)
		return reply_unexpected(err, r, "XADD");
	return 0;
}

/* --- information and trimming --- */

static const char no_such_key[] = "ERR no such key";

uint64_t
stream_put_info(struct conn *conn, const char *key)
{
	uint64_t number = conn_putl(conn, "XINFO", "STREAM", key, NULL);

	conn_limit_reply(conn, CONN_PAYLOADS); /* it holds the first and the last entry */
	return number;
}

/* Returns the ID of a member, which may be a whole entry. */
static struct stream_id
info_id(const struct reply *r, const char *name)
{
	const struct reply *member = reply_member(r, name);
	struct stream_id id = {0};

	id_parse(reply_text(reply_is_array(member) ? reply_at(member, 0) : member), &id);
	return id;
}

static uint64_t
info_u64(const struct reply *r, const char *name)
{
	int64_t n = reply_int(reply_member(r, name));

	return n > 0 ? (uint64_t)n : 0;
}

int
stream_take_info(const struct reply *r, struct stream_info *out, struct err *err)
{
	memset(out, 0, sizeof(*out));
	if (reply_starts(r, no_such_key))
		return 0;
	if (!reply_is_array(r) || reply_member(r, "last-generated-id") == NULL)
		return reply_unexpected(err, r, "XINFO STREAM");
	out->exists = true;
	out->length = info_u64(r, "length");
	out->added = info_u64(r, "entries-added");
	out->groups = info_u64(r, "groups");
	out->last_generated = info_id(r, "last-generated-id");
	out->max_deleted = info_id(r, "max-deleted-entry-id");
	out->first = info_id(r, "first-entry");
	out->last = info_id(r, "last-entry");
	return 0;
}

int
stream_info(struct conn *conn, const char *key, struct stream_info *out, struct err *err)
{
	struct reply *r;
	int ok;

	stream_put_info(conn, key);
	if ((r = conn_wait(conn, err)) == NULL)
		return -1;
	ok = stream_take_info(r, out, err);
	reply_free(r);
	return ok;
}

/* TIME's reply: [seconds, microseconds] */
int64_t
stream_take_server_time(const struct reply *r)
{
	if (reply_count(r) != 2)
		return clock_now() / 1000;
	return reply_int(reply_at(r, 0)) * 1000 + reply_int(reply_at(r, 1)) / 1000;
}

int
stream_server_time(struct conn *conn, int64_t *now, struct err *err)
{
	struct reply *r = conn_call(conn, err, "TIME", NULL);

	if (r == NULL)
		return -1;
	*now = stream_take_server_time(r);
	reply_free(r);
	return 0;
}

int
stream_length(struct conn *conn, const char *key, uint64_t *n, struct err *err)
{
	conn_putl(conn, "XLEN", key, NULL);
	return reply_await_int(conn, "XLEN", n, err);
}

int
stream_trim_minid(struct conn *conn, const char *key, struct stream_id min, uint64_t limit,
    uint64_t *removed, struct err *err)
{
	char id[ID_SIZE], most[24];

	id_format(min, id);
	snprintf(most, sizeof(most), "%" PRIu64, limit);
	conn_putl(conn, "XTRIM", key, "MINID", "~", id, "LIMIT", most, NULL);
	return reply_await_int(conn, "XTRIM", removed, err);
}

int
stream_trim_maxlen(struct conn *conn, const char *key, uint64_t maxlen, uint64_t limit,
    uint64_t *removed, struct err *err)
{
	char length[24], most[24];

	snprintf(length, sizeof(length), "%" PRIu64, maxlen);
	snprintf(most, sizeof(most), "%" PRIu64, limit);
	conn_putl(conn, "XTRIM", key, "MAXLEN", "~", length, "LIMIT", most, NULL);
	return reply_await_int(conn, "XTRIM", removed, err);
}

/* --- the groups of a stream --- */

static int64_t
int_or_unknown(const struct reply *r)
{
	return r == NULL || reply_is_null(r) ? -1 : reply_int(r);
}

void
stream_put_lowest_pending(
    struct conn *conn, const char *key, const struct stream_group *g, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (g[i].pending > 0)
			conn_putl(conn, "XPENDING", key, g[i].name, NULL);
}

int
stream_take_lowest_pending(struct conn *conn, struct stream_group *g, size_t n, struct err *err)
{
	for (; n > 0; g++, n--) {
		struct reply *r;

		if (g->pending == 0)
			continue;
		if ((r = conn_wait(conn, err)) == NULL)
			return -1;
		/* XPENDING's summary: [count, lowest, highest, consumers]. A group that was
		 * destroyed meanwhile has nothing pending. Without permission lowest_pending stays
		 * 0-0: every entry counts as needed. */
		if (id_parse(reply_text(reply_at(r, 1)), &g->lowest_pending) == -1 &&
		    (!reply_is_error(r) || reply_why(r) == CONN_NOGROUP))
			g->pending = 0;
		reply_free(r);
	}
	return 0;
}

uint64_t
stream_put_groups(struct conn *conn, const char *key)
{
	return conn_putl(conn, "XINFO", "GROUPS", key, NULL);
}

int
stream_take_groups(const struct reply *r, struct stream_group **out, size_t *n, struct err *err)
{
	*out = NULL;
	*n = 0;
	if (!reply_is_array(r) && !reply_starts(r, no_such_key))
		return reply_unexpected(err, r, "XINFO GROUPS");
	if ((*n = reply_count(r)) > 0)
		*out = mem_alloc(*n * sizeof(**out));
	for (size_t i = 0; i < *n; i++) {
		const struct reply *g = reply_at(r, i);
		struct slice name = reply_text(reply_member(g, "name"));

		(*out)[i] = (struct stream_group){
		    .name = mem_strndup(name.n > 0 ? name.p : "", name.n),
		    .consumers = info_u64(g, "consumers"),
		    .pending = info_u64(g, "pending"),
		    .last_delivered = info_id(g, "last-delivered-id"),
		    .entries_read = int_or_unknown(reply_member(g, "entries-read")),
		    .lag = int_or_unknown(reply_member(g, "lag")),
		};
	}
	return 0;
}

int
stream_groups(
    struct conn *conn, const char *key, struct stream_group **out, size_t *n, struct err *err)
{
	struct reply *reply;
	int ok = -1;

	*out = NULL;
	*n = 0;
	stream_put_groups(conn, key);
	if ((reply = conn_wait(conn, err)) != NULL)
		ok = stream_take_groups(reply, out, n, err);
	reply_free(reply);
	stream_put_lowest_pending(conn, key, *out, *n);
	if (ok == 0 && (ok = stream_take_lowest_pending(conn, *out, *n, err)) == -1) {
		stream_groups_free(*out, *n);
		*out = NULL;
		*n = 0;
	}
	return ok;
}

void
stream_groups_free(struct stream_group *g, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(g[i].name);
	free(g);
}

/*
 * entries-read counts the entries that were added up to last_delivered, removed ones included; the
 * server does not know it for a group created at an arbitrary ID until that group reads. When all
 * remaining entries lie ahead of the group, added - read - length of those ahead were removed.
 */
uint64_t
stream_lost(const struct stream_info *s, const struct stream_group *g, bool *known)
{
	uint64_t gone = s->added > s->length ? s->added - s->length : 0, read;
	bool start = id_cmp(g->last_delivered, (struct stream_id){0}) == 0;

	*known = true;
	if (gone == 0 || id_cmp(g->last_delivered, s->last_generated) >= 0)
		return 0;
	if (s->length > 0 && id_cmp(id_next(g->last_delivered), s->first) >= 0) {
		*known = id_cmp(s->max_deleted, g->last_delivered) <= 0;
		return 0;
	}
	if (!start && (g->entries_read < 0 || (uint64_t)g->entries_read > s->added)) {
		*known = false;
		return 0;
	}
	read = start || g->entries_read < 0 ? 0 : (uint64_t)g->entries_read;
	return gone > read ? gone - read : 0;
}

struct stream_id
stream_lowest_needed(const struct stream_group *g, size_t n)
{
	struct stream_id low = {UINT64_MAX, UINT64_MAX}, id;

	for (size_t i = 0; i < n; i++) {
		id = g[i].pending > 0 ? g[i].lowest_pending : id_next(g[i].last_delivered);
		if (id_cmp(id, low) < 0)
			low = id;
	}
	return low;
}

int
stream_parse_entry(const struct reply *r, struct slice *id, struct bytes *kv, bool *gone)
{
	const struct reply *fields = reply_at(r, 1);
	size_t n = reply_count(fields);
	struct stream_id parsed;

	kv->len = 0;
	*id = reply_text(reply_at(r, 0));
	*gone = reply_is_null(fields);
	if (id_parse(*id, &parsed) == -1 || (!*gone && !reply_is_array(fields)) || n % 2 != 0)
		return -1;
	reply_add_texts(fields, kv);
	return 0;
}

int
stream_take_entries(
    const struct reply *r, const char *what, stream_entry_fn *fn, void *arg, struct err *err)
{
	struct stream_entry e;
	struct bytes kv = {0};
	int stop = 0;

	if (!reply_is_array(r))
		return reply_unexpected(err, r, what);
	for (size_t i = 0; i < reply_count(r) && stop == 0; i++) {
		if (stream_parse_entry(reply_at(r, i), &e.id, &kv, &e.gone) == -1) {
			stop = reply_unexpected(err, r, what);
			break;
		}
		e.kv = (const void *)kv.p;
		e.nkv = kv.len / sizeof(*e.kv);
		stop = fn(arg, &e);
	}
	bytes_free(&kv);
	return stop;
}

uint64_t
stream_put_read(struct conn *conn, const struct stream_read *read)
{
	bool group = read->group != NULL, block = read->block_ms >= 0;
	char most[24], ms[24];
	uint64_t number;

	snprintf(most, sizeof(most), "%zu", read->count);
	snprintf(ms, sizeof(ms), "%" PRId64, read->block_ms);
	number = conn_putl(conn, group ? "XREADGROUP" : "XREAD", group ? "GROUP" : CONN_SKIP,
	    group ? read->group : CONN_SKIP, group ? read->consumer : CONN_SKIP, "COUNT", most,
	    block ? "BLOCK" : CONN_SKIP, block ? ms : CONN_SKIP, "STREAMS", read->key, read->from,
	    NULL);
	conn_extend_deadline(conn, read->block_ms);
	conn_limit_reply(conn, CONN_PAYLOADS);
	return number;
}

/* The reply: [[key, [entry, ...]]] */
int
stream_take_read(
    const struct reply *r, const char *key, stream_entry_fn *fn, void *arg, struct err *err)
{
	const struct reply *one = reply_at(r, 0);

	if (reply_is_null(r))
		return 0;
	if (reply_count(r) != 1 || !slice_is(reply_text(reply_at(one, 0)), key))
		return reply_unexpected(err, r, "read stream");
	return stream_take_entries(reply_at(one, 1), "read stream", fn, arg, err);
}

uint64_t
stream_put_range(struct conn *conn, const char *key, const char *from, const char *to, size_t count)
{
	uint64_t number;
	char n[24];

	snprintf(n, sizeof(n), "%zu", count);
	number = conn_putl(conn, "XRANGE", key, from, to, "COUNT", n, NULL);
	conn_limit_reply(conn, CONN_PAYLOADS);
	return number;
}
