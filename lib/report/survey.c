#include "report/survey.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/status.h"
#include "event/id.h"
#include "event/names.h"
#include "redis/pagesize.h"
#include "redis/reply.h"
#include "redis/scan.h"
#include "redis/stream.h"

struct survey_walk {
	struct survey *s;
	const struct survey_options *ask;
	struct conn *conn;
	int64_t deadline; /* CLOCK_MONOTONIC ms */
	size_t cap;
};

#define LAG_MOST 10000      /* entries counted, */
#define LAG_BYTES (4 << 20) /* and bytes of them, for one group */
#define LAG_PAGE 100
#define AT_ONCE \
	64 /* streams asked about in one round trip, while the answers are small: each has two \
	      entries in it */

/* The first reason counts. */
static void
survey_not_all(struct survey *s, int status, const char *why)
{
	s->complete = false;
	s->status = status_worse(s->status, status);
	if (s->incomplete == NULL)
		s->incomplete = mem_strdup(why);
}

static void
trouble(struct survey *s, struct survey_stream *st, enum conn_why why, const struct err *err)
{
	s->status = status_worse(s->status, STATUS_SOME);
	if (st->error != NULL)
		return;
	st->why = why;
	st->error = mem_strdup(err->text);
}

static void
take_length(struct survey *s, struct survey_stream *st, const struct reply *r)
{
	struct err err;

	if (!reply_is_error(r)) {
		st->dead_letters = reply_int(r);
		return;
	}
	reply_fail(&err, r, "XLEN of the dead letters");
	trouble(s, st, reply_why(r), &err);
}

static void
take_groups(struct survey *s, struct survey_stream *st, const struct reply *r)
{
	enum conn_why why;
	struct err err;

	if (st->info.groups > 0 &&
	    stream_take_groups(r, &st->groups, &st->ngroups, &why, &err) == -1)
		trouble(s, st, why, &err);
}

static void
put_question(struct survey_walk *w, const struct survey_stream *st)
{
	char *dead = names_dlq(w->ask->prefix, st->type);

	stream_put_info(w->conn, st->key);
	conn_putl(w->conn, "XLEN", dead, NULL);
	stream_put_groups(w->conn, st->key);
	free(dead);
}

static int
take_answer(struct survey_walk *w, struct survey_stream *st, struct err *err)
{
	struct reply *info = NULL, *dead = NULL, *groups = NULL;
	enum conn_why why;
	struct err no;
	int ok = -1;

	if ((info = conn_wait(w->conn, 0, err)) == NULL ||
	    (dead = conn_wait(w->conn, 0, err)) == NULL ||
	    (groups = conn_wait(w->conn, 0, err)) == NULL)
		goto out;
	if (stream_take_info(info, &st->info, &why, &no) == -1)
		trouble(w->s, st, why, &no);
	take_length(w->s, st, dead);
	take_groups(w->s, st, groups);
	ok = 0;
out:
	reply_free(info);
	reply_free(dead);
	reply_free(groups);
	return ok;
}

/* --- lag -------------------------------------------------------------------- */

struct lag {
	struct stream_id last; /* of the stream */
	int64_t by, n;
	size_t bytes;
};

/* 1: too much. 2: that was the last. */
static int
count_entry(void *arg, struct slice id, const struct slice *kv, size_t nkv)
{
	struct lag *l = arg;
	struct stream_id at;

	for (size_t i = 0; i < nkv; i++)
		l->bytes += kv[i].n;
	if (++l->n > LAG_MOST || l->bytes > LAG_BYTES || clock_mono() >= l->by)
		return 1;
	return id_parse(id, &at) == 0 && id_cmp(at, l->last) >= 0 ? 2 : 0;
}

/*
 * Redis keeps how many entries a group has read, and not how many of those that were trimmed it
 * skipped: of a group in the midst of a stream that has lost entries its lag is only an upper
 * bound, and what is true must be counted.
 */
static bool
is_doubtful(const struct stream_info *i, const struct stream_group *g)
{
	return g->lag > 0 && i->added != i->length && id_cmp(g->last_delivered, i->first) >= 0 &&
	    id_cmp(g->last_delivered, i->last) < 0;
}

static int
check_lag(struct survey_walk *w, struct survey_stream *st, struct stream_group *g, struct err *err)
{
	struct lag l = {.last = st->info.last, .by = w->deadline};
	enum conn_why why;
	int end;

	if (!is_doubtful(&st->info, g))
		return 0;
	end =
	    scan_entries(w->conn, st->key, g->last_delivered, LAG_PAGE, count_entry, &l, &why, err);
	g->lag = end == 0 || end == 2 ? l.n : -1;
	return end == -1 && conn_why(w->conn) != CONN_OK ? -1 : 0;
}

static int
check_lags(struct survey_walk *w, struct survey_stream *st, struct err *err)
{
	for (size_t i = 0; i < st->ngroups; i++)
		if (check_lag(w, st, &st->groups[i], err) == -1)
			return -1;
	return 0;
}

/* --- all that there is to know ------------------------------------------------ */

static int
look_at_some(struct survey_walk *w, struct survey_stream *st, size_t n, struct err *err)
{
	enum conn_why why;

	for (size_t i = 0; i < n; i++)
		put_question(w, &st[i]);
	for (size_t i = 0; i < n; i++)
		if (take_answer(w, &st[i], err) == -1)
			return -1;
	for (size_t i = 0; i < n; i++)
		stream_put_lowest_pending(w->conn, st[i].key, st[i].groups, st[i].ngroups);
	for (size_t i = 0; i < n; i++)
		if (stream_take_lowest_pending(w->conn, st[i].groups, st[i].ngroups, &why, err) ==
		    -1)
			return -1;
	for (size_t i = 0; i < n; i++)
		if (check_lags(w, &st[i], err) == -1)
			return -1;
	return 0;
}

/* Half a line about a stream would pass for all there is. */
/* Frees the streams from `first` on. */
static void
survey_drop(struct survey *s, size_t first)
{
	while (s->n > first) {
		struct survey_stream *st = &s->streams[--s->n];

		stream_groups_free(st->groups, st->ngroups);
		free(st->error);
		free(st->type);
		free(st->key);
	}
}

/* Looks at all that are listed; those that were not reached are dropped. -1: the connection is
 * dead. */
static int
survey_look(struct survey_walk *w, struct err *err)
{
	struct pagesize pace = pagesize_start(1, AT_ONCE);
	struct survey *s = w->s;
	size_t i, n;

	w->deadline = clock_mono() + w->ask->timeout_ms;
	for (i = 0; i < s->n && (i == 0 || clock_mono() < w->deadline); i += n) {
		uint64_t before = conn_received(w->conn);

		n = s->n - i < pace.count ? s->n - i : pace.count;
		if (look_at_some(w, s->streams + i, n, err) == -1) {
			survey_drop(s, i);
			return -1;
		}
		pagesize_learn(&pace, n, (size_t)(conn_received(w->conn) - before));
	}
	if (i < s->n) {
		survey_drop(s, i);
		survey_not_all(s, STATUS_AGAIN,
		    "time ran out while streams were looked at: give more with -t");
	}
	return 0;
}

#define NO_TYPE "-" /* no legal type, so never the stream of an event */

static void
down(struct survey *s, enum conn_why why, const struct err *err)
{
	s->up = false;
	s->why = why;
	free(s->error);
	s->error = mem_strdup(err->text);
	s->complete = false;
	if (why == CONN_DENIED || why == CONN_NOPERM || why == CONN_MOVED)
		s->status = status_worse(s->status, conn_exit_status(why));
}

/* --- the server ---------------------------------------------------------------- */

static void
take_refusal(struct survey *s, const struct reply *r)
{
	enum conn_why why = reply_why(r);

	if (why != CONN_LATER && why != CONN_READONLY)
		return;
	s->refuses = why;
	s->refusal = mem_strndup(reply_text(r).p, reply_text(r).n);
}

/*
 * Whether the server would take an event: memory, disk and role are looked at before a command is
 * executed, and XADD with the ID 0-0 is never executed ("must be greater than 0-0").
 */
static int
ask_server(struct survey_walk *w, struct err *err)
{
	char *key = names_stream(w->ask->prefix, NO_TYPE);
	struct reply *clock, *add = NULL;

	conn_putl(w->conn, "TIME", NULL);
	conn_putl(w->conn, "XADD", key, "0-0", "probe", "", NULL);
	free(key);
	if ((clock = conn_wait(w->conn, 0, err)) != NULL &&
	    (add = conn_wait(w->conn, 0, err)) != NULL) {
		w->s->now = stream_take_server_time(clock);
		take_refusal(w->s, add);
	}
	reply_free(clock);
	reply_free(add);
	return add != NULL ? 0 : -1;
}

/* --- which streams --------------------------------------------------------------- */

static void
add_stream(struct survey_walk *w, const char *type)
{
	struct survey *s = w->s;

	if (s->n == w->cap) {
		w->cap = w->cap == 0 ? 64 : w->cap * 2;
		s->streams = mem_realloc(s->streams, w->cap * sizeof(*s->streams));
	}
	s->streams[s->n++] = (struct survey_stream){.type = mem_strdup(type),
	    .key = names_stream(w->ask->prefix, type),
	    .dead_letters = -1};
}

/* -1 only when the connection is dead; that SCAN is refused is a finding. */
static int
add_matching(struct survey_walk *w, const char *pattern, bool *any, struct err *err)
{
	char *glob = names_stream(w->ask->prefix, pattern), **keys;
	size_t n, skip = strlen(glob) - strlen(pattern);
	bool complete;
	int ok = scan_keys(w->conn, glob, w->deadline, &keys, &n, &complete, err);

	if (ok == -1 && conn_why(w->conn) != CONN_OK) {
		free(glob);
		return -1;
	}
	if (ok == -1)
		survey_not_all(w->s, err->status, err->text);
	else if (!complete)
		survey_not_all(w->s, STATUS_AGAIN,
		    "time ran out while streams were listed: give more with -t");
	*any = n > 0 || ok == -1 || !complete;
	for (size_t i = 0; i < n; i++) {
		if (strncmp(keys[i], glob, skip) ==
		    0) /* else the server gave what was not asked for */
			add_stream(w, keys[i] + skip);
		free(keys[i]);
	}
	free(glob);
	free(keys);
	return 0;
}

static int
by_key(const void *a, const void *b)
{
	const struct survey_stream *x = a, *y = b;

	return strcmp(x->key, y->key);
}

/* Patterns overlap. */
static void
sort_unique(struct survey *s)
{
	size_t kept = 0;

	if (s->n > 0)
		qsort(s->streams, s->n, sizeof(*s->streams), by_key);
	for (size_t i = 0; i < s->n; i++)
		if (kept > 0 && strcmp(s->streams[kept - 1].key, s->streams[i].key) == 0) {
			free(s->streams[i].type);
			free(s->streams[i].key);
		} else
			s->streams[kept++] = s->streams[i];
	s->n = kept;
}

static int
list_streams(struct survey_walk *w, struct err *err)
{
	const struct survey_options *ask = w->ask;
	struct survey *s = w->s;
	bool any;

	w->deadline = clock_mono() + ask->timeout_ms;
	s->unmatched = mem_alloc((ask->n + 1) * sizeof(*s->unmatched));
	if (ask->n == 0 && ask->all && add_matching(w, "*", &any, err) == -1)
		return -1;
	for (size_t i = 0; i < ask->n; i++) {
		if (!names_is_pattern(ask->types[i]))
			add_stream(w, ask->types[i]);
		else if (add_matching(w, ask->types[i], &any, err) == -1)
			return -1;
		else if (!any)
			s->unmatched[s->nunmatched++] = ask->types[i];
	}
	sort_unique(s);
	return 0;
}

/* --- all of it --------------------------------------------------------------------- */

/* Lost while streams were looked at: whether the server is away too is asked once more. */
static void
lost(struct survey_walk *w, const struct err *err)
{
	struct err away;
	enum conn_why why;
	struct conn *conn = conn_open(w->ask->url, w->ask->timeout_ms, &why, &away);

	if (conn == NULL) {
		survey_not_all(w->s, STATUS_OK, "the connection was lost");
		down(w->s, why, &away);
	} else
		survey_not_all(w->s, STATUS_AGAIN, err->text);
	conn_close(conn);
}

void
survey_take(struct survey *s, const struct survey_options *ask)
{
	struct survey_walk w = {.s = s, .ask = ask};
	struct err err;

	memset(s, 0, sizeof(*s));
	w.conn = conn_open(ask->url, ask->timeout_ms, &s->why, &err);
	s->now = clock_now() / 1000;
	if (w.conn == NULL) {
		down(s, s->why, &err);
		return;
	}
	s->up = s->complete = true;
	s->server = mem_strdup(conn_server_name(w.conn));
	s->version = mem_strdup(conn_server_version(w.conn));
	s->run_id = mem_strdup(conn_run_id(w.conn));
	s->rtt_us = conn_rtt_us(w.conn);
	if (ask_server(&w, &err) == -1 || list_streams(&w, &err) == -1)
		down(s, conn_why(w.conn), &err);
	else if (survey_look(&w, &err) == -1)
		lost(&w, &err);
	conn_close(w.conn);
}

void
survey_free(struct survey *s)
{
	survey_drop(s, 0);
	free(s->streams);
	free(s->unmatched);
	free(s->incomplete);
	free(s->refusal);
	free(s->run_id);
	free(s->version);
	free(s->server);
	free(s->error);
	memset(s, 0, sizeof(*s));
}

const char *
survey_why_name(enum conn_why why)
{
	switch (why) {
	case CONN_REFUSED: return "refused";
	case CONN_TIMEOUT: return "no-answer";
	case CONN_CUT: return "cut";
	case CONN_GARBAGE: return "not-redis";
	case CONN_LATER: return "not-ready";
	case CONN_READONLY: return "read-only";
	case CONN_DENIED:
	case CONN_NOPERM: return "denied";
	case CONN_MOVED: return "cluster";
	default: return "error";
	}
}

int64_t
survey_lag(const struct stream_info *s, const struct stream_group *g)
{
	if (s->length == 0 || id_cmp(g->last_delivered, s->last) >= 0)
		return 0;
	if (id_cmp(g->last_delivered, s->first) < 0)
		return (int64_t)s->length;
	return g->lag > (int64_t)s->length ? (int64_t)s->length : g->lag;
}

int64_t
survey_pending_age(const struct survey *s, const struct stream_group *g)
{
	uint64_t now = s->now > 0 ? (uint64_t)s->now : 0;

	if (g->pending == 0 || (g->lowest_pending.ms == 0 && g->lowest_pending.seq == 0))
		return -1;
	return g->lowest_pending.ms < now ? (int64_t)(now - g->lowest_pending.ms) : 0;
}

static void
put_text(struct bytes *out, const char *name, const char *s)
{
	bytes_addf(out, "\"%s\":", name);
	if (s != NULL)
		json_quote_text(out, s, strlen(s));
	else
		bytes_adds(out, "null");
	bytes_addc(out, ',');
}

/* Negative is unknown. */
static void
put_number(struct bytes *out, const char *name, int64_t n)
{
	if (n < 0)
		bytes_addf(out, "\"%s\":null,", name);
	else
		bytes_addf(out, "\"%s\":%" PRId64 ",", name, n);
}

static void
put_id(struct bytes *out, const char *name, struct stream_id id, bool known)
{
	char text[ID_SIZE];

	id_format(id, text);
	put_text(out, name, known ? text : NULL);
}

static void
close_object(struct bytes *out)
{
	out->p[out->len - 1] = '}'; /* for the last comma */
}

static const char *
or_null(const char *s)
{
	return s != NULL && *s != '\0' ? s : NULL;
}

void
survey_redis_json(struct bytes *out, const struct survey *s)
{
	bytes_addf(out, "{\"up\":%s,", s->up ? "true" : "false");
	put_text(out, "how", s->up ? NULL : survey_why_name(s->why));
	put_text(out, "error", s->error);
	put_text(out, "server", or_null(s->server));
	put_text(out, "version", or_null(s->version));
	put_text(out, "run_id", or_null(s->run_id));
	if (s->up)
		bytes_addf(out, "\"rtt_ms\":%.3f,", (double)s->rtt_us / 1000);
	else
		put_text(out, "rtt_ms", NULL);
	put_text(out, "refuses_writes", s->refusal);
	close_object(out);
}

static void
put_group(struct bytes *out, const struct survey *s, const struct survey_stream *st,
    const struct stream_group *g)
{
	bool known;
	uint64_t lost = stream_lost(&st->info, g, &known);

	bytes_addc(out, '{');
	put_text(out, "name", g->name);
	put_number(out, "consumers", (int64_t)g->consumers);
	put_number(out, "pending", (int64_t)g->pending);
	put_number(out, "lag", survey_lag(&st->info, g));
	put_number(out, "lost", known ? (int64_t)lost : -1);
	put_number(out, "oldest_pending_ms", survey_pending_age(s, g));
	put_id(out, "last_delivered_id", g->last_delivered, true);
	close_object(out);
}

static void
put_stream(struct bytes *out, const struct survey *s, const struct survey_stream *st)
{
	const struct stream_info *i = &st->info;
	/* What the server refused to tell is null, not 0. */
	bool known = i->exists || st->error == NULL;

	bytes_addc(out, '{');
	put_text(out, "event_type", st->type);
	put_text(out, "stream", st->key);
	bytes_addf(out, "\"exists\":%s,", !known ? "null" : i->exists ? "true" : "false");
	put_number(out, "length", known ? (int64_t)i->length : -1);
	put_id(out, "first_id", i->first, i->length > 0);
	put_id(out, "last_id", i->last, i->length > 0);
	put_number(out, "dead_letters", st->dead_letters);
	put_text(out, "error", st->error);
	bytes_adds(out, "\"groups\":[");
	for (size_t k = 0; k < st->ngroups; k++) {
		bytes_adds(out, k > 0 ? "," : "");
		put_group(out, s, st, &st->groups[k]);
	}
	bytes_adds(out, "]}");
}

void
survey_streams_json(struct bytes *out, const struct survey *s)
{
	bytes_addf(out, "\"complete\":%s,", s->complete ? "true" : "false");
	put_text(out, "incomplete", s->incomplete);
	bytes_adds(out, "\"streams\":[");
	for (size_t i = 0; i < s->n; i++) {
		bytes_adds(out, i > 0 ? "," : "");
		put_stream(out, s, &s->streams[i]);
	}
	bytes_addc(out, ']');
}
