#include "report/survey.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/status.h"
#include "event/id.h"
#include "event/names.h"
#include "redis/pool.h"
#include "redis/reply.h"
#include "redis/scan.h"
#include "redis/stream.h"

/* Limits for counting the lag of one group. */
#define LAG_MAX_ENTRIES 10000
#define LAG_MAX_BYTES (4 << 20)
#define LAG_PAGE 100
/* Streams per round trip, while the replies are small: each contains two entries. */
#define STREAMS_PER_TRIP 64
/* Not a legal type, so never the stream of an event. */
#define PROBE_TYPE "-"

struct survey_state {
	struct survey *survey;
	const struct survey_options *options;
	struct pool pool;
	struct conn *conn; /* of the pool */
	int64_t deadline;  /* CLOCK_MONOTONIC ms */
	size_t cap;        /* of survey->streams */
};

/* --- failures as results ---------------------------------------------------------- */

static void
set_down(struct survey *s, const struct err *err)
{
	s->up = false;
	s->why = err->why;
	free(s->error);
	s->error = mem_strdup(err->text);
	s->complete = false;
	if (err->why == CONN_DENIED || err->why == CONN_NOPERM || err->why == CONN_MOVED)
		s->status = status_worse(s->status, conn_exit_status(err->why));
}

/* Keeps the first reason. */
static void
set_incomplete(struct survey *s, int status, const char *reason)
{
	s->complete = false;
	s->status = status_worse(s->status, status);
	if (s->why_incomplete == NULL)
		s->why_incomplete = mem_strdup(reason);
}

/* Keeps the first error of the stream. */
static void
set_stream_error(struct survey *s, struct survey_stream *st, const struct err *err)
{
	s->status = status_worse(s->status, STATUS_SOME);
	if (st->error != NULL)
		return;
	st->why = err->why;
	st->error = mem_strdup(err->text);
}

/* --- the server -------------------------------------------------------------------- */

/*
 * Asks whether the server would execute an XADD, without adding anything: Redis checks memory, disk
 * and role before it executes a command, and never executes an XADD with the ID 0-0.
 */
static int
probe_server(struct survey_state *state, struct err *err)
{
	char *key = names_stream(state->options->conf->prefix, PROBE_TYPE);
	struct survey *s = state->survey;
	struct reply *time, *add = NULL;

	conn_putl(state->conn, "TIME", NULL);
	conn_putl(state->conn, "XADD", key, "0-0", "probe", "", NULL);
	free(key);
	if ((time = conn_wait(state->conn, err)) != NULL &&
	    (add = conn_wait(state->conn, err)) != NULL) {
		s->now = stream_take_server_time(time);
		s->refuses = reply_why(add);
		if (s->refuses == CONN_LATER || s->refuses == CONN_READONLY)
			s->refusal = mem_strndup(reply_text(add).p, reply_text(add).n);
		else
			s->refuses = CONN_OK;
	}
	reply_free(time);
	reply_free(add);
	return add != NULL ? 0 : -1;
}

/* --- the list of streams ------------------------------------------------------------- */

static void
add_stream(struct survey_state *state, const char *type)
{
	struct survey *s = state->survey;

	if (s->n == state->cap) {
		state->cap = state->cap == 0 ? 64 : state->cap * 2;
		s->streams = mem_realloc(s->streams, state->cap * sizeof(*s->streams));
	}
	s->streams[s->n++] = (struct survey_stream){.type = mem_strdup(type),
	    .key = names_stream(state->options->conf->prefix, type),
	    .dead_letters = -1};
}

/* *any: false when no stream matches for certain. Returns -1 only when the connection is dead; a
 * refused SCAN makes the survey incomplete. */
static int
add_matching_streams(struct survey_state *state, const char *pattern, bool *any, struct err *err)
{
	char *glob = names_stream(state->options->conf->prefix, pattern);
	size_t skip = strlen(glob) - strlen(pattern);
	struct key_list keys;
	int ok = scan_keys(state->conn, glob, state->deadline, &keys, err);

	if (ok == -1 && conn_why(state->conn) == CONN_OK) {
		set_incomplete(state->survey, err->status, err->text);
		ok = 0;
	} else if (ok == 0 && !keys.complete)
		set_incomplete(state->survey, STATUS_AGAIN, "timed out listing streams; raise -t");
	*any = keys.n > 0 || !keys.complete;
	for (size_t i = 0; ok == 0 && i < keys.n; i++)
		/* The server may return a key that does not match. */
		if (strncmp(keys.p[i], glob, skip) == 0)
			add_stream(state, keys.p[i] + skip);
	free(glob);
	key_list_free(&keys);
	return ok;
}

static int
compare_stream_keys(const void *a, const void *b)
{
	const struct survey_stream *x = a, *y = b;

	return strcmp(x->key, y->key);
}

/* Patterns may overlap. */
static void
sort_unique_streams(struct survey *s)
{
	size_t kept = 0;

	if (s->n > 0)
		qsort(s->streams, s->n, sizeof(*s->streams), compare_stream_keys);
	for (size_t i = 0; i < s->n; i++)
		if (kept > 0 && strcmp(s->streams[kept - 1].key, s->streams[i].key) == 0) {
			free(s->streams[i].type);
			free(s->streams[i].key);
		} else
			s->streams[kept++] = s->streams[i];
	s->n = kept;
}

static int
list_streams(struct survey_state *state, struct err *err)
{
	const struct survey_options *options = state->options;
	struct survey *s = state->survey;
	bool any;

	state->deadline = clock_mono() + options->timeout_ms;
	s->unmatched = mem_alloc((options->n + 1) * sizeof(*s->unmatched));
	if (options->n == 0 && options->all && add_matching_streams(state, "*", &any, err) == -1)
		return -1;
	for (size_t i = 0; i < options->n; i++) {
		if (!names_is_pattern(options->types[i]))
			add_stream(state, options->types[i]);
		else if (add_matching_streams(state, options->types[i], &any, err) == -1)
			return -1;
		else if (!any)
			s->unmatched[s->nunmatched++] = options->types[i];
	}
	sort_unique_streams(s);
	return 0;
}

/* --- information about a stream ---------------------------------------------------------- */

static int
take_stream_replies(struct survey_state *state, struct survey_stream *st, struct err *err)
{
	struct reply *info = NULL, *dlq = NULL, *groups = NULL;
	struct err part;
	int ok = -1;

	if ((info = conn_wait(state->conn, err)) == NULL ||
	    (dlq = conn_wait(state->conn, err)) == NULL ||
	    (groups = conn_wait(state->conn, err)) == NULL)
		goto out;
	if (stream_take_info(info, &st->info, &part) == -1)
		set_stream_error(state->survey, st, &part);
	if (!reply_is_error(dlq))
		st->dead_letters = reply_int(dlq);
	else {
		reply_fail(&part, dlq, "XLEN of the dead letters");
		set_stream_error(state->survey, st, &part);
	}
	if (st->info.groups > 0 &&
	    stream_take_groups(groups, &st->groups, &st->ngroups, &part) == -1)
		set_stream_error(state->survey, st, &part);
	ok = 0;
out:
	reply_free(info);
	reply_free(dlq);
	reply_free(groups);
	return ok;
}

/* --- lag --- */

struct lag_count {
	struct stream_id last; /* of the stream */
	int64_t deadline, n;
	size_t bytes;
};

enum { LAG_TOO_MUCH = 1, LAG_AT_LAST = 2 };

static int
count_lag_entry(void *arg, const struct stream_entry *e)
{
	struct lag_count *l = arg;
	struct stream_id at;

	for (size_t i = 0; i < e->nkv; i++)
		l->bytes += e->kv[i].n;
	if (++l->n > LAG_MAX_ENTRIES || l->bytes > LAG_MAX_BYTES || clock_mono() >= l->deadline)
		return LAG_TOO_MUCH;
	return id_parse(e->id, &at) == 0 && id_cmp(at, l->last) >= 0 ? LAG_AT_LAST : 0;
}

/*
 * Redis counts the entries that a group has read, not the trimmed ones that it skipped. Its lag of
 * a group inside a stream that has lost entries is therefore only an upper bound.
 */
static bool
lag_is_upper_bound(const struct stream_info *i, const struct stream_group *g)
{
	return g->lag > 0 && i->added != i->length && id_cmp(g->last_delivered, i->first) >= 0 &&
	    id_cmp(g->last_delivered, i->last) < 0;
}

static int
count_lag(
    struct survey_state *state, struct survey_stream *st, struct stream_group *g, struct err *err)
{
	struct lag_count l = {.last = st->info.last, .deadline = state->deadline};
	struct scan scan = {.key = st->key, .from = g->last_delivered, .page = LAG_PAGE};
	int end;

	if (!lag_is_upper_bound(&st->info, g))
		return 0;
	end = scan_entries(state->conn, &scan, count_lag_entry, &l, err);
	g->lag = end == 0 || end == LAG_AT_LAST ? l.n : -1;
	return end == -1 && conn_why(state->conn) != CONN_OK ? -1 : 0;
}

/* --- all streams --- */

static int
read_some_streams(struct survey_state *state, struct survey_stream *st, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		char *dlq = names_dlq(state->options->conf->prefix, st[i].type);

		stream_put_info(state->conn, st[i].key);
		conn_putl(state->conn, "XLEN", dlq, NULL);
		stream_put_groups(state->conn, st[i].key);
		free(dlq);
	}
	for (size_t i = 0; i < n; i++)
		if (take_stream_replies(state, &st[i], err) == -1)
			return -1;
	for (size_t i = 0; i < n; i++)
		stream_put_lowest_pending(state->conn, st[i].key, st[i].groups, st[i].ngroups);
	for (size_t i = 0; i < n; i++)
		if (stream_take_lowest_pending(state->conn, st[i].groups, st[i].ngroups, err) == -1)
			return -1;
	for (size_t i = 0; i < n; i++)
		for (size_t g = 0; g < st[i].ngroups; g++)
			if (count_lag(state, &st[i], &st[i].groups[g], err) == -1)
				return -1;
	return 0;
}

/* Frees the streams from `first` on. A stream that was read only in part must not be shown: its
 * line would look complete. */
static void
drop_streams(struct survey *s, size_t first)
{
	while (s->n > first) {
		struct survey_stream *st = &s->streams[--s->n];

		stream_groups_free(st->groups, st->ngroups);
		free(st->error);
		free(st->type);
		free(st->key);
	}
}

/* Drops the streams that were not reached. Returns -1 when the connection is dead. */
static int
read_streams(struct survey_state *state, struct err *err)
{
	struct pagesize page = pagesize_start(1, STREAMS_PER_TRIP);
	struct survey *s = state->survey;
	size_t i, n;

	state->deadline = clock_mono() + state->options->timeout_ms;
	for (i = 0; i < s->n && (i == 0 || clock_mono() < state->deadline); i += n) {
		uint64_t before = conn_received(state->conn);

		n = s->n - i < page.count ? s->n - i : page.count;
		if (read_some_streams(state, s->streams + i, n, err) == -1) {
			drop_streams(s, i);
			return -1;
		}
		pagesize_learn(&page, n, (size_t)(conn_received(state->conn) - before));
	}
	if (i < s->n) {
		drop_streams(s, i);
		set_incomplete(s, STATUS_AGAIN, "timed out reading stream information; raise -t");
	}
	return 0;
}

/* The connection died while streams were read: connects again, to find out whether the server is
 * down. */
static void
check_still_up(struct survey_state *state, const struct err *err)
{
	struct err down_err;

	pool_close(&state->pool);
	if ((state->conn = pool_get(&state->pool, NULL, &down_err)) == NULL) {
		set_incomplete(state->survey, STATUS_OK, "connection lost");
		set_down(state->survey, &down_err);
	} else
		set_incomplete(state->survey, STATUS_AGAIN, err->text);
}

void
survey_take(struct survey *s, const struct survey_options *options)
{
	struct survey_state state = {.survey = s, .options = options};
	struct err err;

	memset(s, 0, sizeof(*s));
	state.pool = (struct pool){.url = &options->conf->url, .timeout_ms = options->timeout_ms};
	state.conn = pool_get(&state.pool, NULL, &err);
	s->now = clock_now() / 1000;
	if (state.conn == NULL) {
		set_down(s, &err);
		return;
	}
	s->up = s->complete = true;
	s->server = mem_strdup(conn_facts(state.conn)->server);
	s->version = mem_strdup(conn_facts(state.conn)->version);
	s->run_id = mem_strdup(conn_facts(state.conn)->run_id);
	s->rtt_us = conn_facts(state.conn)->rtt_us;
	if (probe_server(&state, &err) == -1 || list_streams(&state, &err) == -1) {
		err.why = conn_why(state.conn);
		set_down(s, &err);
	} else if (read_streams(&state, &err) == -1)
		check_still_up(&state, &err);
	pool_close(&state.pool);
}

void
survey_free(struct survey *s)
{
	drop_streams(s, 0);
	free(s->streams);
	free(s->unmatched);
	free(s->why_incomplete);
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
survey_lost(const struct stream_info *s, const struct stream_group *g)
{
	bool known;
	uint64_t n = stream_lost(s, g, &known);

	return known ? (int64_t)n : -1;
}

int64_t
survey_pending_age(const struct survey *s, const struct stream_group *g)
{
	uint64_t now = s->now > 0 ? (uint64_t)s->now : 0;

	if (g->pending == 0 || (g->lowest_pending.ms == 0 && g->lowest_pending.seq == 0))
		return -1;
	return g->lowest_pending.ms < now ? (int64_t)(now - g->lowest_pending.ms) : 0;
}
