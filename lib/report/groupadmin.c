#include "report/groupadmin.h"

#include <inttypes.h>
#include <unistd.h>

#include "base/status.h"
#include "event/id.h"

/* Frees the text. */
static void
warn_bytes(const struct groupadmin *admin, int status, struct bytes *text)
{
	admin->warn(admin->arg, status, bytes_str(text));
	bytes_free(text);
}

static const char *
plural_y(uint64_t n)
{
	return n == 1 ? "y" : "ies";
}

/* --- acknowledge --------------------------------------------------------------- */

struct ack_context {
	const struct groupadmin *admin;
	const struct group_ref *g;
};

static void
on_ack(void *arg, struct stream_id id, bool was_pending, const struct pending *p)
{
	const struct ack_context *a = arg;
	char text[ID_SIZE];
	struct bytes words = {0};

	if (p != NULL)
		groupfmt_pending(a->admin->fmt, a->g, p);
	if (was_pending)
		return;
	id_format(id, text);
	bytes_addf(&words, "'%s' is not pending for group '%s'", text, a->g->name);
	warn_bytes(a->admin, STATUS_SOME, &words);
}

static void
on_bad_id(void *arg, const char *text)
{
	const struct ack_context *a = arg;

	a->admin->warn(a->admin->arg, STATUS_DATA, text);
}

int
groupadmin_ack(const struct groupadmin *admin, const struct group_ref *g, char *const *ids,
    size_t n, struct err *err)
{
	struct ack_context ack_context = {admin, g};
	struct acklist a = {.conn = admin->conn,
	    .key = g->key,
	    .group = g->name,
	    .lookup = admin->fmt->dry_run,
	    .fn = on_ack,
	    .arg = &ack_context};
	int ok;

	if (groupfmt_read_clock(admin->fmt, admin->conn, err) == -1)
		return -1;
	ok = n > 0 ? acklist_add_args(&a, ids, n, err)
	           : acklist_add_from_lines(&a, STDIN_FILENO, on_bad_id, err);
	groupfmt_acked(admin->fmt, g, &a);
	return ok;
}

/* --- set-id, destroy ------------------------------------------------------------- */

int
groupadmin_set_id(const struct groupadmin *admin, const struct group_ref *g,
    const struct id_place *where, struct err *err)
{
	char to[ID_SIZE], next[ID_SIZE], words[GROUP_SETID_TEXT];

	group_setid_arg(where, to);
	group_setid_text(where, words);
	if (group_next_entry(g, admin->conn, to, next, err) == -1)
		return -1;
	if (!admin->fmt->dry_run && group_set_id(g, admin->conn, to, err) == -1)
		return -1;
	groupfmt_moved(admin->fmt, g, to, words, next);
	return 0;
}

int
groupadmin_destroy(const struct groupadmin *admin, const struct group_ref *g, struct err *err)
{
	if (!admin->fmt->dry_run && group_destroy(g, admin->conn, err) == -1)
		return -1;
	groupfmt_destroyed(admin->fmt, g);
	return 0;
}

/* --- retire -------------------------------------------------------------------------- */

static void
warn_not_retired(const struct groupadmin *admin, const struct group_ref *g, struct slice consumer,
    const struct err *no_eval)
{
	struct err err;

	err_set(&err, no_eval->status,
	    "'%s': consumer '%.*s' kept, its pending entries cannot be moved: %s", g->type,
	    (int)consumer.n, consumer.p, no_eval->text);
	admin->warn(admin->arg, err.status, err.text);
}

static void
show_retired(const struct groupadmin *admin, const struct group_ref *g, const char *to,
    const struct retire_selection *selected, const struct err *no_eval)
{
	struct bytes words = {0};
	uint64_t lost = 0;

	for (size_t i = 0; i < selected->n; i++) {
		groupfmt_retired(admin->fmt, g, selected, i, to);
		lost += selected->consumer[i].lost;
	}
	for (size_t i = 0; i < selected->n; i++)
		if (selected->consumer[i].result == RETIRE_HAS_PENDING)
			warn_not_retired(admin, g, selected->consumer[i].name, no_eval);
	if (lost == 0 || admin->fmt->table.quiet)
		return;
	bytes_addf(&words,
	    "'%s': %" PRIu64 " pending entr%s lost: trimmed or deleted from the stream", g->type,
	    lost, plural_y(lost));
	warn_bytes(admin, STATUS_OK, &words);
}

static int
report_none_to_retire(const struct groupadmin *admin, const struct group_ref *g,
    const struct groupadmin_choice *choice, struct err *err)
{
	struct bytes words = {0};

	if (choice->name != NULL)
		return err_set(err, STATUS_SOME,
		    "no consumer '%s' in group '%s'; 'ebgroup consumers %s' lists them",
		    choice->name, g->name, g->type);
	if (admin->verbose) {
		bytes_addf(&words, "'%s': no consumer of group '%s' has been idle that long",
		    g->type, g->name);
		warn_bytes(admin, STATUS_OK, &words);
	}
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
			ok = retire_run(admin->conn, &r, selected.consumer, selected.n, err);
		show_retired(admin, g, choice->to, &selected, &r.no_eval);
	}
	retire_selection_free(&selected);
	return ok;
}
