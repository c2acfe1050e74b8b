#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "groupline.h"
#include "member.h"
#include "when.h"

#define SPAN 32

static void
slice_cell(struct table *t, struct slice s)
{
	table_cell(t, "%.*s", (int)s.n, s.n > 0 ? s.p : "");
}

static void
number_cell(struct table *t, int64_t n)
{
	if (n < 0)
		table_cell(t, "?");
	else
		table_cell(t, "%" PRId64, n);
}

/* Negative: there is none. */
static void
span_cell(struct table *t, int64_t ms)
{
	char span[SPAN] = "-";

	if (ms >= 0)
		when_span(ms, span, sizeof(span));
	table_cell(t, "%s", span);
}

static void
member_id(struct buf *out, const char *name, struct stream_id id)
{
	char text[STREAM_ID_SIZE];

	stream_id_format(id, text);
	member_text(out, name, text);
}

static void
begin(struct buf *out, const struct onegroup *g)
{
	member_begin(out);
	member_text(out, "event_type", g->type);
	member_text(out, "stream", g->key);
	member_text(out, "group", g->name);
}

/* One name for each column. */
static struct table *
new_table(const char *columns, const char *const *names, bool head)
{
	struct table *t = table_new(columns);

	for (size_t i = 0; head && columns[i] != '\0'; i++)
		table_cell(t, "%s", names[i]);
	return t;
}

/* --- a group ---------------------------------------------------------------- */

static int64_t
lost(const struct survey_stream *st, const struct stream_group *g)
{
	bool known;
	uint64_t n = stream_lost(&st->info, g, &known);

	return known ? (int64_t)n : -1;
}

struct table *
groupline_group_table(bool head)
{
	static const char *const names[] = {"TYPE", "CONSUMERS", "PENDING", "OLDEST", "LAG", "LOST", "DELIVERED", "GROUP"};

	return new_table("lrrrrrll", names, head);
}

void
groupline_group_cells(struct table *t, const struct survey *s, const struct survey_stream *st, const struct stream_group *g)
{
	char last[STREAM_ID_SIZE];

	stream_id_format(g->last_delivered, last);
	table_cell(t, "%s", st->type);
	number_cell(t, (int64_t)g->consumers);
	number_cell(t, (int64_t)g->pending);
	span_cell(t, survey_pending_age(s, g));
	number_cell(t, survey_lag(&st->info, g));
	number_cell(t, lost(st, g));
	table_cell(t, "%s", last);
	table_cell(t, "%s", g->name);
}

void
groupline_group_json(struct buf *out, const struct survey *s, const struct survey_stream *st, const struct stream_group *g)
{
	begin(out, &(struct onegroup){.type = st->type, .key = st->key, .name = g->name});
	member_count(out, "consumers", g->consumers);
	member_count(out, "pending", g->pending);
	member_known(out, "lag", survey_lag(&st->info, g));
	member_known(out, "lost", lost(st, g));
	member_known(out, "oldest_pending_ms", survey_pending_age(s, g));
	member_id(out, "last_delivered_id", g->last_delivered);
	member_end(out);
}

/* --- a consumer ------------------------------------------------------------- */

struct table *
groupline_consumer_table(bool head)
{
	static const char *const names[] = {"TYPE", "CONSUMER", "PENDING", "IDLE", "INACTIVE"};

	return new_table("llrrr", names, head);
}

void
groupline_consumer_cells(struct table *t, const struct onegroup *g, const struct consumers_one *c)
{
	table_cell(t, "%s", g->type);
	slice_cell(t, c->name);
	number_cell(t, (int64_t)c->pending);
	span_cell(t, c->idle);
	span_cell(t, c->inactive);
}

void
groupline_consumer_json(struct buf *out, const struct onegroup *g, const struct consumers_one *c)
{
	begin(out, g);
	member_slice(out, "consumer", c->name);
	member_count(out, "pending", c->pending);
	member_known(out, "idle_ms", c->idle);
	member_known(out, "inactive_ms", c->inactive);
	member_end(out);
}

/* --- a pending entry ---------------------------------------------------------- */

/* -1: deliveries by others say nothing about attempts. */
static int64_t
attempts(const struct pending *p)
{
	return pending_ours(p->consumer) && p->deliveries > 0 ? p->deliveries - 1 : -1;
}

void
groupline_pending_head(struct buf *out, int width)
{
	buf_addf(out, "%-17s  %6s  %9s  %8s  %-*s  %s", "ID", "IDLE", "DELIVERED", "ATTEMPTS", width, "TYPE", "CONSUMER");
}

void
groupline_pending_text(struct buf *out, const struct onegroup *g, const struct pending *p, int width)
{
	char id[STREAM_ID_SIZE], span[SPAN], tries[24] = "-";
	size_t from = out->len;

	stream_id_format(p->id, id);
	when_span(p->idle, span, sizeof(span));
	if (attempts(p) >= 0)
		snprintf(tries, sizeof(tries), "%" PRId64, attempts(p));
	buf_addf(out, "%-17s  %6s  %9" PRId64 "  %8s  %-*s  %.*s", id, span, p->deliveries, tries, width, g->type,
	    (int)p->consumer.n, p->consumer.n > 0 ? p->consumer.p : "");
	buf_str(out);
	fail_clean(out->p + from);
}

void
groupline_pending_json(struct buf *out, const struct onegroup *g, const struct pending *p, int64_t now)
{
	begin(out, g);
	member_id(out, "id", p->id);
	member_slice(out, "consumer", p->consumer);
	member_time(out, "delivered_at", (now - p->idle) * 1000);
	member_known(out, "idle_ms", p->idle);
	member_known(out, "deliveries", p->deliveries);
	member_known(out, "attempts", attempts(p));
	member_end(out);
}

/* --- what became of a consumer ---------------------------------------------------- */

struct table *
groupline_leaver_table(bool head)
{
	static const char *const names[] = {"TYPE", "CONSUMER", "PENDING", "IDLE", "MOVED", "LOST", ""};

	return new_table("llrrrrl", names, head);
}

static const char *
became(const struct leavers *l, size_t i, bool dry)
{
	switch (l->at[i].end) {
	case RETIRE_DELETED:
		return "deleted";
	case RETIRE_BACK:
		return "left: it is back";
	case RETIRE_NONE:
		return "gone already";
	case RETIRE_TARGET:
		return "left: others' entries go to it";
	case RETIRE_HELD:
		return "left: no scripts";
	case RETIRE_OPEN:
		break;
	}
	return dry ? "would be deleted" : "NOT DONE";
}

void
groupline_leaver_cells(struct table *t, const struct onegroup *g, const struct leavers *l, size_t i, bool dry)
{
	table_cell(t, "%s", g->type);
	slice_cell(t, l->at[i].name);
	number_cell(t, (int64_t)l->was[i]->pending);
	span_cell(t, l->was[i]->idle);
	number_cell(t, dry ? -1 : (int64_t)l->at[i].moved);
	number_cell(t, dry ? -1 : (int64_t)l->at[i].lost);
	table_cell(t, "%s", became(l, i, dry));
}

void
groupline_leaver_json(struct buf *out, const struct onegroup *g, const struct leavers *l, size_t i, const char *to, bool dry)
{
	const struct retire_one *c = &l->at[i];

	begin(out, g);
	member_slice(out, "consumer", c->name);
	member_count(out, "pending", l->was[i]->pending);
	member_known(out, "idle_ms", l->was[i]->idle);
	member_text(out, "to", to);
	member_known(out, "moved", dry ? -1 : (int64_t)c->moved);
	member_known(out, "lost", dry ? -1 : (int64_t)c->lost);
	member_bool(out, "deleted", c->end == RETIRE_DELETED);
	member_text(out, "result", became(l, i, dry));
	member_end(out);
}

/* --- what was done by hand ----------------------------------------------------------- */

void
groupline_acked_text(struct buf *out, const struct acks *a)
{
	buf_addf(out, "%" PRIu64 " acknowledged", a->pending);
	if (a->others > 0)
		buf_addf(out, ", %" PRIu64 " not pending", a->others);
}

void
groupline_acked_json(struct buf *out, const struct onegroup *g, const struct acks *a)
{
	begin(out, g);
	member_count(out, "acknowledged", a->pending);
	member_count(out, "not_pending", a->others);
	member_end(out);
}

void
groupline_set_text(struct buf *out, const struct onegroup *g, const char *to, const char *next, bool dry)
{
	char from[STREAM_ID_SIZE];

	stream_id_format(g->info.last_delivered, from);
	buf_addf(out, "%s: %s -> %s", g->name, g->known ? from : "?", to);
	if (*next != '\0')
		buf_addf(out, ", next %s", next);
	if (dry)
		buf_adds(out, " (not done)");
}

void
groupline_set_json(struct buf *out, const struct onegroup *g, const char *to, const char *next, bool dry)
{
	begin(out, g);
	if (g->known)
		member_id(out, "from", g->info.last_delivered);
	else
		member_text(out, "from", NULL);
	member_text(out, "to", to);
	member_text(out, "next_id", *next != '\0' ? next : NULL);
	member_bool(out, "done", !dry);
	member_end(out);
}

void
groupline_destroyed_text(struct buf *out, const struct onegroup *g, bool dry)
{
	char last[STREAM_ID_SIZE];

	stream_id_format(g->info.last_delivered, last);
	buf_addf(out, "%s: %s", g->name, dry ? "would be destroyed" : "destroyed");
	if (g->known)
		buf_addf(out, " at %s with %" PRIu64 " pending of %" PRIu64 " consumer%s", last, g->info.pending, g->info.consumers,
		    g->info.consumers == 1 ? "" : "s");
}

void
groupline_destroyed_json(struct buf *out, const struct onegroup *g, bool dry)
{
	begin(out, g);
	member_known(out, "consumers", g->known ? (int64_t)g->info.consumers : -1);
	member_known(out, "pending", g->known ? (int64_t)g->info.pending : -1);
	if (g->known)
		member_id(out, "last_delivered_id", g->info.last_delivered);
	else
		member_text(out, "last_delivered_id", NULL);
	member_bool(out, "destroyed", !dry);
	member_end(out);
}
