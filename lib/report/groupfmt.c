#include "report/groupfmt.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/jsonwrite.h"
#include "event/id.h"
#include "redis/stream.h"

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
		clock_format_span(ms, span, sizeof(span));
	table_cell(t, "%s", span);
}

static void
member_id(struct bytes *out, const char *name, struct stream_id id)
{
	char text[ID_SIZE];

	id_format(id, text);
	jsonwrite_text(out, name, text);
}

static void
begin(struct bytes *out, const struct group_ref *g)
{
	jsonwrite_begin(out);
	jsonwrite_text(out, "event_type", g->type);
	jsonwrite_text(out, "stream", g->key);
	jsonwrite_text(out, "group", g->name);
}

/* The text so far as a line of its own. */
static int
put(struct groupfmt *l)
{
	int stop = l->emit(l->arg, bytes_str(&l->text));

	l->text.len = 0;
	return stop;
}

static void
put_json(struct groupfmt *l)
{
	jsonwrite_end(&l->text);
	put(l);
}

static void
put_words(struct groupfmt *l)
{
	if (!l->quiet)
		put(l);
	l->text.len = 0;
}

/* With a name for each column, made when its first row comes. */
static struct table *
table_of(struct groupfmt *l, const char *columns, const char *const *names)
{
	if (l->table != NULL)
		return l->table;
	l->table = table_new(columns);
	for (size_t i = 0; !l->quiet && columns[i] != '\0'; i++)
		table_cell(l->table, "%s", names[i]);
	return l->table;
}

void
groupfmt_end(struct groupfmt *l)
{
	if (l->table != NULL) {
		table_print(&l->text, l->table);
		l->text.len--; /* the last newline */
		put(l);
	}
	table_free(l->table);
	l->table = NULL;
	bytes_free(&l->text);
	l->header_shown = false;
}

/* --- a group ---------------------------------------------------------------- */

static int64_t
lost(const struct survey_stream *st, const struct stream_group *g)
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
	number_cell(t, lost(st, g));
	table_cell(t, "%s", last);
	table_cell(t, "%s", g->name);
}

static void
put_group(struct groupfmt *l, const struct survey *s, const struct survey_stream *st,
    const struct stream_group *g)
{
	static const char *const names[] = {
	    "TYPE", "CONSUMERS", "PENDING", "OLDEST", "LAG", "LOST", "DELIVERED", "GROUP"};
	struct bytes *out = &l->text;

	if (!l->json) {
		group_cells(table_of(l, "lrrrrrll", names), s, st, g);
		return;
	}
	begin(out, &(struct group_ref){.type = st->type, .key = st->key, .name = g->name});
	jsonwrite_count(out, "consumers", g->consumers);
	jsonwrite_count(out, "pending", g->pending);
	jsonwrite_count_or_null(out, "lag", survey_lag(&st->info, g));
	jsonwrite_count_or_null(out, "lost", lost(st, g));
	jsonwrite_count_or_null(out, "oldest_pending_ms", survey_pending_age(s, g));
	member_id(out, "last_delivered_id", g->last_delivered);
	put_json(l);
}

size_t
groupfmt_groups(
    struct groupfmt *l, const struct survey *s, const struct survey_stream *st, const char *only)
{
	size_t n = 0;

	for (size_t i = 0; i < st->ngroups; i++)
		if (only == NULL || strcmp(st->groups[i].name, only) == 0) {
			put_group(l, s, st, &st->groups[i]);
			n++;
		}
	return n;
}

/* --- a consumer ------------------------------------------------------------- */

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
put_consumer(struct groupfmt *l, const struct group_ref *g, const struct group_consumer *c)
{
	static const char *const names[] = {"TYPE", "CONSUMER", "PENDING", "IDLE", "INACTIVE"};

	if (!l->json) {
		consumer_cells(table_of(l, "llrrr", names), g, c);
		return;
	}
	begin(&l->text, g);
	jsonwrite_slice(&l->text, "consumer", c->name);
	jsonwrite_count(&l->text, "pending", c->pending);
	jsonwrite_count_or_null(&l->text, "idle_ms", c->idle);
	jsonwrite_count_or_null(&l->text, "inactive_ms", c->inactive);
	put_json(l);
}

int
groupfmt_consumers(
    struct groupfmt *l, struct conn *conn, const struct group_ref *g, int64_t idle, struct err *err)
{
	struct group_consumers list;
	enum conn_why why;

	if (group_list_consumers(conn, g->key, g->name, &list, &why, err) == -1)
		return -1;
	for (size_t i = 0; i < list.n; i++)
		if (list.consumer[i].idle >= idle)
			put_consumer(l, g, &list.consumer[i]);
	group_consumers_free(&list);
	return 0;
}

/* --- a pending entry ---------------------------------------------------------- */

/* -1: deliveries by others say nothing about attempts. */
static int64_t
attempts(const struct pending *p)
{
	return pending_is_ebsub_consumer(p->consumer) && p->deliveries > 0 ? p->deliveries - 1 : -1;
}

void
groupfmt_fit_types(struct groupfmt *l, char *const *types, size_t n)
{
	l->type_width = (int)strlen("TYPE");
	for (size_t i = 0; i < n; i++)
		if ((int)strlen(types[i]) > l->type_width)
			l->type_width = (int)strlen(types[i]);
}

int
groupfmt_read_clock(struct groupfmt *l, struct conn *conn, struct err *err)
{
	int64_t now;

	if (stream_server_time(conn, &now, err) == -1)
		return -1;
	l->clock_offset = now - clock_mono();
	return 0;
}

static void
pending_head(struct groupfmt *l)
{
	bytes_addf(&l->text, "%-17s  %6s  %9s  %8s  %-*s  %s", "ID", "IDLE", "DELIVERED",
	    "ATTEMPTS", l->type_width, "TYPE", "CONSUMER");
	put_words(l);
	l->header_shown = true;
}

static void
pending_text(struct groupfmt *l, const struct group_ref *g, const struct pending *p)
{
	char id[ID_SIZE], span[SPAN], tries[24] = "-";

	id_format(p->id, id);
	clock_format_span(p->idle, span, sizeof(span));
	if (attempts(p) >= 0)
		snprintf(tries, sizeof(tries), "%" PRId64, attempts(p));
	bytes_addf(&l->text, "%-17s  %6s  %9" PRId64 "  %8s  %-*s  %.*s", id, span, p->deliveries,
	    tries, l->type_width, g->type, (int)p->consumer.n,
	    p->consumer.n > 0 ? p->consumer.p : "");
	bytes_str(&l->text);
	err_clean(l->text.p);
}

static void
pending_json(struct groupfmt *l, const struct group_ref *g, const struct pending *p)
{
	int64_t now = l->clock_offset + clock_mono();
	struct bytes *out = &l->text;

	begin(out, g);
	member_id(out, "id", p->id);
	jsonwrite_slice(out, "consumer", p->consumer);
	jsonwrite_time(out, "delivered_at", (now - p->idle) * 1000);
	jsonwrite_count_or_null(out, "idle_ms", p->idle);
	jsonwrite_count_or_null(out, "deliveries", p->deliveries);
	jsonwrite_count_or_null(out, "attempts", attempts(p));
	jsonwrite_end(out);
}

int
groupfmt_pending(struct groupfmt *l, const struct group_ref *g, const struct pending *p)
{
	if (l->json)
		pending_json(l, g, p);
	else {
		if (!l->header_shown)
			pending_head(l);
		pending_text(l, g, p);
	}
	return put(l);
}

/* --- what became of a consumer ---------------------------------------------------- */

static const char *
became(const struct retire_consumer *c, bool dry)
{
	switch (c->result) {
	case RETIRE_DELETED: return "deleted";
	case RETIRE_ACTIVE: return "left: it is back";
	case RETIRE_MISSING: return "gone already";
	case RETIRE_IS_TARGET: return "left: others' entries go to it";
	case RETIRE_HAS_PENDING: return "left: no scripts";
	case RETIRE_UNFINISHED: break;
	}
	return dry ? "would be deleted" : "NOT DONE";
}

static void
leaver_cells(struct table *t, const struct group_ref *g, const struct group_consumer *was,
    const struct retire_consumer *c, bool dry)
{
	table_cell(t, "%s", g->type);
	slice_cell(t, c->name);
	number_cell(t, (int64_t)was->pending);
	span_cell(t, was->idle);
	number_cell(t, dry ? -1 : (int64_t)c->moved);
	number_cell(t, dry ? -1 : (int64_t)c->lost);
	table_cell(t, "%s", became(c, dry));
}

void
groupfmt_retired(struct groupfmt *l, const struct group_ref *g, const struct retire_selection *who,
    size_t i, const char *to)
{
	static const char *const names[] = {
	    "TYPE", "CONSUMER", "PENDING", "IDLE", "MOVED", "LOST", ""};
	const struct retire_consumer *c = &who->consumer[i];
	struct bytes *out = &l->text;

	if (!l->json) {
		if (!l->quiet)
			leaver_cells(
			    table_of(l, "llrrrrl", names), g, who->listed[i], c, l->dry_run);
		return;
	}
	begin(out, g);
	jsonwrite_slice(out, "consumer", c->name);
	jsonwrite_count(out, "pending", who->listed[i]->pending);
	jsonwrite_count_or_null(out, "idle_ms", who->listed[i]->idle);
	jsonwrite_text(out, "to", to);
	jsonwrite_count_or_null(out, "moved", l->dry_run ? -1 : (int64_t)c->moved);
	jsonwrite_count_or_null(out, "lost", l->dry_run ? -1 : (int64_t)c->lost);
	jsonwrite_bool(out, "deleted", c->result == RETIRE_DELETED);
	jsonwrite_text(out, "result", became(c, l->dry_run));
	put_json(l);
}

/* --- what was done by hand ----------------------------------------------------------- */

void
groupfmt_acked(struct groupfmt *l, const struct group_ref *g, const struct acklist *a)
{
	if (l->dry_run)
		return;
	if (l->json) {
		begin(&l->text, g);
		jsonwrite_count(&l->text, "acknowledged", a->pending);
		jsonwrite_count(&l->text, "not_pending", a->not_pending);
		if (a->in_doubt > 0)
			jsonwrite_count(&l->text, "possibly_acknowledged", a->in_doubt);
		put_json(l);
		return;
	}
	bytes_addf(&l->text, "%" PRIu64 " acknowledged", a->pending);
	if (a->not_pending > 0)
		bytes_addf(&l->text, ", %" PRIu64 " not pending", a->not_pending);
	if (a->in_doubt > 0)
		bytes_addf(&l->text, ", %" PRIu64 " perhaps", a->in_doubt);
	put_words(l);
}

static void
set_json(struct groupfmt *l, const struct group_ref *g, const char *to, const char *next)
{
	struct bytes *out = &l->text;

	begin(out, g);
	if (g->has_info)
		member_id(out, "from", g->info.last_delivered);
	else
		jsonwrite_text(out, "from", NULL);
	jsonwrite_text(out, "to", to);
	jsonwrite_text(out, "next_id", *next != '\0' ? next : NULL);
	jsonwrite_bool(out, "done", !l->dry_run);
	put_json(l);
}

void
groupfmt_moved(struct groupfmt *l, const struct group_ref *g, const char *to, const char *words,
    const char *next)
{
	char from[ID_SIZE];

	if (l->json) {
		set_json(l, g, to, next);
		return;
	}
	id_format(g->info.last_delivered, from);
	bytes_addf(&l->text, "%s: %s -> %s", g->name, g->has_info ? from : "?", words);
	if (*next != '\0')
		bytes_addf(&l->text, ", next %s", next);
	if (l->dry_run)
		bytes_adds(&l->text, " (not done)");
	put_words(l);
}

static void
destroyed_json(struct groupfmt *l, const struct group_ref *g)
{
	struct bytes *out = &l->text;

	begin(out, g);
	jsonwrite_count_or_null(out, "consumers", g->has_info ? (int64_t)g->info.consumers : -1);
	jsonwrite_count_or_null(out, "pending", g->has_info ? (int64_t)g->info.pending : -1);
	if (g->has_info)
		member_id(out, "last_delivered_id", g->info.last_delivered);
	else
		jsonwrite_text(out, "last_delivered_id", NULL);
	jsonwrite_bool(out, "destroyed", !l->dry_run);
	put_json(l);
}

void
groupfmt_destroyed(struct groupfmt *l, const struct group_ref *g)
{
	char last[ID_SIZE];

	if (l->json) {
		destroyed_json(l, g);
		return;
	}
	id_format(g->info.last_delivered, last);
	bytes_addf(&l->text, "%s: %s", g->name, l->dry_run ? "would be destroyed" : "destroyed");
	if (g->has_info)
		bytes_addf(&l->text, " at %s with %" PRIu64 " pending of %" PRIu64 " consumer%s",
		    last, g->info.pending, g->info.consumers, g->info.consumers == 1 ? "" : "s");
	put_words(l);
}
