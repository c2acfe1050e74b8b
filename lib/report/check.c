#include "report/check.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "redis/stream.h"

#define MIN_INODES 8 /* for a segment and the state files beside it */

struct checker {
	struct problems *problems;
	const struct snapshot *snapshot;
	const struct threshold *thresholds;
};

/* The stream (type) or the group (both) that a value belongs to. */
struct subject {
	const char *type, *group;
};

static const struct subject no_subject;

/* Adds a problem when the value is over its threshold. before, after: the words around the value.
 */
static void
check_value(const struct checker *c, enum threshold_index which, uint64_t value,
    const struct subject *subject, const char *before, const char *after)
{
	uint64_t limit = 0;
	enum severity severity = threshold_severity(c->thresholds, which, value, &limit);
	struct bytes text = {0};
	struct problem *problem;

	if (severity == SEVERITY_OK)
		return;
	if (subject->type != NULL)
		bytes_adds(&text, subject->type);
	if (subject->group != NULL)
		bytes_addf(&text, ", group %s", subject->group);
	bytes_addf(&text, "%s%s", subject->type != NULL ? ": " : "", before);
	threshold_text(&text, which, value);
	bytes_adds(&text, after);
	problem =
	    problems_add(c->problems, severity, threshold_name(which), "%s", bytes_str(&text));
	problem->measured = true;
	problem->value = value;
	problem->limit = limit;
	problem->unit = threshold_unit(which);
	problem->type = subject->type != NULL ? mem_strdup(subject->type) : NULL;
	problem->group = subject->group != NULL ? mem_strdup(subject->group) : NULL;
	bytes_free(&text);
}

/* --- the buffer ------------------------------------------------------------------ */

static void
check_held(const struct checker *c, const struct backlog *b)
{
	struct bytes text = {0};

	bytes_adds(&text, " held:");
	for (size_t i = 0; i < b->nheld; i++)
		bytes_addf(
		    &text, "%s %s (%s)", i > 0 ? "," : "", b->held[i].type, b->held[i].reason);
	check_value(c, THRESHOLD_HELD, b->nheld, &no_subject, "", bytes_str(&text));
	bytes_free(&text);
}

static void
check_damage(const struct checker *c, const struct backlog *b)
{
	for (size_t i = 0; i < b->nvanished; i++)
		problems_add(c->problems, SEVERITY_CRITICAL, "vanished",
		    "segment %s vanished with undelivered events", b->vanished[i])
		    ->value_text = mem_strdup(b->vanished[i]);
	if (b->lock_holder != NULL)
		problems_add(c->problems, SEVERITY_WARNING, "lock",
		    "process %s holds the writers' lock and does not release it; resume or end it",
		    b->lock_holder)
		    ->value_text = mem_strdup(b->lock_holder);
	if (b->suspect > 0)
		problems_add(c->problems, SEVERITY_CRITICAL, "suspect",
		    "%" PRIu64 " segment%s could not be synced to disk", b->suspect,
		    b->suspect == 1 ? "" : "s");
	if (b->ignored > 0)
		problems_add(c->problems, SEVERITY_WARNING, "odd",
		    "%" PRIu64 " file%s in the buffer ignored: "
		    "not a regular file owned by this user with one link",
		    b->ignored, b->ignored == 1 ? "" : "s");
	if (c->snapshot->other_target)
		problems_add(c->problems, SEVERITY_WARNING, "target",
		    "the buffer belongs to %s, not to %s", b->target, c->snapshot->target)
		    ->value_text = mem_strdup(b->target);
}

static void
check_space(const struct checker *c)
{
	if (!c->snapshot->free_known)
		return;
	check_value(c, THRESHOLD_FREE, c->snapshot->free, &no_subject, "only ",
	    " free on the buffer's file system");
	if (c->snapshot->free_files < MIN_INODES)
		problems_add(c->problems, SEVERITY_CRITICAL, "free",
		    "no free inodes on the buffer's file system");
}

static void
check_buffer(const struct checker *c)
{
	const struct backlog *b = &c->snapshot->buffer;
	int64_t age = (clock_now() - b->oldest) / 1000;

	check_space(c);
	if (!c->snapshot->readable) {
		problems_add(
		    c->problems, SEVERITY_CRITICAL, "buffer", "%s", c->snapshot->read_error.text);
		return;
	}
	check_damage(c, b);
	check_value(c, THRESHOLD_EVENTS, b->events, &no_subject, "",
	    b->events == 1 ? " event in the buffer" : " events in the buffer");
	if (b->oldest != 0)
		check_value(c, THRESHOLD_AGE, age > 0 ? (uint64_t)age : 0, &no_subject,
		    "the oldest buffered event is ", " old");
	check_value(c, THRESHOLD_BYTES, b->bytes, &no_subject, "the buffer uses ", "");
	check_value(c, THRESHOLD_QUARANTINE, b->quarantined, &no_subject, "", " quarantined");
	if (b->nheld > 0)
		check_held(c, b);
	check_value(c, THRESHOLD_DUPLICATES, b->possible_duplicates, &no_subject, "",
	    " possible duplicates");
}

/* --- Redis ------------------------------------------------------------------------- */

static void
check_redis(const struct checker *c, const struct survey *s)
{
	struct problem *problem = NULL;

	if (!s->up) {
		problem = problems_add(c->problems, SEVERITY_CRITICAL, "redis",
		    "redis down (%s): %s", survey_why_name(s->why), s->error);
		problem->value_text = mem_strdup(survey_why_name(s->why));
		return;
	}
	if (s->refuses != CONN_OK) {
		problem = problems_add(c->problems, SEVERITY_CRITICAL, "redis",
		    "redis refuses writes (%s): %s", survey_why_name(s->refuses), s->refusal);
		problem->value_text = mem_strdup(survey_why_name(s->refuses));
	}
	check_value(
	    c, THRESHOLD_RTT, (uint64_t)s->rtt_us / 1000, &no_subject, "redis took ", " to answer");
	if (s->why_incomplete != NULL)
		problems_add(c->problems, SEVERITY_UNKNOWN, "complete",
		    "not all streams were checked: %s", s->why_incomplete);
	for (size_t i = 0; i < s->nunmatched; i++)
		problems_add(c->problems, SEVERITY_WARNING, "stream", "no stream matches '%s'",
		    s->unmatched[i]);
}

static void
add_unknown(const struct checker *c, enum threshold_index which, const struct subject *subject)
{
	struct problem *problem;

	if (!threshold_is_set(&c->thresholds[which]))
		return;
	problem = problems_add(c->problems, SEVERITY_UNKNOWN, threshold_name(which),
	    "%s, group %s: %s unknown", subject->type, subject->group, threshold_name(which));
	problem->type = mem_strdup(subject->type);
	problem->group = mem_strdup(subject->group);
}

static void
check_group(
    const struct checker *c, const struct survey_stream *st, const struct stream_group *group)
{
	const struct subject subject = {st->type, group->name};
	int64_t lag = survey_lag(&st->info, group),
	        age = survey_pending_age(&c->snapshot->redis, group);
	bool known;
	uint64_t lost = stream_lost(&st->info, group, &known);

	if (lag >= 0)
		check_value(c, THRESHOLD_LAG, (uint64_t)lag, &subject, "", " unread");
	else
		add_unknown(c, THRESHOLD_LAG, &subject);
	if (known)
		check_value(c, THRESHOLD_LOST, lost, &subject, "", " trimmed unread");
	else
		add_unknown(c, THRESHOLD_LOST, &subject);
	check_value(c, THRESHOLD_PENDING, group->pending, &subject, "", " pending");
	if (age >= 0)
		check_value(c, THRESHOLD_PENDING_AGE, (uint64_t)age, &subject,
		    "the oldest pending entry is ", " old");
}

static void
check_stream(const struct checker *c, const struct survey_stream *st)
{
	const struct subject subject = {st->type, NULL};
	struct problem *problem = NULL;

	if (st->error != NULL) {
		problem = problems_add(c->problems,
		    st->why == CONN_WRONGTYPE ? SEVERITY_CRITICAL : SEVERITY_UNKNOWN, "stream",
		    "%s: %s", st->type, st->error);
		problem->value_text =
		    mem_strdup(st->why == CONN_WRONGTYPE ? "wrong-type" : survey_why_name(st->why));
	} else if (!st->info.exists)
		problem = problems_add(
		    c->problems, SEVERITY_WARNING, "stream", "%s: no such stream", st->type);
	if (problem != NULL)
		problem->type = mem_strdup(st->type);
	if (st->dead_letters > 0)
		check_value(
		    c, THRESHOLD_DEAD, (uint64_t)st->dead_letters, &subject, "", " dead letters");
	for (size_t i = 0; i < st->ngroups; i++)
		check_group(c, st, &st->groups[i]);
}

void
check_snapshot(struct problems *problems, const struct snapshot *snapshot,
    const struct threshold thresholds[THRESHOLDS])
{
	struct checker c = {problems, snapshot, thresholds};

	check_redis(&c, &snapshot->redis);
	check_buffer(&c);
	for (size_t i = 0; i < snapshot->redis.n; i++)
		check_stream(&c, &snapshot->redis.streams[i]);
	problems_sort(problems);
}

void
check_ok_text(struct bytes *out, const struct snapshot *snapshot)
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
