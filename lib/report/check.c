#include "report/check.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "redis/stream.h"

#define FEW_FILES 8 /* a segment and the state beside it */

struct court {
	struct problems *v;
	const struct snapshot *p;
	const struct threshold *l;
};

/* About what a limit is judged: of a stream the type, of a group its name too. */
struct about {
	const char *type, *group;
};

/* before, after: the words around the value. */
static void
check(const struct court *c, enum threshold_name name, uint64_t value, const struct about *a,
    const char *before, const char *after)
{
	uint64_t limit = 0;
	enum severity g = threshold_severity(c->l, name, value, &limit);
	struct bytes text = {0};
	struct problem *p;

	if (g == SEVERITY_OK)
		return;
	if (a->type != NULL)
		bytes_adds(&text, a->type);
	if (a->group != NULL)
		bytes_addf(&text, ", group %s", a->group);
	bytes_addf(&text, "%s%s", a->type != NULL ? ": " : "", before);
	threshold_text(&text, name, value);
	bytes_adds(&text, after);
	p = problems_add(c->v, g, threshold_word(name), "%s", bytes_str(&text));
	p->measured = true;
	p->value = value;
	p->limit = limit;
	p->unit = threshold_unit(name);
	p->type = a->type != NULL ? mem_strdup(a->type) : NULL;
	p->group = a->group != NULL ? mem_strdup(a->group) : NULL;
	bytes_free(&text);
}

static const struct about nothing;

/* --- the buffer ------------------------------------------------------------------ */

static void
judge_held(const struct court *c, const struct backlog *b)
{
	struct bytes text = {0};

	bytes_adds(&text, " held:");
	for (size_t i = 0; i < b->nheld; i++)
		bytes_addf(
		    &text, "%s %s (%s)", i > 0 ? "," : "", b->held[i].type, b->held[i].reason);
	check(c, THRESHOLD_HELD, b->nheld, &nothing, "", bytes_str(&text));
	bytes_free(&text);
}

static void
judge_damage(const struct court *c, const struct backlog *b)
{
	for (size_t i = 0; i < b->nvanished; i++)
		problems_add(c->v, SEVERITY_CRITICAL, "vanished",
		    "segment %s vanished with undelivered events", b->vanished[i])
		    ->value_text = mem_strdup(b->vanished[i]);
	if (b->lock_holder != NULL)
		problems_add(c->v, SEVERITY_WARNING, "lock",
		    "process %s holds the buffer's lock and does not let go", b->lock_holder)
		    ->value_text = mem_strdup(b->lock_holder);
	if (b->suspect > 0)
		problems_add(c->v, SEVERITY_CRITICAL, "suspect",
		    "%" PRIu64 " segments could not be synced to disk", b->suspect);
	if (b->odd > 0)
		problems_add(c->v, SEVERITY_WARNING, "odd",
		    "%" PRIu64 " files in the buffer are no regular file of ours with one link",
		    b->odd);
	if (c->p->other_target)
		problems_add(c->v, SEVERITY_WARNING, "target",
		    "the buffer belongs to %s, not to %s", b->target, c->p->target)
		    ->value_text = mem_strdup(b->target);
}

static void
judge_space(const struct court *c)
{
	if (!c->p->free_known)
		return;
	check(c, THRESHOLD_FREE, c->p->free, &nothing, "only ", " free where the buffer is");
	if (c->p->free_files < FEW_FILES)
		problems_add(c->v, SEVERITY_CRITICAL, "free", "no inodes free where the buffer is");
}

static void
judge_buffer(const struct court *c)
{
	const struct backlog *b = &c->p->buffer;
	int64_t age = (clock_now() - b->oldest) / 1000;

	judge_space(c);
	if (!c->p->readable) {
		problems_add(c->v, SEVERITY_CRITICAL, "buffer", "%s", c->p->read_error.text);
		return;
	}
	judge_damage(c, b);
	check(c, THRESHOLD_EVENTS, b->events, &nothing, "",
	    b->events == 1 ? " event in the buffer" : " events in the buffer");
	if (b->oldest != 0)
		check(c, THRESHOLD_AGE, age > 0 ? (uint64_t)age : 0, &nothing,
		    "the oldest event in it is ", " old");
	check(c, THRESHOLD_BYTES, b->bytes, &nothing, "the buffer takes ", "");
	check(c, THRESHOLD_QUARANTINE, b->quarantined, &nothing, "", " in quarantine");
	if (b->nheld > 0)
		judge_held(c, b);
	check(c, THRESHOLD_DUPLICATES, b->doubles, &nothing, "", " possible duplicates");
}

/* --- Redis ------------------------------------------------------------------------- */

static void
judge_redis(const struct court *c, const struct survey *s)
{
	struct problem *p = NULL;

	if (!s->up) {
		p = problems_add(c->v, SEVERITY_CRITICAL, "redis", "redis down (%s): %s",
		    survey_why_name(s->why), s->error);
		p->value_text = mem_strdup(survey_why_name(s->why));
		return;
	}
	if (s->refuses != CONN_OK) {
		p = problems_add(c->v, SEVERITY_CRITICAL, "redis", "redis takes no events (%s): %s",
		    survey_why_name(s->refuses), s->refusal);
		p->value_text = mem_strdup(survey_why_name(s->refuses));
	}
	check(c, THRESHOLD_RTT, (uint64_t)s->rtt_us / 1000, &nothing, "redis took ", " to answer");
	if (s->incomplete != NULL)
		problems_add(c->v, SEVERITY_UNKNOWN, "complete", "not all streams were seen: %s",
		    s->incomplete);
	for (size_t i = 0; i < s->nunmatched; i++)
		problems_add(
		    c->v, SEVERITY_WARNING, "stream", "no stream matches '%s'", s->unmatched[i]);
}

static void
unknown(const struct court *c, enum threshold_name name, const struct about *a)
{
	struct problem *p;

	if (!threshold_is_set(&c->l[name]))
		return;
	p = problems_add(c->v, SEVERITY_UNKNOWN, threshold_word(name),
	    "%s, group %s: %s cannot be known", a->type, a->group, threshold_word(name));
	p->type = mem_strdup(a->type);
	p->group = mem_strdup(a->group);
}

static void
judge_group(const struct court *c, const struct survey_stream *st, const struct stream_group *g)
{
	const struct about a = {st->type, g->name};
	int64_t lag = survey_lag(&st->info, g), age = survey_pending_age(&c->p->redis, g);
	bool known;
	uint64_t lost = stream_lost(&st->info, g, &known);

	if (lag >= 0)
		check(c, THRESHOLD_LAG, (uint64_t)lag, &a, "", " to read");
	else
		unknown(c, THRESHOLD_LAG, &a);
	if (known)
		check(c, THRESHOLD_LOST, lost, &a, "", " trimmed unread");
	else
		unknown(c, THRESHOLD_LOST, &a);
	check(c, THRESHOLD_PENDING, g->pending, &a, "", " not acknowledged");
	if (age >= 0)
		check(c, THRESHOLD_PENDING_AGE, (uint64_t)age, &a, "oldest not acknowledged is ",
		    " old");
}

static void
judge_stream(const struct court *c, const struct survey_stream *st)
{
	const struct about a = {st->type, NULL};
	struct problem *p = NULL;

	if (st->error != NULL) {
		p = problems_add(c->v,
		    st->why == CONN_WRONGTYPE ? SEVERITY_CRITICAL : SEVERITY_UNKNOWN, "stream",
		    "%s: %s", st->type, st->error);
		p->value_text =
		    mem_strdup(st->why == CONN_WRONGTYPE ? "wrong-type" : survey_why_name(st->why));
	} else if (!st->info.exists)
		p = problems_add(c->v, SEVERITY_WARNING, "stream", "%s: no stream", st->type);
	if (p != NULL)
		p->type = mem_strdup(st->type);
	if (st->dead_letters > 0)
		check(c, THRESHOLD_DEAD, (uint64_t)st->dead_letters, &a, "", " dead letters");
	for (size_t i = 0; i < st->ngroups; i++)
		judge_group(c, st, &st->groups[i]);
}

void
check_snapshot(struct problems *v, const struct snapshot *p, const struct threshold l[THRESHOLDS])
{
	struct court c = {v, p, l};

	judge_redis(&c, &p->redis);
	judge_buffer(&c);
	for (size_t i = 0; i < p->redis.n; i++)
		judge_stream(&c, &p->redis.streams[i]);
	problems_sort(v);
}

void
check_ok_text(struct bytes *out, const struct snapshot *p)
{
	size_t groups = 0;

	for (size_t i = 0; i < p->redis.n; i++)
		groups += p->redis.streams[i].ngroups;
	bytes_addf(out, "redis up %.1f ms, buffer %" PRIu64 " event%s",
	    (double)p->redis.rtt_us / 1000, p->buffer.events, p->buffer.events == 1 ? "" : "s");
	if (p->redis.n > 0)
		bytes_addf(out, ", %zu stream%s, %zu group%s", p->redis.n,
		    p->redis.n == 1 ? "" : "s", groups, groups == 1 ? "" : "s");
}
