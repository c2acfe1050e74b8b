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

/* Options that not every command has a use for. */
enum { TAKES_CONSUMER = 1, TAKES_IDLE = 2, TAKES_LIMIT = 4, TAKES_TO = 8, TAKES_YES = 16 };

static struct ebgroup {
	struct conf conf;
	const char *group, *consumer;
	uint64_t limit; /* entries still to be shown */
	int64_t idle;   /* ms */
	bool yes;
	unsigned given; /* TAKES_... */
	FILE *terminal; /* where somebody has to agree; NULL: not wanted */
	/* What stands behind the type. */
	char **ids;
	size_t nids; /* 0: they come on standard input */
	struct id_place where;
	struct groupadmin_choice leavers;
	struct conn *b;
	struct groupfmt show;
	struct groupadmin hand;
	int status;
} eb;

static void
usage(FILE *to)
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
worse(int status)
{
	eb.status = status_worse(eb.status, status);
}

static void __attribute__((noreturn)) see_usage(void)
{
	fputs("ebgroup: see ebgroup -h\n", stderr);
	exit(STATUS_USAGE);
}

static void __attribute__((noreturn, format(printf, 1, 2))) bad_usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vwarnx(fmt, ap);
	va_end(ap);
	see_usage();
}

/* --- output ------------------------------------------------------------------- */

static int
on_line(void *arg, const char *text)
{
	(void)arg;
	puts(text);
	return ferror(stdout);
}

static void
on_say(void *arg, int status, const char *text)
{
	(void)arg;
	warnx("%s", text);
	worse(status);
}

/* Whether somebody says yes to it. A line is one answer, however long. */
static bool
on_agree(void *arg, const char *question)
{
	int answer, c;

	(void)arg;
	fprintf(stderr, "ebgroup: %s\nGo on? [y/N] ", question);
	for (answer = c = getc(eb.terminal); c != '\n' && c != EOF; c = getc(eb.terminal))
		;
	if (answer == 'y' || answer == 'Y')
		return true;
	on_say(NULL, STATUS_SOME, "nothing was done");
	return false;
}

/* What was found or done until then is shown, however it ends. */
static int
finish(void)
{
	groupfmt_end(&eb.show);
	if (fflush(stdout) == EOF || ferror(stdout)) {
		warn("standard output");
		worse(STATUS_UNSAFE);
	}
	conn_close(eb.b);
	conf_free(&eb.conf);
	return eb.status;
}

/* --- one group after the other ---------------------------------------------------- */

static void
connect_to_redis(void)
{
	enum conn_why why;
	struct err err;

	if ((eb.b = conn_open(&eb.conf.url, eb.conf.timeout_ms, &why, &err)) == NULL)
		errx(err.status, "%s", err.text);
	eb.hand.conn = eb.b;
}

/* One that fails does not stop the others, unless the connection is gone. */
static void
each_group(char **types, size_t n, int (*fn)(struct group_ref *g, struct err *err))
{
	struct group_ref g;
	struct err err;
	bool gone = false;

	groupfmt_fit_types(&eb.show, types, n);
	connect_to_redis();
	for (size_t i = 0; i < n && !gone; i++) {
		group_ref_init(&g, eb.conf.prefix, eb.conf.service, eb.group, types[i]);
		if (group_find(&g, eb.b, &err) == -1 || fn(&g, &err) == -1) {
			warnx("'%s': %s", types[i], err.text);
			worse(err.status);
			gone = conn_why(eb.b) != CONN_OK;
		}
		group_ref_free(&g);
	}
}

/* --- list --------------------------------------------------------------------------- */

static void
list_stream(const struct survey *s, const struct survey_stream *st, bool named)
{
	size_t shown = groupfmt_groups(&eb.show, s, st, eb.group);

	if (st->error != NULL)
		warnx("'%s': %s", st->type, st->error);
	else if (named && !st->info.exists) {
		warnx("there is no stream '%s': 'ebgroup list' shows the groups of all that there "
		      "are",
		    st->key);
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
	struct survey_options ask = {.url = &eb.conf.url,
	    .prefix = eb.conf.prefix,
	    .timeout_ms = eb.conf.timeout_ms,
	    .types = types,
	    .n = n,
	    .all = true};
	struct survey s;

	survey_take(&s, &ask);
	if (!s.up)
		errx(conn_exit_status(s.why), "%s", s.error);
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
show_consumers(struct group_ref *g, struct err *err)
{
	return groupfmt_consumers(&eb.show, eb.b, g, eb.idle, err);
}

static void
run_consumers(char **types, size_t n)
{
	each_group(types, n, show_consumers);
}

static int
on_pending(void *arg, const struct pending *p)
{
	eb.limit--;
	return groupfmt_pending(&eb.show, arg, p);
}

static int
show_pending(struct group_ref *g, struct err *err)
{
	struct pending_query ask = {g->key, g->name, eb.consumer, eb.idle, eb.limit};
	enum conn_why why;

	if (eb.limit == 0)
		return 0;
	if (groupfmt_read_clock(&eb.show, eb.b, err) == -1)
		return -1;
	return pending_scan(eb.b, &ask, on_pending, g, &why, err) == -1 ? -1 : 0;
}

static void
run_pending(char **types, size_t n)
{
	each_group(types, n, show_pending);
}

/* --- ack, set-id, destroy, retire, reap ---------------------------------------------------- */

static int
acknowledge(struct group_ref *g, struct err *err)
{
	return groupadmin_ack(&eb.hand, g, eb.ids, eb.nids, err);
}

static void
run_ack(char **args, size_t n)
{
	struct stream_id id;

	eb.ids = args + 1;
	eb.nids = n == 2 && strcmp(args[1], "-") == 0 ? 0 : n - 1;
	for (size_t i = 0; i < eb.nids; i++)
		if (id_parse(slice_of(eb.ids[i]), &id) == -1)
			bad_usage("ack '%s': the ID of an entry expected, as 1764844200123-0; - "
			          "reads them from standard input",
			    eb.ids[i]);
	each_group(args, 1, acknowledge);
}

static int
set_id(struct group_ref *g, struct err *err)
{
	return groupadmin_set_id(&eb.hand, g, &eb.where, err);
}

static void
run_set_id(char **args, size_t n)
{
	struct err err;

	(void)n;
	if (id_parse_place(args[1], clock_now(), "set-id", &eb.where, &err) == -1)
		bad_usage("%s", err.text);
	each_group(args, 1, set_id);
}

static int
destroy(struct group_ref *g, struct err *err)
{
	return groupadmin_destroy(&eb.hand, g, err);
}

static void
run_destroy(char **types, size_t n)
{
	each_group(types, n, destroy);
}

static int
retire(struct group_ref *g, struct err *err)
{
	return groupadmin_retire(&eb.hand, g, &eb.leavers, err);
}

static void
run_reap(char **types, size_t n)
{
	eb.leavers.idle = (eb.given & TAKES_IDLE) != 0 ? eb.idle : REAP_IDLE_MS;
	each_group(types, n, retire);
}

static void
run_retire(char **args, size_t n)
{
	eb.leavers.name = args[n - 1];
	if (strcmp(eb.leavers.name, eb.leavers.to) == 0)
		bad_usage("retire %s: who gets what it holds? --to names another consumer",
		    eb.leavers.name);
	each_group(args, n - 1, retire);
}

/* --- the command line
 * ------------------------------------------------------------------------------ */

static const struct subcommand commands[] = {
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

static const struct subcommand_option own[] = {
    {TAKES_CONSUMER, "-C"},
    {TAKES_IDLE, "--idle"},
    {TAKES_LIMIT, "--limit"},
    {TAKES_TO, "--to"},
    {TAKES_YES, "--yes and --dry-run"},
};

static const struct subcommands verbs = {
    commands, sizeof(commands) / sizeof(*commands), own, sizeof(own) / sizeof(*own)};

/* As conf_option. */
static int
take_option(int ch, const char *arg, struct err *err)
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
			ok = err_set(err, STATUS_USAGE, "-g: a group's name is not empty");
		break;
	case OPT_IDLE:
		ok = optvalue_span(
		    "--idle", arg, 0, "how long is expected: 30, 10m, 1h", &eb.idle, err);
		eb.given |= TAKES_IDLE;
		break;
	case OPT_LIMIT:
		ok = optvalue_number(
		    "--limit", arg, UINT64_MAX, "a number of entries expected", &eb.limit, err);
		eb.given |= TAKES_LIMIT;
		break;
	case OPT_TO:
		ok = consumer_check("--to", arg, err);
		eb.leavers.to = arg;
		eb.given |= TAKES_TO;
		break;
	case OPT_DRY_RUN:
	case OPT_YES:
		*(ch == OPT_YES ? &eb.yes : &eb.show.dry_run) = true;
		eb.given |= TAKES_YES;
		break;
	default: return 0;
	}
	return ok == -1 ? -1 : 1;
}

static void
read_options(int argc, char **argv)
{
	struct err err;
	int ch, r;

	conf_init(&eb.conf);
	eb.leavers.to = RETIRED;
	eb.limit = UINT64_MAX;
	while ((ch = getopt_long(argc, argv, CONF_SHORT "C:g:", options, NULL)) != -1) {
		if ((r = conf_option(&eb.conf, ch, optarg, &err)) == 0)
			r = take_option(ch, optarg, &err);
		if (r == 0)
			see_usage();
		if (r == -1 && err.status != STATUS_USAGE)
			errx(err.status, "%s", err.text);
		if (r == -1)
			bad_usage("%s", err.text);
	}
	if (conf_finish(&eb.conf, argc, argv, &err) == -1)
		errx(err.status, "%s", err.text);
}

/* Changes are agreed to beforehand, or by somebody who can be asked. */
static void
check_consent(const struct subcommand *c)
{
	if ((c->options & TAKES_YES) == 0 || eb.yes || eb.show.dry_run)
		return;
	if (isatty(STDERR_FILENO))
		eb.terminal = fopen("/dev/tty", "re");
	if (eb.terminal == NULL)
		bad_usage("%s: there is no terminal to ask on: say --yes too, or --dry-run to see "
		          "what it would do",
		    c->name);
	eb.hand.confirm = on_agree;
}

static void
prepare(void)
{
	eb.show.json = eb.conf.json;
	eb.show.quiet = eb.conf.quiet;
	eb.show.emit = on_line;
	eb.hand.fmt = &eb.show;
	eb.hand.verbose = !eb.conf.quiet && (eb.conf.verbose || isatty(STDERR_FILENO));
	eb.hand.warn = on_say;
}

int
main(int argc, char **argv)
{
	const struct subcommand *c;
	struct err err;
	char **args;
	size_t n;

	process_init();
	read_options(argc, argv);
	if (eb.conf.help || eb.conf.version) {
		if (eb.conf.help)
			usage(stdout);
		else
			puts("ebgroup " EB_VERSION);
		return finish();
	}
	args = argv + optind + 1;
	n = (size_t)(argc - optind - 1);
	if ((c = subcommand_find(&verbs, argv[optind], &err)) == NULL ||
	    subcommand_check(&verbs, c, eb.given, n, &err) == -1)
		bad_usage("%s", err.text);
	for (size_t i = 0; i < subcommand_leading_args(c, n); i++)
		if (optvalue_type(args[i], c->run == run_list ? NULL : "list", &err) == -1)
			bad_usage("%s", err.text);
	prepare();
	check_consent(c);
	c->run(args, n);
	return finish();
}
