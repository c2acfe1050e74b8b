#include "report/problems.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

#define MIN_INODES 8 /* for a segment and the state files beside it */

static const char *const severity_names[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};
static const int severity_ranks[] = {0, 2, 3, 1};

struct problem *
problems_add(struct problems *v, enum severity g, const char *what, const char *fmt, ...)
{
	struct problem *p;
	char *text;
	va_list ap;

	va_start(ap, fmt);
	text = mem_vasprintf(fmt, ap);
	va_end(ap);
	if (v->n == v->cap) {
		v->cap = v->cap == 0 ? 16 : v->cap * 2;
		v->problems = mem_realloc(v->problems, v->cap * sizeof(*v->problems));
	}
	p = &v->problems[v->n++];
	*p = (struct problem){.severity = g, .what = what, .text = text};
	return p;
}

void
problems_free(struct problems *v)
{
	while (v->n > 0)
		free(v->problems[--v->n].text);
	free(v->problems);
	memset(v, 0, sizeof(*v));
}

enum severity
problems_worst(const struct problems *v)
{
	enum severity worst = SEVERITY_OK;

	for (size_t i = 0; i < v->n; i++)
		if (severity_ranks[v->problems[i].severity] > severity_ranks[worst])
			worst = v->problems[i].severity;
	return worst;
}

void
problems_sort(struct problems *v)
{
	struct problem *sorted = mem_alloc(v->n * sizeof(*sorted));
	size_t n = 0;

	for (int rank = 3; rank >= 0; rank--)
		for (size_t i = 0; i < v->n; i++)
			if (severity_ranks[v->problems[i].severity] == rank)
				sorted[n++] = v->problems[i];
	free(v->problems);
	v->problems = sorted;
	v->cap = v->n;
}

void
problems_line(struct bytes *out, const struct problems *v, const char *ok_text)
{
	char *p;

	bytes_addf(out, "%s - %s", severity_names[problems_worst(v)], v->n == 0 ? ok_text : "");
	for (size_t i = 0; i < v->n; i++)
		bytes_addf(out, "%s%s", i > 0 ? "; " : "", v->problems[i].text);
	err_clean(out);
	for (p = out->p; (p = strchr(p, '|')) != NULL;)
		*p = '/';
}

void
problems_json(struct item *document, const struct problems *v)
{
	struct bytes list = {0};

	item_text(document, "status", NULL, severity_names[problems_worst(v)]);
	for (size_t i = 0; i < v->n; i++) {
		const struct problem *p = &v->problems[i];
		struct item r = {.json = true};

		item_text(&r, "what", NULL, p->what);
		if (p->unit != NULL) {
			item_count(&r, "value", NULL, p->value);
			item_count(&r, "limit", NULL, p->limit);
		} else {
			item_text(&r, "value", NULL, p->value_text);
			item_text(&r, "limit", NULL, NULL);
		}
		item_text(&r, "unit", NULL, p->unit != NULL && *p->unit != '\0' ? p->unit : NULL);
		item_text(&r, "status", NULL, severity_names[p->severity]);
		item_text(&r, "event_type", NULL, p->type);
		item_text(&r, "group", NULL, p->group);
		item_text(&r, "text", NULL, p->text);
		item_push(&list, &r);
	}
	item_list(document, "problems", &list);
}

/* --- checks ----------------------------------------------------------------------- */

struct checker {
	struct problems *problems;
	const struct snapshot *snapshot;
	const struct threshold *thresholds;
	const char *type, *group; /* of the stream and the group that are checked; NULL */
};

/* Adds a problem with the stream and the group that are checked. */
static struct problem *
add_problem(const struct checker *c, enum severity severity, const char *what, const char *text)
{
	struct problem *problem;
	struct bytes words = {0};

	if (c->type != NULL)
		bytes_adds(&words, c->type);
	if (c->group != NULL)
		bytes_addf(&words, ", group %s", c->group);
	problem = problems_add(c->problems, severity, what, "%s%s%s", bytes_str(&words),
	    c->type != NULL ? ": " : "", text);
	problem->type = c->type;
	problem->group = c->group;
	bytes_free(&words);
	return problem;
}

/* Adds a problem when the value is over its threshold. before, after: the words around the value.
 */
static void
check_value(const struct checker *c, enum threshold_index which, uint64_t value, const char *before,
    const char *after)
{
	uint64_t limit = 0;
	enum severity severity = threshold_severity(c->thresholds, which, value, &limit);
	struct bytes text = {0};
	struct problem *problem;

	if (severity == SEVERITY_OK)
		return;
	bytes_adds(&text, before);
	threshold_text(&text, which, value);
	bytes_adds(&text, after);
	problem = add_problem(c, severity, threshold_name(which), bytes_str(&text));
	problem->unit = threshold_unit(which);
	problem->value = value;
	problem->limit = limit;
	bytes_free(&text);
}

/* The same for a value that may be unknown (-1), which is a problem when the user set a limit. */
static void
check_known_value(
    const struct checker *c, enum threshold_index which, int64_t value, const char *after)
{
	struct bytes text = {0};

	if (value >= 0) {
		check_value(c, which, (uint64_t)value, "", after);
		return;
	}
	if (!threshold_is_set(&c->thresholds[which]))
		return;
	bytes_addf(&text, "%s unknown", threshold_name(which));
	add_problem(c, SEVERITY_UNKNOWN, threshold_name(which), bytes_str(&text));
	bytes_free(&text);
}

/* --- the buffer ------------------------------------------------------------------ */

static void
check_damage(const struct checker *c, const struct backlog *b)
{
	for (size_t i = 0; i < b->nvanished; i++)
		problems_add(c->problems, SEVERITY_CRITICAL, "vanished",
		    "segment %s vanished with undelivered events", b->vanished[i])
		    ->value_text = b->vanished[i];
	for (size_t i = 0; i < b->nshrunk; i++)
		problems_add(c->problems, SEVERITY_CRITICAL, "shrunk",
		    "segment %s shrank from %" PRIu64 " to %" PRIu64 " bytes", b->shrunk[i].stem,
		    b->shrunk[i].from, b->shrunk[i].to)
		    ->value_text = b->shrunk[i].stem;
	if (b->lock_holder != NULL)
		problems_add(c->problems, SEVERITY_WARNING, "lock",
		    "process %s holds the writers' lock and does not release it; resume or end it",
		    b->lock_holder)
		    ->value_text = b->lock_holder;
	if (b->suspect > 0)
		problems_add(c->problems, SEVERITY_CRITICAL, "suspect",
		    "%" PRIu64 " segment%s could not be synced to disk", b->suspect,
		    b->suspect == 1 ? "" : "s");
	if (b->ignored > 0)
		problems_add(c->problems, SEVERITY_WARNING, "odd",
		    "%" PRIu64 " file%s in the buffer ignored: "
		    "not a regular file, or owned by another user",
		    b->ignored, b->ignored == 1 ? "" : "s");
	if (c->snapshot->other_target)
		problems_add(c->problems, SEVERITY_WARNING, "target",
		    "the buffer belongs to %s, not to %s", b->target, c->snapshot->target)
		    ->value_text = b->target;
}

static void
check_buffer(const struct checker *c)
{
	const struct backlog *b = &c->snapshot->buffer;
	int64_t age = (clock_now() - b->oldest) / 1000;
	struct bytes held = {0};

	if (c->snapshot->free_known) {
		check_value(c, THRESHOLD_FREE, c->snapshot->free, "only ",
		    " free on the buffer's file system");
		if (c->snapshot->free_files < MIN_INODES)
			problems_add(c->problems, SEVERITY_CRITICAL, "free",
			    "no free inodes on the buffer's file system");
	}
	if (!c->snapshot->readable) {
		problems_add(
		    c->problems, SEVERITY_CRITICAL, "buffer", "%s", c->snapshot->read_error.text);
		return;
	}
	if (c->snapshot->write_error.text[0] != '\0')
		problems_add(
		    c->problems, SEVERITY_CRITICAL, "buffer", "%s", c->snapshot->write_error.text);
	check_damage(c, b);
	check_value(c, THRESHOLD_EVENTS, b->events, "",
	    b->events == 1 ? " event in the buffer" : " events in the buffer");
	if (b->oldest != 0)
		check_value(c, THRESHOLD_AGE, age > 0 ? (uint64_t)age : 0,
		    "the oldest buffered event is ", " old");
	check_value(c, THRESHOLD_BYTES, b->bytes, "the buffer uses ", "");
	check_value(c, THRESHOLD_QUARANTINE, b->quarantined, "", " quarantined");
	for (size_t i = 0; i < b->nheld; i++)
		bytes_addf(&held, "%s %s (%s)", i == 0 ? " held:" : ",", b->held[i].type,
		    b->held[i].reason);
	check_value(c, THRESHOLD_HELD, b->nheld, "", bytes_str(&held));
	bytes_free(&held);
	check_value(c, THRESHOLD_DUPLICATES, b->possible_duplicates, "", " possible duplicates");
}

/* --- Redis ------------------------------------------------------------------------- */

static void
check_redis(const struct checker *c, const struct survey *s)
{
	if (!s->up) {
		problems_add(c->problems, SEVERITY_CRITICAL, "redis", "redis down (%s): %s",
		    survey_why_name(s->why), s->error)
		    ->value_text = survey_why_name(s->why);
		return;
	}
	if (s->refuses != CONN_OK)
		problems_add(c->problems, SEVERITY_CRITICAL, "redis",
		    "redis refuses writes (%s): %s", survey_why_name(s->refuses), s->refusal)
		    ->value_text = survey_why_name(s->refuses);
	check_value(c, THRESHOLD_RTT, (uint64_t)s->rtt_us / 1000, "redis took ", " to answer");
	if (s->why_incomplete != NULL)
		problems_add(c->problems, SEVERITY_UNKNOWN, "complete",
		    "not all streams were checked: %s", s->why_incomplete);
	for (size_t i = 0; i < s->nunmatched; i++)
		problems_add(c->problems, SEVERITY_WARNING, "stream", "no stream matches '%s'",
		    s->unmatched[i]);
}

static void
check_group(struct checker *c, const struct survey_stream *st, const struct stream_group *group)
{
	int64_t age = survey_pending_age(&c->snapshot->redis, group);

	c->group = group->name;
	check_known_value(c, THRESHOLD_LAG, survey_lag(&st->info, group), " unread");
	check_known_value(c, THRESHOLD_LOST, survey_lost(&st->info, group), " trimmed unread");
	check_value(c, THRESHOLD_PENDING, group->pending, "", " pending");
	if (age >= 0)
		check_value(c, THRESHOLD_PENDING_AGE, (uint64_t)age, "the oldest pending entry is ",
		    " old");
}

static void
check_stream(struct checker *c, const struct survey_stream *st)
{
	bool wrong_type = st->error != NULL && st->why == CONN_WRONGTYPE;

	c->type = st->type;
	c->group = NULL;
	if (st->error != NULL)
		add_problem(
		    c, wrong_type ? SEVERITY_CRITICAL : SEVERITY_UNKNOWN, "stream", st->error)
		    ->value_text = wrong_type ? "wrong-type" : survey_why_name(st->why);
	else if (!st->info.exists)
		add_problem(c, SEVERITY_WARNING, "stream", "no such stream");
	if (st->dead_letters > 0)
		check_value(c, THRESHOLD_DEAD, (uint64_t)st->dead_letters, "", " dead letters");
	for (size_t i = 0; i < st->ngroups; i++)
		check_group(c, st, &st->groups[i]);
}

void
problems_find(struct problems *problems, const struct snapshot *snapshot,
    const struct threshold thresholds[THRESHOLDS])
{
	struct checker c = {problems, snapshot, thresholds, NULL, NULL};

	check_redis(&c, &snapshot->redis);
	check_buffer(&c);
	for (size_t i = 0; i < snapshot->redis.n; i++)
		check_stream(&c, &snapshot->redis.streams[i]);
	problems_sort(problems);
}

void
problems_ok_text(struct bytes *out, const struct snapshot *snapshot)
{
	size_t groups = 0;

	for (size_t i = 0; i < snapshot->redis.n; i++)
		groups += snapshot->redis.streams[i].ngroups;
	bytes_addf(out, "redis up %.1f ms, buffer %" PRIu64 " event%s",
	    (double)snapshot->redis.rtt_us / 1000, snapshot->buffer.events,
	    snapshot->buffer.events == 1 ? "" : "s");
	if (snapshot->redis.n > 0)
		bytes_addf(out, ", %zu stream%s, %zu group%s", snapshot->redis.n,
		    snapshot->redis.n == 1 ? "" : "s", groups, groups == 1 ? "" : "s");
}
