#include "report/groupfmt.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/jsonwrite.h"
#include "event/id.h"
#include "redis/stream.h"

#define SPAN_SIZE 32

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

/* Negative: no value. */
static void
span_cell(struct table *t, int64_t ms)
{
	char span[SPAN_SIZE] = "-";

	if (ms >= 0)
		clock_format_span(ms, span, sizeof(span));
	table_cell(t, "%s", span);
}

static void
add_id_member(struct bytes *out, const char *name, struct stream_id id)
{
	char text[ID_SIZE];

	id_format(id, text);
	jsonwrite_text(out, name, text);
}

static void
begin_group_object(struct bytes *out, const struct group_ref *g)
{
	jsonwrite_begin_object(out);
	jsonwrite_text(out, "event_type", g->type);
	jsonwrite_text(out, "stream", g->key);
	jsonwrite_text(out, "group", g->name);
}

/* Emits the text so far as one line. */
static int
emit_text(struct groupfmt *fmt)
{
	int stop = fmt->emit(fmt->arg, bytes_str(&fmt->text));

	fmt->text.len = 0;
	return stop;
}

static void
emit_object(struct groupfmt *fmt)
{
	jsonwrite_end_object(&fmt->text);
	emit_text(fmt);
}

static void
emit_unless_quiet(struct groupfmt *fmt)
{
	if (!fmt->quiet)
		emit_text(fmt);
	fmt->text.len = 0;
}

/* Creates the table, with column names, for its first row. */
static struct table *
table_with_header(struct groupfmt *fmt, const char *columns, const char *const *names)
{
	if (fmt->table != NULL)
		return fmt->table;
	fmt->table = table_new(columns);
	for (size_t i = 0; !fmt->quiet && columns[i] != '\0'; i++)
		table_cell(fmt->table, "%s", names[i]);
	return fmt->table;
}

void
groupfmt_end(struct groupfmt *fmt)
{
	if (fmt->table != NULL) {
		table_print(&fmt->text, fmt->table);
		fmt->text.len--; /* the last newline */
		emit_text(fmt);
	}
	table_free(fmt->table);
	fmt->table = NULL;
	bytes_free(&fmt->text);
	fmt->header_shown = false;
}

/* --- groups --------------------------------------------------------------- */

static int64_t
group_lost(const struct survey_stream *st, const struct stream_group *g)
{
	bool known;
	uint64_t n = stream_lost(&st->info, g, &known);

	return known ? (int64_t)n : -1;
}

static void
group_cells(struct table *t, const struct survey *s, const struct survey_stream *st,
    const struct stream_group *g)
{
	char last[ID_SIZE];

	id_format(g->last_delivered, last);
	table_cell(t, "%s", st->type);
	number_cell(t, (int64_t)g->consumers);
	number_cell(t, (int64_t)g->pending);
	span_cell(t, survey_pending_age(s, g));
	number_cell(t, survey_lag(&st->info, g));
	number_cell(t, group_lost(st, g));
	table_cell(t, "%s", last);
	table_cell(t, "%s", g->name);
}

static void
show_group(struct groupfmt *fmt, const struct survey *s, const struct survey_stream *st,
    const struct stream_group *g)
{
	static const char *const names[] = {
	    "TYPE", "CONSUMERS", "PENDING", "OLDEST", "LAG", "LOST", "DELIVERED", "GROUP"};
	struct bytes *out = &fmt->text;

	if (!fmt->json) {
		group_cells(table_with_header(fmt, "lrrrrrll", names), s, st, g);
		return;
	}
	begin_group_object(
	    out, &(struct group_ref){.type = st->type, .key = st->key, .name = g->name});
	jsonwrite_count(out, "consumers", g->consumers);
	jsonwrite_count(out, "pending", g->pending);
	jsonwrite_count_or_null(out, "lag", survey_lag(&st->info, g));
	jsonwrite_count_or_null(out, "lost", group_lost(st, g));
	jsonwrite_count_or_null(out, "oldest_pending_ms", survey_pending_age(s, g));
	add_id_member(out, "last_delivered_id", g->last_delivered);
	emit_object(fmt);
}

size_t
groupfmt_groups(
    struct groupfmt *fmt, const struct survey *s, const struct survey_stream *st, const char *only)
{
	size_t n = 0;

	for (size_t i = 0; i < st->ngroups; i++)
		if (only == NULL || strcmp(st->groups[i].name, only) == 0) {
			show_group(fmt, s, st, &st->groups[i]);
			n++;
		}
	return n;
}

/* --- consumers ------------------------------------------------------------ */

static void
consumer_cells(struct table *t, const struct group_ref *g, const struct group_consumer *c)
{
	table_cell(t, "%s", g->type);
	slice_cell(t, c->name);
	number_cell(t, (int64_t)c->pending);
	span_cell(t, c->idle);
	span_cell(t, c->inactive);
}

static void
show_consumer(struct groupfmt *fmt, const struct group_ref *g, const struct group_consumer *c)
{
	static const char *const names[] = {"TYPE", "CONSUMER", "PENDING", "IDLE", "INACTIVE"};

	if (!fmt->json) {
		consumer_cells(table_with_header(fmt, "llrrr", names), g, c);
		return;
	}
	begin_group_object(&fmt->text, g);
	jsonwrite_slice(&fmt->text, "consumer", c->name);
	jsonwrite_count(&fmt->text, "pending", c->pending);
	jsonwrite_count_or_null(&fmt->text, "idle_ms", c->idle);
	jsonwrite_count_or_null(&fmt->text, "inactive_ms", c->inactive);
	emit_object(fmt);
}

int
groupfmt_consumers(struct groupfmt *fmt, struct conn *conn, const struct group_ref *g, int64_t idle,
    struct err *err)
{
	struct group_consumers list;

	if (group_list_consumers(conn, g->key, g->name, &list, err) == -1)
		return -1;
	for (size_t i = 0; i < list.n; i++)
		if (list.consumer[i].idle >= idle)
			show_consumer(fmt, g, &list.consumer[i]);
	group_consumers_free(&list);
	return 0;
}

/* --- pending entries ------------------------------------------------------ */

/* Returns -1, unknown, for consumers of other programs: they do not count attempts. */
static int64_t
derive_attempts(const struct pending *p)
{
	return pending_is_ebsub_consumer(p->consumer) && p->deliveries > 0 ? p->deliveries - 1 : -1;
}

void
groupfmt_fit_types(struct groupfmt *fmt, char *const *types, size_t n)
{
	fmt->type_width = (int)strlen("TYPE");
	for (size_t i = 0; i < n; i++)
		if ((int)strlen(types[i]) > fmt->type_width)
			fmt->type_width = (int)strlen(types[i]);
}

int
groupfmt_read_clock(struct groupfmt *fmt, struct conn *conn, struct err *err)
{
	int64_t now;

	if (stream_server_time(conn, &now, err) == -1)
		return -1;
	fmt->clock_offset = now - clock_mono();
	return 0;
}

static void
emit_pending_header(struct groupfmt *fmt)
{
	bytes_addf(&fmt->text, "%-17s  %6s  %9s  %8s  %-*s  %s", "ID", "IDLE", "DELIVERED",
	    "ATTEMPTS", fmt->type_width, "TYPE", "CONSUMER");
	emit_unless_quiet(fmt);
	fmt->header_shown = true;
}

static void
format_pending_text(struct groupfmt *fmt, const struct group_ref *g, const struct pending *p)
{
	char id[ID_SIZE], span[SPAN_SIZE], tries[24] = "-";

	id_format(p->id, id);
	clock_format_span(p->idle, span, sizeof(span));
	if (derive_attempts(p) >= 0)
		snprintf(tries, sizeof(tries), "%" PRId64, derive_attempts(p));
	bytes_addf(&fmt->text, "%-17s  %6s  %9" PRId64 "  %8s  %-*s  %.*s", id, span, p->deliveries,
	    tries, fmt->type_width, g->type, (int)p->consumer.n,
	    p->consumer.n > 0 ? p->consumer.p : "");
	bytes_str(&fmt->text);
	err_clean(fmt->text.p);
}

static void
format_pending_json(struct groupfmt *fmt, const struct group_ref *g, const struct pending *p)
{
	int64_t now = fmt->clock_offset + clock_mono();
	struct bytes *out = &fmt->text;

	begin_group_object(out, g);
	add_id_member(out, "id", p->id);
	jsonwrite_slice(out, "consumer", p->consumer);
	jsonwrite_time(out, "delivered_at", (now - p->idle) * 1000);
	jsonwrite_count_or_null(out, "idle_ms", p->idle);
	jsonwrite_count_or_null(out, "deliveries", p->deliveries);
	jsonwrite_count_or_null(out, "attempts", derive_attempts(p));
	jsonwrite_end_object(out);
}

int
groupfmt_pending(struct groupfmt *fmt, const struct group_ref *g, const struct pending *p)
{
	if (fmt->json)
		format_pending_json(fmt, g, p);
	else {
		if (!fmt->header_shown)
			emit_pending_header(fmt);
		format_pending_text(fmt, g, p);
	}
	return emit_text(fmt);
}

/* --- retired consumers ---------------------------------------------------- */

static const char *
retire_result_text(const struct retire_consumer *c, bool dry)
{
	switch (c->result) {
	case RETIRE_DELETED: return "deleted";
	case RETIRE_ACTIVE: return "kept: in use again";
	case RETIRE_MISSING: return "already gone";
	case RETIRE_IS_TARGET: return "kept: gets the entries of others";
	case RETIRE_HAS_PENDING: return "kept: EVAL not available";
	case RETIRE_UNFINISHED: break;
	}
	return dry ? "would be deleted" : "NOT DONE";
}

static void
retired_cells(struct table *t, const struct group_ref *g, const struct group_consumer *was,
    const struct retire_consumer *c, bool dry)
{
	table_cell(t, "%s", g->type);
	slice_cell(t, c->name);
	number_cell(t, (int64_t)was->pending);
	span_cell(t, was->idle);
	number_cell(t, dry ? -1 : (int64_t)c->moved);
	number_cell(t, dry ? -1 : (int64_t)c->lost);
	table_cell(t, "%s", retire_result_text(c, dry));
}

void
groupfmt_retired(struct groupfmt *fmt, const struct group_ref *g,
    const struct retire_selection *selected, size_t i, const char *to)
{
	static const char *const names[] = {
	    "TYPE", "CONSUMER", "PENDING", "IDLE", "MOVED", "LOST", ""};
	const struct retire_consumer *c = &selected->consumer[i];
	struct bytes *out = &fmt->text;

	if (!fmt->json) {
		if (!fmt->quiet)
			retired_cells(table_with_header(fmt, "llrrrrl", names), g,
			    selected->listed[i], c, fmt->dry_run);
		return;
	}
	begin_group_object(out, g);
	jsonwrite_slice(out, "consumer", c->name);
	jsonwrite_count(out, "pending", selected->listed[i]->pending);
	jsonwrite_count_or_null(out, "idle_ms", selected->listed[i]->idle);
	jsonwrite_text(out, "to", to);
	jsonwrite_count_or_null(out, "moved", fmt->dry_run ? -1 : (int64_t)c->moved);
	jsonwrite_count_or_null(out, "lost", fmt->dry_run ? -1 : (int64_t)c->lost);
	jsonwrite_bool(out, "deleted", c->result == RETIRE_DELETED);
	jsonwrite_text(out, "result", retire_result_text(c, fmt->dry_run));
	emit_object(fmt);
}

/* --- other changes -------------------------------------------------------- */

void
groupfmt_acked(struct groupfmt *fmt, const struct group_ref *g, const struct acklist *a)
{
	if (fmt->dry_run)
		return;
	if (fmt->json) {
		begin_group_object(&fmt->text, g);
		jsonwrite_count(&fmt->text, "acknowledged", a->pending);
		jsonwrite_count(&fmt->text, "not_pending", a->not_pending);
		if (a->in_doubt > 0)
			jsonwrite_count(&fmt->text, "possibly_acknowledged", a->in_doubt);
		emit_object(fmt);
		return;
	}
	bytes_addf(&fmt->text, "%" PRIu64 " acknowledged", a->pending);
	if (a->not_pending > 0)
		bytes_addf(&fmt->text, ", %" PRIu64 " not pending", a->not_pending);
	if (a->in_doubt > 0)
		bytes_addf(&fmt->text, ", %" PRIu64 " possibly acknowledged", a->in_doubt);
	emit_unless_quiet(fmt);
}

static void
format_moved_json(struct groupfmt *fmt, const struct group_ref *g, const char *to, const char *next)
{
	struct bytes *out = &fmt->text;

	begin_group_object(out, g);
	if (g->has_info)
		add_id_member(out, "from", g->info.last_delivered);
	else
		jsonwrite_text(out, "from", NULL);
	jsonwrite_text(out, "to", to);
	jsonwrite_text(out, "next_id", *next != '\0' ? next : NULL);
	jsonwrite_bool(out, "done", !fmt->dry_run);
	emit_object(fmt);
}

void
groupfmt_moved(struct groupfmt *fmt, const struct group_ref *g, const char *to, const char *to_text,
    const char *next)
{
	char from[ID_SIZE];

	if (fmt->json) {
		format_moved_json(fmt, g, to, next);
		return;
	}
	id_format(g->info.last_delivered, from);
	bytes_addf(&fmt->text, "%s: %s -> %s", g->name, g->has_info ? from : "?", to_text);
	if (*next != '\0')
		bytes_addf(&fmt->text, ", next %s", next);
	if (fmt->dry_run)
		bytes_adds(&fmt->text, " (dry run, not done)");
	emit_unless_quiet(fmt);
}

static void
format_destroyed_json(struct groupfmt *fmt, const struct group_ref *g)
{
	struct bytes *out = &fmt->text;

	begin_group_object(out, g);
	jsonwrite_count_or_null(out, "consumers", g->has_info ? (int64_t)g->info.consumers : -1);
	jsonwrite_count_or_null(out, "pending", g->has_info ? (int64_t)g->info.pending : -1);
	if (g->has_info)
		add_id_member(out, "last_delivered_id", g->info.last_delivered);
	else
		jsonwrite_text(out, "last_delivered_id", NULL);
	jsonwrite_bool(out, "destroyed", !fmt->dry_run);
	emit_object(fmt);
}

void
groupfmt_destroyed(struct groupfmt *fmt, const struct group_ref *g)
{
	char last[ID_SIZE];

	if (fmt->json) {
		format_destroyed_json(fmt, g);
		return;
	}
	id_format(g->info.last_delivered, last);
	bytes_addf(
	    &fmt->text, "%s: %s", g->name, fmt->dry_run ? "would be destroyed" : "destroyed");
	if (g->has_info)
		bytes_addf(&fmt->text, " at %s with %" PRIu64 " pending of %" PRIu64 " consumer%s",
		    last, g->info.pending, g->info.consumers, g->info.consumers == 1 ? "" : "s");
	emit_unless_quiet(fmt);
}
