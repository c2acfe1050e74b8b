/* ebgroup: shows and changes consumer groups by hand (ebgroup(1)). */
#include <err.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"
#include "base/status.h"
#include "cli/optvalue.h"
#include "cli/subcommand.h"
#include "conf/conf.h"
#include "consume/consumer.h"
#include "event/id.h"
#include "redis/group.h"
#include "report/groupadmin.h"
#include "report/groupfmt.h"
#include "report/survey.h"

#define RETIRED "eb-retired"
#define REAP_IDLE_MS (3600L * 1000)

enum { OPT_DRY_RUN = 256, OPT_IDLE, OPT_LIMIT, OPT_TO, OPT_YES };

/* clang-format off */
static const struct option options[] = {
	CONF_LONG,
	{"consumer", required_argument, NULL, 'C'},
	{"group", required_argument, NULL, 'g'},
	{"dry-run", no_argument, NULL, OPT_DRY_RUN},
	{"idle", required_argument, NULL, OPT_IDLE},
	{"limit", required_argument, NULL, OPT_LIMIT},
	{"to", required_argument, NULL, OPT_TO},
	{"yes", no_argument, NULL, OPT_YES},
	{NULL, 0, NULL, 0},
};
/* clang-format on */

/* Options that only some subcommands take. */
enum { TAKES_CONSUMER = 1, TAKES_IDLE = 2, TAKES_LIMIT = 4, TAKES_TO = 8, TAKES_YES = 16 };

static struct ebgroup {
	struct conf conf;
	const char *group, *consumer;
	uint64_t limit; /* entries still to show */
	int64_t idle;   /* ms */
	bool yes;
	unsigned given; /* TAKES_... */
	FILE *terminal; /* where to ask for confirmation; NULL: do not ask */
	/* Arguments after the type. */
	char **ids;
	size_t nids; /* 0: read the IDs from standard input */
	struct id_place where;
	struct groupadmin_choice choice;
	struct conn *conn;
	struct groupfmt fmt;
	struct groupadmin admin;
	int status;
} eb;

static void
ebgroup_usage(FILE *to)
{
	fputs("usage: ebgroup [-hjqvV] [-b dir] [-g group] [-p prefix] [-s service] [-t seconds] "
	      "[-u url] command ...\n"
	      "       ebgroup list [type ...]\n"
	      "       ebgroup consumers [--idle span] type ...\n"
	      "       ebgroup pending [-C consumer] [--idle span] [--limit n] type ...\n"
	      "       ebgroup ack [--dry-run] [--yes] type id ... | -\n"
	      "       ebgroup set-id [--dry-run] [--yes] type where\n"
	      "       ebgroup retire [--dry-run] [--to consumer] [--yes] type ... consumer\n"
	      "       ebgroup reap [--dry-run] [--idle span] [--to consumer] [--yes] type ...\n"
	      "       ebgroup destroy [--dry-run] [--yes] type ...\n",
	    to);
}

static void
ebgroup_worse(int status)
{
	eb.status = status_worse(eb.status, status);
}

static void __attribute__((noreturn)) ebgroup_see_usage(void)
{
	fputs("ebgroup: see ebgroup -h\n", stderr);
	exit(STATUS_USAGE);
}

static void __attribute__((noreturn, format(printf, 1, 2))) ebgroup_bad_usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vwarnx(fmt, ap);
	va_end(ap);
	ebgroup_see_usage();
}

/* --- output ------------------------------------------------------------------- */

static int
print_group_line(void *arg, const char *text)
{
	(void)arg;
	puts(text);
	return ferror(stdout);
}

static void
on_group_warning(void *arg, int status, const char *text)
{
	(void)arg;
	warnx("%s", text);
	ebgroup_worse(status);
}

/* A line is one answer, however long. */
static bool
confirm_on_terminal(void *arg, const char *question)
{
	int answer, c;

	(void)arg;
	fprintf(stderr, "ebgroup: %s\nContinue? [y/N] ", question);
	for (answer = c = getc(eb.terminal); c != '\n' && c != EOF; c = getc(eb.terminal))
		;
	if (answer == 'y' || answer == 'Y')
		return true;
	on_group_warning(NULL, STATUS_SOME, "not confirmed: nothing was changed");
	return false;
}

/* Prints what was read or done so far, also after a failure. */
static int
ebgroup_finish(void)
{
	groupfmt_end(&eb.fmt);
	if (fflush(stdout) == EOF || ferror(stdout)) {
		warn("write standard output");
		ebgroup_worse(STATUS_UNSAFE);
	}
	conn_close(eb.conn);
	conf_free(&eb.conf);
	return eb.status;
}

/* --- each group ------------------------------------------------------------------- */

static void
connect_to_redis(void)
{
	struct err err;

	if ((eb.conn = conn_open(&eb.conf.url, eb.conf.timeout_ms, &err)) == NULL)
		errx(err.status, "%s", err.text);
	eb.admin.conn = eb.conn;
}

/* A group that fails does not stop the others, unless the connection is dead. */
static void
for_each_group(char **types, size_t n, int (*fn)(struct group_ref *g, struct err *err))
{
	struct group_ref g;
	struct err err;
	bool gone = false;

	groupfmt_fit_types(&eb.fmt, types, n);
	connect_to_redis();
	for (size_t i = 0; i < n && !gone; i++) {
		group_ref_init(&g, eb.conf.prefix, eb.conf.service, eb.group, types[i]);
		if (group_find(&g, eb.conn, &err) == -1 || fn(&g, &err) == -1) {
			warnx("'%s': %s", types[i], err.text);
			ebgroup_worse(err.status);
			gone = conn_why(eb.conn) != CONN_OK;
		}
		group_ref_free(&g);
	}
}

/* --- list --------------------------------------------------------------------------- */

static void
list_stream(const struct survey *s, const struct survey_stream *st, bool named)
{
	size_t shown = groupfmt_groups(&eb.fmt, s, st, eb.group);

	if (st->error != NULL)
		warnx("'%s': %s", st->type, st->error);
	else if (named && !st->info.exists) {
		warnx("no such stream '%s'; 'ebgroup list' shows all groups", st->key);
		ebgroup_worse(STATUS_SOME);
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
	struct survey_options survey_options = {.url = &eb.conf.url,
	    .prefix = eb.conf.prefix,
	    .timeout_ms = eb.conf.timeout_ms,
	    .types = types,
	    .n = n,
	    .all = true};
	struct survey s;

	survey_take(&s, &survey_options);
	if (!s.up)
		errx(conn_exit_status(s.why), "%s", s.error);
	for (size_t i = 0; i < s.n; i++)
		list_stream(&s, &s.streams[i], is_named(s.streams[i].type, types, n));
	for (size_t i = 0; i < s.nunmatched && !eb.conf.quiet; i++)
		warnx("no stream matches '%s'", s.unmatched[i]);
	if (s.why_incomplete != NULL)
		warnx("list incomplete: %s", s.why_incomplete);
	ebgroup_worse(s.status);
	survey_free(&s);
}

/* --- consumers, pending ----------------------------------------------------------------- */

static int
show_consumers(struct group_ref *g, struct err *err)
{
	return groupfmt_consumers(&eb.fmt, eb.conn, g, eb.idle, err);
}

static void
run_consumers(char **types, size_t n)
{
	for_each_group(types, n, show_consumers);
}

static int
on_pending(void *arg, const struct pending *p)
{
	eb.limit--;
	return groupfmt_pending(&eb.fmt, arg, p);
}

static int
show_pending(struct group_ref *g, struct err *err)
{
	struct pending_query ask = {g->key, g->name, eb.consumer, eb.idle, eb.limit};

	if (eb.limit == 0)
		return 0;
	if (groupfmt_read_clock(&eb.fmt, eb.conn, err) == -1)
		return -1;
	return pending_scan(eb.conn, &ask, on_pending, g, err) == -1 ? -1 : 0;
}

static void
run_pending(char **types, size_t n)
{
	for_each_group(types, n, show_pending);
}

/* --- ack, set-id, destroy, retire, reap ---------------------------------------------------- */

static int
ack_group(struct group_ref *g, struct err *err)
{
	return groupadmin_ack(&eb.admin, g, eb.ids, eb.nids, err);
}

static void
run_ack(char **args, size_t n)
{
	struct stream_id id;

	eb.ids = args + 1;
	eb.nids = n == 2 && strcmp(args[1], "-") == 0 ? 0 : n - 1;
	for (size_t i = 0; i < eb.nids; i++)
		if (id_parse(slice_of(eb.ids[i]), &id) == -1)
			ebgroup_bad_usage(
			    "ack '%s': expected the ID of an entry, such as 1764844200123-0; - "
			    "reads them from standard input",
			    eb.ids[i]);
	for_each_group(args, 1, ack_group);
}

static int
set_group_id(struct group_ref *g, struct err *err)
{
	return groupadmin_set_id(&eb.admin, g, &eb.where, err);
}

static void
run_set_id(char **args, size_t n)
{
	struct err err;

	(void)n;
	if (id_parse_place(args[1], clock_now(), "set-id", &eb.where, &err) == -1)
		ebgroup_bad_usage("%s", err.text);
	for_each_group(args, 1, set_group_id);
}

static int
destroy_one_group(struct group_ref *g, struct err *err)
{
	return groupadmin_destroy(&eb.admin, g, err);
}

static void
run_destroy(char **types, size_t n)
{
	for_each_group(types, n, destroy_one_group);
}

static int
retire_from_group(struct group_ref *g, struct err *err)
{
	return groupadmin_retire(&eb.admin, g, &eb.choice, err);
}

static void
run_reap(char **types, size_t n)
{
	eb.choice.idle = (eb.given & TAKES_IDLE) != 0 ? eb.idle : REAP_IDLE_MS;
	for_each_group(types, n, retire_from_group);
}

static void
run_retire(char **args, size_t n)
{
	eb.choice.name = args[n - 1];
	if (strcmp(eb.choice.name, eb.choice.to) == 0)
		ebgroup_bad_usage(
		    "retire %s: its pending entries cannot move to itself; name another with --to",
		    eb.choice.name);
	for_each_group(args, n - 1, retire_from_group);
}

/* --- the command line ------------------------------------------------------------- */

static const struct subcommand subcommand_table[] = {
    {"list", run_list, 0, SIZE_MAX, 0, 0, "event types"},
    {"consumers", run_consumers, 1, SIZE_MAX, 0, TAKES_IDLE, "event types"},
    {"pending", run_pending, 1, SIZE_MAX, 0, TAKES_CONSUMER | TAKES_IDLE | TAKES_LIMIT,
        "event types"},
    {"ack", run_ack, 2, SIZE_MAX, SIZE_MAX, TAKES_YES,
        "an event type and IDs, or - for those on standard input,"},
    {"set-id", run_set_id, 2, 2, 1, TAKES_YES, "an event type and a place"},
    {"retire", run_retire, 2, SIZE_MAX, 1, TAKES_TO | TAKES_YES, "event types and a consumer"},
    {"reap", run_reap, 1, SIZE_MAX, 0, TAKES_IDLE | TAKES_TO | TAKES_YES, "event types"},
    {"destroy", run_destroy, 1, SIZE_MAX, 0, TAKES_YES, "event types"},
};

static const struct subcommand_option subcommand_options[] = {
    {TAKES_CONSUMER, "-C"},
    {TAKES_IDLE, "--idle"},
    {TAKES_LIMIT, "--limit"},
    {TAKES_TO, "--to"},
    {TAKES_YES, "--yes and --dry-run"},
};

static const struct subcommands subcommands = {subcommand_table,
    sizeof(subcommand_table) / sizeof(*subcommand_table), subcommand_options,
    sizeof(subcommand_options) / sizeof(*subcommand_options)};

/* Returns as conf_option. */
static int
take_ebgroup_option(int ch, const char *arg, struct err *err)
{
	int ok = 0;

	switch (ch) {
	case 'C':
		eb.consumer = arg;
		eb.given |= TAKES_CONSUMER;
		break;
	case 'g':
		eb.group = arg;
		if (*arg == '\0')
			ok =
			    err_set(err, STATUS_USAGE, "-g: the name of a group must not be empty");
		break;
	case OPT_IDLE:
		ok = optvalue_span(
		    "--idle", arg, 0, "a time expected, such as 30, 10m or 1h", &eb.idle, err);
		eb.given |= TAKES_IDLE;
		break;
	case OPT_LIMIT:
		ok = optvalue_number(
		    "--limit", arg, UINT64_MAX, "a number of entries expected", &eb.limit, err);
		eb.given |= TAKES_LIMIT;
		break;
	case OPT_TO:
		ok = consumer_check("--to", arg, err);
		eb.choice.to = arg;
		eb.given |= TAKES_TO;
		break;
	case OPT_DRY_RUN:
	case OPT_YES:
		*(ch == OPT_YES ? &eb.yes : &eb.fmt.dry_run) = true;
		eb.given |= TAKES_YES;
		break;
	default: return 0;
	}
	return ok == -1 ? -1 : 1;
}

static void
read_ebgroup_options(int argc, char **argv)
{
	struct err err;
	int ch, r;

	conf_init(&eb.conf);
	eb.choice.to = RETIRED;
	eb.limit = UINT64_MAX;
	while ((ch = getopt_long(argc, argv, CONF_SHORT "C:g:", options, NULL)) != -1) {
		if ((r = conf_option(&eb.conf, ch, optarg, &err)) == 0)
			r = take_ebgroup_option(ch, optarg, &err);
		if (r == 0)
			ebgroup_see_usage();
		if (r == -1 && err.status != STATUS_USAGE)
			errx(err.status, "%s", err.text);
		if (r == -1)
			ebgroup_bad_usage("%s", err.text);
	}
	if (conf_finish(&eb.conf, argc, argv, &err) == -1)
		errx(err.status, "%s", err.text);
}

/* A change needs --yes, or a terminal to ask on. */
static void
check_confirmation(const struct subcommand *c)
{
	if ((c->options & TAKES_YES) == 0 || eb.yes || eb.fmt.dry_run)
		return;
	if (isatty(STDERR_FILENO))
		eb.terminal = fopen("/dev/tty", "re");
	if (eb.terminal == NULL)
		ebgroup_bad_usage(
		    "%s: no terminal to ask for confirmation; use --yes, or --dry-run to see "
		    "what would be done",
		    c->name);
	eb.admin.confirm = confirm_on_terminal;
}

static void
prepare_groupadmin(void)
{
	eb.fmt.json = eb.conf.json;
	eb.fmt.quiet = eb.conf.quiet;
	eb.fmt.emit = print_group_line;
	eb.admin.fmt = &eb.fmt;
	eb.admin.verbose = !eb.conf.quiet && (eb.conf.verbose || isatty(STDERR_FILENO));
	eb.admin.warn = on_group_warning;
}

int
main(int argc, char **argv)
{
	const struct subcommand *c;
	struct err err;
	char **args;
	size_t n;

	process_init();
	read_ebgroup_options(argc, argv);
	if (eb.conf.help || eb.conf.version) {
		if (eb.conf.help)
			ebgroup_usage(stdout);
		else
			puts("ebgroup " EB_VERSION);
		return ebgroup_finish();
	}
	args = argv + optind + 1;
	n = (size_t)(argc - optind - 1);
	if ((c = subcommand_find(&subcommands, argv[optind], &err)) == NULL ||
	    subcommand_check(&subcommands, c, eb.given, n, &err) == -1)
		ebgroup_bad_usage("%s", err.text);
	for (size_t i = 0; i < subcommand_leading_args(c, n); i++)
		if (optvalue_type(args[i], c->run == run_list ? NULL : "list", &err) == -1)
			ebgroup_bad_usage("%s", err.text);
	prepare_groupadmin();
	check_confirmation(c);
	c->run(args, n);
	return ebgroup_finish();
}
