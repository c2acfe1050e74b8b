#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "acks.h"
#include "conf.h"
#include "consumer.h"
#include "groupline.h"
#include "leavers.h"
#include "names.h"
#include "onegroup.h"
#include "reply.h"
#include "status.h"
#include "survey.h"
#include "util.h"
#include "when.h"

#define RETIRED "eb-retired"
#define REAP_IDLE_MS (3600L * 1000)

enum {
	OPT_DRY_RUN = 256, OPT_IDLE, OPT_LIMIT, OPT_TO, OPT_YES
};

static const struct option options[] = {
	CONF_LONG,
	{"consumer", required_argument, NULL, 'C'},
	{"group", required_argument, NULL, 'g'},
	{"dry-run", no_argument, NULL, OPT_DRY_RUN},
	{"idle", required_argument, NULL, OPT_IDLE},
	{"limit", required_argument, NULL, OPT_LIMIT},
	{"to", required_argument, NULL, OPT_TO},
	{"yes", no_argument, NULL, OPT_YES},
	{NULL, 0, NULL, 0}
};

/* Options that not every command has a use for. */
enum {
	TAKES_CONSUMER = 1, TAKES_IDLE = 2, TAKES_LIMIT = 4, TAKES_TO = 8, TAKES_YES = 16
};

static struct ebgroup {
	struct conf conf;
	const char *group, *consumer, *to;
	int64_t idle;			/* ms */
	uint64_t limit;			/* entries still to be shown */
	bool dry, yes;
	unsigned given;			/* TAKES_... */
	FILE *terminal;			/* where somebody has to agree; NULL: not wanted */
	/* What stands behind the type. */
	char **ids;
	size_t nids;			/* 0: they come on standard input */
	struct point where;
	const char *leaver;
	struct bus *b;
	int64_t ahead;			/* the server's clock, ms, less ours that only goes forward */
	bool headed;
	int width;			/* of the longest type */
	struct table *table;
	struct buf line;
	int status;
} eb;

static void
usage(FILE *to)
{
	fputs("usage: ebgroup [-hjqvV] [-b dir] [-g group] [-p prefix] [-s service] [-t seconds] [-u url] command ...\n"
	    "       ebgroup list [type ...]\n"
	    "       ebgroup consumers [--idle span] type ...\n"
	    "       ebgroup pending [-C consumer] [--idle span] [--limit n] type ...\n"
	    "       ebgroup ack [--dry-run] [--yes] type id ... | -\n"
	    "       ebgroup set-id [--dry-run] [--yes] type where\n"
	    "       ebgroup retire [--dry-run] [--to consumer] [--yes] type ... consumer\n"
	    "       ebgroup reap [--dry-run] [--idle span] [--to consumer] [--yes] type ...\n"
	    "       ebgroup destroy [--dry-run] [--yes] type ...\n", to);
}

static void
worse(int status)
{
	eb.status = status_worse(eb.status, status);
}

static void __attribute__((noreturn, format(printf, 1, 2)))
bad_usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vwarnx(fmt, ap);
	va_end(ap);
	fputs("ebgroup: see ebgroup -h\n", stderr);
	exit(STATUS_USAGE);
}

/* --- output ------------------------------------------------------------------- */

static void
print_line(void)
{
	puts(buf_str(&eb.line));
	eb.line.len = 0;
}

/* What was found or done until then is shown, however it ends. */
static int
finish(void)
{
	if (eb.table != NULL && table_rows(eb.table) > (eb.conf.quiet ? 0 : 1)) {
		table_print(&eb.line, eb.table);
		fwrite(eb.line.p, 1, eb.line.len, stdout);
	}
	if (fflush(stdout) == EOF || ferror(stdout)) {
		warn("standard output");
		worse(STATUS_UNSAFE);
	}
	table_free(eb.table);
	buf_free(&eb.line);
	bus_close(eb.b);
	conf_free(&eb.conf);
	return eb.status;
}

static bool
loud(void)
{
	return !eb.conf.quiet && (eb.conf.verbose || isatty(STDERR_FILENO));
}

/* --- one group after the other ---------------------------------------------------- */

static void
connect_to_redis(void)
{
	enum bus_why why;
	struct fail f;

	if ((eb.b = bus_open(&eb.conf.url, eb.conf.timeout_ms, &why, &f)) == NULL)
		errx(f.status, "%s", f.text);
}

/* TIME: [seconds, microseconds]. Who may not ask gets ours. */
static int
take_clock(struct fail *f)
{
	struct reply *r = bus_call(eb.b, f, "TIME", NULL);
	int64_t now;

	if (r == NULL)
		return -1;
	now = when_now() / 1000;
	if (reply_count(r) == 2)
		now = reply_int(reply_at(r, 0)) * 1000 + reply_int(reply_at(r, 1)) / 1000;
	eb.ahead = now - when_mono();
	reply_free(r);
	return 0;
}

/* One that fails does not stop the others, unless the connection is gone. */
static void
each_group(char **types, size_t n, int (*fn)(struct onegroup *g, struct fail *f))
{
	struct onegroup g;
	struct fail f;
	bool gone = false;

	eb.width = (int)strlen("TYPE");
	for (size_t i = 0; i < n; i++)
		if ((int)strlen(types[i]) > eb.width)
			eb.width = (int)strlen(types[i]);
	connect_to_redis();
	for (size_t i = 0; i < n && !gone; i++) {
		onegroup_init(&g, eb.conf.prefix, eb.conf.service, eb.group, types[i]);
		if (onegroup_find(&g, eb.b, &f) == -1 || fn(&g, &f) == -1) {
			warnx("'%s': %s", types[i], f.text);
			worse(f.status);
			gone = bus_why(eb.b) != BUS_FINE;
		}
		onegroup_free(&g);
	}
}

/* Whether somebody says yes to it, or has said so with --yes. */
static bool __attribute__((format(printf, 1, 2)))
agreed(const char *fmt, ...)
{
	char *text = NULL, answer[64];
	va_list ap;
	bool yes;

	if (eb.terminal == NULL)
		return true;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) == -1)
		text = util_strdup("?");
	va_end(ap);
	fail_clean(text);
	fprintf(stderr, "ebgroup: %s\nGo on? [y/N] ", text);
	free(text);
	yes = fgets(answer, sizeof(answer), eb.terminal) != NULL && (*answer == 'y' || *answer == 'Y');
	if (!yes) {
		warnx("nothing was done");
		worse(STATUS_SOME);
	}
	return yes;
}

static const char *
plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

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

static void
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

static void
run_consumers(char **types, size_t n)
{
	eb.table = groupline_consumer_table(!eb.conf.quiet);
	each_group(types, n, show_consumers);
}

static void
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

static void
run_pending(char **types, size_t n)
{
	each_group(types, n, show_pending);
}

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

static void
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

static void
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

static void
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

static void
run_reap(char **types, size_t n)
{
	eb.table = groupline_leaver_table(!eb.conf.quiet);
	each_group(types, n, take_out);
}

static void
run_retire(char **args, size_t n)
{
	eb.leaver = args[n - 1];
	if (strcmp(eb.leaver, eb.to) == 0)
		bad_usage("retire %s: who gets what it holds? --to names another consumer", eb.leaver);
	run_reap(args, n - 1);
}

/* --- the command line ------------------------------------------------------------------------------ */

static const struct command {
	const char *name;
	void (*run)(char **args, size_t n);
	size_t least, most;		/* arguments, */
	size_t others;			/* of which so many are no types */
	unsigned takes;
	const char *wants;
} commands[] = {
	{"list", run_list, 0, SIZE_MAX, 0, 0, "event types"},
	{"consumers", run_consumers, 1, SIZE_MAX, 0, TAKES_IDLE, "event types"},
	{"pending", run_pending, 1, SIZE_MAX, 0, TAKES_CONSUMER | TAKES_IDLE | TAKES_LIMIT, "event types"},
	{"ack", run_ack, 2, SIZE_MAX, SIZE_MAX, TAKES_YES, "an event type and IDs, or - for those on standard input,"},
	{"set-id", run_set_id, 2, 2, 1, TAKES_YES, "an event type and a place"},
	{"retire", run_retire, 2, SIZE_MAX, 1, TAKES_TO | TAKES_YES, "event types and a consumer"},
	{"reap", run_reap, 1, SIZE_MAX, 0, TAKES_IDLE | TAKES_TO | TAKES_YES, "event types"},
	{"destroy", run_destroy, 1, SIZE_MAX, 0, TAKES_YES, "event types"},
};
#define ALL "list, consumers, pending, ack, set-id, retire, reap, destroy"

static const struct {
	unsigned bit;
	const char *name, *with;
} own[] = {
	{TAKES_CONSUMER, "-C goes", "pending"},
	{TAKES_IDLE, "--idle goes", "consumers, pending and reap"},
	{TAKES_LIMIT, "--limit goes", "pending"},
	{TAKES_TO, "--to goes", "retire and reap"},
	{TAKES_YES, "--yes and --dry-run go", "ack, set-id, retire, reap and destroy"},
};

static void
take_own(int ch, const char *arg)
{
	switch (ch) {
	case 'C':
		eb.consumer = arg;
		eb.given |= TAKES_CONSUMER;
		return;
	case 'g':
		if (*arg == '\0')
			bad_usage("-g: a group's name is not empty");
		eb.group = arg;
		return;
	case OPT_IDLE:
		if (util_ms(arg, &eb.idle) == -1)
			bad_usage("--idle %s: how long is expected: 30, 10m, 1h", arg);
		eb.given |= TAKES_IDLE;
		return;
	case OPT_LIMIT:
		if (util_u64(arg, &eb.limit) == -1)
			bad_usage("--limit %s: a number of entries expected", arg);
		eb.given |= TAKES_LIMIT;
		return;
	case OPT_TO:
		if (!consumer_legal(arg))
			bad_usage("--to '%s': a consumer's name is 1 to 200 printable characters without space", arg);
		eb.to = arg;
		eb.given |= TAKES_TO;
		return;
	case OPT_DRY_RUN:
	case OPT_YES:
		*(ch == OPT_YES ? &eb.yes : &eb.dry) = true;
		eb.given |= TAKES_YES;
		return;
	}
	fputs("ebgroup: see ebgroup -h\n", stderr);
	exit(STATUS_USAGE);
}

static void
read_options(int argc, char **argv)
{
	struct fail f;
	int ch, r;

	conf_init(&eb.conf);
	eb.to = RETIRED;
	eb.limit = UINT64_MAX;
	while ((ch = getopt_long(argc, argv, CONF_SHORT "C:g:", options, NULL)) != -1) {
		r = conf_option(&eb.conf, ch, optarg, &f);
		if (r == -1 && f.status != STATUS_USAGE)
			errx(f.status, "%s", f.text);
		if (r == -1)
			bad_usage("%s", f.text);
		if (r == 0)
			take_own(ch, optarg);
	}
	if (conf_finish(&eb.conf, argc, argv, &f) == -1)
		errx(f.status, "%s", f.text);
}

static const struct command *
find_command(const char *name)
{
	if (name == NULL)
		bad_usage("which command? One of " ALL);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	bad_usage("'%s' is no command; one of " ALL " is", name);
}

static void
check_type(const char *type, bool patterns)
{
	if (names_pattern(type) && !patterns)
		bad_usage("'%s': a pattern goes only with list; name the types", type);
	if (!names_pattern(type) && !names_legal(type, strlen(type)))
		bad_usage("'%s': an event type is 1 to 200 of [A-Za-z0-9._-], not beginning with '-'", type);
}

/* Changes are agreed to beforehand, or by somebody who can be asked. */
static void
check_consent(const struct command *c)
{
	if ((c->takes & TAKES_YES) == 0 || eb.yes || eb.dry)
		return;
	if (isatty(STDERR_FILENO))
		eb.terminal = fopen("/dev/tty", "re");
	if (eb.terminal == NULL)
		bad_usage("%s: there is no terminal to ask on: say --yes too, or --dry-run to see what it would do", c->name);
}

static void
check_arguments(const struct command *c, char **args, size_t n)
{
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if ((eb.given & own[i].bit) != 0 && (c->takes & own[i].bit) == 0)
			bad_usage("%s: %s with %s", c->name, own[i].name, own[i].with);
	if (n < c->least || n > c->most)
		bad_usage("%s: %s expected", c->name, c->wants);
	for (size_t i = 0; i < n && (i == 0 || n - i > c->others); i++)
		check_type(args[i], c->run == run_list);
	if (c->run == run_reap && (eb.given & TAKES_IDLE) == 0)
		eb.idle = REAP_IDLE_MS;
}

int
main(int argc, char **argv)
{
	const struct command *c;

	util_start();
	read_options(argc, argv);
	if (eb.conf.help || eb.conf.version) {
		if (eb.conf.help)
			usage(stdout);
		else
			puts("ebgroup " EB_VERSION);
		return finish();
	}
	c = find_command(argv[optind]);
	check_arguments(c, argv + optind + 1, (size_t)(argc - optind - 1));
	check_consent(c);
	c->run(argv + optind + 1, (size_t)(argc - optind - 1));
	return finish();
}
