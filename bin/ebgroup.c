#include <err.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "consumer.h"
#include "ebgroup/ebgroup.h"
#include "names.h"
#include "reply.h"
#include "status.h"
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

struct ebgroup eb;

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

void
worse(int status)
{
	eb.status = status_worse(eb.status, status);
}

void
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

void
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

bool
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
int
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

void
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

bool
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

const char *
plural(uint64_t n)
{
	return n == 1 ? "" : "s";
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
