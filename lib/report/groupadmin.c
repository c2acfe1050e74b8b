#include "report/groupadmin.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/lines.h"
#include "base/status.h"
#include "redis/reply.h"

#define ACK_BATCH 256 /* IDs per round trip */
#define LINE_MAX_BYTES 256

static void __attribute__((format(printf, 3, 4)))
warn_admin(const struct groupadmin *admin, int status, const char *fmt, ...)
{
	struct err err;
	va_list ap;

	va_start(ap, fmt);
	err_setv(&err, status, fmt, ap);
	va_end(ap);
	admin->warn(admin->arg, status, err.text);
}

/* --- acknowledge --------------------------------------------------------------- */

struct ack_run {
	const struct groupadmin *admin;
	const struct group_ref *g;
	struct groupfmt_acks count;
	struct stream_id ids[ACK_BATCH];
	size_t n; /* IDs not sent yet */
};

/* One XACK per entry tells of each whether it was pending; in a dry run XPENDING does. */
static void
send_id(const struct ack_run *a, struct stream_id id)
{
	char text[ID_SIZE];

	id_format(id, text);
	if (a->admin->fmt->dry_run)
		pending_put_list(a->admin->conn,
		    &(struct pending_query){a->g->key, a->g->name, NULL, 0, 1}, text);
	else
		group_put_ack(
		    a->admin->conn, a->g->key, a->g->name, &(struct slice){text, strlen(text)}, 1);
}

/* XPENDING lists from the ID on: when the ID is not pending, the first entry is a later one. */
static void
take_ack_reply(struct ack_run *a, struct stream_id id, const struct reply *r)
{
	bool dry = a->admin->fmt->dry_run, was_pending = !dry && reply_int(r) == 1;
	char text[ID_SIZE];
	struct pending p;

	if (dry && pending_parse(r, 0, &p) == 0 && id_cmp(p.id, id) == 0) {
		was_pending = true;
		groupfmt_pending(a->admin->fmt, a->g, &p);
	}
	a->count.pending += was_pending;
	a->count.not_pending += !was_pending;
	id_format(id, text);
	if (!was_pending)
		warn_admin(
		    a->admin, STATUS_SOME, "'%s' is not pending for group '%s'", text, a->g->name);
}

/* Sends what was added, and reads the replies. */
static int
send_added_ids(struct ack_run *a, struct err *err)
{
	bool dry = a->admin->fmt->dry_run;
	size_t n = a->n;
	int ok = 0;

	a->n = 0;
	for (size_t i = 0; i < n; i++)
		send_id(a, a->ids[i]);
	for (size_t i = 0; i < n; i++) {
		struct reply *r = conn_wait(a->admin->conn, err);

		if (r == NULL) {
			a->count.in_doubt += dry ? 0 : n - i;
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

/* Sends nothing when one of the arguments is not an ID. */
static int
ack_args(struct ack_run *a, char *const *ids, size_t n, struct err *err)
{
	struct stream_id id;

	for (size_t i = 0; i < n; i++)
		if (id_parse(slice_of(ids[i]), &id) == -1)
			return err_set(err, STATUS_USAGE, "'%s' is not an entry ID", ids[i]);
	for (size_t i = 0; i < n; i++)
		if (id_parse(slice_of(ids[i]), &id) == 0 && add_or_send_id(a, id, err) == -1)
			return -1;
	return send_added_ids(a, err);
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
		if (ok == 0 && lines_fill(in) == -1 && errno != EINTR)
			ok = err_sys(err, STATUS_SOME, "read standard input");
	}
	lines_free(in);
	return ok;
}

int
groupadmin_ack(const struct groupadmin *admin, const struct group_ref *g, char *const *ids,
    size_t n, struct err *err)
{
	struct ack_run a = {.admin = admin, .g = g};
	int ok;

	if (groupfmt_read_clock(admin->fmt, admin->conn, err) == -1)
		return -1;
	ok = n > 0 ? ack_args(&a, ids, n, err) : ack_lines(&a, err);
	groupfmt_acked(admin->fmt, g, &a.count);
	return ok;
}

/* --- set-id, destroy ------------------------------------------------------------- */

/* Finds the ID of the first entry after target; "" when there is none or reading is not permitted.
 */
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
	if ((r = conn_call(conn, err, "XRANGE", key, from, "+", "COUNT", "1", NULL)) == NULL)
		return -1;
	if (id_parse(reply_text(reply_at(reply_at(r, 0), 0)), &next) == 0)
		id_format(next, out);
	reply_free(r);
	return 0;
}

int
groupadmin_set_id(const struct groupadmin *admin, const struct group_ref *g,
    const struct id_place *where, struct err *err)
{
	bool exact = where->end || id_cmp(where->low, where->high) == 0;
	char to[ID_SIZE] = "$", next[ID_SIZE], words[ID_SIZE + 8] = "before ";
	struct conn *conn = admin->conn;
	struct reply *r;

	if (!where->end) {
		id_format(exact ? where->low : id_before(where->low), to);
		id_format(where->low, words + strlen(words));
	}
	if (find_next_entry(conn, g->key, to, next, err) == -1)
		return -1;
	if (!admin->fmt->dry_run) {
		conn_putl(conn, "XGROUP", "SETID", g->key, g->name, to, NULL);
		if ((r = reply_await(conn, NULL, "XGROUP SETID", err)) == NULL)
			return -1;
		reply_free(r);
	}
	groupfmt_moved(admin->fmt, g, to, exact ? to : words, next);
	return 0;
}

int
groupadmin_destroy(const struct groupadmin *admin, const struct group_ref *g, struct err *err)
{
	uint64_t n;

	if (!admin->fmt->dry_run) {
		conn_putl(admin->conn, "XGROUP", "DESTROY", g->key, g->name, NULL);
		if (reply_await_int(admin->conn, "XGROUP DESTROY", &n, err) == -1)
			return -1;
		if (n != 1)
			return err_set(
			    err, STATUS_SOME, "'%s' no longer has a group '%s'", g->key, g->name);
	}
	groupfmt_destroyed(admin->fmt, g);
	return 0;
}

/* --- retire -------------------------------------------------------------------------- */

static void
show_retired(const struct groupadmin *admin, const struct group_ref *g, const char *to,
    const struct retire_selection *selected)
{
	uint64_t lost = 0;

	for (size_t i = 0; i < selected->n; i++) {
		groupfmt_retired(admin->fmt, g, selected, i, to);
		lost += selected->consumer[i].lost;
	}
	if (lost > 0 && !admin->fmt->table.quiet)
		warn_admin(admin, STATUS_OK,
		    "'%s': %" PRIu64 " pending entr%s lost: trimmed or deleted from the stream",
		    g->type, lost, lost == 1 ? "y" : "ies");
}

static int
report_none_to_retire(const struct groupadmin *admin, const struct group_ref *g,
    const struct groupadmin_choice *choice, struct err *err)
{
	if (choice->name != NULL)
		return err_set(err, STATUS_SOME,
		    "no consumer '%s' in group '%s'; 'ebgroup consumers %s' lists them",
		    choice->name, g->name, g->type);
	if (admin->verbose)
		warn_admin(admin, STATUS_OK,
		    "'%s': no consumer of group '%s' has been idle that long", g->type, g->name);
	return 0;
}

int
groupadmin_retire(const struct groupadmin *admin, const struct group_ref *g,
    const struct groupadmin_choice *choice, struct err *err)
{
	struct retire r = {.key = g->key,
	    .group = g->name,
	    .to = choice->to,
	    .idle = choice->name != NULL ? 0 : choice->idle};
	struct retire_selection selected;
	int ok = retire_select(&selected, admin->conn, &r, choice->name, err);

	if (ok == 0 && selected.n == 0)
		ok = report_none_to_retire(admin, g, choice, err);
	else if (ok == 0) {
		if (!admin->fmt->dry_run)
			ok = retire_run(admin->conn, &r, &selected, err);
		show_retired(admin, g, choice->to, &selected);
	}
	retire_selection_free(&selected);
	return ok;
}
