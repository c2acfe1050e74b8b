/*
 * ebsub: reads events through a consumer group and prints them or runs a command for each
 * (ebsub(1)).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/process.h"
#include "base/status.h"
#include "cli/cli.h"
#include "consume/consumer.h"
#include "consume/print.h"
#include "consume/sublist.h"
#include "event/names.h"
#include "handle/child.h"
#include "handle/handle.h"

static struct ebsub {
	struct conf conf;
	struct sub_plan plan;
	struct sublist subs;
	struct sink sink;
	struct loop_plan read;
	struct consumer consumer;
	struct handle_plan handle;
	int64_t jobs;
	bool null, peek, end, payload, no_sync;
} eb = {.jobs = 1,
    .read = {.limit = -1, .idle_ms = -1},
    .plan = {.claim_idle = 60000, .range.last = -1},
    .sink = {.fd = STDOUT_FILENO}};

static int stop_pipe[2];
static volatile sig_atomic_t stop_signal;

static void
print_note(void *arg, enum sub_note kind, const char *text)
{
	(void)arg;
	if (cli_verbose() || (kind == SUB_WARNING && !eb.conf.quiet))
		cli_warn("%s", text);
}

/* The second signal exits at once. */
static void
on_ebsub_signal(int sig)
{
	int saved = errno;

	if (stop_signal != 0 || write(stop_pipe[1], "", 1) != 1)
		_exit(128 + sig);
	stop_signal = sig;
	process_stop_signals++;
	errno = saved;
}

static void
catch_signals(void)
{
	struct err err;

	if (pipe2(stop_pipe, O_CLOEXEC | O_NONBLOCK) == -1) {
		err_sys(&err, STATUS_SOME, "pipe");
		cli_fail(&err);
	}
	process_on_signal(SIGTERM, on_ebsub_signal);
	process_on_signal(SIGINT, on_ebsub_signal);
	eb.read.stop = eb.sink.stop = stop_pipe[0];
}

/* --- the command line ---------------------------------------------------------- */

static int
take_consumer(const char *option, const char *arg, struct err *err)
{
	eb.plan.consumer = arg;
	return consumer_check(option, arg, err);
}

static int
take_to(const char *option, const char *arg, struct err *err)
{
	return range_set_to(&eb.plan.range, option, arg, err);
}

enum { PRINT, COMMAND, PEEK };

static const struct cli_mode modes[] = {
    [PRINT] = {.name = "ebsub TYPE"},
    [COMMAND] = {.name = "ebsub TYPE -- COMMAND"},
    [PEEK] = {.name = "ebsub --peek TYPE"},
    {0},
};

#define IN(mode) (1u << (mode))

static const struct cli_option options[] = {
    CLI_HEAD(IN(PRINT) | IN(COMMAND), "The group (not with --peek)"),
    CLI_NAME(
        'g', "group", "group", &eb.subs.group, "its exact name, instead of that of the service"),
    CLI_CALL('C', "consumer", "consumer", take_consumer, "the name of the consumer"),
    CLI_SPAN(0, "claim-idle", "span", 0, 0, &eb.plan.claim_idle,
        "claim what others left for so long (60s); 0: nothing"),
    CLI_HEAD(0, "Where to begin and end"),
    CLI_PLACE(0, "from", "where", &eb.plan.range.from, "where a new group or --peek begins (0)"),
    CLI_FLAG('e', "end", &eb.end, "stop when all events are done"),
    CLI_COUNT('n', "count", "count", 1, 0, &eb.read.limit, "stop after so many events"),
    CLI_SPAN('W', "idle-timeout", "seconds", 0, 0, &eb.read.idle_ms,
        "stop after so long without an event"),
    CLI_HEAD(IN(PRINT) | IN(PEEK), "Output (not with a command)"),
    CLI_FLAG('0', "null", &eb.null, "end records with a NUL byte instead of a newline"),
    CLI_FORMAT(
        'f', "format", "format", &eb.sink.format, "print events in this format, as '%i %t %p\\n'"),
    CLI_FLAG(0, "payload", &eb.payload, "print only the payload"),
    CLI_FLAG(0, "no-sync", &eb.no_sync, "do not sync a file before acknowledging"),
    CLI_HEAD(IN(PEEK), "Looking without a group"),
    CLI_FLAG(0, "peek", &eb.peek, "print entries; acknowledge and change nothing"),
    CLI_FLAG(0, "follow", &eb.plan.range.follow, "continue with new entries"),
    CLI_COUNT(
        0, "last", "count", 0, 0, &eb.plan.range.last, "begin with the newest so many entries"),
    CLI_CALL(0, "to", "where", take_to, "the last entry to print"),
    CLI_HEAD(IN(COMMAND), "Running a command for each event"),
    CLI_COUNT('P', "jobs", "jobs", 1, 1000, &eb.jobs, "run so many at once (1)"),
    CLI_FLAG(0, "worker", &eb.handle.worker, "start the command once, pass it all events"),
    CLI_FLAG(0, "ordered", &eb.handle.ordered, "one event of each type at a time, in order"),
    CLI_SPAN(
        0, "cmd-timeout", "span", 1, 0, &eb.handle.cmd_timeout, "end an attempt that takes longer"),
    CLI_NUMBER(0, "max-deliveries", "count", 1, 0, &eb.handle.max_deliveries,
        "dead letter after so many attempts (5)"),
    CLI_SPAN(0, "retry-base", "span", 1, 0, &eb.handle.retry_base,
        "pause before the second attempt (1s)"),
    CLI_SPAN(
        0, "retry-max", "span", 1, 0, &eb.handle.retry_max, "longest pause between attempts (5m)"),
    CLI_SPAN(0, "retry-for", "span", 0, 0, &eb.handle.retry_for,
        "status 75 is no failure for so long (1h)"),
    CLI_SPAN(0, "stop-timeout", "span", 0, 0, &eb.handle.stop_timeout,
        "time to finish when ebsub stops (30s)"),
    CLI_END,
};

static const struct cli_old old[] = {{"--dead", "ebdead list"}, {0}};

static const struct cli_command command = {
    .name = "ebsub",
    .conf = &eb.conf,
    .about = {"Reads events through a consumer group, prints each or runs a command for it, and",
        "acknowledges what was handled. With --peek it only looks."},
    .usage = {"[option ...] type ...", "[option ...] type ... -- command [argument ...]",
        "--peek [option ...] type ..."},
    .examples = {"ebsub --peek --last 3 order.created", "ebsub -e --payload order.created",
        "ebsub -e -P 4 order.created -- sh -c 'cat; echo'"},
    .statuses = "0 done, 64 usage, 69 no Redis, 74 not written, 124 ended before -n",
    .options = options,
    .modes = modes,
    .old = old,
};

static void
check_options(void)
{
	cli_check_mode(&modes[eb.handle.argv != NULL ? COMMAND : eb.peek ? PEEK : PRINT]);
	if (eb.handle.argv != NULL && eb.conf.json)
		cli_bad_usage("-j cannot be combined with a command, which prints its own output");
	if (eb.handle.retry_max < eb.handle.retry_base)
		cli_bad_usage("--retry-max is less than --retry-base");
	if (eb.payload + (eb.sink.format != NULL) + eb.conf.json > 1)
		cli_bad_usage("-j, --payload and -f exclude each other");
	if (eb.plan.range.follow && (cli_given("to") || eb.end))
		cli_bad_usage("--to and -e cannot be combined with --follow, which has no end");
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
		cli_warn(
		    "%s; entries that are pending when this run ends will not be resumed by the "
		    "next",
		    err.text);
	eb.plan.consumer = eb.consumer.name;
	eb.plan.host_prefix = eb.consumer.host_prefix;
}

static void
make_plan(void)
{
	struct loop_plan *read = &eb.read;

	eb.plan.url = &eb.conf.url;
	eb.plan.timeout_ms = eb.conf.timeout_ms;
	eb.plan.from_given = cli_given("from");
	eb.plan.manual_ack = eb.handle.argv != NULL;
	eb.plan.note = print_note;
	eb.subs.plan = &eb.plan;
	eb.subs.prefix = eb.conf.prefix;
	eb.subs.service = eb.conf.service;
	eb.sink.end = eb.null ? '\0' : '\n';
	eb.sink.sync = !eb.no_sync;
	eb.sink.style = eb.payload   ? SINK_PAYLOAD
	    : eb.sink.format != NULL ? SINK_FORMAT
	                             : SINK_JSON;
	read->sub = &eb.plan;
	read->in_turn = eb.peek && !eb.plan.range.follow;
	read->to_end = read->in_turn || eb.end;
	read->out = eb.handle.worker ? -1 : STDOUT_FILENO;
}

static void
subscribe_to_type(const char *type)
{
	size_t found;
	bool complete;
	struct err err;

	if (!names_is_pattern(type)) {
		sublist_add(&eb.subs, type);
		return;
	}
	if (sublist_add_pattern(&eb.subs, type, &found, &complete, &err) == -1)
		cli_fail(&err);
	if (!complete)
		cli_warn("'%s': timed out listing streams, some may be missing; raise -t", type);
	if (found == 0 && !eb.conf.quiet)
		cli_warn("'%s': no such stream", type);
}

/* Warns on a terminal that reading through a group changes it, unless the user chose the group. */
static void
print_groups(void)
{
	bool chosen = eb.conf.service_given || eb.subs.group != NULL;

	if (eb.peek || eb.conf.quiet || (!eb.conf.verbose && (chosen || !isatty(STDERR_FILENO))))
		return;
	for (size_t i = 0; i < eb.subs.n; i++)
		cli_warn("reading as group '%s', consumer '%s', and acknowledging; --peek reads "
		         "without a group",
		    eb.subs.subs[i]->group, eb.plan.consumer);
}

/* Returns the status of a run that failed: that of a signal, when the signal ended the wait for the
 * server or for stdout. */
static int
failure_status(const struct err *err)
{
	bool waited = eb.sink.broken == EINTR || err->status == STATUS_UNREACHABLE;

	return stop_signal != 0 && waited ? 128 + stop_signal : err->status;
}

static void
run_handle(void)
{
	struct bytes summary = {0};
	struct handle_count count;
	enum loop_end end;
	struct err err;
	int status;

	if (child_find(eb.handle.argv[0], &err) == -1)
		cli_fail(&err);
	eb.handle.prefix = eb.conf.prefix;
	eb.handle.runners = (size_t)eb.jobs;
	end = handle_run(&eb.read, &eb.handle, &count, &err);
	status = end == LOOP_FAILED
	    ? failure_status(&err)
	    : loop_status(end, count.handled + count.dead, eb.read.limit, eb.end);
	if (end == LOOP_FAILED)
		cli_warn("%s", err.text);
	if (count.unacked > 0)
		cli_warn("unacked: %llu events handled but not acknowledged; will be redelivered",
		    (unsigned long long)count.unacked);
	if (eb.conf.verbose) {
		handle_summary(&summary, &count);
		cli_warn("%s", bytes_str(&summary));
		bytes_free(&summary);
	}
	cli_worse(handle_status(&count, status));
}

static void
run_print(void)
{
	uint64_t count;
	struct err err;
	enum loop_end end = print_run(&eb.read, &eb.sink, &count, &err);

	if (end != LOOP_FAILED)
		cli_worse(loop_status(end, count, eb.read.limit, eb.end));
	else
		cli_report(NULL, failure_status(&err), err.text);
}

int
main(int argc, char **argv)
{
	int dashes = 1; /* the index of "--", or argc */
	struct cli_args args;

	while (dashes < argc && strcmp(argv[dashes], "--") != 0)
		dashes++;
	handle_plan_init(&eb.handle);
	args = cli_start(&command, dashes, argv);
	if (args.n == 0 && dashes < argc) { /* no type before "--": the types follow it */
		args.v = argv + dashes + 1;
		args.n = (size_t)(argc - dashes - 1);
	} else if (dashes + 1 < argc)
		eb.handle.argv = argv + dashes + 1;
	else if (dashes < argc)
		cli_bad_usage("missing command after --");
	check_options();
	if (args.n == 0)
		cli_bad_usage("missing event type");
	cli_check_types(args.v, args.n, eb.peek ? NULL : "--peek");
	make_plan();
	catch_signals();
	name_consumer();
	for (size_t i = 0; i < args.n; i++)
		subscribe_to_type(args.v[i]);
	print_groups();
	eb.read.subs = eb.subs.subs;
	eb.read.n = eb.subs.n;
	if (eb.subs.n == 0)
		cli_worse(loop_status(LOOP_END, 0, eb.read.limit, eb.end));
	else if (eb.handle.argv != NULL)
		run_handle();
	else
		run_print();
	sublist_free(&eb.subs);
	sink_free(&eb.sink);
	consumer_release(&eb.consumer);
	return cli_finish();
}
