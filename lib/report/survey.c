#include <stdlib.h>
#include <string.h>

#include "event/names.h"
#include "redis/reply.h"
#include "base/status.h"
#include "report/survey_int.h"
#include "base/mem.h"
#include "base/clock.h"

#define NO_TYPE "-"		/* no legal type, so never the stream of an event */

static void
down(struct survey *s, enum conn_why why, const struct err *err)
{
	s->up = false;
	s->why = why;
	free(s->error);
	s->error = mem_strdup(err->text);
	s->complete = false;
	if (why == CONN_DENIED || why == CONN_NOPERM || why == CONN_MOVED)
		s->status = status_worse(s->status, conn_status(why));
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
 * Whether the server would take an event: memory, disk and role are looked at before a command is executed, and XADD with the ID 0-0
 * is never executed ("must be greater than 0-0").
 */
static int
ask_server(struct survey_run *w, struct err *err)
{
	char *key = names_stream(w->ask->prefix, NO_TYPE);
	struct reply *clock, *add = NULL;

	conn_putl(w->b, "TIME", NULL);
	conn_putl(w->b, "XADD", key, "0-0", "probe", "", NULL);
	free(key);
	if ((clock = conn_wait(w->b, 0, err)) != NULL && (add = conn_wait(w->b, 0, err)) != NULL) {
		w->s->now = stream_take_clock(clock);
		take_refusal(w->s, add);
	}
	reply_free(clock);
	reply_free(add);
	return add != NULL ? 0 : -1;
}

/* --- which streams --------------------------------------------------------------- */

static void
add_stream(struct survey_run *w, const char *type)
{
	struct survey *s = w->s;

	if (s->n == w->cap) {
		w->cap = w->cap == 0 ? 64 : w->cap * 2;
		s->streams = mem_realloc(s->streams, w->cap * sizeof(*s->streams));
	}
	s->streams[s->n++] = (struct survey_stream){
		.type = mem_strdup(type), .key = names_stream(w->ask->prefix, type), .dead = -1
	};
}

/* -1 only when the connection is dead; that SCAN is refused is a finding. */
static int
add_matching(struct survey_run *w, const char *pattern, bool *any, struct err *err)
{
	char *glob = names_stream(w->ask->prefix, pattern), **keys;
	size_t n, skip = strlen(glob) - strlen(pattern);
	bool complete;
	int ok = scan_keys(w->b, glob, w->by, &keys, &n, &complete, err);

	if (ok == -1 && conn_why(w->b) != CONN_FINE) {
		free(glob);
		return -1;
	}
	if (ok == -1)
		survey_not_all(w->s, err->status, err->text);
	else if (!complete)
		survey_not_all(w->s, STATUS_AGAIN, "time ran out while streams were listed: give more with -t");
	*any = n > 0 || ok == -1 || !complete;
	for (size_t i = 0; i < n; i++) {
		if (strncmp(keys[i], glob, skip) == 0)	/* else the server gave what was not asked for */
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
list_streams(struct survey_run *w, struct err *err)
{
	const struct survey_ask *ask = w->ask;
	struct survey *s = w->s;
	bool any;

	w->by = clock_mono() + ask->timeout_ms;
	s->unmatched = mem_alloc((ask->n + 1) * sizeof(*s->unmatched));
	if (ask->n == 0 && ask->all && add_matching(w, "*", &any, err) == -1)
		return -1;
	for (size_t i = 0; i < ask->n; i++) {
		if (!names_pattern(ask->types[i]))
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
lost(struct survey_run *w, const struct err *err)
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
survey_take(struct survey *s, const struct survey_ask *ask)
{
	struct survey_run w = {.s = s, .ask = ask};
	struct err err;

	memset(s, 0, sizeof(*s));
	w.b = conn_open(ask->url, ask->timeout_ms, &s->why, &err);
	s->now = clock_now() / 1000;
	if (w.b == NULL) {
		down(s, s->why, &err);
		return;
	}
	s->up = s->complete = true;
	s->server = mem_strdup(conn_server(w.b));
	s->version = mem_strdup(conn_version(w.b));
	s->run_id = mem_strdup(conn_run_id(w.b));
	s->rtt_us = conn_rtt_us(w.b);
	if (ask_server(&w, &err) == -1 || list_streams(&w, &err) == -1)
		down(s, conn_why(w.b), &err);
	else if (survey_look(&w, &err) == -1)
		lost(&w, &err);
	conn_close(w.b);
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
survey_word(enum conn_why why)
{
	switch (why) {
	case CONN_REFUSED:
		return "refused";
	case CONN_TIMEOUT:
		return "no-answer";
	case CONN_CUT:
		return "cut";
	case CONN_GARBAGE:
		return "not-redis";
	case CONN_LATER:
		return "not-ready";
	case CONN_READONLY:
		return "read-only";
	case CONN_DENIED:
	case CONN_NOPERM:
		return "denied";
	case CONN_MOVED:
		return "cluster";
	default:
		return "error";
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
