/* ebgroup list, consumers, pending. */
#include <err.h>
#include <string.h>

#include "consumers.h"
#include "ebgroup.h"
#include "groupline.h"
#include "status.h"
#include "survey.h"
#include "when.h"

/* --- list --------------------------------------------------------------------------- */

static void
list_stream(const struct survey *s, const struct survey_stream *st, bool named)
{
	size_t shown = 0;

	for (size_t i = 0; i < st->ngroups; i++) {
		if (eb.group != NULL && strcmp(st->groups[i].name, eb.group) != 0)
			continue;
		shown++;
		if (eb.conf.json) {
			groupline_group_json(&eb.line, s, st, &st->groups[i]);
			print_line();
		} else
			groupline_group_cells(eb.table, s, st, &st->groups[i]);
	}
	if (st->error != NULL)
		warnx("'%s': %s", st->type, st->error);
	else if (named && !st->info.exists) {
		warnx("there is no stream '%s': 'ebgroup list' shows the groups of all that there are", st->key);
		worse(STATUS_SOME);
	} else if (named && shown == 0 && !eb.conf.quiet)
		warnx("'%s' has no %s", st->key, st->ngroups > 0 ? "group of that name" : "groups");
}

static bool
is_named(const char *type, char **types, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(types[i], type) == 0)
			return true;
	return false;
}

void
run_list(char **types, size_t n)
{
	struct survey_ask ask = {
		.url = &eb.conf.url, .prefix = eb.conf.prefix, .timeout_ms = eb.conf.timeout_ms, .types = types, .n = n, .all = true
	};
	struct survey s;

	survey_take(&s, &ask);
	if (!s.up)
		errx(bus_status(s.why), "%s", s.error);
	eb.table = groupline_group_table(!eb.conf.quiet);
	for (size_t i = 0; i < s.n; i++)
		list_stream(&s, &s.streams[i], is_named(s.streams[i].type, types, n));
	for (size_t i = 0; i < s.nunmatched && !eb.conf.quiet; i++)
		warnx("no stream matches '%s'", s.unmatched[i]);
	if (s.incomplete != NULL)
		warnx("incomplete: %s", s.incomplete);
	worse(s.status);
	survey_free(&s);
}

/* --- consumers, pending ----------------------------------------------------------------- */

static int
show_consumers(struct onegroup *g, struct fail *f)
{
	struct consumers list;
	enum bus_why why;

	if (consumers_list(eb.b, g->key, g->name, &list, &why, f) == -1)
		return -1;
	for (size_t i = 0; i < list.n; i++) {
		if (list.at[i].idle < eb.idle)
			continue;
		if (eb.conf.json) {
			groupline_consumer_json(&eb.line, g, &list.at[i]);
			print_line();
		} else
			groupline_consumer_cells(eb.table, g, &list.at[i]);
	}
	consumers_free(&list);
	return 0;
}

void
run_consumers(char **types, size_t n)
{
	eb.table = groupline_consumer_table(!eb.conf.quiet);
	each_group(types, n, show_consumers);
}

void
show_entry(const struct onegroup *g, const struct pending *p)
{
	if (eb.conf.json)
		groupline_pending_json(&eb.line, g, p, eb.ahead + when_mono());
	else {
		if (!eb.headed && !eb.conf.quiet) {
			groupline_pending_head(&eb.line, eb.width);
			print_line();
		}
		eb.headed = true;
		groupline_pending_text(&eb.line, g, p, eb.width);
	}
	print_line();
}

static int
on_pending(void *arg, const struct pending *p)
{
	show_entry(arg, p);
	eb.limit--;
	return ferror(stdout);
}

static int
show_pending(struct onegroup *g, struct fail *f)
{
	struct pending_ask ask = {g->key, g->name, eb.consumer, eb.idle, eb.limit};
	enum bus_why why;

	if (eb.limit == 0)
		return 0;
	if (take_clock(f) == -1)
		return -1;
	return pending_walk(eb.b, &ask, on_pending, g, &why, f) == -1 ? -1 : 0;
}

void
run_pending(char **types, size_t n)
{
	each_group(types, n, show_pending);
}
