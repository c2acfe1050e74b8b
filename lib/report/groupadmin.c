#include "report/groupadmin.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/lines.h"
#include "base/status.h"
#include "redis/reply.h"
#include "redis/retire.h"
#include "report/snapshot.h"

#define ACK_BATCH 256 /* IDs per round trip */
#define LINE_MAX_BYTES 256

static void __attribute__((format(printf, 3, 4)))
warn_admin(const struct groupadmin *a, int status, const char *fmt, ...)
{
	struct err err;
	va_list ap;

	va_start(ap, fmt);
	err_setv(&err, status, fmt, ap);
	va_end(ap);
	a->warn(a->arg, status, err.text);
}

static struct item
begin_group_item(const struct groupadmin *a, const struct group_ref *g)
{
	struct item r = {.json = a->table.json};

	item_text(&r, "event_type", "TYPE", g->type);
	item_text(&r, "stream", NULL, g->key);
	item_text(&r, "group", "GROUP", g->name);
	return r;
}

/* --- groups, consumers ---------------------------------------------------- */

/* The longest column is last, so that only it wraps. */
size_t
groupadmin_list_groups(
    struct groupadmin *a, const struct survey *s, const struct survey_stream *st, const char *only)
{
	static const struct column columns[] = {{"TYPE", -1}, {"CONSUMERS", 1}, {"PENDING", 1},
	    {"OLDEST", 1}, {"LAG", 1}, {"LOST", 1}, {"DELIVERED", -1}, {"GROUP", -1}, {NULL, 0}};
	size_t n = 0;

	a->table.columns = columns;
	for (size_t i = 0; i < st->ngroups; i++) {
		const struct stream_group *g = &st->groups[i];
		struct item r;

		if (only != NULL && strcmp(g->name, only) != 0)
			continue;
		r = begin_group_item(
		    a, &(struct group_ref){.type = st->type, .key = st->key, .name = g->name});
		snapshot_group(&r, s, st, g);
		table_row(&a->table, &r);
		n++;
	}
	return n;
}

int
groupadmin_list_consumers(struct groupadmin *a, struct err *err)
{
	static const struct column columns[] = {{"TYPE", -1}, {"CONSUMER", -1}, {"PENDING", 1},
	    {"IDLE", 1}, {"INACTIVE", 1}, {NULL, 0}};
	struct group_consumers list;

	if (group_list_consumers(a->conn, a->group->key, a->group->name, &list, err) == -1)
		return -1;
	a->table.columns = columns;
	for (size_t i = 0; i < list.n; i++) {
		const struct group_consumer *c = &list.consumer[i];
		struct item r;

		if (c->idle < a->idle)
			continue;
		r = begin_group_item(a, a->group);
		item_slice(&r, "consumer", "CONSUMER", c->name);
		item_count(&r, "pending", "PENDING", c->pending);
		item_span(&r, "idle_ms", "IDLE", c->idle);
		item_span(&r, "inactive_ms", "INACTIVE", c->inactive);
		table_row(&a->table, &r);
	}
	group_consumers_free(&list);
	return 0;
}

/* --- pending entries ------------------------------------------------------ */

void
groupadmin_fit_types(struct groupadmin *a, char *const *types, size_t n)
{
	size_t widest = strlen("TYPE");

	for (size_t i = 0; i < n; i++)
		if (strlen(types[i]) > widest)
			widest = strlen(types[i]);
	a->table.fit = -(int)widest;
}

static int
read_clock(struct groupadmin *a, struct err *err)
{
	int64_t now;

	if (stream_server_time(a->conn, &now, err) == -1)
		return -1;
	a->clock_offset = now - clock_mono();
	return 0;
}

/* Returns what emit returned. The attempts of consumers of other programs are unknown: they do not
 * count them. */
static int
show_pending(void *arg, const struct pending *p)
{
	static const struct column columns[] = {{"ID", -17}, {"IDLE", 6}, {"DELIVERED", 9},
	    {"ATTEMPTS", 8}, {"TYPE", 0}, {"CONSUMER", -1}, {NULL, 0}};
	struct groupadmin *a = arg;
	struct item r = begin_group_item(a, a->group);
	int64_t now = a->clock_offset + clock_mono();
	bool counted = pending_is_ebsub_consumer(p->consumer) && p->deliveries > 0;

	item_id(&r, "id", "ID", p->id, true);
	item_slice(&r, "consumer", "CONSUMER", p->consumer);
	item_time(&r, "delivered_at", NULL, (now - p->idle) * 1000);
	item_span(&r, "idle_ms", "IDLE", p->idle);
	item_number(&r, "deliveries", "DELIVERED", p->deliveries);
	item_number(&r, "attempts", counted ? "ATTEMPTS" : NULL, counted ? p->deliveries - 1 : -1);
	a->table.columns = columns;
	a->limit--;
	return table_line(&a->table, &r);
}

int
groupadmin_list_pending(struct groupadmin *a, struct err *err)
{
	struct pending_query ask = {a->group->key, a->group->name, a->consumer, a->idle, a->limit};

	if (a->limit == 0)
		return 0;
	if (read_clock(a, err) == -1)
		return -1;
	return pending_scan(a->conn, &ask, show_pending, a, err) == -1 ? -1 : 0;
}

/* --- acknowledge --------------------------------------------------------------- */

struct ack_run {
	struct groupadmin *admin;
	uint64_t pending, not_pending;
	uint64_t in_doubt; /* sent, no reply before the connection died: may be acknowledged */
	struct stream_id ids[ACK_BATCH];
	size_t n; /* IDs not sent yet */
};

/* XPENDING lists from the ID on: when the ID is not pending, the first entry is a later one. */
static void
take_ack_reply(struct ack_run *a, struct stream_id id, const struct reply *r)
{
	bool dry = a->admin->dry_run, was_pending = !dry && reply_int(r) == 1;
	char text[ID_SIZE];
	struct pending p;

	if (dry && pending_parse(r, 0, &p) == 0 && id_cmp(p.id, id) == 0) {
		was_pending = true;
		show_pending(a->admin, &p);
	}
	a->pending += was_pending;
	a->not_pending += !was_pending;
	id_format(id, text);
	if (!was_pending)
		warn_admin(a->admin, STATUS_SOME, "'%s' is not pending for group '%s'", text,
		    a->admin->group->name);
}

/* Sends what was added, and reads the replies. One XACK per entry tells of each whether it was
 * pending; in a dry run XPENDING does. */
static int
send_added_ids(struct ack_run *a, struct err *err)
{
	struct conn *conn = a->admin->conn;
	const struct group_ref *g = a->admin->group;
	bool dry = a->admin->dry_run;
	size_t n = a->n;
	int ok = 0;

	a->n = 0;
	for (size_t i = 0; i < n; i++) {
		char id[ID_SIZE];

		id_format(a->ids[i], id);
		if (dry)
			pending_put_list(
			    conn, &(struct pending_query){g->key, g->name, NULL, 0, 1}, id);
		else
			group_put_ack(conn, g->key, g->name, &(struct slice){id, strlen(id)}, 1);
	}
	for (size_t i = 0; i < n; i++) {
		struct reply *r = conn_wait(conn, err);

		if (r == NULL) {
			a->in_doubt += dry ? 0 : n - i;
			return -1;
		}
		if (reply_is_error(r))
			ok = reply_fail(err, r, dry ? "XPENDING" : "XACK");
		else
			take_ack_reply(a, a->ids[i], r);
		reply_free(r);
	}
	return ok;
}

/* Sends when ACK_BATCH IDs have been added. */
static int
add_or_send_id(struct ack_run *a, struct stream_id id, struct err *err)
{
	a->ids[a->n++] = id;
	return a->n == ACK_BATCH ? send_added_ids(a, err) : 0;
}

static int
add_id_line(struct ack_run *a, const struct lines *in, struct slice line, struct err *err)
{
	struct stream_id id;

	line = json_trim_space(line.p, line.n);
	if (line.n == 0)
		return 0;
	if (id_parse(line, &id) == 0)
		return add_or_send_id(a, id, err);
	warn_admin(a->admin, STATUS_DATA, "line %llu: '%.*s' is not an entry ID", lines_number(in),
	    (int)line.n, line.p);
	return 0;
}

/* Ignores white space and empty lines. Sends what has been read before it waits for more. */
static int
ack_lines(struct ack_run *a, struct err *err)
{
	struct lines *in = lines_new(STDIN_FILENO, '\n', LINE_MAX_BYTES);
	struct slice line;
	enum lines_got got;
	int ok = 0;

	while (ok == 0 && !lines_ended(in)) {
		while (ok == 0 && (got = lines_next(in, &line)) != LINES_NONE)
			ok = add_id_line(
			    a, in, got == LINES_LONG ? slice_of("(line too long)") : line, err);
		if (ok == 0)
			ok = send_added_ids(a, err);
		if (ok != 0 || lines_fill(in) != -1 || errno == EINTR)
			continue;
		if (errno == EAGAIN) /* another program made it non-blocking */
			poll(&(struct pollfd){STDIN_FILENO, POLLIN, 0}, 1, -1);
		else
			ok = err_sys(err, STATUS_SOME, "read standard input");
	}
	lines_free(in);
	return ok;
}

/* Shows the counts; nothing in a dry run. */
static void
show_acked(const struct ack_run *a)
{
	struct item r = {.json = a->admin->table.json};
	struct bytes text = {0};

	if (a->admin->dry_run)
		return;
	if (r.json)
		r = begin_group_item(a->admin, a->admin->group);
	item_count(&r, "acknowledged", "acknowledged", a->pending);
	item_count(&r, "not_pending", a->not_pending > 0 ? "not pending" : NULL, a->not_pending);
	if (a->in_doubt > 0)
		item_count(&r, "possibly_acknowledged", "possibly acknowledged", a->in_doubt);
	item_sentence(&text, &r);
	table_text(&a->admin->table, &r, &text);
}

int
groupadmin_ack(struct groupadmin *admin, struct err *err)
{
	struct ack_run a = {.admin = admin};
	struct stream_id id;
	int ok = 0;

	if (read_clock(admin, err) == -1)
		return -1;
	for (size_t i = 0; i < admin->nids && ok == 0; i++)
		if (id_parse(slice_of(admin->ids[i]), &id) == 0)
			ok = add_or_send_id(&a, id, err);
	if (ok == 0)
		ok = admin->nids > 0 ? send_added_ids(&a, err) : ack_lines(&a, err);
	show_acked(&a);
	return ok;
}

/* --- set-id, destroy ------------------------------------------------------------- */

/* Writes the ID of the first entry after target to out. Leaves out empty when the stream has no
 * such entry or the user may not read it. */
static int
find_next_entry(
    struct conn *conn, const char *key, const char *target, char out[ID_SIZE], struct err *err)
{
	char from[ID_SIZE + 1];
	struct stream_id next;
	struct reply *r;

	*out = '\0';
	if (strcmp(target, "$") == 0)
		return 0;
	snprintf(from, sizeof(from), "(%s", target);
	stream_put_range(conn, key, from, "+", 1);
	if ((r = conn_wait(conn, err)) == NULL)
		return -1;
	if (id_parse(reply_text(reply_at(reply_at(r, 0), 0)), &next) == 0)
		id_format(next, out);
	reply_free(r);
	return 0;
}

/* Shows that the group moves to `to`, in words for people; next: the entry that follows, or "". */
static void
show_moved(struct groupadmin *a, const char *to, const char *words, const char *next)
{
	const struct group_ref *g = a->group;
	struct item r = begin_group_item(a, a->group);
	struct bytes text = {0};
	char from[ID_SIZE];

	item_id(&r, "from", "from", g->info.last_delivered, g->has_info);
	item_text(&r, "to", NULL, to);
	item_text(&r, "next_id", NULL, *next != '\0' ? next : NULL);
	item_bool(&r, "done", !a->dry_run);
	id_format(g->info.last_delivered, from);
	bytes_addf(&text, "%s: %s -> %s%s%s%s", g->name, g->has_info ? from : "?", words,
	    *next != '\0' ? ", next " : "", next, a->dry_run ? " (dry run, not done)" : "");
	table_text(&a->table, &r, &text);
}

int
groupadmin_set_id(struct groupadmin *a, struct err *err)
{
	const struct id_place *where = &a->where;
	bool exact = where->end || id_cmp(where->low, where->high) == 0;
	char to[ID_SIZE] = "$", next[ID_SIZE], words[ID_SIZE + 8] = "before ";
	struct reply *r;

	if (!where->end) {
		id_format(exact ? where->low : id_before(where->low), to);
		id_format(where->low, words + strlen(words));
	}
	if (find_next_entry(a->conn, a->group->key, to, next, err) == -1)
		return -1;
	if (!a->dry_run) {
		conn_putl(a->conn, "XGROUP", "SETID", a->group->key, a->group->name, to, NULL);
		if ((r = reply_await(a->conn, NULL, "XGROUP SETID", err)) == NULL)
			return -1;
		reply_free(r);
	}
	show_moved(a, to, exact ? to : words, next);
	return 0;
}

int
groupadmin_destroy(struct groupadmin *a, struct err *err)
{
	const struct group_ref *g = a->group;
	struct item r;
	struct bytes text = {0};
	char last[ID_SIZE];
	uint64_t n;

	if (!a->dry_run) {
		conn_putl(a->conn, "XGROUP", "DESTROY", g->key, g->name, NULL);
		if (reply_await_int(a->conn, "XGROUP DESTROY", &n, err) == -1)
			return -1;
		if (n != 1)
			return err_set(
			    err, STATUS_SOME, "'%s' no longer has a group '%s'", g->key, g->name);
	}
	r = begin_group_item(a, a->group);
	item_number(&r, "consumers", NULL, g->has_info ? (int64_t)g->info.consumers : -1);
	item_number(&r, "pending", NULL, g->has_info ? (int64_t)g->info.pending : -1);
	item_id(&r, "last_delivered_id", NULL, g->info.last_delivered, g->has_info);
	item_bool(&r, "destroyed", !a->dry_run);
	id_format(g->info.last_delivered, last);
	bytes_addf(&text, "%s: %s", g->name, a->dry_run ? "would be destroyed" : "destroyed");
	if (g->has_info)
		bytes_addf(&text, " at %s with %" PRIu64 " pending of %" PRIu64 " consumer%s", last,
		    g->info.pending, g->info.consumers, g->info.consumers == 1 ? "" : "s");
	table_text(&a->table, &r, &text);
	return 0;
}

/* --- retire -------------------------------------------------------------------------- */

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

static void
show_retired(struct groupadmin *a, const struct retire_consumer *c)
{
	static const struct column columns[] = {{"TYPE", -1}, {"CONSUMER", -1}, {"PENDING", 1},
	    {"IDLE", 1}, {"MOVED", 1}, {"LOST", 1}, {"", -1}, {NULL, 0}};
	struct item r = begin_group_item(a, a->group);

	item_slice(&r, "consumer", "CONSUMER", c->listed->name);
	item_count(&r, "pending", "PENDING", c->listed->pending);
	item_span(&r, "idle_ms", "IDLE", c->listed->idle);
	item_text(&r, "to", NULL, a->to);
	item_number(&r, "moved", "MOVED", a->dry_run ? -1 : (int64_t)c->moved);
	item_number(&r, "lost", "LOST", a->dry_run ? -1 : (int64_t)c->lost);
	item_bool(&r, "deleted", c->result == RETIRE_DELETED);
	item_text(&r, "result", "", retire_result_text(c, a->dry_run));
	a->table.columns = columns;
	if (r.json || !a->table.quiet)
		table_row(&a->table, &r);
	item_free(&r);
}

static void
show_all_retired(struct groupadmin *a, const struct retire_selection *selected)
{
	uint64_t lost = 0;

	for (size_t i = 0; i < selected->n; i++) {
		show_retired(a, &selected->consumer[i]);
		lost += selected->consumer[i].lost;
	}
	if (lost > 0 && !a->table.quiet)
		warn_admin(a, STATUS_OK,
		    "'%s': %" PRIu64 " pending entr%s lost: trimmed or deleted from the stream",
		    a->group->type, lost, lost == 1 ? "y" : "ies");
}

int
groupadmin_retire(struct groupadmin *a, struct err *err)
{
	const struct group_ref *g = a->group;
	struct retire r = {.key = g->key,
	    .group = g->name,
	    .to = a->to,
	    .idle = a->consumer != NULL ? 0 : a->idle};
	struct retire_selection selected;
	int ok = retire_select(&selected, a->conn, &r, a->consumer, err);

	if (ok == 0 && selected.n > 0) {
		if (!a->dry_run)
			ok = retire_run(a->conn, &r, &selected, err);
		show_all_retired(a, &selected);
	} else if (ok == 0 && a->consumer != NULL)
		ok = err_set(err, STATUS_SOME,
		    "no consumer '%s' in group '%s'; 'ebgroup consumers %s' lists them",
		    a->consumer, g->name, g->type);
	else if (ok == 0 && a->verbose)
		warn_admin(a, STATUS_OK, "'%s': no consumer of group '%s' has been idle that long",
		    g->type, g->name);
	retire_selection_free(&selected);
	return ok;
}
