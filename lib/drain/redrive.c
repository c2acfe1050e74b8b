#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/names.h"
#include "event/id.h"
#include "drain/redrive_int.h"
#include "redis/reply.h"
#include "base/status.h"
#include "base/mem.h"
#include "base/clock.h"

void
redrive_say(const struct redrive *d, const char *fmt, ...)
{
	char text[1200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err_clean(text);
	d->o->say(d->o->arg, text);
}

void
redrive_stop_type(struct redrive *d, int status, const char *reason)
{
	d->stopped = d->r->left = true;
	d->r->stopped++;
	d->r->status = status_worse(d->r->status, status);
	redrive_say(d, "dead letters of '%s' stay: %s", d->type, reason);
}

int
redrive_refused(struct redrive *d, enum conn_why why, const struct err *err)
{
	if (d->conn == NULL || conn_why(d->conn) != CONN_FINE || why == CONN_LATER || why == CONN_READONLY || why == CONN_DENIED ||
	    why == CONN_MOVED || why == CONN_GARBAGE)
		return -1;
	redrive_stop_type(d, err->status, err->text);
	return 0;
}

bool
redrive_stopping(const struct redrive *d)
{
	return d->o->stop != NULL && *d->o->stop;
}

bool
redrive_enough(const struct redrive *d)
{
	return d->o->limit > 0 && d->done >= d->o->limit;
}

void
redrive_leave(struct redrive *d)
{
	d->over = d->r->left = true;
	d->r->status = status_worse(d->r->status, STATUS_AGAIN);
}

/* --- a type -------------------------------------------------------------------------- */

static int
open_bus(struct redrive *d, struct err *err)
{
	enum conn_why why;

	conn_close(d->conn);
	d->conn = conn_open(&d->o->conf->url, d->o->conf->timeout_ms, &why, err);
	return d->conn != NULL ? 0 : -1;
}

/* Entries that grow suddenly may be too many for one answer: then one by one, on a new connection. */
static int
too_much(struct redrive *d, struct err *err)
{
	if (d->pace.count == 1 || conn_why(d->conn) != CONN_CUT)
		return -1;
	d->pace = pagesize_start(1, 0);
	return open_bus(d, err);
}

static int
step(struct redrive *d, struct err *err)
{
	char from[ID_SIZE], to[ID_SIZE];
	struct reply *r;
	int ok;

	id_format(d->from, from);
	id_format(d->to, to);
	stream_put_range(d->conn, d->dead, from, to, d->pace.count);
	if (d->pace.count > 1)
		conn_most(d->conn, PAGESIZE_HELD);
	if ((r = conn_wait(d->conn, 0, err)) == NULL)
		return too_much(d, err);
	if (reply_is_error(r)) {
		reply_fail(err, r, "XRANGE of the dead letters");
		ok = redrive_refused(d, reply_why(r), err);
	} else if ((ok = redrive_choose(d, r, err)) == 0)
		ok = redrive_move(d, err);
	reply_free(r);
	return ok;
}

/* 1 when there is something to go through. */
static int
open_type(struct redrive *d, const char *type, struct err *err)
{
	struct stream_info info;
	struct err why_not;
	enum conn_why why;

	d->type = type;
	d->stopped = false;
	free(d->dead);
	d->dead = names_dead(d->o->conf->prefix, type);
	if (stream_info(d->conn, d->dead, &info, &why, err) == -1) {
		why_not = *err;
		err_set(err, why_not.status, "'%s': %s", d->dead, why_not.text);
		return redrive_refused(d, why, err);
	}
	d->dest = dests_get(&d->dests, d->o->conf->prefix, slice_of(type));
	d->way = (struct redrive_way){.dead = d->dead, .key = d->dest->key};
	d->pace = pagesize_start(PAGESIZE_FIRST, 0);
	d->from = d->o->since;
	d->to = info.last_generated;
	return info.exists && info.length > 0;
}

static int
run_type(struct redrive *d, const char *type, struct err *err)
{
	int r = open_type(d, type, err);

	while (r > 0 && !d->stopped && !d->over && id_cmp(d->from, d->to) <= 0) {
		if (step(d, err) == -1)
			return -1;
		if (redrive_stopping(d) && !d->over && id_cmp(d->from, d->to) <= 0)
			redrive_leave(d);
	}
	return r < 0 ? -1 : 0;
}

/* --- the run -------------------------------------------------------------------------- */

static void
count(struct redrive *d)
{
	enum conn_why why;
	struct err err;

	for (size_t i = 0; i < d->o->ntypes && conn_why(d->conn) == CONN_FINE; i++) {
		char *dead = names_dead(d->o->conf->prefix, d->o->types[i]);
		uint64_t n;

		if (stream_length(d->conn, dead, &n, &why, &err) == 0)
			d->of += n;
		free(dead);
	}
	if (d->o->limit > 0 && d->of > d->o->limit)
		d->of = d->o->limit;
}

/* What streams without groups lost to their limit. */
static void
count_trimmed(struct redrive *d)
{
	enum conn_why why;
	struct err err;
	uint64_t now;

	for (size_t i = 0; i < d->dests.n && d->conn != NULL && conn_why(d->conn) == CONN_FINE; i++) {
		const struct dest *dest = d->dests.dest[i];
		uint64_t had = dest->watch.before.length + dest->watch.added;

		if (dest->mode == DEST_PLAIN && dest->watch.added > 0 && dest->maxlen > 0 && had > (uint64_t)dest->maxlen &&
		    stream_length(d->conn, dest->key, &now, &why, &err) == 0 && now < had)
			d->r->trimmed += had - now;
	}
}

void
redrive_run(const struct redrive_options *o, struct redrive_result *r)
{
	struct redrive *d = mem_alloc(sizeof(*d));
	struct err err;
	int ok;

	*r = (struct redrive_result){0};
	*d = (struct redrive){.o = o, .r = r, .started = clock_mono()};
	ok = open_bus(d, &err);
	if (ok == 0 && o->dry != NULL && !o->json && !o->quiet) {
		redrivefmt_head(&d->text);
		o->dry(o->arg, bytes_str(&d->text));
	}
	if (ok == 0 && o->tick != NULL)
		count(d);
	for (size_t i = 0; i < o->ntypes && ok == 0 && !d->over; i++)
		ok = run_type(d, o->types[i], &err);
	if (ok == -1) {
		r->left = true;
		r->status = status_worse(r->status, err.status);
		redrive_say(d, "%s", err.text);
	}
	count_trimmed(d);
	conn_close(d->conn);
	dests_free(&d->dests);
	bytes_free(&d->text);
	free(d->dead);
	free(d);
}

int
redrive_match(struct redrive_options *o, const char *s, struct err *err)
{
	const char *eq = strchr(s, '=');

	if (eq == NULL || eq == s)
		return err_set(err, STATUS_USAGE, "--match %s: a field's name, '=' and its value are expected", s);
	o->match = mem_realloc(o->match, (o->matches + 1) * sizeof(*o->match));
	o->match[o->matches++] = (struct redrive_match){{s, (size_t)(eq - s)}, slice_of(eq + 1)};
	return 0;
}

int
redrive_since(struct redrive_options *o, const char *where, struct err *err)
{
	struct id_place p;

	if (id_parse_place(where, clock_now(), "--since", &p, err) == -1)
		return -1;
	o->since = p.end ? (struct stream_id){UINT64_MAX, UINT64_MAX} : p.low;
	return 0;
}

int
redrive_types(struct redrive_options *o, char *const *types, size_t n, struct err *err)
{
	if (n == 0)
		return err_set(err, STATUS_USAGE, "--dead: which event type?");
	for (size_t i = 0; i < n; i++)
		if (!names_legal(types[i], strlen(types[i])))
			return err_set(err, STATUS_USAGE, "'%s': --dead wants event types by name, each " NAMES_LEGAL, types[i]);
	o->types = types;
	o->ntypes = n;
	return 0;
}

void
redrive_free(struct redrive_options *o)
{
	free(o->match);
	o->match = NULL;
	o->matches = 0;
}
