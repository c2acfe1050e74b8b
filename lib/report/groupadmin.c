#include "report/groupadmin.h"

#include <inttypes.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/status.h"
#include "event/id.h"

#define ASKED_SLACK \
	1000 /* ms by which a consumer that was asked about may have been less idle since */

/* The question is used up. */
static bool
agreed(const struct groupadmin *h, struct bytes *question)
{
	bool yes = true;

	if (h->confirm != NULL) {
		bytes_str(question);
		err_clean(question->p);
		yes = h->confirm(h->arg, question->p);
	}
	bytes_free(question);
	return yes;
}

/* The text is used up. */
static void
say(const struct groupadmin *h, int status, struct bytes *text)
{
	h->warn(h->arg, status, bytes_str(text));
	bytes_free(text);
}

static const char *
plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

/* --- acknowledging ------------------------------------------------------------- */

struct acking {
	const struct groupadmin *h;
	const struct group_ref *g;
};

static void
on_ack(void *arg, struct stream_id id, bool was_pending, const struct pending *p)
{
	const struct acking *a = arg;
	char text[ID_SIZE];
	struct bytes words = {0};

	if (p != NULL)
		groupfmt_pending(a->h->fmt, a->g, p);
	if (was_pending)
		return;
	id_format(id, text);
	bytes_addf(&words, "'%s' is not pending for group '%s'", text, a->g->name);
	say(a->h, STATUS_SOME, &words);
}

static void
on_bad_id(void *arg, const char *text)
{
	const struct acking *a = arg;

	a->h->warn(a->h->arg, STATUS_DATA, text);
}

/* 1 yes, 0 no. How many of those on standard input are pending cannot be known before they are
 * read. */
static int
ack_agreed(const struct groupadmin *h, const struct group_ref *g, char *const *ids, size_t n,
    struct err *err)
{
	struct acklist count = {.conn = h->conn, .key = g->key, .group = g->name, .lookup = true};
	struct bytes q = {0};

	if (h->confirm == NULL)
		return 1;
	if (n == 0)
		bytes_addf(&q,
		    "'%s': every entry that standard input names is acknowledged for group '%s', "
		    "handled or not",
		    g->type, g->name);
	else {
		if (acklist_add_args(&count, ids, n, err) == -1)
			return -1;
		if (count.pending == 0)
			return err_set(
			    err, STATUS_SOME, "none of these is pending for group '%s'", g->name);
		bytes_addf(&q,
		    "'%s': %" PRIu64 " pending entr%s acknowledged for group '%s', handled or not",
		    g->type, count.pending, count.pending == 1 ? "y is" : "ies are", g->name);
	}
	return agreed(h, &q);
}

int
groupadmin_ack(const struct groupadmin *h, const struct group_ref *g, char *const *ids, size_t n,
    struct err *err)
{
	struct acking acking = {h, g};
	struct acklist a = {.conn = h->conn,
	    .key = g->key,
	    .group = g->name,
	    .lookup = h->fmt->dry_run,
	    .fn = on_ack,
	    .arg = &acking};
	int ok =
	    groupfmt_read_clock(h->fmt, h->conn, err) == -1 ? -1 : ack_agreed(h, g, ids, n, err);

	if (ok != 1)
		return ok;
	ok = n > 0 ? acklist_add_args(&a, ids, n, err)
	           : acklist_add_lines(&a, STDIN_FILENO, on_bad_id, err);
	groupfmt_acked(h->fmt, g, &a);
	return ok;
}

/* --- moving, destroying ---------------------------------------------------------- */

int
groupadmin_set_id(const struct groupadmin *h, const struct group_ref *g,
    const struct id_place *where, struct err *err)
{
	char from[ID_SIZE], to[ID_SIZE], next[ID_SIZE], words[GROUP_SETID_TEXT];
	struct bytes q = {0};

	id_format(g->info.last_delivered, from);
	group_setid_arg(where, to);
	group_setid_text(where, words);
	if (group_next_entry(g, h->conn, to, next, err) == -1)
		return -1;
	bytes_addf(&q, "'%s': group '%s' is moved from %s to %s%s%s; what is pending stays pending",
	    g->type, g->name, g->has_info ? from : "?", words,
	    *next != '\0' ? ", the next it is given is " : "", next);
	if (!agreed(h, &q))
		return 0;
	if (h->confirm != NULL && group_check_unchanged(g, h->conn, err) == -1)
		return -1;
	if (!h->fmt->dry_run && group_set_id(g, h->conn, to, err) == -1)
		return -1;
	groupfmt_moved(h->fmt, g, to, words, next);
	return 0;
}

int
groupadmin_destroy(const struct groupadmin *h, const struct group_ref *g, struct err *err)
{
	struct bytes q = {0};

	bytes_addf(&q,
	    "'%s': group '%s' is destroyed, with %" PRIu64 " pending of %" PRIu64
	    " consumer%s that nobody is given again",
	    g->type, g->name, g->info.pending, g->info.consumers, plural(g->info.consumers));
	if (!agreed(h, &q))
		return 0;
	if (h->confirm != NULL && group_check_unchanged(g, h->conn, err) == -1)
		return -1;
	if (!h->fmt->dry_run && group_destroy(g, h->conn, err) == -1)
		return -1;
	groupfmt_destroyed(h->fmt, g);
	return 0;
}

/* --- consumers taken out ------------------------------------------------------------ */

static bool
leavers_agreed(const struct groupadmin *h, const struct group_ref *g,
    const struct groupadmin_choice *who, const struct retire_selection *l)
{
	struct bytes q = {0};
	char span[32];

	clock_format_span(who->name != NULL ? l->listed[0]->idle : who->idle, span, sizeof(span));
	if (who->name != NULL)
		bytes_addf(&q,
		    "'%s': consumer '%s' of group '%s', idle for %s, is deleted; its %" PRIu64
		    " pending go to '%s'",
		    g->type, who->name, g->name, span, l->pending, who->to);
	else
		bytes_addf(&q,
		    "'%s': %zu consumer%s of group '%s', idle for %s or longer, %s deleted; "
		    "%" PRIu64 " pending go to '%s'",
		    g->type, l->n, plural(l->n), g->name, span, l->n == 1 ? "is" : "are",
		    l->pending, who->to);
	return agreed(h, &q);
}

static void
say_held(const struct groupadmin *h, const struct group_ref *g, struct slice consumer,
    const struct err *no_eval)
{
	struct err err;

	err_set(&err, no_eval->status, "'%s': consumer '%.*s' holds entries and is left: %s",
	    g->type, (int)consumer.n, consumer.p, no_eval->text);
	h->warn(h->arg, err.status, err.text);
}

/* What became of them. */
static void
tell(const struct groupadmin *h, const struct group_ref *g, const char *to,
    const struct retire_selection *l, const struct err *no_eval)
{
	struct bytes words = {0};
	uint64_t lost = 0;

	for (size_t i = 0; i < l->n; i++) {
		groupfmt_retired(h->fmt, g, l, i, to);
		lost += l->consumer[i].lost;
	}
	for (size_t i = 0; i < l->n; i++)
		if (l->consumer[i].result == RETIRE_HAS_PENDING)
			say_held(h, g, l->consumer[i].name, no_eval);
	if (lost == 0 || h->fmt->quiet)
		return;
	bytes_addf(&words,
	    "'%s': %" PRIu64 " pending entr%s been trimmed or deleted from the stream: lost",
	    g->type, lost, lost == 1 ? "y had" : "ies had");
	say(h, STATUS_OK, &words);
}

static int
nobody(const struct groupadmin *h, const struct group_ref *g, const struct groupadmin_choice *who,
    struct err *err)
{
	struct bytes words = {0};

	if (who->name != NULL)
		return err_set(err, STATUS_SOME,
		    "no consumer '%s' in group '%s': 'ebgroup consumers %s' shows those that there "
		    "are",
		    who->name, g->name, g->type);
	if (h->verbose) {
		bytes_addf(&words, "'%s': no consumer of group '%s' is idle for so long", g->type,
		    g->name);
		say(h, STATUS_OK, &words);
	}
	return 0;
}

int
groupadmin_retire(const struct groupadmin *h, const struct group_ref *g,
    const struct groupadmin_choice *who, struct err *err)
{
	struct retire r = {.key = g->key,
	    .group = g->name,
	    .to = who->to,
	    .idle = who->name != NULL ? 0 : who->idle};
	struct retire_selection l;
	enum conn_why why;
	int64_t found = clock_mono(), stood;
	int ok = retire_select(&l, h->conn, &r, who->name, &why, err);

	if (ok == 0 && l.n == 0)
		ok = nobody(h, g, who, err);
	else if (ok == 0 && leavers_agreed(h, g, who, &l)) {
		if (h->confirm != NULL && who->name != NULL &&
		    (stood = clock_mono() - found) > ASKED_SLACK)
			r.idle = l.listed[0]->idle + stood - ASKED_SLACK;
		if (!h->fmt->dry_run)
			ok = retire_run(h->conn, &r, l.consumer, l.n, &why, err);
		tell(h, g, who->to, &l, &r.no_eval);
	}
	retire_selection_free(&l);
	return ok;
}
