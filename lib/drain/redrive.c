#include "drain/redrive.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/status.h"
#include "drain/dest.h"
#include "drain/pace.h"
#include "drain/redrive_move.h"
#include "drain/trim.h"
#include "event/id.h"
#include "event/names.h"
#include "redis/pool.h"
#include "redis/reply.h"
#include "redis/scan.h"
#include "redis/stream.h"

#define FOLLOW_MS 500 /* between two looks for new dead letters */

/* The state of a run; the members after the empty line belong to the current type. */
struct redrive {
	const struct redrive_options *o;
	struct redrive_result *r;
	struct pool pool;
	struct conn *conn; /* of the pool */
	struct dests dests;
	struct pace pace;    /* of dead letters that were moved, deleted or shown */
	uint64_t total;      /* how many there are */
	bool ended;          /* without an error: limit, signal, or o->show */
	struct range *range; /* of each type, what is left to read */

	const char *type;
	char *dead_key;
	struct dest *dest;
	struct redrive_route route;
	struct stream_id from, to; /* of the dead letters that are left to read */
	struct pagesize page_size;
	bool stopped; /* the type cannot go on */
	struct redrive_entry page[PAGESIZE_MOST];
	size_t n;
};

static void __attribute__((format(printf, 2, 3)))
redrive_say(const struct redrive *d, const char *fmt, ...)
{
	struct err message;
	va_list ap;

	va_start(ap, fmt);
	err_setv(&message, 0, fmt, ap);
	va_end(ap);
	d->o->say(d->o->arg, message.text);
}

static void
stop_redrive_type(struct redrive *d, int status, const char *reason)
{
	d->stopped = d->r->left = true;
	d->r->stopped++;
	d->r->status = status_worse(d->r->status, status);
	redrive_say(d, "dead letters of '%s' %s: %s", d->type,
	    d->o->show == NULL ? "stay" : "are not shown", reason);
}

/* Stops the type after a refusal for one key, and returns 0. Returns -1 when the run has to end:
 * the server refuses all commands, or the connection is dead. */
static int
stop_type_or_fail(struct redrive *d, const struct err *err)
{
	if (d->conn == NULL || conn_why(d->conn) != CONN_OK || conn_is_server_wide(err->why) ||
	    err->why == CONN_GARBAGE)
		return -1;
	stop_redrive_type(d, err->status, err->text);
	return 0;
}

/* Ends the run although a matching dead letter is left. */
static void
end_unfinished(struct redrive *d)
{
	d->ended = d->r->left = true;
	d->r->status = status_worse(d->r->status, STATUS_AGAIN);
}

/* --- choosing entries --- */

static bool
has_match(const struct slice *kv, size_t nkv, const struct redrive_match *m)
{
	for (size_t i = 0; i + 1 < nkv; i += 2)
		if (kv[i].n == m->name.n && memcmp(kv[i].p, m->name.p, m->name.n) == 0 &&
		    kv[i + 1].n == m->value.n &&
		    (m->value.n == 0 || memcmp(kv[i + 1].p, m->value.p, m->value.n) == 0))
			return true;
	return false;
}

static bool
is_wanted(const struct redrive *d, const struct slice *kv, size_t nkv)
{
	for (size_t i = 0; i < d->o->matches; i++)
		if (!has_match(kv, nkv, &d->o->match[i]))
			return false;
	return true;
}

static size_t
sum_field_bytes(const struct slice *kv, size_t nkv)
{
	size_t bytes = 0;

	for (size_t i = 0; i < nkv; i++)
		bytes += kv[i].n;
	return bytes;
}

static void
refuse_entry(struct redrive *d, struct slice id)
{
	d->r->refused++;
	d->r->left = true;
	d->r->status = status_worse(d->r->status, STATUS_SOME);
	redrive_say(
	    d, "'%s' %.*s: nothing but a provenance: not moved", d->dead_key, (int)id.n, id.p);
}

static void
choose_entry(struct redrive *d, const struct reply *entry, struct slice id, const struct slice *kv,
    size_t nkv)
{
	struct redrive_letter l = {.entry = {.id = id,
	                               .stream = slice_of(d->dead_key),
	                               .type = slice_of(d->type),
	                               .kv = kv,
	                               .nkv = nkv,
	                               .deliveries = -1}};

	if (!is_wanted(d, kv, nkv))
		return;
	l.own_fields = provenance_from_fields(kv, nkv, &l.dead);
	if (d->o->show != NULL) {
		d->pace.done++;
		d->ended = d->o->show(d->o->arg, &l) != 0 || pace_is_used_up(&d->pace);
	} else if (l.own_fields == 0 && !d->o->drop)
		refuse_entry(d, id);
	else
		d->page[d->n++] = (struct redrive_entry){
		    id, entry, l.own_fields, sum_field_bytes(kv, l.own_fields)};
}

/* Chooses entries from a page, the reply to XRANGE, which must live until they are moved; or shows
 * them. Returns 0, or -1 with err. */
static int
choose_from_page(struct redrive *d, const struct reply *reply, struct err *err)
{
	struct bytes kv = {0};
	struct slice id;
	struct stream_id last = d->to;
	size_t bytes = 0, n = reply_count(reply);
	bool gone;

	d->n = 0;
	if (!reply_is_array(reply) || n > PAGESIZE_MOST)
		return reply_unexpected(err, NULL, "XRANGE");
	for (size_t i = 0; i < n && !d->ended; i++) {
		if (stream_parse_entry(reply_at(reply, i), &id, &kv, &gone) == -1 || gone) {
			bytes_free(&kv);
			return reply_unexpected(err, NULL, "XRANGE");
		}
		id_parse(id, &last);
		bytes += sum_field_bytes((const void *)kv.p, kv.len / sizeof(id));
		choose_entry(d, reply_at(reply, i), id, (const void *)kv.p, kv.len / sizeof(id));
	}
	bytes_free(&kv);
	pagesize_learn(&d->page_size, n, bytes);
	d->from = id_next(last);
	return 0;
}

/* --- moving entries --- */

/* Returns how many of n entries may be moved now. */
static size_t
max_entries_now(const struct redrive *d, size_t n)
{
	n = pace_most(&d->pace, n);
	return (uint64_t)d->dest->room < n ? (size_t)d->dest->room : n;
}

static void
add_moved(struct redrive *d, const struct redrive_moved *done)
{
	d->r->moved += done->moved;
	d->r->gone += done->gone;
	d->pace.done += done->moved;
	d->dest->watch.added += done->moved;
	if (d->dest->room != INT64_MAX)
		d->dest->room -= (int64_t)done->moved;
	if (d->o->progress != NULL)
		d->o->progress(d->o->arg, d->pace.done, d->total);
}

/* Moves the chosen entries. Returns -1 with err when the run has to end. */
static int
move_chosen(struct redrive *d, struct err *err)
{
	int64_t maxlen = d->o->maxlen >= 0 ? d->o->maxlen : conf_maxlen(d->o->conf, d->type);
	struct redrive_moved done;
	size_t at = 0;

	while (at < d->n) {
		if (pace_is_used_up(&d->pace) || pace_is_stopped(&d->pace)) {
			end_unfinished(d);
			return 0;
		}
		if (trim_ensure_room(&d->dests, d->dest, d->conn, maxlen, err) == -1)
			return -1;
		if (d->dest->stopped) {
			stop_redrive_type(d,
			    d->dest->why == CONN_OK ? STATUS_AGAIN : conn_exit_status(d->dest->why),
			    d->dest->reason);
			return 0;
		}
		d->route.conn = d->conn;
		d->route.maxlen = d->dest->mode == DEST_PLAIN ? maxlen : 0;
		if (redrive_move_entries(
		        &d->route, d->page + at, max_entries_now(d, d->n - at), &done, err) == -1) {
			add_moved(d, &done);
			return stop_type_or_fail(d, err);
		}
		add_moved(d, &done);
		at += done.moved + done.gone;
		pace_keep_rate(&d->pace);
	}
	return 0;
}

/* --- deleting entries --- */

/* Returns how many of n entries the server deleted, or -1 with err. */
static int64_t
delete_entries(struct redrive *d, size_t n, struct err *err)
{
	struct slice argv[2 + PAGESIZE_MOST] = {slice_of("XDEL"), slice_of(d->dead_key)};
	struct reply *r;
	uint64_t command;
	int64_t deleted = -1;

	for (size_t i = 0; i < n; i++)
		argv[2 + i] = d->page[i].id;
	command = conn_put(d->conn, 2 + n, argv);
	if ((r = conn_wait(d->conn, err)) == NULL) {
		if (conn_sent(d->conn) >= command)
			redrive_say(d,
			    "'%s': no reply to XDEL: up to %zu dead letters more may be deleted",
			    d->dead_key, n);
		return -1;
	}
	if (reply_is_error(r))
		reply_fail(err, r, "XDEL");
	else if (reply_int(r) < 0 || (uint64_t)reply_int(r) > n)
		reply_unexpected(err, r, "XDEL");
	else
		deleted = reply_int(r);
	reply_free(r);
	return deleted;
}

/* Deletes the chosen entries. Returns -1 with err when the run has to end. */
static int
drop_chosen(struct redrive *d, struct err *err)
{
	uint64_t left = d->o->limit > 0 ? d->o->limit - d->pace.done : d->n;
	size_t n = left < d->n ? (size_t)left : d->n;
	int64_t deleted = n > 0 ? delete_entries(d, n, err) : 0;

	if (deleted == -1)
		return stop_type_or_fail(d, err);
	d->pace.done += (uint64_t)deleted;
	d->r->dropped += (uint64_t)deleted;
	d->r->gone += n - (uint64_t)deleted;
	if (d->o->progress != NULL)
		d->o->progress(d->o->arg, d->pace.done, d->total);
	if (n < d->n)
		end_unfinished(d);
	return 0;
}

/* --- one type --- */

static int
open_redrive_conn(struct redrive *d, struct err *err)
{
	pool_close(&d->pool);
	d->conn = pool_get(&d->pool, NULL, err);
	return d->conn != NULL ? 0 : -1;
}

/* Reads entries one by one on a new connection, if a reply that was too large for its limit cut the
 * old one. Returns 0, or -1 with err. */
static int
retry_one_by_one(struct redrive *d, struct err *err)
{
	if (d->page_size.count == 1 || conn_why(d->conn) != CONN_CUT)
		return -1;
	d->page_size = pagesize_start(1, 0);
	return open_redrive_conn(d, err);
}

static int
redrive_page(struct redrive *d, struct err *err)
{
	char from[ID_SIZE], to[ID_SIZE];
	struct reply *reply;
	int ok;

	id_format(d->from, from);
	id_format(d->to, to);
	stream_put_range(d->conn, d->dead_key, from, to, d->page_size.count);
	if (d->page_size.count > 1)
		conn_limit_reply(d->conn, PAGESIZE_REPLY_MAX);
	if ((reply = conn_wait(d->conn, err)) == NULL)
		return retry_one_by_one(d, err);
	if (reply_is_error(reply)) {
		reply_fail(err, reply, "XRANGE of the dead letters");
		ok = stop_type_or_fail(d, err);
	} else if ((ok = choose_from_page(d, reply, err)) == 0)
		ok = (d->o->drop ? drop_chosen : move_chosen)(d, err);
	reply_free(reply);
	return ok;
}

/* Returns 1 when there are dead letters, 0 when not, -1 with err when the run has to end. */
static int
open_redrive_type(struct redrive *d, size_t i, struct err *err)
{
	struct range_bounds bounds;
	struct err cause;

	d->type = d->o->types[i];
	d->stopped = false;
	free(d->dead_key);
	d->dead_key = names_dlq(d->o->conf->prefix, d->type);
	if (range_resolve(d->conn, d->dead_key, &d->range[i], &bounds, err) == -1) {
		cause = *err;
		err_set(err, cause.status, "'%s': %s", d->dead_key, cause.text);
		err->why = cause.why;
		return stop_type_or_fail(d, err);
	}
	d->dest = dests_get(&d->dests, slice_of(d->type));
	d->route = (struct redrive_route){.dead = d->dead_key, .key = d->dest->key};
	d->page_size = pagesize_start(PAGESIZE_FIRST, 0);
	d->from = id_next(bounds.after);
	d->to = bounds.to;
	return bounds.exists;
}

static int
redrive_type(struct redrive *d, size_t i, struct err *err)
{
	int r = open_redrive_type(d, i, err);

	while (r > 0 && !d->stopped && !d->ended && id_cmp(d->from, d->to) <= 0) {
		if (redrive_page(d, err) == -1)
			return -1;
		if (pace_is_stopped(&d->pace) && !d->ended && id_cmp(d->from, d->to) <= 0)
			end_unfinished(d);
	}
	if (r >= 0 && !d->stopped)
		d->range[i] = (struct range){.from = {.low = d->from}, .last = -1};
	return r < 0 ? -1 : 0;
}

/* --- the run --- */

static void
count_dead_letters(struct redrive *d)
{
	struct err err;

	for (size_t i = 0; i < d->o->ntypes && conn_why(d->conn) == CONN_OK; i++) {
		char *dead = names_dlq(d->o->conf->prefix, d->o->types[i]);
		uint64_t n;

		if (stream_length(d->conn, dead, &n, &err) == 0)
			d->total += n;
		free(dead);
	}
	if (d->o->limit > 0 && d->total > d->o->limit)
		d->total = d->o->limit;
}

/* Returns 0, or -1 with err. */
static int
redrive_types(struct redrive *d, struct err *err)
{
	const struct timespec pause = {0, FOLLOW_MS * 1000000L};

	do {
		for (size_t i = 0; i < d->o->ntypes && !d->ended; i++)
			if (redrive_type(d, i, err) == -1)
				return -1;
	} while (d->o->range.follow && !d->ended && d->r->stopped == 0 &&
	    !pace_is_stopped(&d->pace) && nanosleep(&pause, NULL) == 0);
	return 0;
}

void
redrive_run(const struct redrive_options *o, struct redrive_result *r)
{
	struct redrive *d = mem_alloc(sizeof(*d));
	struct err err;
	int ok;

	*r = (struct redrive_result){0};
	*d = (struct redrive){.o = o,
	    .r = r,
	    .pace = {.stop = o->stop, .limit = o->limit, .rate = o->rate, .started = clock_mono()}};
	d->dests = (struct dests){.conf = o->conf,
	    .force = o->force,
	    .forcible = "ebdead redrive",
	    .say = o->say,
	    .arg = o->arg};
	d->pool = (struct pool){.url = &o->conf->url, .timeout_ms = o->conf->timeout_ms};
	d->range = mem_alloc(o->ntypes * sizeof(*d->range));
	for (size_t i = 0; i < o->ntypes; i++)
		d->range[i] = o->range;
	ok = open_redrive_conn(d, &err);
	if (ok == 0 && o->progress != NULL)
		count_dead_letters(d);
	if (ok == 0)
		ok = redrive_types(d, &err);
	if (ok == -1) {
		r->left = true;
		r->status = status_worse(r->status, err.status);
		redrive_say(d, "%s", err.text);
	}
	if (d->conn != NULL)
		r->trimmed = dests_count_trimmed(&d->dests, d->conn);
	pool_close(&d->pool);
	dests_free(&d->dests);
	free(d->dead_key);
	free(d->range);
	free(d);
}

int
redrive_add_match(struct redrive_options *o, const char *s, struct err *err)
{
	const char *eq = strchr(s, '=');

	if (eq == NULL || eq == s)
		return err_set(err, STATUS_USAGE, "--match '%s': expected field=value", s);
	o->match = mem_realloc(o->match, (o->matches + 1) * sizeof(*o->match));
	o->match[o->matches++] = (struct redrive_match){{s, (size_t)(eq - s)}, slice_of(eq + 1)};
	return 0;
}

void
redrive_free(struct redrive_options *o)
{
	free(o->match);
	o->match = NULL;
	o->matches = 0;
}
