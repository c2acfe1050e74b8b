#include "report/groupfmt.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "event/id.h"
#include "redis/stream.h"
#include "report/snapshotfmt.h"

static struct item
begin_item(const struct groupfmt *fmt, const char *type, const char *key, const char *group)
{
	struct item r = {.json = fmt->table.json};

	item_text(&r, "event_type", "TYPE", type);
	item_text(&r, "stream", NULL, key);
	item_text(&r, "group", "GROUP", group);
	return r;
}

static struct item
begin_group_item(const struct groupfmt *fmt, const struct group_ref *g)
{
	return begin_item(fmt, g->type, g->key, g->name);
}

/* --- groups --------------------------------------------------------------- */

size_t
groupfmt_groups(
    struct groupfmt *fmt, const struct survey *s, const struct survey_stream *st, const char *only)
{
	static const struct column columns[] = {{"TYPE", -1}, {"CONSUMERS", 1}, {"PENDING", 1},
	    {"OLDEST", 1}, {"LAG", 1}, {"LOST", 1}, {"DELIVERED", -1}, {"GROUP", -1}, {NULL, 0}};
	size_t n = 0;

	fmt->table.columns = columns;
	for (const struct stream_group *g = st->groups; g < st->groups + st->ngroups; g++) {
		struct item r;

		if (only != NULL && strcmp(g->name, only) != 0)
			continue;
		r = begin_item(fmt, st->type, st->key, g->name);
		snapshotfmt_group(&r, s, st, g);
		table_row(&fmt->table, &r);
		n++;
	}
	return n;
}

/* --- consumers ------------------------------------------------------------ */

static void
show_consumer(struct groupfmt *fmt, const struct group_ref *g, const struct group_consumer *c)
{
	static const struct column columns[] = {{"TYPE", -1}, {"CONSUMER", -1}, {"PENDING", 1},
	    {"IDLE", 1}, {"INACTIVE", 1}, {NULL, 0}};
	struct item r = begin_group_item(fmt, g);

	item_slice(&r, "consumer", "CONSUMER", c->name);
	item_count(&r, "pending", "PENDING", c->pending);
	item_span(&r, "idle_ms", "IDLE", c->idle);
	item_span(&r, "inactive_ms", "INACTIVE", c->inactive);
	fmt->table.columns = columns;
	table_row(&fmt->table, &r);
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
	size_t widest = strlen("TYPE");

	for (size_t i = 0; i < n; i++)
		if (strlen(types[i]) > widest)
			widest = strlen(types[i]);
	fmt->table.fit = -(int)widest;
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

int
groupfmt_pending(struct groupfmt *fmt, const struct group_ref *g, const struct pending *p)
{
	static const struct column columns[] = {{"ID", -17}, {"IDLE", 6}, {"DELIVERED", 9},
	    {"ATTEMPTS", 8}, {"TYPE", 0}, {"CONSUMER", -1}, {NULL, 0}};
	struct item r = begin_group_item(fmt, g);
	int64_t now = fmt->clock_offset + clock_mono(), attempts = derive_attempts(p);

	item_id(&r, "id", "ID", p->id, true);
	item_slice(&r, "consumer", "CONSUMER", p->consumer);
	item_time(&r, "delivered_at", NULL, (now - p->idle) * 1000);
	item_span(&r, "idle_ms", "IDLE", p->idle);
	item_number(&r, "deliveries", "DELIVERED", p->deliveries);
	item_number(&r, "attempts", attempts >= 0 ? "ATTEMPTS" : NULL, attempts);
	fmt->table.columns = columns;
	return table_line(&fmt->table, &r);
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
	case RETIRE_UNFINISHED: break;
	}
	return dry ? "would be deleted" : "NOT DONE";
}

void
groupfmt_retired(struct groupfmt *fmt, const struct group_ref *g,
    const struct retire_selection *selected, size_t i, const char *to)
{
	static const struct column columns[] = {{"TYPE", -1}, {"CONSUMER", -1}, {"PENDING", 1},
	    {"IDLE", 1}, {"MOVED", 1}, {"LOST", 1}, {"", -1}, {NULL, 0}};
	const struct retire_consumer *c = &selected->consumer[i];
	struct item r = begin_group_item(fmt, g);

	item_slice(&r, "consumer", "CONSUMER", c->listed->name);
	item_count(&r, "pending", "PENDING", c->listed->pending);
	item_span(&r, "idle_ms", "IDLE", c->listed->idle);
	item_text(&r, "to", NULL, to);
	item_number(&r, "moved", "MOVED", fmt->dry_run ? -1 : (int64_t)c->moved);
	item_number(&r, "lost", "LOST", fmt->dry_run ? -1 : (int64_t)c->lost);
	item_bool(&r, "deleted", c->result == RETIRE_DELETED);
	item_text(&r, "result", "", retire_result_text(c, fmt->dry_run));
	fmt->table.columns = columns;
	if (r.json || !fmt->table.quiet)
		table_row(&fmt->table, &r);
	item_free(&r);
}

/* --- other changes -------------------------------------------------------- */

void
groupfmt_acked(struct groupfmt *fmt, const struct group_ref *g, const struct groupfmt_acks *count)
{
	struct item r = {.json = fmt->table.json};
	struct bytes text = {0};

	if (fmt->dry_run)
		return;
	if (r.json)
		r = begin_group_item(fmt, g);
	item_count(&r, "acknowledged", "acknowledged", count->pending);
	item_count(
	    &r, "not_pending", count->not_pending > 0 ? "not pending" : NULL, count->not_pending);
	if (count->in_doubt > 0)
		item_count(&r, "possibly_acknowledged", "possibly acknowledged", count->in_doubt);
	item_sentence(&text, &r);
	table_text(&fmt->table, &r, &text);
}

void
groupfmt_moved(struct groupfmt *fmt, const struct group_ref *g, const char *to, const char *to_text,
    const char *next)
{
	struct item r = begin_group_item(fmt, g);
	struct bytes text = {0};
	char from[ID_SIZE];

	item_id(&r, "from", "from", g->info.last_delivered, g->has_info);
	item_text(&r, "to", NULL, to);
	item_text(&r, "next_id", NULL, *next != '\0' ? next : NULL);
	item_bool(&r, "done", !fmt->dry_run);
	id_format(g->info.last_delivered, from);
	bytes_addf(&text, "%s: %s -> %s%s%s%s", g->name, g->has_info ? from : "?", to_text,
	    *next != '\0' ? ", next " : "", next, fmt->dry_run ? " (dry run, not done)" : "");
	table_text(&fmt->table, &r, &text);
}

void
groupfmt_destroyed(struct groupfmt *fmt, const struct group_ref *g)
{
	struct item r = begin_group_item(fmt, g);
	struct bytes text = {0};
	char last[ID_SIZE];

	item_number(&r, "consumers", NULL, g->has_info ? (int64_t)g->info.consumers : -1);
	item_number(&r, "pending", NULL, g->has_info ? (int64_t)g->info.pending : -1);
	item_id(&r, "last_delivered_id", NULL, g->info.last_delivered, g->has_info);
	item_bool(&r, "destroyed", !fmt->dry_run);
	id_format(g->info.last_delivered, last);
	bytes_addf(&text, "%s: %s", g->name, fmt->dry_run ? "would be destroyed" : "destroyed");
	if (g->has_info)
		bytes_addf(&text, " at %s with %" PRIu64 " pending of %" PRIu64 " consumer%s", last,
		    g->info.pending, g->info.consumers, g->info.consumers == 1 ? "" : "s");
	table_text(&fmt->table, &r, &text);
}
