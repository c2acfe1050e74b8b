/* The part of survey.h that looks at each stream. */
#include <stdlib.h>

#include "names.h"
#include "pace.h"
#include "status.h"
#include "surveying.h"
#include "util.h"
#include "when.h"

#define AT_ONCE 64		/* streams asked about in one round trip, while the answers are small: each has two entries in it */

void
survey_not_all(struct survey *s, int status, const char *why)
{
	s->complete = false;
	s->status = status_worse(s->status, status);
	if (s->incomplete == NULL)
		s->incomplete = util_strdup(why);
}

static void
trouble(struct survey *s, struct survey_stream *st, enum bus_why why, const struct fail *f)
{
	s->status = status_worse(s->status, STATUS_SOME);
	if (st->error != NULL)
		return;
	st->why = why;
	st->error = util_strdup(f->text);
}

static void
take_length(struct survey *s, struct survey_stream *st, const struct reply *r)
{
	struct fail f;

	if (!reply_is_error(r)) {
		st->dead = reply_int(r);
		return;
	}
	reply_fail(&f, r, "XLEN of the dead letters");
	trouble(s, st, reply_why(r), &f);
}

static void
take_groups(struct survey *s, struct survey_stream *st, const struct reply *r)
{
	enum bus_why why;
	struct fail f;

	if (st->info.groups > 0 && stream_take_groups(r, &st->groups, &st->ngroups, &why, &f) == -1)
		trouble(s, st, why, &f);
}

static void
put_question(struct work *w, const struct survey_stream *st)
{
	char *dead = names_dead(w->ask->prefix, st->type);

	stream_put_info(w->b, st->key);
	bus_putl(w->b, "XLEN", dead, NULL);
	stream_put_groups(w->b, st->key);
	free(dead);
}

static int
take_answer(struct work *w, struct survey_stream *st, struct fail *f)
{
	struct reply *info = NULL, *dead = NULL, *groups = NULL;
	enum bus_why why;
	struct fail no;
	int ok = -1;

	if ((info = bus_wait(w->b, 0, f)) == NULL || (dead = bus_wait(w->b, 0, f)) == NULL ||
	    (groups = bus_wait(w->b, 0, f)) == NULL)
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

static int
look_at_some(struct work *w, struct survey_stream *st, size_t n, struct fail *f)
{
	enum bus_why why;

	for (size_t i = 0; i < n; i++)
		put_question(w, &st[i]);
	for (size_t i = 0; i < n; i++)
		if (take_answer(w, &st[i], f) == -1)
			return -1;
	for (size_t i = 0; i < n; i++)
		stream_put_pending(w->b, st[i].key, st[i].groups, st[i].ngroups);
	for (size_t i = 0; i < n; i++)
		if (stream_take_pending(w->b, st[i].groups, st[i].ngroups, &why, f) == -1)
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
survey_look(struct work *w, struct fail *f)
{
	struct pace pace = pace_start(AT_ONCE);
	struct survey *s = w->s;
	size_t i, n;

	w->by = when_mono() + w->ask->timeout_ms;
	for (i = 0; i < s->n && (i == 0 || when_mono() < w->by); i += n) {
		uint64_t before = bus_received(w->b);

		n = s->n - i < pace.count ? s->n - i : pace.count;
		if (look_at_some(w, s->streams + i, n, f) == -1) {
			survey_drop(s, i);
			return -1;
		}
		pace_learn(&pace, n, (size_t)(bus_received(w->b) - before));
	}
	if (i < s->n) {
		survey_drop(s, i);
		survey_not_all(s, STATUS_AGAIN, "time ran out while streams were looked at: give more with -t");
	}
	return 0;
}
