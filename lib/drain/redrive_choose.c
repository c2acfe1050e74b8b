/* The part of redrive.h that chooses from a page of dead letters, and moves what was chosen. */
#include <string.h>
#include <time.h>

#include "event/event.h"
#include "drain/redrive_int.h"
#include "drain/trim.h"
#include "redis/reply.h"
#include "base/status.h"
#include "base/clock.h"

/* --- choosing ----------------------------------------------------------------------- */

static bool
has(const struct slice *kv, size_t nkv, const struct redrive_match *m)
{
	for (size_t i = 0; i + 1 < nkv; i += 2)
		if (kv[i].n == m->name.n && memcmp(kv[i].p, m->name.p, m->name.n) == 0 &&
		    kv[i + 1].n == m->value.n && (m->value.n == 0 || memcmp(kv[i + 1].p, m->value.p, m->value.n) == 0))
			return true;
	return false;
}

static bool
is_wanted(const struct redrive *d, const struct slice *kv, size_t nkv)
{
	for (size_t i = 0; i < d->o->matches; i++)
		if (!has(kv, nkv, &d->o->match[i]))
			return false;
	return true;
}

static size_t
bytes_of(const struct slice *kv, size_t nkv)
{
	size_t bytes = 0;

	for (size_t i = 0; i < nkv; i++)
		bytes += kv[i].n;
	return bytes;
}

static void
show(struct redrive *d, const struct redrive_letter *l, const struct slice *kv, const struct provenance *dead)
{
	struct redrive_line line = {d->type, l->id, {0}, l->bytes, *dead};
	struct event e;

	event_from_fields(&e, kv, l->own);
	line.event_id = e.event_id;
	d->text.len = 0;
	(d->o->json ? redrivefmt_line_json : redrivefmt_line_text)(&d->text, &line);
	d->done++;
	d->over = d->o->dry(d->o->arg, bytes_str(&d->text)) != 0 || redrive_enough(d);
}

static void
choose(struct redrive *d, const struct reply *entry, struct slice id, const struct slice *kv, size_t nkv)
{
	struct provenance dead;
	struct redrive_letter l = {.id = id, .entry = entry, .own = provenance_read(kv, nkv, &dead)};

	if (!is_wanted(d, kv, nkv))
		return;
	l.bytes = bytes_of(kv, l.own);
	if (l.own == 0) {
		d->r->refused++;
		d->r->left = true;
		d->r->status = status_worse(d->r->status, STATUS_SOME);
		redrive_say(d, "'%s' %.*s: a provenance without an entry: left where it is", d->dead, (int)id.n, id.p);
	} else if (d->o->dry != NULL)
		show(d, &l, kv, &dead);
	else
		d->page[d->n++] = l;
}

int
redrive_choose(struct redrive *d, const struct reply *r, struct err *err)
{
	struct bytes kv = {0};
	struct slice id;
	struct stream_id last = d->to;
	size_t bytes = 0, n = reply_count(r);
	bool gone;

	d->n = 0;
	if (!reply_is_array(r) || n > PAGESIZE_MOST)
		return err_set(err, STATUS_UNREACHABLE, "XRANGE: the answer has not the shape that Redis gives it");
	for (size_t i = 0; i < n && !d->over; i++) {
		if (stream_entry(reply_at(r, i), &id, &kv, &gone) == -1 || gone) {
			bytes_free(&kv);
			return err_set(err, STATUS_UNREACHABLE, "XRANGE: the answer has not the shape that Redis gives it");
		}
		id_parse(id, &last);
		bytes += bytes_of((const void *)kv.p, kv.len / sizeof(id));
		choose(d, reply_at(r, i), id, (const void *)kv.p, kv.len / sizeof(id));
	}
	bytes_free(&kv);
	pagesize_learn(&d->pace, n, bytes);
	d->from = id_next(last);
	return 0;
}

/* --- moving ------------------------------------------------------------------------ */

static void
pace_rate(const struct redrive *d)
{
	int64_t due, ms;

	if (d->o->rate == 0)
		return;
	due = d->started + (int64_t)(d->done * 1000 / d->o->rate);
	while (!redrive_stopping(d) && (ms = due - clock_mono()) > 0)
		nanosleep(&(struct timespec){0, (ms > 100 ? 100 : ms) * 1000000}, NULL);
}

static size_t
least(size_t a, uint64_t b)
{
	return a < b ? a : (size_t)b;
}

/* How many of n may go at once. */
static size_t
allowed(const struct redrive *d, size_t n)
{
	if (d->o->limit > 0)
		n = least(n, d->o->limit - d->done);
	if (d->o->rate > 0)
		n = least(n, d->o->rate / 10 + 1);
	return least(n, (uint64_t)d->dest->room);
}

static void
account(struct redrive *d, const struct redrive_moved *done)
{
	d->r->moved += done->moved;
	d->r->gone += done->gone;
	d->done += done->moved;
	d->dest->watch.added += done->moved;
	if (d->dest->room != INT64_MAX)
		d->dest->room -= (int64_t)done->moved;
	if (d->o->tick != NULL)
		d->o->tick(d->o->arg, d->done, d->of);
}

static int
measure_room(struct redrive *d, int64_t maxlen, struct err *err)
{
	struct bytes words = {0};
	int r;

	if (!d->dest->opened && !d->dest->stopped)
		trim_policy(d->dest, d->o->conf);
	r = trim_ready(d->dest, d->conn, maxlen, d->o->force, &words, err);
	if (words.len > 0)
		d->o->say(d->o->arg, bytes_str(&words));
	bytes_free(&words);
	return r;
}

int
redrive_move(struct redrive *d, struct err *err)
{
	int64_t maxlen = d->o->maxlen >= 0 ? d->o->maxlen : conf_maxlen(d->o->conf, d->type);
	struct redrive_moved done;
	enum conn_why why = CONN_FINE;
	size_t at = 0;

	while (at < d->n) {
		if (redrive_enough(d) || redrive_stopping(d)) {
			redrive_leave(d);
			return 0;
		}
		if (measure_room(d, maxlen, err) == -1)
			return -1;
		if (d->dest->stopped) {
			redrive_stop_type(d, d->dest->why == CONN_FINE ? STATUS_AGAIN : conn_status(d->dest->why), d->dest->reason);
			return 0;
		}
		d->way.conn = d->conn;
		d->way.maxlen = d->dest->mode == DEST_PLAIN ? maxlen : 0;
		if (redrive_move_letters(&d->way, d->page + at, allowed(d, d->n - at), &done, &why, err) == -1) {
			account(d, &done);
			return redrive_refused(d, why, err);
		}
		account(d, &done);
		at += done.moved + done.gone;
		pace_rate(d);
	}
	return 0;
}
