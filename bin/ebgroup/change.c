/* ebgroup ack, set-id, destroy, retire, reap. */
#include <err.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "acks.h"
#include "ebgroup.h"
#include "groupline.h"
#include "leavers.h"
#include "status.h"
#include "when.h"

/* --- ack --------------------------------------------------------------------------------- */

static void
on_ack(void *arg, struct stream_id id, bool was_pending, const struct pending *p)
{
	const struct onegroup *g = arg;
	char text[STREAM_ID_SIZE];

	if (p != NULL)
		show_entry(g, p);
	if (was_pending)
		return;
	stream_id_format(id, text);
	warnx("'%s' is not pending for group '%s'", text, g->name);
	worse(STATUS_SOME);
}

static void
on_bad_id(const char *text)
{
	warnx("%s", text);
	worse(STATUS_DATA);
}

static int
ack_ids(struct acks *a, struct fail *f)
{
	struct stream_id id;

	for (size_t i = 0; i < eb.nids; i++)
		if (stream_id_parse(slice_of(eb.ids[i]), &id) == -1 || acks_add(a, id, f) == -1)
			return -1;
	return acks_flush(a, f);
}

/* 1 yes, 0 no. */
static int
ack_agreed(const struct onegroup *g, struct fail *f)
{
	struct acks count = {.b = eb.b, .key = g->key, .group = g->name, .look = true};

	if (eb.terminal == NULL)
		return 1;
	if (eb.nids == 0)
		return agreed("'%s': every entry that standard input names is acknowledged for group '%s', handled or not", g->type,
		    g->name);
	if (ack_ids(&count, f) == -1)
		return -1;
	if (count.pending == 0)
		return fail_set(f, STATUS_SOME, "none of these is pending for group '%s'", g->name);
	return agreed("'%s': %" PRIu64 " pending entr%s acknowledged for group '%s', handled or not", g->type, count.pending,
	    count.pending == 1 ? "y is" : "ies are", g->name);
}

static int
acknowledge(struct onegroup *g, struct fail *f)
{
	struct acks a = {.b = eb.b, .key = g->key, .group = g->name, .look = eb.dry, .fn = on_ack, .arg = g};
	int ok = take_clock(f) == -1 ? -1 : ack_agreed(g, f);

	if (ok != 1)
		return ok;
	ok = eb.nids > 0 ? ack_ids(&a, f) : acks_read(&a, STDIN_FILENO, on_bad_id, f);
	if (!eb.dry && eb.conf.json)
		groupline_acked_json(&eb.line, g, &a);
	else if (!eb.dry && !eb.conf.quiet)
		groupline_acked_text(&eb.line, &a);
	if (eb.line.len > 0)
		print_line();
	return ok;
}

void
run_ack(char **args, size_t n)
{
	struct stream_id id;

	eb.ids = args + 1;
	eb.nids = n == 2 && strcmp(args[1], "-") == 0 ? 0 : n - 1;
	for (size_t i = 0; i < eb.nids; i++)
		if (stream_id_parse(slice_of(eb.ids[i]), &id) == -1)
			bad_usage("ack '%s': the ID of an entry expected, as 1764844200123-0; - reads them from standard input", eb.ids[i]);
	each_group(args, 1, acknowledge);
}

/* --- set-id, destroy -------------------------------------------------------------------------- */

/* The highest ID of a millisecond says little to people. */
static void
name_target(const char *to, char out[STREAM_ID_SIZE + 8])
{
	char low[STREAM_ID_SIZE];

	stream_id_format(eb.where.low, low);
	snprintf(out, STREAM_ID_SIZE + 8, "%s%s", onegroup_exact(&eb.where) ? "" : "before ", onegroup_exact(&eb.where) ? to : low);
}

static int
set_id(struct onegroup *g, struct fail *f)
{
	char from[STREAM_ID_SIZE], to[STREAM_ID_SIZE], next[STREAM_ID_SIZE], words[STREAM_ID_SIZE + 8];

	stream_id_format(g->info.last_delivered, from);
	onegroup_target(&eb.where, to);
	name_target(to, words);
	if (onegroup_next(g, eb.b, to, next, f) == -1)
		return -1;
	if (!agreed("'%s': group '%s' is moved from %s to %s%s%s; what is pending stays pending", g->type, g->name,
	    g->known ? from : "?", words, *next != '\0' ? ", the next it is given is " : "", next))
		return 0;
	if (!eb.dry && onegroup_set(g, eb.b, to, f) == -1)
		return -1;
	if (eb.conf.json)
		groupline_set_json(&eb.line, g, to, next, eb.dry);
	else
		groupline_set_text(&eb.line, g, words, next, eb.dry);
	if (eb.conf.json || !eb.conf.quiet)
		print_line();
	return 0;
}

void
run_set_id(char **args, size_t n)
{
	struct fail f;

	(void)n;
	if (point_parse(args[1], when_now(), "set-id", &eb.where, &f) == -1)
		bad_usage("%s", f.text);
	each_group(args, 1, set_id);
}

static int
destroy(struct onegroup *g, struct fail *f)
{
	if (!agreed("'%s': group '%s' is destroyed, with %" PRIu64 " pending of %" PRIu64 " consumer%s that nobody is given again",
	    g->type, g->name, g->info.pending, g->info.consumers, plural(g->info.consumers)))
		return 0;
	if (!eb.dry && onegroup_destroy(g, eb.b, f) == -1)
		return -1;
	if (eb.conf.json)
		groupline_destroyed_json(&eb.line, g, eb.dry);
	else
		groupline_destroyed_text(&eb.line, g, eb.dry);
	if (eb.conf.json || !eb.conf.quiet)
		print_line();
	return 0;
}

void
run_destroy(char **types, size_t n)
{
	each_group(types, n, destroy);
}

/* --- retire, reap ------------------------------------------------------------------------------- */

static bool
leavers_agreed(const struct leavers *l, const struct onegroup *g)
{
	char span[32];

	when_span(eb.leaver != NULL ? l->was[0]->idle : eb.idle, span, sizeof(span));
	if (eb.leaver != NULL)
		return agreed("'%s': consumer '%s' of group '%s', idle for %s, is deleted; its %" PRIu64 " pending go to '%s'",
		    g->type, eb.leaver, g->name, span, l->pending, eb.to);
	return agreed("'%s': %zu consumer%s of group '%s', idle for %s or longer, %s deleted; %" PRIu64 " pending go to '%s'",
	    g->type, l->n, plural(l->n), g->name, span, l->n == 1 ? "is" : "are", l->pending, eb.to);
}

static void
leavers_show(const struct leavers *l, const struct onegroup *g)
{
	for (size_t i = 0; i < l->n; i++)
		if (eb.conf.json) {
			groupline_leaver_json(&eb.line, g, l, i, eb.to, eb.dry);
			print_line();
		} else if (!eb.conf.quiet)
			groupline_leaver_cells(eb.table, g, l, i, eb.dry);
}

static void
leavers_complain(const struct leavers *l, const struct onegroup *g, const struct fail *no_eval)
{
	uint64_t lost = 0;
	struct fail f;

	for (size_t i = 0; i < l->n; i++) {
		lost += l->at[i].lost;
		if (l->at[i].end != RETIRE_HELD)
			continue;
		fail_set(&f, no_eval->status, "'%s': consumer '%.*s' holds entries and is left: %s", g->type, (int)l->at[i].name.n,
		    l->at[i].name.p, no_eval->text);
		warnx("%s", f.text);
		worse(no_eval->status);
	}
	if (lost > 0 && !eb.conf.quiet)
		warnx("'%s': %" PRIu64 " pending entr%s been trimmed or deleted from the stream: lost", g->type, lost,
		    lost == 1 ? "y had" : "ies had");
}

static int
take_out(struct onegroup *g, struct fail *f)
{
	struct retire r = {.key = g->key, .group = g->name, .to = eb.to, .idle = eb.leaver != NULL ? 0 : eb.idle};
	struct leavers l;
	enum bus_why why;
	int ok = leavers_find(&l, eb.b, &r, eb.leaver, &why, f);

	if (ok == 0 && l.n == 0 && eb.leaver != NULL)
		ok = fail_set(f, STATUS_SOME, "no consumer '%s' in group '%s': 'ebgroup consumers %s' shows those that there are",
		    eb.leaver, g->name, g->type);
	else if (ok == 0 && l.n == 0 && loud())
		warnx("'%s': no consumer of group '%s' is idle for so long", g->type, g->name);
	if (ok == 0 && l.n > 0 && leavers_agreed(&l, g)) {
		if (!eb.dry)
			ok = retire_run(eb.b, &r, l.at, l.n, &why, f);
		leavers_show(&l, g);
		leavers_complain(&l, g, &r.no_eval);
	}
	leavers_free(&l);
	return ok;
}

void
run_reap(char **types, size_t n)
{
	eb.table = groupline_leaver_table(!eb.conf.quiet);
	each_group(types, n, take_out);
}

void
run_retire(char **args, size_t n)
{
	eb.leaver = args[n - 1];
	if (strcmp(eb.leaver, eb.to) == 0)
		bad_usage("retire %s: who gets what it holds? --to names another consumer", eb.leaver);
	run_reap(args, n - 1);
}
