#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis/group.h"
#include "redis/reply.h"
#include "base/status.h"
#include "base/mem.h"

static int
is_busygroup(const struct reply *r)
{
	struct slice t = reply_text(r);

	return reply_is_error(r) && t.n >= 10 && memcmp(t.p, "BUSYGROUP ", 10) == 0;
}

static int
take_create(const struct reply *r, const char *name, bool *created, enum conn_why *why, struct err *err)
{
	char what[700];

	*created = !reply_is_error(r);
	*why = CONN_FINE;
	if (*created || is_busygroup(r))
		return 0;
	*why = reply_why(r);
	snprintf(what, sizeof(what), "create group '%s'", name);
	return reply_fail(err, r, what);
}

/* 0 when it is there, or when nobody may know. */
static int
look_for(struct conn *conn, const char *key, const char *name, enum conn_why *why, struct err *err)
{
	struct stream_group *g;
	enum conn_why look;
	struct err no;
	size_t n;
	int ok = -1;

	if (stream_groups(conn, key, &g, &n, &look, &no) == -1) {
		if (conn_why(conn) == CONN_FINE)
			return look == CONN_NOPERM ? 0 : -1;
		*why = conn_why(conn);
		*err = no;
		return -1;
	}
	for (size_t i = 0; i < n; i++)
		if (strcmp(g[i].name, name) == 0)
			ok = 0;
	stream_groups_free(g, n);
	if (ok == 0)
		*why = CONN_FINE;
	return ok;
}

/* EXISTS goes ahead in the same packet; where it is not permitted nobody is told that the stream is new. */
int
group_ensure(struct conn *conn, const char *key, const char *name, const char *start, bool *created, bool *stream_new,
    enum conn_why *why, struct err *err)
{
	struct reply *there, *made;
	int ok = -1;

	conn_putl(conn, "EXISTS", key, NULL);
	conn_putl(conn, "XGROUP", "CREATE", key, name, start, "MKSTREAM", NULL);
	there = conn_wait(conn, 0, err);
	made = there != NULL ? conn_wait(conn, 0, err) : NULL;
	if (made != NULL) {
		ok = take_create(made, name, created, why, err);
		*stream_new = ok == 0 && *created && !reply_is_error(there) && reply_int(there) == 0;
	} else
		*why = conn_why(conn);
	reply_free(there);
	reply_free(made);
	if (ok == -1 && (*why == CONN_LATER || *why == CONN_READONLY || *why == CONN_NOPERM))
		ok = look_for(conn, key, name, why, err);
	return ok;
}

uint64_t
group_put_read(struct conn *conn, const char *name, const char *consumer, size_t count, int64_t block_ms,
    const char *const *keys, const char *const *ids, size_t n)
{
	struct slice *argv = mem_alloc((10 + 2 * n) * sizeof(*argv));
	char most[24], block[24];
	size_t c = 0;
	uint64_t number;

	snprintf(most, sizeof(most), "%zu", count);
	snprintf(block, sizeof(block), "%" PRId64, block_ms);
	argv[c++] = slice_of("XREADGROUP");
	argv[c++] = slice_of("GROUP");
	argv[c++] = slice_of(name);
	argv[c++] = slice_of(consumer);
	argv[c++] = slice_of("COUNT");
	argv[c++] = slice_of(most);
	if (block_ms >= 0) {
		argv[c++] = slice_of("BLOCK");
		argv[c++] = slice_of(block);
	}
	argv[c++] = slice_of("STREAMS");
	for (size_t i = 0; i < n; i++)
		argv[c++] = slice_of(keys[i]);
	for (size_t i = 0; i < n; i++)
		argv[c++] = slice_of(ids[i]);
	number = conn_put(conn, c, argv);
	free(argv);
	conn_allow(conn, block_ms);
	return number;
}

static int
fail_shape(enum conn_why *why, struct err *err)
{
	*why = CONN_GARBAGE;
	return err_set(err, STATUS_UNREACHABLE, "read group: the answer has not the shape that Redis gives it");
}

static size_t
key_index(struct slice key, const char *const *keys, size_t n)
{
	size_t i = 0;

	while (i < n && !slice_eq(key, keys[i]))
		i++;
	return i;
}

/* [entry, ...] */
static int
take_entries(const struct reply *entries, size_t key, group_entry_fn *fn, void *arg, enum conn_why *why, struct err *err)
{
	struct group_entry e;
	struct bytes kv = {0};
	int stop = 0;

	for (size_t i = 0; i < reply_count(entries) && stop == 0; i++) {
		if (stream_entry(reply_at(entries, i), &e.id, &kv, &e.gone) == -1) {
			stop = fail_shape(why, err);
			break;
		}
		e.kv = (const void *)kv.p;
		e.nkv = kv.len / sizeof(*e.kv);
		stop = fn(arg, key, &e);
	}
	bytes_free(&kv);
	return stop;
}

/* [key, [entry, ...]] */
static int
take_stream(const struct reply *r, const char *const *keys, size_t n, group_entry_fn *fn, void *arg, enum conn_why *why,
    struct err *err)
{
	const struct reply *entries = reply_at(r, 1);
	size_t key = key_index(reply_text(reply_at(r, 0)), keys, n);

	if (key == n || !reply_is_array(entries))
		return fail_shape(why, err);
	return take_entries(entries, key, fn, arg, why, err);
}

static int
take_error(const struct reply *r, const char *what, enum conn_why *why, struct err *err)
{
	*why = reply_why(r);
	if (*why != CONN_FINE)
		return reply_fail(err, r, what);
	return reply_is_array(r) ? 0 : fail_shape(why, err);
}

int
group_take_read(const struct reply *r, const char *const *keys, size_t n, group_entry_fn *fn, void *arg,
    enum conn_why *why, struct err *err)
{
	int stop = 0;

	*why = CONN_FINE;
	if (reply_is_null(r))
		return 0;
	if (take_error(r, "XREADGROUP", why, err) == -1)
		return -1;
	for (size_t i = 0; i < reply_count(r) && stop == 0; i++)
		stop = take_stream(reply_at(r, i), keys, n, fn, arg, why, err);
	return stop;
}

int
group_take_claim(const struct reply *r, group_entry_fn *fn, void *arg, enum conn_why *why, struct err *err)
{
	return take_error(r, "XCLAIM", why, err) == -1 ? -1 : take_entries(r, 0, fn, arg, why, err);
}

uint64_t
group_put_ack(struct conn *conn, const char *key, const char *name, const struct slice *ids, size_t n)
{
	struct slice *argv = mem_alloc((3 + n) * sizeof(*argv));
	uint64_t number;

	argv[0] = slice_of("XACK");
	argv[1] = slice_of(key);
	argv[2] = slice_of(name);
	memcpy(argv + 3, ids, n * sizeof(*ids));
	number = conn_put(conn, 3 + n, argv);
	free(argv);
	return number;
}
