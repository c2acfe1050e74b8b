#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "event.h"
#include "lane.h"
#include "letter.h"
#include "names.h"
#include "pace.h"
#include "redrive.h"
#include "reply.h"
#include "status.h"
#include "util.h"
#include "when.h"

/* Of one run; the second half of one type. */
struct redriving {
	const struct redrive_options *o;
	struct redrive_result *r;
	struct bus *b;
	struct lanes lanes;
	uint64_t done, of;		/* moved or, of a dry run, shown; of how many there are */
	int64_t started;
	bool over;			/* for a reason that is no failure */
	struct buf text;		/* of a dry run */

	const char *type;
	char *dead;
	struct lane *lane;
	struct letter_way way;
	struct stream_id from, to;
	struct pace pace;
	bool stopped;			/* the type */
	struct letter page[PACE_MOST];
	size_t n;
};

static void __attribute__((format(printf, 2, 3)))
say(const struct redriving *d, const char *fmt, ...)
{
	char text[1200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fail_clean(text);
	d->o->say(d->o->arg, text);
}

static void
stop_type(struct redriving *d, int status, const char *reason)
{
	d->stopped = d->r->left = true;
	d->r->stopped++;
	d->r->status = status_worse(d->r->status, status);
	say(d, "dead letters of '%s' stay: %s", d->type, reason);
}

/* Refusals of one key stop the type; those of the whole server, and of the connection, end the run: -1. */
static int
refused(struct redriving *d, enum bus_why why, const struct fail *f)
{
	if (d->b == NULL || bus_why(d->b) != BUS_FINE || why == BUS_LATER || why == BUS_READONLY || why == BUS_DENIED ||
	    why == BUS_MOVED || why == BUS_GARBAGE)
		return -1;
	stop_type(d, f->status, f->text);
	return 0;
}

static bool
is_stopping(const struct redriving *d)
{
	return d->o->stop != NULL && *d->o->stop;
}

static bool
is_enough(const struct redriving *d)
{
	return d->o->limit > 0 && d->done >= d->o->limit;
}

/* There is one more to do, and it is not done. */
static void
leave(struct redriving *d)
{
	d->over = d->r->left = true;
	d->r->status = status_worse(d->r->status, STATUS_AGAIN);
}

/* --- moving ------------------------------------------------------------------------ */

static void
pace_rate(const struct redriving *d)
{
	int64_t due, ms;

	if (d->o->rate == 0)
		return;
	due = d->started + (int64_t)(d->done * 1000 / d->o->rate);
	while (!is_stopping(d) && (ms = due - when_mono()) > 0)
		nanosleep(&(struct timespec){0, (ms > 100 ? 100 : ms) * 1000000}, NULL);
}

static size_t
least(size_t a, uint64_t b)
{
	return a < b ? a : (size_t)b;
}

/* How many of n may go at once. */
static size_t
allowed(const struct redriving *d, size_t n)
{
	if (d->o->limit > 0)
		n = least(n, d->o->limit - d->done);
	if (d->o->rate > 0)
		n = least(n, d->o->rate / 10 + 1);
	return least(n, (uint64_t)d->lane->room);
}

static void
account(struct redriving *d, const struct letter_done *done)
{
	d->r->moved += done->moved;
	d->r->gone += done->gone;
	d->done += done->moved;
	d->lane->watch.added += done->moved;
	if (d->lane->room != INT64_MAX)
		d->lane->room -= (int64_t)done->moved;
	if (d->o->tick != NULL)
		d->o->tick(d->o->arg, d->done, d->of);
}

static int
move_page(struct redriving *d, struct fail *f)
{
	int64_t maxlen = d->o->maxlen >= 0 ? d->o->maxlen : conf_maxlen(d->o->conf, d->type);
	struct letter_done done;
	enum bus_why why = BUS_FINE;
	size_t at = 0;

	while (at < d->n) {
		if (is_enough(d) || is_stopping(d)) {
			leave(d);
			return 0;
		}
		if (lane_ready(d->lane, d->b, maxlen, d->o->force, f) == -1)
			return -1;
		if (d->lane->stopped) {
			stop_type(d, d->lane->why == BUS_FINE ? STATUS_AGAIN : bus_status(d->lane->why), d->lane->reason);
			return 0;
		}
		d->way.b = d->b;
		d->way.maxlen = d->lane->mode == LANE_PLAIN ? maxlen : 0;
		if (letter_move(&d->way, d->page + at, allowed(d, d->n - at), &done, &why, f) == -1) {
			account(d, &done);
			return refused(d, why, f);
		}
		account(d, &done);
		at += done.moved + done.gone;
		pace_rate(d);
	}
	return 0;
}

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
is_wanted(const struct redriving *d, const struct slice *kv, size_t nkv)
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
show(struct redriving *d, const struct letter *l, const struct slice *kv, const struct dead *dead)
{
	struct redrive_line line = {d->type, l->id, {0}, l->bytes, *dead};
	struct event e;

	event_from_fields(&e, kv, l->own);
	line.event_id = e.event_id;
	d->text.len = 0;
	(d->o->json ? redrive_line_json : redrive_line_text)(&d->text, &line);
	d->done++;
	d->over = d->o->dry(d->o->arg, buf_str(&d->text)) != 0 || is_enough(d);
}

static void
choose(struct redriving *d, const struct reply *entry, struct slice id, const struct slice *kv, size_t nkv)
{
	struct dead dead;
	struct letter l = {.id = id, .entry = entry, .own = dead_read(kv, nkv, &dead)};

	if (!is_wanted(d, kv, nkv))
		return;
	l.bytes = bytes_of(kv, l.own);
	if (l.own == 0) {
		d->r->refused++;
		d->r->left = true;
		d->r->status = status_worse(d->r->status, STATUS_SOME);
		say(d, "'%s' %.*s: a provenance without an entry: left where it is", d->dead, (int)id.n, id.p);
	} else if (d->o->dry != NULL)
		show(d, &l, kv, &dead);
	else
		d->page[d->n++] = l;
}

static int
take_page(struct redriving *d, const struct reply *r, struct fail *f)
{
	struct buf kv = {0};
	struct slice id;
	struct stream_id last = d->to;
	size_t bytes = 0, n = reply_count(r);
	bool gone;

	d->n = 0;
	if (!reply_is_array(r) || n > PACE_MOST)
		return fail_set(f, STATUS_UNREACHABLE, "XRANGE: the answer has not the shape that Redis gives it");
	for (size_t i = 0; i < n && !d->over; i++) {
		if (stream_entry(reply_at(r, i), &id, &kv, &gone) == -1 || gone) {
			buf_free(&kv);
			return fail_set(f, STATUS_UNREACHABLE, "XRANGE: the answer has not the shape that Redis gives it");
		}
		stream_id_parse(id, &last);
		bytes += bytes_of((const void *)kv.p, kv.len / sizeof(id));
		choose(d, reply_at(r, i), id, (const void *)kv.p, kv.len / sizeof(id));
	}
	buf_free(&kv);
	pace_learn(&d->pace, n, bytes);
	d->from = stream_id_next(last);
	return 0;
}

/* --- a type -------------------------------------------------------------------------- */

static int
open_bus(struct redriving *d, struct fail *f)
{
	enum bus_why why;

	bus_close(d->b);
	d->b = bus_open(&d->o->conf->url, d->o->conf->timeout_ms, &why, f);
	return d->b != NULL ? 0 : -1;
}

/* Entries that grow suddenly may be too many for one answer: then one by one, on a new connection. */
static int
too_much(struct redriving *d, struct fail *f)
{
	if (d->pace.count == 1 || bus_why(d->b) != BUS_CUT)
		return -1;
	d->pace = pace_start(1, 0);
	return open_bus(d, f);
}

static int
step(struct redriving *d, struct fail *f)
{
	char from[STREAM_ID_SIZE], to[STREAM_ID_SIZE];
	struct reply *r;
	int ok;

	stream_id_format(d->from, from);
	stream_id_format(d->to, to);
	stream_put_range(d->b, d->dead, from, to, d->pace.count);
	if (d->pace.count > 1)
		bus_most(d->b, PACE_HELD);
	if ((r = bus_wait(d->b, 0, f)) == NULL)
		return too_much(d, f);
	if (reply_is_error(r)) {
		reply_fail(f, r, "XRANGE of the dead letters");
		ok = refused(d, reply_why(r), f);
	} else if ((ok = take_page(d, r, f)) == 0)
		ok = move_page(d, f);
	reply_free(r);
	return ok;
}

/* 1 when there is something to go through. */
static int
open_type(struct redriving *d, const char *type, struct fail *f)
{
	struct stream_info info;
	struct fail why_not;
	enum bus_why why;

	d->type = type;
	d->stopped = false;
	free(d->dead);
	d->dead = names_dead(d->o->conf->prefix, type);
	if (stream_info(d->b, d->dead, &info, &why, f) == -1) {
		why_not = *f;
		fail_set(f, why_not.status, "'%s': %s", d->dead, why_not.text);
		return refused(d, why, f);
	}
	d->lane = lanes_get(&d->lanes, d->o->conf->prefix, slice_of(type));
	d->way = (struct letter_way){.dead = d->dead, .key = d->lane->key};
	d->pace = pace_start(PACE_FIRST, 0);
	d->from = d->o->since;
	d->to = info.last_generated;
	return info.exists && info.length > 0;
}

static int
run_type(struct redriving *d, const char *type, struct fail *f)
{
	int r = open_type(d, type, f);

	while (r > 0 && !d->stopped && !d->over && stream_id_cmp(d->from, d->to) <= 0) {
		if (step(d, f) == -1)
			return -1;
		if (is_stopping(d) && !d->over && stream_id_cmp(d->from, d->to) <= 0)
			leave(d);
	}
	return r < 0 ? -1 : 0;
}

/* --- the run -------------------------------------------------------------------------- */

static void
count(struct redriving *d)
{
	enum bus_why why;
	struct fail f;

	for (size_t i = 0; i < d->o->ntypes && bus_why(d->b) == BUS_FINE; i++) {
		char *dead = names_dead(d->o->conf->prefix, d->o->types[i]);
		uint64_t n;

		if (stream_length(d->b, dead, &n, &why, &f) == 0)
			d->of += n;
		free(dead);
	}
	if (d->o->limit > 0 && d->of > d->o->limit)
		d->of = d->o->limit;
}

/* What streams without groups lost to their limit. */
static void
count_trimmed(struct redriving *d)
{
	enum bus_why why;
	struct fail f;
	uint64_t now;

	for (size_t i = 0; i < d->lanes.n && d->b != NULL && bus_why(d->b) == BUS_FINE; i++) {
		const struct lane *l = d->lanes.lane[i];
		uint64_t had = l->watch.before.length + l->watch.added;

		if (l->mode == LANE_PLAIN && l->watch.added > 0 && l->maxlen > 0 && had > (uint64_t)l->maxlen &&
		    stream_length(d->b, l->key, &now, &why, &f) == 0 && now < had)
			d->r->trimmed += had - now;
	}
}

void
redrive_run(const struct redrive_options *o, struct redrive_result *r)
{
	struct redriving *d = util_alloc(sizeof(*d));
	struct fail f;
	int ok;

	*r = (struct redrive_result){0};
	*d = (struct redriving){.o = o, .r = r, .started = when_mono()};
	ok = open_bus(d, &f);
	if (ok == 0 && o->dry != NULL && !o->json && !o->quiet) {
		redrive_head(&d->text);
		o->dry(o->arg, buf_str(&d->text));
	}
	if (ok == 0 && o->tick != NULL)
		count(d);
	for (size_t i = 0; i < o->ntypes && ok == 0 && !d->over; i++)
		ok = run_type(d, o->types[i], &f);
	if (ok == -1) {
		r->left = true;
		r->status = status_worse(r->status, f.status);
		say(d, "%s", f.text);
	}
	count_trimmed(d);
	bus_close(d->b);
	lanes_free(&d->lanes);
	buf_free(&d->text);
	free(d->dead);
	free(d);
}

int
redrive_match(struct redrive_options *o, const char *s)
{
	const char *eq = strchr(s, '=');

	if (eq == NULL || eq == s)
		return -1;
	o->match = util_realloc(o->match, (o->matches + 1) * sizeof(*o->match));
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
