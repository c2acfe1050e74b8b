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

#include "child.h"
#include "conf.h"
#include "consumer.h"
#include "follow.h"
#include "names.h"
#include "status.h"
#include "util.h"
#include "when.h"
#include "handle.h"

enum {
	OPT_CLAIM_IDLE = 256, OPT_CMD_TIMEOUT, OPT_DEAD, OPT_FOLLOW, OPT_FROM, OPT_LAST, OPT_MAX_DELIVERIES, OPT_NO_SYNC, OPT_ORDERED, OPT_PAYLOAD,
	OPT_PEEK, OPT_RETRY_BASE, OPT_RETRY_FOR, OPT_RETRY_MAX, OPT_STOP_TIMEOUT, OPT_TO, OPT_WORKER
};

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
	{NULL, 0, NULL, 0}
};

static struct ebsub {
	struct conf conf;
	struct tap_plan plan;
	struct sink sink;
	struct follow follow;
	struct consumer consumer;
	struct handle_plan handle;
	const char *group;		/* -g */
	const char *of_commands;	/* an option that goes only with -- CMD */
	bool peek, dead, to_given, end, payload, no_sync;
} eb;

#define HANDS_MAX 1000

static int stop_pipe[2];
static volatile sig_atomic_t stop_signal;

static void
usage(FILE *to)
{
	fputs("usage: ebsub [-0ehjqvV] [-b dir] [-C consumer] [-f format] [-g group] [-n count] [-p prefix] [-s service] [-t seconds]"
	    " [-u url] [-W seconds] [--claim-idle span] [--from where] [--no-sync] [--payload] type ...\n"
	    "       ebsub [-ehqvV] [-b dir] [-C consumer] [-g group] [-n count] [-P jobs] [-p prefix] [-s service] [-t seconds] [-u url]"
	    " [-W seconds] [--claim-idle span] [--cmd-timeout span] [--from where] [--max-deliveries count] [--ordered]"
	    " [--retry-base span] [--retry-for span] [--retry-max span] [--stop-timeout span] [--worker] type ... -- command [argument ...]\n"
	    "       ebsub --peek [-0ehjqvV] [-f format] [-n count] [-p prefix] [-t seconds] [-u url] [-W seconds]"
	    " [--dead] [--follow] [--from where] [--last count] [--no-sync] [--payload] [--to where] type ...\n", to);
}

static void __attribute__((noreturn, format(printf, 1, 2)))
bad_usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vwarnx(fmt, ap);
	va_end(ap);
	fputs("ebsub: see ebsub -h\n", stderr);
	exit(STATUS_USAGE);
}

static void
on_note(void *arg, enum tap_note kind, const char *text)
{
	(void)arg;
	if (eb.conf.quiet)
		return;
	if (kind == TAP_WARNING || eb.conf.verbose || isatty(STDERR_FILENO))
		warnx("%s", text);
}

/* The second one does not wait. */
static void
on_signal(int sig)
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
	util_on_signal(SIGTERM, on_signal);
	util_on_signal(SIGINT, on_signal);
	eb.follow.stop = eb.sink.stop = eb.handle.stop = stop_pipe[0];
}

/* --- the command line ---------------------------------------------------------- */

static int64_t
take_count(const char *option, const char *arg, uint64_t least)
{
	uint64_t n;

	if (util_u64(arg, &n) == -1 || n < least || n > INT64_MAX)
		bad_usage("%s %s: a number of events expected", option, arg);
	return (int64_t)n;
}

static void
take_idle(const char *arg)
{
	if (util_ms(arg, &eb.follow.idle_ms) == -1)
		bad_usage("-W %s: how long to wait for an event is expected: 30, 0.5, 5m", arg);
}

static void
take_point(const char *option, const char *arg, struct point *out)
{
	struct fail f;

	if (point_parse(arg, when_now(), option, out, &f) == -1)
		bad_usage("%s", f.text);
}

static void
take_to(const char *arg)
{
	struct point p;

	take_point("--to", arg, &p);
	eb.to_given = true;
	eb.plan.look.has_to = !p.end;	/* "$" is the end of every look that does not follow */
	eb.plan.look.to = p.high;
}

static void
take_format(const char *arg)
{
	struct fail f;

	if (format_check(arg, &f) == -1)
		bad_usage("%s", f.text);
	eb.sink.format = arg;
}

static void
take_consumer(const char *arg)
{
	if (!consumer_legal(arg))
		bad_usage("-C '%s': a consumer's name is 1 to 200 printable characters without space", arg);
	eb.plan.consumer = arg;
}

static int64_t
take_span(const char *option, const char *arg, int64_t least)
{
	int64_t ms;

	if (util_ms(arg, &ms) == -1 || ms < least)
		bad_usage("%s %s: a time is expected: 30, 0.5, 500ms, 5m", option, arg);
	return ms;
}

/* Options of the form with a command. 0, or -1 when it is none. */
static int
take_handle_option(int ch, const char *arg)
{
	struct handle_plan *w = &eb.handle;

	switch (ch) {
	case 'P': w->hands = (size_t)take_count("-P", arg, 1); eb.of_commands = "-P"; break;
	case OPT_CMD_TIMEOUT: w->cmd_timeout = take_span("--cmd-timeout", arg, 1); eb.of_commands = "--cmd-timeout"; break;
	case OPT_MAX_DELIVERIES:
		w->max_deliveries = (uint64_t)take_count("--max-deliveries", arg, 1);
		eb.of_commands = "--max-deliveries";
		break;
	case OPT_ORDERED: w->ordered = true; eb.of_commands = "--ordered"; break;
	case OPT_RETRY_BASE: w->retry_base = take_span("--retry-base", arg, 1); eb.of_commands = "--retry-base"; break;
	case OPT_RETRY_FOR: w->retry_for = take_span("--retry-for", arg, 0); eb.of_commands = "--retry-for"; break;
	case OPT_RETRY_MAX: w->retry_max = take_span("--retry-max", arg, 1); eb.of_commands = "--retry-max"; break;
	case OPT_STOP_TIMEOUT: w->stop_timeout = take_span("--stop-timeout", arg, 0); eb.of_commands = "--stop-timeout"; break;
	case OPT_WORKER: w->worker = true; eb.of_commands = "--worker"; break;
	default: return -1;
	}
	if (w->hands > HANDS_MAX)
		bad_usage("-P %s: at most %d commands at once", arg, HANDS_MAX);
	return 0;
}

static int
take_option(int ch, const char *arg)
{
	switch (ch) {
	case '0': eb.sink.end = '\0'; return 0;
	case 'C': take_consumer(arg); return 0;
	case 'e': eb.end = true; return 0;
	case 'f': take_format(arg); return 0;
	case 'g': eb.group = arg; return 0;
	case 'n': eb.follow.limit = take_count("-n", arg, 1); return 0;
	case 'W': take_idle(arg); return 0;
	case OPT_DEAD: eb.dead = true; return 0;
	case OPT_FOLLOW: eb.plan.look.follow = true; return 0;
	case OPT_FROM:
		take_point("--from", arg, &eb.plan.look.from);
		eb.plan.from_given = true;
		return 0;
	case OPT_LAST: eb.plan.look.last = take_count("--last", arg, 0); return 0;
	case OPT_CLAIM_IDLE: eb.handle.claim_idle = take_span("--claim-idle", arg, 0); return 0;
	case OPT_NO_SYNC: eb.sink.sync = false; eb.no_sync = true; return 0;
	case OPT_PAYLOAD: eb.payload = true; return 0;
	case OPT_PEEK: eb.peek = true; return 0;
	case OPT_TO: take_to(arg); return 0;
	}
	return take_handle_option(ch, arg);
}

/* What goes with a command, and what does not. */
static void
check_handle(void)
{
	const char *other = eb.peek ? "--peek" : eb.payload ? "--payload" : eb.sink.format != NULL ? "-f" : eb.conf.json ? "-j" :
	    eb.sink.end == '\0' ? "-0" : eb.no_sync ? "--no-sync" : NULL;

	if (eb.handle.argv == NULL && eb.of_commands != NULL)
		bad_usage("%s goes with a command: ebsub %s ... TYPE -- COMMAND", eb.of_commands, eb.of_commands);
	if (eb.handle.argv != NULL && other != NULL)
		bad_usage("%s does not go with a command: its stdin is the payload, and what it prints is its own", other);
	if (eb.handle.retry_max < eb.handle.retry_base)
		bad_usage("--retry-max is less than --retry-base");
}

static void
check_options(void)
{
	check_handle();
	if (eb.payload + (eb.sink.format != NULL) + eb.conf.json > 1)
		bad_usage("-j, --payload and -f exclude each other");
	if (!eb.peek && (eb.plan.look.follow || eb.plan.look.last >= 0 || eb.to_given))
		bad_usage("--follow, --last and --to go with --peek");
	if (!eb.peek && eb.dead)
		bad_usage("--dead goes with --peek: dead letters are looked at here, and re-driven by ebreplay --dead");
	if (eb.peek && (eb.group != NULL || eb.plan.consumer != NULL))
		bad_usage("--peek uses no group: -g and -C do not go with it");
	if (eb.plan.look.follow && (eb.to_given || eb.end))
		bad_usage("--follow has no end, so --to and -e do not go with it");
	if (eb.group != NULL && *eb.group == '\0')
		bad_usage("-g: a group's name is not empty");
}

static void
read_options(int argc, char **argv)
{
	struct fail f;
	int ch, r;

	conf_init(&eb.conf);
	eb.follow.limit = eb.follow.idle_ms = eb.plan.look.last = -1;
	eb.sink = (struct sink){.fd = STDOUT_FILENO, .end = '\n', .sync = true};
	eb.handle = (struct handle_plan){
		.hands = 1, .cmd_timeout = -1, .claim_idle = 60000, .retry_base = 1000, .retry_max = 300000, .retry_for = 3600000,
		.max_deliveries = 5, .stop_timeout = 30000
	};
	while ((ch = getopt_long(argc, argv, CONF_SHORT "0C:ef:g:n:P:W:", options, NULL)) != -1) {
		r = conf_option(&eb.conf, ch, optarg, &f);
		if (r == -1 && f.status != STATUS_USAGE)
			errx(f.status, "%s", f.text);
		if (r == -1)
			bad_usage("%s", f.text);
		if (r == 0 && take_option(ch, optarg) == -1) {
			fputs("ebsub: see ebsub -h\n", stderr);
			exit(STATUS_USAGE);
		}
	}
	if (conf_finish(&eb.conf, argc, argv, &f) == -1)
		errx(f.status, "%s", f.text);
}

/* Where "--" stands, or argc. */
static int
before_dashes(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--") == 0)
			return i;
	return argc;
}

static void
check_type(const char *type)
{
	if (names_pattern(type) && !eb.peek)
		bad_usage("'%s': a pattern goes only with --peek; name the types", type);
	if (!names_pattern(type) && !names_legal(type, strlen(type)))
		bad_usage("'%s': an event type is 1 to 200 of [A-Za-z0-9._-], not beginning with '-'", type);
}

/* --- taps ------------------------------------------------------------------------- */

static void
add_tap(const char *type, const char *key)
{
	struct follow *w = &eb.follow;
	char *group = NULL;

	for (size_t i = 0; i < w->n; i++)
		if (strcmp(tap_type(w->taps[i]), type) == 0)
			return;
	if (!eb.peek)
		group = eb.group != NULL ? util_strdup(eb.group) : names_group(eb.conf.prefix, eb.conf.service, type);
	w->taps = util_realloc(w->taps, (w->n + 1) * sizeof(*w->taps));
	w->taps[w->n++] = tap_new(&eb.plan, type, key, group, on_note, NULL);
	if (group != NULL && !eb.conf.quiet && (eb.conf.verbose ||
	    (isatty(STDERR_FILENO) && !eb.conf.service_given && eb.group == NULL)))
		warnx("reading as group '%s', consumer '%s', and acknowledging; --peek only looks", group, eb.plan.consumer);
	free(group);
}

static char *
key_of(const char *type)
{
	return eb.dead ? names_dead(eb.conf.prefix, type) : names_stream(eb.conf.prefix, type);
}

static void
add_pattern(const char *pattern)
{
	char *match = key_of(pattern), **keys;
	enum bus_why why;
	struct fail f;
	size_t n;
	bool complete;
	struct bus *b = bus_open(&eb.conf.url, eb.conf.timeout_ms, &why, &f);

	if (b == NULL || stream_keys(b, match, when_mono() + eb.conf.timeout_ms, &keys, &n, &complete, &f) == -1)
		errx(f.status, "%s", f.text);
	if (!complete)
		warnx("'%s': not all keys could be looked at in time", pattern);
	for (size_t i = 0; i < n; i++) {
		const char *type = (eb.dead ? names_dead_type : names_type)(eb.conf.prefix, keys[i], strlen(keys[i]));

		if (type != NULL)
			add_tap(type, keys[i]);
		free(keys[i]);
	}
	if (n == 0 && !eb.conf.quiet)
		warnx("'%s': no such stream", pattern);
	free(keys);
	free(match);
	bus_close(b);
}

static void
add_type(const char *type)
{
	char *key;

	if (names_pattern(type)) {
		add_pattern(type);
		return;
	}
	key = key_of(type);
	add_tap(type, key);
	free(key);
}

static void
name_consumer(void)
{
	struct fail f;

	eb.consumer.fd = -1;
	if (eb.peek || eb.plan.consumer != NULL)
		return;
	if (consumer_take(&eb.consumer, eb.conf.state, &f) == -1 && !eb.conf.quiet)
		warnx("%s; what is pending at the end of this run is not taken up by the next", f.text);
	eb.plan.consumer = eb.consumer.name;
	eb.plan.kin = eb.consumer.stem;
}

static void
make_plan(void)
{
	struct follow *w = &eb.follow;

	eb.plan.url = &eb.conf.url;
	eb.plan.timeout_ms = w->timeout_ms = eb.conf.timeout_ms;
	eb.sink.style = eb.payload ? SINK_PAYLOAD : eb.sink.format != NULL ? SINK_FORMAT : SINK_JSON;
	w->sink = &eb.sink;
	w->in_turn = eb.peek && !eb.plan.look.follow;
	w->to_end = w->in_turn || eb.end;
	w->note = on_note;
	eb.plan.kept = eb.handle.argv != NULL;
	eb.plan.claim_idle = eb.handle.claim_idle;
}

static void
make_handle(void)
{
	struct handle_plan *w = &eb.handle;
	struct fail f;

	if (child_find(w->argv[0], &f) == -1)
		errx(f.status, "%s", f.text);
	w->taps = eb.follow.taps;
	w->n = eb.follow.n;
	w->url = &eb.conf.url;
	w->timeout_ms = eb.conf.timeout_ms;
	w->consumer = eb.plan.consumer;
	w->prefix = eb.conf.prefix;
	w->limit = eb.follow.limit;
	w->to_end = eb.end;
	w->idle_ms = eb.follow.idle_ms;
	w->note = on_note;
}

static int
status_of(enum follow_end end)
{
	bool short_of = eb.follow.limit >= 0 && eb.follow.count < (uint64_t)eb.follow.limit;

	switch (end) {
	case FOLLOW_END:
		return short_of && eb.end ? STATUS_ENDED : STATUS_OK;
	case FOLLOW_IDLE:
		return short_of || eb.follow.count == 0 ? STATUS_ENDED : STATUS_OK;
	default:
		return STATUS_OK;
	}
}

static int
status_of_failure(const struct fail *f)
{
	return eb.sink.broken == EINTR ? 128 + stop_signal : f->status;
}

/* With a command: what was set aside or could not be shows in the status. */
static int
run_handle(void)
{
	struct handle_count c;
	struct fail f;
	enum follow_end end;
	int status;

	make_handle();
	end = handle_run(&eb.handle, &c, &f);
	eb.follow.count = c.handled + c.dead;
	status = end == FOLLOW_FAILED ? f.status : status_of(end);
	if (end == FOLLOW_FAILED)
		warnx("%s", f.text);
	if (c.unsaid > 0) {
		warnx("%llu events were handled and could not be acknowledged: they will come again", (unsigned long long)c.unsaid);
		status = status_worse(status, STATUS_AGAIN);
	}
	if (c.dead + c.stuck + c.lost > 0)
		status = status_worse(status, STATUS_SOME);
	if (eb.conf.verbose)
		warnx("%llu handled, %llu failed attempts, %llu put off, %llu set aside, %llu lost, %llu taken over from others",
		    (unsigned long long)c.handled, (unsigned long long)c.failed, (unsigned long long)c.later,
		    (unsigned long long)c.dead, (unsigned long long)c.lost, (unsigned long long)c.taken);
	return status;
}

static int
run_follow(void)
{
	enum follow_end end;
	struct fail f;

	end = follow_run(&eb.follow, &f);
	if (end != FOLLOW_FAILED)
		return status_of(end);
	warnx("%s", f.text);
	return status_of_failure(&f);
}

int
main(int argc, char **argv)
{
	int dashes = before_dashes(argc, argv), status;

	util_start();
	read_options(dashes, argv);
	if (eb.conf.help || eb.conf.version) {
		if (eb.conf.help)
			usage(stdout);
		else
			puts("ebsub " EB_VERSION);
		return fflush(stdout) == EOF ? STATUS_UNSAFE : STATUS_OK;
	}
	if (optind == dashes)		/* no type before "--": they stand behind it */
		optind = dashes + 1, dashes = argc;
	else if (dashes + 1 < argc)
		eb.handle.argv = argv + dashes + 1;
	else if (dashes < argc)
		bad_usage("which command? None stands behind --");
	check_options();
	if (optind >= dashes)
		bad_usage("which event type?");
	for (int i = optind; i < dashes; i++)
		check_type(argv[i]);
	make_plan();
	catch_signals();
	name_consumer();
	for (int i = optind; i < dashes; i++)
		add_type(argv[i]);
	if (eb.follow.n == 0)
		status = status_of(FOLLOW_END);
	else
		status = eb.handle.argv != NULL ? run_handle() : run_follow();
	for (size_t i = 0; i < eb.follow.n; i++)
		tap_free(eb.follow.taps[i]);
	free(eb.follow.taps);
	sink_free(&eb.sink);
	consumer_release(&eb.consumer);
	conf_free(&eb.conf);
	return status;
}
