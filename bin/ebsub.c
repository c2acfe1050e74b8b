/*
 * ebsub: reads events through a consumer group and prints them or runs a command for each
 * (ebsub(1)).
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"
#include "base/status.h"
#include "cli/optvalue.h"
#include "conf/conf.h"
#include "consume/consume.h"
#include "consume/consumer.h"
#include "consume/sublist.h"
#include "event/id.h"
#include "event/names.h"
#include "handle/child.h"
#include "handle/handle.h"

enum {
	OPT_CLAIM_IDLE = 256,
	OPT_CMD_TIMEOUT,
	OPT_DEAD,
	OPT_FOLLOW,
	OPT_FROM,
	OPT_LAST,
	OPT_MAX_DELIVERIES,
	OPT_NO_SYNC,
	OPT_ORDERED,
	OPT_PAYLOAD,
	OPT_PEEK,
	OPT_RETRY_BASE,
	OPT_RETRY_FOR,
	OPT_RETRY_MAX,
	OPT_STOP_TIMEOUT,
	OPT_TO,
	OPT_WORKER
};

/* clang-format off */
static const struct option options[] = {
	CONF_LONG,
	{"null", no_argument, NULL, '0'},
	{"consumer", required_argument, NULL, 'C'},
	{"end", no_argument, NULL, 'e'},
	{"format", required_argument, NULL, 'f'},
	{"group", required_argument, NULL, 'g'},
	{"count", required_argument, NULL, 'n'},
	{"jobs", required_argument, NULL, 'P'},
	{"idle-timeout", required_argument, NULL, 'W'},
	{"claim-idle", required_argument, NULL, OPT_CLAIM_IDLE},
	{"cmd-timeout", required_argument, NULL, OPT_CMD_TIMEOUT},
	{"dead", no_argument, NULL, OPT_DEAD},
	{"follow", no_argument, NULL, OPT_FOLLOW},
	{"from", required_argument, NULL, OPT_FROM},
	{"last", required_argument, NULL, OPT_LAST},
	{"max-deliveries", required_argument, NULL, OPT_MAX_DELIVERIES},
	{"no-sync", no_argument, NULL, OPT_NO_SYNC},
	{"ordered", no_argument, NULL, OPT_ORDERED},
	{"payload", no_argument, NULL, OPT_PAYLOAD},
	{"peek", no_argument, NULL, OPT_PEEK},
	{"retry-base", required_argument, NULL, OPT_RETRY_BASE},
	{"retry-for", required_argument, NULL, OPT_RETRY_FOR},
	{"retry-max", required_argument, NULL, OPT_RETRY_MAX},
	{"stop-timeout", required_argument, NULL, OPT_STOP_TIMEOUT},
	{"to", required_argument, NULL, OPT_TO},
	{"worker", no_argument, NULL, OPT_WORKER},
	{NULL, 0, NULL, 0},
};
/* clang-format on */

static struct ebsub {
	struct conf conf;
	struct sub_plan plan;
	struct sublist subs;
	struct sink sink;
	struct consume consume;
	struct consumer consumer;
	struct handle_plan handle;
	const char *command_option; /* an option that needs -- CMD */
	bool peek, to_given, end, payload, no_sync;
} eb;

#define JOBS_MAX 1000

#define COUNT_EXPECTED "a number of events expected"
#define SPAN_EXPECTED "a time expected, such as 30, 0.5, 500ms or 5m"

static int stop_pipe[2];
static volatile sig_atomic_t stop_signal;

static void
ebsub_usage(FILE *to)
{
	fputs("usage: ebsub [-0ehjqvV] [-b dir] [-C consumer] [-f format] [-g group] [-n count] "
	      "[-p prefix] [-s service] [-t seconds]"
	      " [-u url] [-W seconds] [--claim-idle span] [--from where] [--no-sync] [--payload] "
	      "type ...\n"
	      "       ebsub [-ehqvV] [-b dir] [-C consumer] [-g group] [-n count] [-P jobs] [-p "
	      "prefix] [-s service] [-t seconds] [-u url]"
	      " [-W seconds] [--claim-idle span] [--cmd-timeout span] [--from where] "
	      "[--max-deliveries count] [--ordered]"
	      " [--retry-base span] [--retry-for span] [--retry-max span] [--stop-timeout span] "
	      "[--worker] type ... -- command [argument ...]\n"
	      "       ebsub --peek [-0ehjqvV] [-f format] [-n count] [-p prefix] [-t seconds] [-u "
	      "url] [-W seconds]"
	      " [--dead] [--follow] [--from where] [--last count] [--no-sync] [--payload] [--to "
	      "where] type ...\n",
	    to);
}

static void __attribute__((noreturn)) ebsub_see_usage(void)
{
	fputs("ebsub: see ebsub -h\n", stderr);
	exit(STATUS_USAGE);
}

static void __attribute__((noreturn, format(printf, 1, 2))) ebsub_bad_usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vwarnx(fmt, ap);
	va_end(ap);
	ebsub_see_usage();
}

static void
print_note(void *arg, enum sub_note kind, const char *text)
{
	(void)arg;
	if (eb.conf.quiet)
		return;
	if (kind == SUB_WARNING || eb.conf.verbose || isatty(STDERR_FILENO))
		warnx("%s", text);
}

/* The second signal exits at once. */
static void
on_ebsub_signal(int sig)
{
	int saved = errno;

	if (stop_signal != 0 || write(stop_pipe[1], "", 1) != 1)
		_exit(128 + sig);
	stop_signal = sig;
	errno = saved;
}

static void
catch_signals(void)
{
	if (pipe2(stop_pipe, O_CLOEXEC | O_NONBLOCK) == -1)
		err(STATUS_SOME, "pipe");
	process_on_signal(SIGTERM, on_ebsub_signal);
	process_on_signal(SIGINT, on_ebsub_signal);
	eb.consume.stop = eb.sink.stop = eb.handle.stop = stop_pipe[0];
}

/* --- the command line ---------------------------------------------------------- */

static int
take_command_span(const char *option, const char *arg, int64_t least, int64_t *to, struct err *err)
{
	eb.command_option = option;
	return optvalue_span(option, arg, least, SPAN_EXPECTED, to, err);
}

static int
take_jobs(const char *arg, struct err *err)
{
	int64_t n;

	eb.command_option = "-P";
	if (optvalue_count("-P", arg, 1, COUNT_EXPECTED, &n, err) == -1)
		return -1;
	if (n > JOBS_MAX)
		return err_set(
		    err, STATUS_USAGE, "-P %s: at most %d commands can run at once", arg, JOBS_MAX);
	eb.handle.runners = (size_t)n;
	return 0;
}

static int
take_deliveries(const char *arg, struct err *err)
{
	int64_t n;

	eb.command_option = "--max-deliveries";
	if (optvalue_count("--max-deliveries", arg, 1, COUNT_EXPECTED, &n, err) == -1)
		return -1;
	eb.handle.max_deliveries = (uint64_t)n;
	return 0;
}

/* Options that need a command. Returns as conf_option. */
static int
take_command_option(int ch, const char *arg, struct err *err)
{
	struct handle_plan *plan = &eb.handle;
	int ok = 0;

	switch (ch) {
	case 'P': ok = take_jobs(arg, err); break;
	case OPT_CMD_TIMEOUT:
		ok = take_command_span("--cmd-timeout", arg, 1, &plan->cmd_timeout, err);
		break;
	case OPT_MAX_DELIVERIES: ok = take_deliveries(arg, err); break;
	case OPT_ORDERED:
		plan->ordered = true;
		eb.command_option = "--ordered";
		break;
	case OPT_RETRY_BASE:
		ok = take_command_span("--retry-base", arg, 1, &plan->retry_base, err);
		break;
	case OPT_RETRY_FOR:
		ok = take_command_span("--retry-for", arg, 0, &plan->retry_for, err);
		break;
	case OPT_RETRY_MAX:
		ok = take_command_span("--retry-max", arg, 1, &plan->retry_max, err);
		break;
	case OPT_STOP_TIMEOUT:
		ok = take_command_span("--stop-timeout", arg, 0, &plan->stop_timeout, err);
		break;
	case OPT_WORKER:
		plan->worker = true;
		eb.command_option = "--worker";
		break;
	default: return 0;
	}
	return ok == -1 ? -1 : 1;
}

/* Returns as conf_option. */
static int
take_ebsub_option(int ch, const char *arg, struct err *err)
{
	struct range *range = &eb.plan.range;
	int ok = 0;

	switch (ch) {
	case '0': eb.sink.end = '\0'; break;
	case 'C':
		eb.plan.consumer = arg;
		ok = consumer_check("-C", arg, err);
		break;
	case 'e': eb.end = true; break;
	case 'f':
		eb.sink.format = arg;
		ok = format_validate(arg, err);
		break;
	case 'g': eb.subs.group = arg; break;
	case 'n': ok = optvalue_count("-n", arg, 1, COUNT_EXPECTED, &eb.consume.limit, err); break;
	case 'W':
		ok = optvalue_span("-W", arg, 0,
		    "a time to wait for an event expected, such as 30, 0.5 or 5m",
		    &eb.consume.idle_ms, err);
		break;
	case OPT_DEAD: eb.subs.dead_letters = true; break;
	case OPT_FOLLOW: range->follow = true; break;
	case OPT_FROM:
		eb.plan.from_given = true;
		ok = id_parse_place(arg, clock_now(), "--from", &range->from, err);
		break;
	case OPT_LAST:
		ok = optvalue_count("--last", arg, 0, COUNT_EXPECTED, &range->last, err);
		break;
	case OPT_CLAIM_IDLE:
		ok = optvalue_span(
		    "--claim-idle", arg, 0, SPAN_EXPECTED, &eb.handle.claim_idle, err);
		break;
	case OPT_NO_SYNC:
		eb.sink.sync = false;
		eb.no_sync = true;
		break;
	case OPT_PAYLOAD: eb.payload = true; break;
	case OPT_PEEK: eb.peek = true; break;
	case OPT_TO:
		eb.to_given = true;
		ok = range_set_to(range, "--to", arg, err);
		break;
	default: return take_command_option(ch, arg, err);
	}
	return ok == -1 ? -1 : 1;
}

static void
check_command_options(void)
{
	const char *other = eb.peek  ? "--peek"
	    : eb.payload             ? "--payload"
	    : eb.sink.format != NULL ? "-f"
	    : eb.conf.json           ? "-j"
	    : eb.sink.end == '\0'    ? "-0"
	    : eb.no_sync             ? "--no-sync"
	                             : NULL;

	if (eb.handle.argv == NULL && eb.command_option != NULL)
		ebsub_bad_usage("%s needs a command: ebsub %s ... TYPE -- COMMAND",
		    eb.command_option, eb.command_option);
	if (eb.handle.argv != NULL && other != NULL)
		ebsub_bad_usage("%s cannot be combined with a command, which reads stdin and "
		                "prints its own output",
		    other);
	if (eb.handle.retry_max < eb.handle.retry_base)
		ebsub_bad_usage("--retry-max is less than --retry-base");
}

static void
check_options(void)
{
	check_command_options();
	if (eb.payload + (eb.sink.format != NULL) + eb.conf.json > 1)
		ebsub_bad_usage("-j, --payload and -f exclude each other");
	if (!eb.peek && (eb.plan.range.follow || eb.plan.range.last >= 0 || eb.to_given))
		ebsub_bad_usage("--follow, --last and --to need --peek");
	if (!eb.peek && eb.subs.dead_letters)
		ebsub_bad_usage("--dead needs --peek; ebreplay --dead re-drives dead letters");
	if (eb.peek && (eb.subs.group != NULL || eb.plan.consumer != NULL))
		ebsub_bad_usage("-g and -C cannot be combined with --peek, which uses no group");
	if (eb.plan.range.follow && (eb.to_given || eb.end))
		ebsub_bad_usage("--to and -e cannot be combined with --follow, which has no end");
	if (eb.subs.group != NULL && *eb.subs.group == '\0')
		ebsub_bad_usage("-g: the name of a group must not be empty");
}

static void
read_ebsub_options(int argc, char **argv)
{
	struct err err;
	int ch, r;

	conf_init(&eb.conf);
	eb.consume.limit = eb.consume.idle_ms = eb.plan.range.last = -1;
	eb.sink = (struct sink){.fd = STDOUT_FILENO, .end = '\n', .sync = true};
	handle_plan_init(&eb.handle);
	while ((ch = getopt_long(argc, argv, CONF_SHORT "0C:ef:g:n:P:W:", options, NULL)) != -1) {
		if ((r = conf_option(&eb.conf, ch, optarg, &err)) == 0)
			r = take_ebsub_option(ch, optarg, &err);
		if (r == 0)
			ebsub_see_usage();
		if (r == -1 && err.status != STATUS_USAGE)
			errx(err.status, "%s", err.text);
		if (r == -1)
			ebsub_bad_usage("%s", err.text);
	}
	if (conf_finish(&eb.conf, argc, argv, &err) == -1)
		errx(err.status, "%s", err.text);
}

/* Returns the index of "--", or argc. */
static int
find_command_separator(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--") == 0)
			return i;
	return argc;
}

/* --- subscriptions ---------------------------------------------------------------- */

static void
name_consumer(void)
{
	struct err err;

	eb.consumer.fd = -1;
	if (eb.peek || eb.plan.consumer != NULL)
		return;
	if (consumer_take(&eb.consumer, eb.conf.state, &err) == -1 && !eb.conf.quiet)
		warnx("%s; entries that are pending when this run ends will not be resumed by the "
		      "next",
		    err.text);
	eb.plan.consumer = eb.consumer.name;
	eb.plan.host_prefix = eb.consumer.host_prefix;
}

static void
make_plan(void)
{
	struct consume *consume = &eb.consume;

	eb.plan.url = &eb.conf.url;
	eb.plan.timeout_ms = consume->timeout_ms = eb.conf.timeout_ms;
	eb.plan.manual_ack = eb.handle.argv != NULL;
	eb.plan.claim_idle = eb.handle.claim_idle;
	eb.subs.plan = &eb.plan;
	eb.subs.prefix = eb.conf.prefix;
	eb.subs.service = eb.conf.service;
	eb.subs.note = consume->note = print_note;
	eb.sink.style = eb.payload   ? SINK_PAYLOAD
	    : eb.sink.format != NULL ? SINK_FORMAT
	                             : SINK_JSON;
	consume->sink = &eb.sink;
	consume->in_turn = eb.peek && !eb.plan.range.follow;
	consume->to_end = consume->in_turn || eb.end;
}

static void
add_type(const char *type)
{
	size_t found;
	bool complete;
	struct err err;

	if (!names_is_pattern(type)) {
		sublist_add(&eb.subs, type);
		return;
	}
	if (sublist_add_pattern(&eb.subs, type, &found, &complete, &err) == -1)
		errx(err.status, "%s", err.text);
	if (!complete)
		warnx("'%s': timed out listing streams, some may be missing; raise -t", type);
	if (found == 0 && !eb.conf.quiet)
		warnx("'%s': no such stream", type);
}

/* Warns on a terminal that reading through a group changes it, unless the user chose the group. */
static void
print_groups(void)
{
	bool chosen = eb.conf.service_given || eb.subs.group != NULL;

	if (eb.peek || eb.conf.quiet || (!eb.conf.verbose && (chosen || !isatty(STDERR_FILENO))))
		return;
	for (size_t i = 0; i < eb.subs.n; i++)
		warnx("reading as group '%s', consumer '%s', and acknowledging; --peek reads "
		      "without a group",
		    sub_group(eb.subs.subs[i]), eb.plan.consumer);
}

static void
add_types(char **types, size_t n)
{
	for (size_t i = 0; i < n; i++)
		add_type(types[i]);
	print_groups();
	eb.consume.subs = eb.handle.subs = eb.subs.subs;
	eb.consume.n = eb.handle.n = eb.subs.n;
}

static void
prepare_handle(void)
{
	struct handle_plan *plan = &eb.handle;
	struct err err;

	if (child_find(plan->argv[0], &err) == -1)
		errx(err.status, "%s", err.text);
	plan->url = &eb.conf.url;
	plan->timeout_ms = eb.conf.timeout_ms;
	plan->consumer = eb.plan.consumer;
	plan->prefix = eb.conf.prefix;
	plan->limit = eb.consume.limit;
	plan->to_end = eb.end;
	plan->idle_ms = eb.consume.idle_ms;
	plan->note = print_note;
}

/* Runs the command for each event, and returns the exit status. */
static int
run_handle(void)
{
	struct bytes summary = {0};
	struct handle_count count;
	enum consume_end end;
	struct err err;
	int status;

	prepare_handle();
	end = handle_run(&eb.handle, &count, &err);
	status = end == CONSUME_FAILED
	    ? err.status
	    : consume_status(end, count.handled + count.dead, eb.consume.limit, eb.end);
	if (end == CONSUME_FAILED)
		warnx("%s", err.text);
	if (count.unacked > 0)
		warnx("unacked: %llu events handled but not acknowledged; will be redelivered",
		    (unsigned long long)count.unacked);
	if (eb.conf.verbose) {
		handle_summary(&summary, &count);
		warnx("%s", bytes_str(&summary));
		bytes_free(&summary);
	}
	return handle_status(&count, status);
}

static int
run_consume(void)
{
	enum consume_end end;
	struct err err;

	end = consume_run(&eb.consume, &err);
	if (end != CONSUME_FAILED)
		return consume_status(end, eb.consume.count, eb.consume.limit, eb.end);
	warnx("%s", err.text);
	return eb.sink.broken == EINTR ? 128 + stop_signal : err.status;
}

int
main(int argc, char **argv)
{
	int dashes = find_command_separator(argc, argv), status;
	struct err err;

	process_init();
	read_ebsub_options(dashes, argv);
	if (eb.conf.help || eb.conf.version) {
		if (eb.conf.help)
			ebsub_usage(stdout);
		else
			puts("ebsub " EB_VERSION);
		return fflush(stdout) == EOF ? STATUS_UNSAFE : STATUS_OK;
	}
	if (optind == dashes) /* no type before "--": the types follow it */
		optind = dashes + 1, dashes = argc;
	else if (dashes + 1 < argc)
		eb.handle.argv = argv + dashes + 1;
	else if (dashes < argc)
		ebsub_bad_usage("missing command after --");
	check_options();
	if (optind >= dashes)
		ebsub_bad_usage("missing event type");
	for (int i = optind; i < dashes; i++)
		if (optvalue_type(argv[i], eb.peek ? NULL : "--peek", &err) == -1)
			ebsub_bad_usage("%s", err.text);
	make_plan();
	catch_signals();
	name_consumer();
	add_types(argv + optind, (size_t)(dashes - optind));
	if (eb.subs.n == 0)
		status = consume_status(CONSUME_END, 0, eb.consume.limit, eb.end);
	else
		status = eb.handle.argv != NULL ? run_handle() : run_consume();
	sublist_free(&eb.subs);
	sink_free(&eb.sink);
	consumer_release(&eb.consumer);
	conf_free(&eb.conf);
	return status;
}
