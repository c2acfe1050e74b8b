#include <inttypes.h>
#include <string.h>

#include "report/judge.h"
#include "base/util.h"
#include "base/when.h"

#define FEW_FILES 8	/* a segment and the state beside it */

struct court {
	struct verdict *v;
	const struct picture *p;
	const struct limit *l;
};

/* About what a limit is judged: of a stream the type, of a group its name too. */
struct about {
	const char *type, *group;
};

/* before, after: the words around the value. */
static void
check(const struct court *c, enum limit_name name, uint64_t value, const struct about *a, const char *before,
    const char *after)
{
	uint64_t limit = 0;
	enum grade g = limit_grade(c->l, name, value, &limit);
	struct buf text = {0};
	struct problem *p;

	if (g == GRADE_OK)
		return;
	if (a->type != NULL)
		buf_adds(&text, a->type);
	if (a->group != NULL)
		buf_addf(&text, ", group %s", a->group);
	buf_addf(&text, "%s%s", a->type != NULL ? ": " : "", before);
	limit_text(&text, name, value);
	buf_adds(&text, after);
	p = verdict_add(c->v, g, limit_word(name), "%s", buf_str(&text));
	p->measured = true;
	p->value = value;
	p->limit = limit;
	p->unit = limit_unit(name);
	p->type = a->type != NULL ? util_strdup(a->type) : NULL;
	p->group = a->group != NULL ? util_strdup(a->group) : NULL;
	buf_free(&text);
}

static const struct about nothing;

/* --- the buffer ------------------------------------------------------------------ */

static void
judge_held(const struct court *c, const struct backlog *b)
{
	struct buf text = {0};

	buf_adds(&text, " held:");
	for (size_t i = 0; i < b->nheld; i++)
		buf_addf(&text, "%s %s (%s)", i > 0 ? "," : "", b->held[i].type, b->held[i].reason);
	check(c, LIMIT_HELD, b->nheld, &nothing, "", buf_str(&text));
	buf_free(&text);
}

static void
judge_damage(const struct court *c, const struct backlog *b)
{
	for (size_t i = 0; i < b->nvanished; i++)
		verdict_add(c->v, GRADE_CRITICAL, "vanished", "segment %s vanished with undelivered events", b->vanished[i])
		    ->word = util_strdup(b->vanished[i]);
	if (b->lock_holder != NULL)
		verdict_add(c->v, GRADE_WARNING, "lock", "process %s holds the buffer's lock and does not let go", b->lock_holder)
		    ->word = util_strdup(b->lock_holder);
	if (b->suspect > 0)
		verdict_add(c->v, GRADE_CRITICAL, "suspect", "%" PRIu64 " segments could not be synced to disk", b->suspect);
	if (b->odd > 0)
		verdict_add(c->v, GRADE_WARNING, "odd", "%" PRIu64 " files in the buffer are no regular file of ours with one link", b->odd);
	if (c->p->other)
		verdict_add(c->v, GRADE_WARNING, "target", "the buffer belongs to %s, not to %s", b->target, c->p->target)
		    ->word = util_strdup(b->target);
}

static void
judge_space(const struct court *c)
{
	if (!c->p->free_known)
		return;
	check(c, LIMIT_FREE, c->p->free, &nothing, "only ", " free where the buffer is");
	if (c->p->free_files < FEW_FILES)
		verdict_add(c->v, GRADE_CRITICAL, "free", "no inodes free where the buffer is");
}

static void
judge_buffer(const struct court *c)
{
	const struct backlog *b = &c->p->buffer;
	int64_t age = (when_now() - b->oldest) / 1000;

	judge_space(c);
	if (!c->p->readable) {
		verdict_add(c->v, GRADE_CRITICAL, "buffer", "%s", c->p->unread.text);
		return;
	}
	judge_damage(c, b);
	check(c, LIMIT_EVENTS, b->events, &nothing, "", b->events == 1 ? " event in the buffer" : " events in the buffer");
	if (b->oldest != 0)
		check(c, LIMIT_AGE, age > 0 ? (uint64_t)age : 0, &nothing, "the oldest event in it is ", " old");
	check(c, LIMIT_BYTES, b->bytes, &nothing, "the buffer takes ", "");
	check(c, LIMIT_QUARANTINE, b->quarantined, &nothing, "", " in quarantine");
	if (b->nheld > 0)
		judge_held(c, b);
	check(c, LIMIT_DOUBLES, b->doubles, &nothing, "", " possible duplicates");
}

/* --- Redis ------------------------------------------------------------------------- */

static void
judge_redis(const struct court *c, const struct survey *s)
{
	struct problem *p = NULL;

	if (!s->up) {
		p = verdict_add(c->v, GRADE_CRITICAL, "redis", "redis down (%s): %s", survey_word(s->why), s->error);
		p->word = util_strdup(survey_word(s->why));
		return;
	}
	if (s->refuses != BUS_FINE) {
		p = verdict_add(c->v, GRADE_CRITICAL, "redis", "redis takes no events (%s): %s", survey_word(s->refuses), s->refusal);
		p->word = util_strdup(survey_word(s->refuses));
	}
	check(c, LIMIT_RTT, (uint64_t)s->rtt_us / 1000, &nothing, "redis took ", " to answer");
	if (s->incomplete != NULL)
		verdict_add(c->v, GRADE_UNKNOWN, "complete", "not all streams were seen: %s", s->incomplete);
	for (size_t i = 0; i < s->nunmatched; i++)
		verdict_add(c->v, GRADE_WARNING, "stream", "no stream matches '%s'", s->unmatched[i]);
}

static void
unknown(const struct court *c, enum limit_name name, const struct about *a)
{
	struct problem *p;

	if (!limit_given(&c->l[name]))
		return;
	p = verdict_add(c->v, GRADE_UNKNOWN, limit_word(name), "%s, group %s: %s cannot be known", a->type, a->group, limit_word(name));
	p->type = util_strdup(a->type);
	p->group = util_strdup(a->group);
}

static void
judge_group(const struct court *c, const struct survey_stream *st, const struct stream_group *g)
{
	const struct about a = {st->type, g->name};
	int64_t lag = survey_lag(&st->info, g), age = survey_pending_age(&c->p->redis, g);
	bool known;
	uint64_t lost = stream_lost(&st->info, g, &known);

	if (lag >= 0)
		check(c, LIMIT_LAG, (uint64_t)lag, &a, "", " to read");
	else
		unknown(c, LIMIT_LAG, &a);
	if (known)
		check(c, LIMIT_LOST, lost, &a, "", " trimmed unread");
	else
		unknown(c, LIMIT_LOST, &a);
	check(c, LIMIT_PENDING, g->pending, &a, "", " not acknowledged");
	if (age >= 0)
		check(c, LIMIT_PENDING_AGE, (uint64_t)age, &a, "oldest not acknowledged is ", " old");
}

static void
judge_stream(const struct court *c, const struct survey_stream *st)
{
	const struct about a = {st->type, NULL};
	struct problem *p = NULL;

	if (st->error != NULL) {
		p = verdict_add(c->v, st->why == BUS_WRONGTYPE ? GRADE_CRITICAL : GRADE_UNKNOWN, "stream", "%s: %s", st->type, st->error);
		p->word = util_strdup(st->why == BUS_WRONGTYPE ? "wrong-type" : survey_word(st->why));
	} else if (!st->info.exists)
		p = verdict_add(c->v, GRADE_WARNING, "stream", "%s: no stream", st->type);
	if (p != NULL)
		p->type = util_strdup(st->type);
	if (st->dead > 0)
		check(c, LIMIT_DEAD, (uint64_t)st->dead, &a, "", " dead letters");
	for (size_t i = 0; i < st->ngroups; i++)
		judge_group(c, st, &st->groups[i]);
}

void
judge_picture(struct verdict *v, const struct picture *p, const struct limit l[LIMITS])
{
	struct court c = {v, p, l};

	judge_redis(&c, &p->redis);
	judge_buffer(&c);
	for (size_t i = 0; i < p->redis.n; i++)
		judge_stream(&c, &p->redis.streams[i]);
	verdict_sort(v);
}

void
judge_fine(struct buf *out, const struct picture *p)
{
	size_t groups = 0;

	for (size_t i = 0; i < p->redis.n; i++)
		groups += p->redis.streams[i].ngroups;
	buf_addf(out, "redis up %.1f ms, buffer %" PRIu64 " event%s", (double)p->redis.rtt_us / 1000, p->buffer.events,
	    p->buffer.events == 1 ? "" : "s");
	if (p->redis.n > 0)
		buf_addf(out, ", %zu stream%s, %zu group%s", p->redis.n, p->redis.n == 1 ? "" : "s", groups, groups == 1 ? "" : "s");
}
