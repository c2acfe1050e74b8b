/* The part of survey.h that looks at each stream. */
#include <stdlib.h>

#include "event/names.h"
#include "redis/pagesize.h"
#include "redis/reply.h"
#include "base/status.h"
#include "report/survey_int.h"
#include "base/mem.h"
#include "base/clock.h"

#define LAG_MOST 10000		/* entries counted, */
#define LAG_BYTES (4 << 20)	/* and bytes of them, for one group */
#define LAG_PAGE 100
#define AT_ONCE 64		/* streams asked about in one round trip, while the answers are small: each has two entries in it */

void
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
		st->dead = reply_int(r);
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

	if (st->info.groups > 0 && stream_take_groups(r, &st->groups, &st->ngroups, &why, &err) == -1)
		trouble(s, st, why, &err);
}

static void
put_question(struct survey_run *w, const struct survey_stream *st)
{
	char *dead = names_dead(w->ask->prefix, st->type);

	stream_put_info(w->b, st->key);
	conn_putl(w->b, "XLEN", dead, NULL);
	stream_put_groups(w->b, st->key);
	free(dead);
}

static int
take_answer(struct survey_run *w, struct survey_stream *st, struct err *err)
{
	struct reply *info = NULL, *dead = NULL, *groups = NULL;
	enum conn_why why;
	struct err no;
	int ok = -1;

	if ((info = conn_wait(w->b, 0, err)) == NULL || (dead = conn_wait(w->b, 0, err)) == NULL ||
	    (groups = conn_wait(w->b, 0, err)) == NULL)
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
	struct stream_id last;		/* of the stream */
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
 * Redis keeps how many entries a group has read, and not how many of those that were trimmed it skipped: of a group in the midst of
 * a stream that has lost entries its lag is only an upper bound, and what is true must be counted.
 */
static bool
is_doubtful(const struct stream_info *i, const struct stream_group *g)
{
	return g->lag > 0 && i->added != i->length && id_cmp(g->last_delivered, i->first) >= 0 &&
	    id_cmp(g->last_delivered, i->last) < 0;
}

static int
check_lag(struct survey_run *w, struct survey_stream *st, struct stream_group *g, struct err *err)
{
	struct lag l = {.last = st->info.last, .by = w->by};
	enum conn_why why;
	int end;

	if (!is_doubtful(&st->info, g))
		return 0;
	end = scan_entries(w->b, st->key, g->last_delivered, LAG_PAGE, count_entry, &l, &why, err);
	g->lag = end == 0 || end == 2 ? l.n : -1;
	return end == -1 && conn_why(w->b) != CONN_FINE ? -1 : 0;
}

static int
check_lags(struct survey_run *w, struct survey_stream *st, struct err *err)
{
	for (size_t i = 0; i < st->ngroups; i++)
		if (check_lag(w, st, &st->groups[i], err) == -1)
			return -1;
	return 0;
}

/* --- all that there is to know ------------------------------------------------ */

static int
look_at_some(struct survey_run *w, struct survey_stream *st, size_t n, struct err *err)
{
	enum conn_why why;

	for (size_t i = 0; i < n; i++)
		put_question(w, &st[i]);
	for (size_t i = 0; i < n; i++)
		if (take_answer(w, &st[i], err) == -1)
			return -1;
	for (size_t i = 0; i < n; i++)
		stream_put_pending(w->b, st[i].key, st[i].groups, st[i].ngroups);
	for (size_t i = 0; i < n; i++)
		if (stream_take_pending(w->b, st[i].groups, st[i].ngroups, &why, err) == -1)
			return -1;
	for (size_t i = 0; i < n; i++)
		if (check_lags(w, &st[i], err) == -1)
			return -1;
	return 0;
}

/* Half a line about a stream would pass for all there is. */
void
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

int
survey_look(struct survey_run *w, struct err *err)
{
	struct pagesize pace = pagesize_start(1, AT_ONCE);
	struct survey *s = w->s;
	size_t i, n;

	w->by = clock_mono() + w->ask->timeout_ms;
	for (i = 0; i < s->n && (i == 0 || clock_mono() < w->by); i += n) {
		uint64_t before = conn_received(w->b);

		n = s->n - i < pace.count ? s->n - i : pace.count;
		if (look_at_some(w, s->streams + i, n, err) == -1) {
			survey_drop(s, i);
			return -1;
		}
		pagesize_learn(&pace, n, (size_t)(conn_received(w->b) - before));
	}
	if (i < s->n) {
		survey_drop(s, i);
		survey_not_all(s, STATUS_AGAIN, "time ran out while streams were looked at: give more with -t");
	}
	return 0;
}
