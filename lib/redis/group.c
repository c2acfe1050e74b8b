#include "redis/group.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "event/names.h"
#include "redis/reply.h"

/* --- reading --- */

/* Returns 0 when the group exists, and when that may not be asked. */
static int
find_existing(struct conn *conn, const char *key, const char *name, struct err *err)
{
	struct stream_group *groups;
	struct err find_err;
	size_t n;
	int ok = -1;

	if (stream_groups(conn, key, &groups, &n, &find_err) == -1) {
		if (conn_why(conn) == CONN_OK)
			return find_err.why == CONN_NOPERM ? 0 : -1;
		*err = find_err;
		return -1;
	}
	for (size_t i = 0; i < n; i++)
		if (strcmp(groups[i].name, name) == 0)
			ok = 0;
	stream_groups_free(groups, n);
	if (ok == 0)
		err->why = CONN_OK;
	return ok;
}

/* EXISTS travels in the same packet. Where it is not permitted, stream_new stays false. */
int
group_ensure(struct conn *conn, const char *key, const char *name, const char *start,
    struct group_made *made, struct err *err)
{
	struct reply *there, *r;
	char what[700];
	int ok = -1;

	*made = (struct group_made){0};
	conn_putl(conn, "EXISTS", key, NULL);
	conn_putl(conn, "XGROUP", "CREATE", key, name, start, "MKSTREAM", NULL);
	there = conn_wait(conn, err);
	r = there != NULL ? conn_wait(conn, err) : NULL;
	if (r != NULL && (!reply_is_error(r) || reply_starts(r, "BUSYGROUP "))) {
		made->created = !reply_is_error(r);
		made->stream_new = made->created && !reply_is_error(there) && reply_int(there) == 0;
		err->why = CONN_OK;
		ok = 0;
	} else if (r != NULL) {
		snprintf(what, sizeof(what), "create group '%s'", name);
		reply_fail(err, r, what);
	}
	reply_free(there);
	reply_free(r);
	if (ok == -1 &&
	    (err->why == CONN_LATER || err->why == CONN_READONLY || err->why == CONN_NOPERM))
		ok = find_existing(conn, key, name, err);
	return ok;
}

uint64_t
group_put_ack(
    struct conn *conn, const char *key, const char *name, const struct slice *ids, size_t n)
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

/* --- pending entries --- */

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
	if (claim->bodies)
		conn_limit_reply(conn, CONN_PAYLOADS);
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

/* --- consumers --- */

int
group_list_consumers(struct conn *conn, const char *key, const char *group,
    struct group_consumers *out, struct err *err)
{
	struct reply *r;

	*out = (struct group_consumers){0};
	conn_putl(conn, "XINFO", "CONSUMERS", key, group, NULL);
	if ((r = reply_await(conn, reply_is_array, "XINFO CONSUMERS", err)) == NULL)
		return -1;
	*out = (struct group_consumers){.reply = r, .n = reply_count(r)};
	out->consumer = mem_alloc((out->n + 1) * sizeof(*out->consumer));
	for (size_t i = 0; i < out->n; i++) {
		const struct reply *one = reply_at(r, i), *inactive = reply_member(one, "inactive");

		out->consumer[i] = (struct group_consumer){
		    .name = reply_text(reply_member(one, "name")),
		    .pending = (uint64_t)reply_int(reply_member(one, "pending")),
		    .idle = reply_int(reply_member(one, "idle")),
		    .inactive = inactive != NULL ? reply_int(inactive) : -1,
		};
	}
	return 0;
}

void
group_consumers_free(struct group_consumers *c)
{
	free(c->consumer);
	reply_free(c->reply);
	*c = (struct group_consumers){0};
}

/* --- one group, as an operator names it --- */

void
group_ref_init(struct group_ref *g, const char *prefix, const char *service, const char *name,
    const char *type)
{
	*g = (struct group_ref){.type = type, .key = names_stream(prefix, type)};
	g->name = name != NULL ? mem_strdup(name) : names_group(prefix, service, type);
}

void
group_ref_free(struct group_ref *g)
{
	free(g->info.name);
	free(g->name);
	free(g->key);
}

int
group_find(struct group_ref *g, struct conn *conn, struct err *err)
{
	struct stream_group *groups;
	struct reply *r;
	size_t n;
	int ok;

	stream_put_groups(conn, g->key);
	if ((r = conn_wait(conn, err)) == NULL)
		return -1;
	ok = stream_take_groups(r, &groups, &n, err);
	reply_free(r);
	if (ok == -1)
		return err->why == CONN_NOPERM || err->why == CONN_OTHER ? 0 : -1;
	for (size_t i = 0; i < n && !g->has_info; i++)
		if (strcmp(groups[i].name, g->name) == 0) {
			g->has_info = true;
			g->info = groups[i];
			groups[i].name = NULL;
		}
	stream_groups_free(groups, n);
	if (g->has_info)
		return 0;
	if (n == 0)
		return err_set(err, STATUS_SOME,
		    "no stream '%s', or no group on it; 'ebgroup list' shows the groups", g->key);
	return err_set(err, STATUS_SOME,
	    "no group '%s'; 'ebgroup list %s' shows the groups, -s or -g selects one", g->name,
	    g->type);
}
