/* ebpub: publishes events to Redis, else to the disk buffer (ebpub(1)). */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/lines.h"
#include "base/num.h"
#include "base/process.h"
#include "base/status.h"
#include "base/uuid.h"
#include "conf/conf.h"
#include "event/event.h"
#include "event/names.h"
#include "publish/publish.h"

#define MAX_PAYLOAD_DEFAULT (64u << 20)
/* Escaped, such a payload still fits a line of the buffer (READER_LINE_MAX). */
#define MAX_PAYLOAD_LIMIT (240u << 20)

enum {
	OPT_TRACE_ID = 256,
	OPT_CORRELATION_ID,
	OPT_SOURCE,
	OPT_TIMESTAMP,
	OPT_EVENT_ID,
	OPT_MAXLEN,
	OPT_MAX_PAYLOAD,
	OPT_UNORDERED,
	OPT_NO_BUFFER,
	OPT_EXIT_BUFFERED,
	OPT_BUFFER_MAX,
	OPT_MIN_FREE,
	OPT_SEGMENT_SIZE
};

/* clang-format off */
static const struct option options[] = {
	CONF_LONG,
	{"null", no_argument, NULL, '0'},
	{"from-json", no_argument, NULL, 'J'},
	{"trace-id", required_argument, NULL, OPT_TRACE_ID},
	{"correlation-id", required_argument, NULL, OPT_CORRELATION_ID},
	{"source", required_argument, NULL, OPT_SOURCE},
	{"timestamp", required_argument, NULL, OPT_TIMESTAMP},
	{"event-id", required_argument, NULL, OPT_EVENT_ID},
	{"maxlen", required_argument, NULL, OPT_MAXLEN},
	{"max-payload", required_argument, NULL, OPT_MAX_PAYLOAD},
	{"unordered", no_argument, NULL, OPT_UNORDERED},
	{"no-buffer", no_argument, NULL, OPT_NO_BUFFER},
	{"exit-buffered", no_argument, NULL, OPT_EXIT_BUFFERED},
	{"buffer-max", required_argument, NULL, OPT_BUFFER_MAX},
	{"min-free", required_argument, NULL, OPT_MIN_FREE},
	{"segment-size", required_argument, NULL, OPT_SEGMENT_SIZE},
	{NULL, 0, NULL, 0},
};
/* clang-format on */

static struct ebpub {
	struct conf conf;
	struct publish_options publish;
	const char *type;
	const char *trace_id, *correlation_id, *source, *event_id;
	char timestamp[CLOCK_SIZE]; /* "": the current time */
	uint64_t max_payload;
	bool null, from_json, exit_buffered;
	bool stdout_failed;
	int status;
	unsigned long long buffered;
} eb;

static volatile sig_atomic_t stopped;

static void
ebpub_usage(FILE *to)
{
	fputs("usage: ebpub [-hjqvV] [-b dir] [-p prefix] [-s service] [-t seconds] [-u url] "
	      "[--option ...] type payload\n"
	      "       ebpub [-0hjqvV] [-b dir] [-p prefix] [-s service] [-t seconds] [-u url] "
	      "[--option ...] type [-]\n"
	      "       ebpub -J [-0hjqvV] [-b dir] [-p prefix] [-s service] [-t seconds] [-u url] "
	      "[--option ...]\n",
	    to);
}

static void
ebpub_worse(int status)
{
	eb.status = status_worse(eb.status, status);
}

static void
on_ebpub_signal(int sig)
{
	stopped = sig;
}

/* --- results ---------------------------------------------------------------------- */

static void
print_answer(unsigned long long n, enum publish_answer what, const char *text)
{
	static const char *const words[] = {"added", "buffered", "refused", "unsafe"};

	if (eb.conf.json)
		printf("{\"event\":%llu,\"result\":\"%s\",\"id\":%s%s%s}\n", n, words[what],
		    what == PUBLISH_ADDED ? "\"" : "", what == PUBLISH_ADDED ? text : "null",
		    what == PUBLISH_ADDED ? "\"" : "");
	else {
		fputs_unlocked(what == PUBLISH_UNSAFE ? "refused" : text, stdout);
		putc_unlocked('\n', stdout);
	}
}

static void
on_answer(void *arg, unsigned long long n, enum publish_answer what, const char *text)
{
	(void)arg;
	if (what == PUBLISH_UNSAFE)
		warnx("event %llu is NOT safe: %s", n, text);
	if (what == PUBLISH_BUFFERED)
		eb.buffered++;
	if (!eb.conf.quiet && !eb.stdout_failed)
		print_answer(n, what, text);
}

static void
on_publish_message(void *arg, bool important, const char *text)
{
	(void)arg;
	if (important || eb.conf.verbose)
		warnx("%s", text);
}

static void
flush_answers(void)
{
	if (!eb.stdout_failed && (fflush(stdout) == EOF || ferror(stdout))) {
		warn("write standard output; publishing continues");
		eb.stdout_failed = true;
		ebpub_worse(STATUS_SOME);
	}
}

/* --- one event ----------------------------------------------------------------------- */

/* what: the source of the payload, as "line"; n: its number, 0 when there is only one. */
static void
refuse_input(struct publish *p, const char *what, unsigned long long n, const char *why)
{
	char number[24] = "";

	if (n)
		snprintf(number, sizeof(number), " %llu", n);
	warnx("%s%s: %s: refused", what, number, why);
	ebpub_worse(STATUS_DATA);
	publish_refused_line(p);
}

/* Fills in the fields that the input does not have. */
static void
fill_in_defaults(struct event *e, char event_id[UUID_SIZE], char correlation_id[UUID_SIZE],
    char timestamp[CLOCK_SIZE])
{
	if (!e->trace_id.n && eb.trace_id != NULL)
		e->trace_id = slice_of(eb.trace_id);
	if (!e->correlation_id.n) {
		if (eb.correlation_id == NULL)
			uuid_v4(correlation_id);
		e->correlation_id =
		    slice_of(eb.correlation_id != NULL ? eb.correlation_id : correlation_id);
	}
	if (!e->source.n)
		e->source = slice_of(eb.source != NULL ? eb.source : eb.conf.service);
	if (!e->timestamp.n) {
		if (!*eb.timestamp)
			clock_format(clock_now(), timestamp);
		e->timestamp = slice_of(*eb.timestamp ? eb.timestamp : timestamp);
	}
	if (!e->event_id.n) {
		if (eb.event_id == NULL)
			uuid_v7(event_id);
		e->event_id = slice_of(eb.event_id != NULL ? eb.event_id : event_id);
	}
}

static void
publish_payload(struct publish *p, const char *what, unsigned long long at, const char *s, size_t n)
{
	char event_id[UUID_SIZE], correlation_id[UUID_SIZE], timestamp[CLOCK_SIZE], why[160];
	struct event e = {.type = slice_of(eb.type), .payload = json_trim_space(s, n)};
	struct json_fault fault;

	if (n > eb.max_payload) {
		snprintf(why, sizeof(why), "longer than --max-payload %llu bytes",
		    (unsigned long long)eb.max_payload);
		refuse_input(p, what, at, why);
		return;
	}
	if (json_check(s, n, &fault) == -1) {
		snprintf(why, sizeof(why), "not JSON at byte %zu: %s", fault.at + 1, fault.why);
		refuse_input(p, what, at, why);
		return;
	}
	fill_in_defaults(&e, event_id, correlation_id, timestamp);
	publish_event(p, &e);
}

static void
publish_object(struct publish *p, const char *what, unsigned long long at, const char *s, size_t n)
{
	static struct bytes text;
	char event_id[UUID_SIZE], correlation_id[UUID_SIZE], timestamp[CLOCK_SIZE];
	struct event e;
	struct err err;
	bool is_json;

	if (event_parse_json(s, n, &e, &is_json, &text, &err) == -1) {
		refuse_input(p, what, at, err.text);
		return;
	}
	if (!names_legal(e.type.p, e.type.n)) {
		refuse_input(p, what, at, "event_type is not " NAMES_LEGAL);
		return;
	}
	if (e.payload.n > eb.max_payload) {
		refuse_input(p, what, at, "payload longer than --max-payload");
		return;
	}
	fill_in_defaults(&e, event_id, correlation_id, timestamp);
	publish_event(p, &e);
}

/* --- standard input ---------------------------------------------------------------------- */

static bool
is_blank(struct slice s)
{
	return json_trim_space(s.p, s.n).n == 0;
}

static void
publish_lines(struct publish *p, struct lines *l)
{
	struct slice s;
	enum lines_got got;
	const char *what = eb.null ? "record" : "line";

	publish_begin_batch(p);
	while (!stopped && (got = lines_next(l, &s)) != LINES_NONE) {
		if (got == LINES_LONG)
			refuse_input(p, what, lines_number(l), "longer than --max-payload");
		else if (is_blank(s))
			continue;
		else if (eb.from_json)
			publish_object(p, what, lines_number(l), s.p, s.n);
		else
			publish_payload(p, what, lines_number(l), s.p, s.n);
	}
	publish_end_batch(p);
}

/* Waits for input, for the server, or until a timer of `publish` expires. Returns true when there
 * is input. */
static bool
wait_for_input(struct publish *p)
{
	struct pollfd fds[2] = {{STDIN_FILENO, POLLIN, 0}, publish_pollfd(p)};
	int ms = publish_timeout_ms(p);

	flush_answers();
	/* A signal just before poll does not interrupt it: wait for a second at most. */
	if (poll(fds, 2, ms == -1 || ms > 1000 ? 1000 : ms) == -1 && errno != EINTR)
		err(STATUS_UNSAFE, "poll");
	return fds[0].revents != 0;
}

static void
publish_stdin_lines(struct publish *p)
{
	struct lines *l = lines_new(STDIN_FILENO, eb.null ? '\0' : '\n',
	    (size_t)eb.max_payload * (eb.from_json ? 2 : 1) + (eb.from_json ? 65536 : 0));

	while (!stopped && !lines_ended(l)) {
		if (wait_for_input(p)) {
			if (lines_fill(l) == -1 && errno != EAGAIN && errno != EINTR) {
				warn("read standard input");
				ebpub_worse(STATUS_UNSAFE);
				break;
			}
			publish_lines(p, l);
		} else
			publish_work(p);
	}
	lines_free(l);
}

/* ebpub TYPE -: all of standard input is one payload. Stops reading above --max-payload. */
static void
publish_stdin_payload(struct publish *p)
{
	struct bytes b = {0};
	ssize_t n = 1;

	while (n > 0 && b.len <= eb.max_payload && !stopped) {
		bytes_reserve(&b, 65536);
		if (poll(&(struct pollfd){STDIN_FILENO, POLLIN, 0}, 1, 1000) == 0)
			continue;
		n = read(STDIN_FILENO, b.p + b.len, b.cap - b.len);
		if (n > 0)
			b.len += (size_t)n;
		else if (n == -1 && (errno == EINTR || errno == EAGAIN))
			n = 1;
	}
	if (n == -1) {
		warn("read standard input");
		ebpub_worse(STATUS_UNSAFE);
	} else if (!stopped)
		publish_payload(p, "standard input", 0, b.p, b.len);
	bytes_free(&b);
}

/* --- the command line ---------------------------------------------------------------------- */

static void __attribute__((noreturn, format(printf, 1, 2))) ebpub_bad_usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vwarnx(fmt, ap);
	va_end(ap);
	ebpub_usage(stderr);
	exit(STATUS_USAGE);
}

/* Status 64 for a malformed value, 78 for one that cannot be used. */
static void __attribute__((noreturn)) ebpub_bad_option(const struct err *err)
{
	if (err->status == STATUS_USAGE)
		ebpub_bad_usage("%s", err->text);
	errx(err->status, "%s", err->text);
}

static void
take_size(const char *name, const char *arg, uint64_t *to)
{
	if (num_parse_size(arg, to) == -1)
		ebpub_bad_usage("--%s %s: a size expected, such as 4096, 64K, 8M or 1G", name, arg);
}

static void
take_size_above_0(const char *name, const char *arg, uint64_t most, uint64_t *to)
{
	take_size(name, arg, to);
	if (*to == 0 || *to > most)
		ebpub_bad_usage(
		    "--%s %s: from 1 to %lluM expected", name, arg, (unsigned long long)most >> 20);
}

static void
take_text(const char *name, const char *arg, const char **to)
{
	if (!json_is_utf8(arg, strlen(arg)))
		ebpub_bad_usage("--%s: not UTF-8", name);
	*to = arg;
}

static void
take_timestamp(const char *arg)
{
	int64_t us;

	if (clock_parse_rfc3339(arg, strlen(arg), &us) == -1)
		ebpub_bad_usage(
		    "--timestamp %s: an RFC 3339 time expected, such as 2025-12-04T10:30:00Z", arg);
	clock_format(us, eb.timestamp);
}

static void
take_event_id(const char *arg)
{
	if (!event_id_legal(slice_of(arg)))
		ebpub_bad_usage("--event-id '%s': 1 to 200 printable characters expected", arg);
	eb.event_id = arg;
}

static void
take_maxlen(const char *arg)
{
	uint64_t n;

	if (num_parse_u64(arg, &n) == -1 || n > INT64_MAX)
		ebpub_bad_usage("--maxlen %s: a number of entries expected, 0 for no limit", arg);
	eb.publish.maxlen = (int64_t)n;
}

static int
take_ebpub_option(int ch, const char *arg)
{
	switch (ch) {
	case '0': eb.null = true; return 0;
	case 'J': eb.from_json = true; return 0;
	case OPT_TRACE_ID: take_text("trace-id", arg, &eb.trace_id); return 0;
	case OPT_CORRELATION_ID: take_text("correlation-id", arg, &eb.correlation_id); return 0;
	case OPT_SOURCE: take_text("source", arg, &eb.source); return 0;
	case OPT_TIMESTAMP: take_timestamp(arg); return 0;
	case OPT_EVENT_ID: take_event_id(arg); return 0;
	case OPT_MAXLEN: take_maxlen(arg); return 0;
	case OPT_MAX_PAYLOAD:
		take_size_above_0("max-payload", arg, MAX_PAYLOAD_LIMIT, &eb.max_payload);
		return 0;
	case OPT_UNORDERED: eb.publish.unordered = true; return 0;
	case OPT_NO_BUFFER: eb.publish.no_buffer = true; return 0;
	case OPT_EXIT_BUFFERED: eb.exit_buffered = true; return 0;
	case OPT_BUFFER_MAX: take_size("buffer-max", arg, &eb.publish.limits.buffer_max); return 0;
	case OPT_MIN_FREE: take_size("min-free", arg, &eb.publish.limits.min_free); return 0;
	case OPT_SEGMENT_SIZE:
		take_size_above_0("segment-size", arg, UINT64_MAX, &eb.publish.limits.segment_max);
		return 0;
	}
	return -1;
}

static void
read_ebpub_options(int argc, char **argv)
{
	struct err err;
	int ch, r;

	conf_init(&eb.conf);
	eb.max_payload = MAX_PAYLOAD_DEFAULT;
	eb.publish.maxlen = -1;
	eb.publish.limits.segment_max = APPEND_SEGMENT_MAX;
	while ((ch = getopt_long(argc, argv, CONF_SHORT "0J", options, NULL)) != -1) {
		r = conf_option(&eb.conf, ch, optarg, &err);
		if (r == -1)
			ebpub_bad_option(&err);
		if (r == 0 && take_ebpub_option(ch, optarg) == -1) {
			if (optopt >= '1' && optopt <= '9')
				warnx("to publish a payload that begins with '-', use --: "
				      "ebpub TYPE -- -%c",
				    optopt);
			ebpub_usage(stderr);
			exit(STATUS_USAGE);
		}
	}
	if (conf_finish(&eb.conf, argc, argv, &err) == -1)
		errx(err.status, "%s", err.text);
	eb.publish.conf = &eb.conf;
	eb.publish.limits.lock_ms = eb.conf.timeout_ms;
	eb.publish.answer = on_answer;
	eb.publish.say = on_publish_message;
}

static void
check_ebpub_arguments(int argc, char **argv)
{
	if (eb.from_json) {
		if (argc > 0)
			ebpub_bad_usage(
			    "'%s': unexpected argument; with -J each object has its own type",
			    argv[0]);
		return;
	}
	if (argc == 0)
		ebpub_bad_usage("missing event type (or -J)");
	if (argc > 2)
		ebpub_bad_usage(
		    "'%s': unexpected argument; quote the payload for the shell", argv[2]);
	if (names_is_pattern(argv[0]))
		ebpub_bad_usage("'%s': cannot publish to a pattern; patterns work with ebsub "
		                "--peek, ebstat and ebhealth",
		    argv[0]);
	if (!names_legal(argv[0], strlen(argv[0])))
		ebpub_bad_usage("'%s': an event type is " NAMES_LEGAL, argv[0]);
	eb.type = argv[0];
}

static void
publish_input(struct publish *p, int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "-") != 0) {
		publish_begin_batch(p);
		publish_payload(p, "payload", 0, argv[1], strlen(argv[1]));
	} else if (argc == 2) {
		publish_begin_batch(p);
		publish_stdin_payload(p);
	} else
		publish_stdin_lines(p);
}

int
main(int argc, char **argv)
{
	struct publish *p;
	struct err err;

	process_init();
	read_ebpub_options(argc, argv);
	if (eb.conf.help) {
		ebpub_usage(stdout);
		return fflush(stdout) == EOF ? STATUS_UNSAFE : STATUS_OK;
	}
	if (eb.conf.version) {
		puts("ebpub " EB_VERSION);
		return fflush(stdout) == EOF ? STATUS_UNSAFE : STATUS_OK;
	}
	check_ebpub_arguments(argc - optind, argv + optind);
	process_on_signal(SIGTERM, on_ebpub_signal);
	process_on_signal(SIGINT, on_ebpub_signal);
	process_on_signal(SIGHUP, on_ebpub_signal);
	if ((p = publish_open(&eb.publish, &err)) == NULL)
		errx(err.status, "%s", err.text);
	publish_input(p, argc - optind, argv + optind);
	ebpub_worse(publish_finish(p));
	publish_close(p);
	flush_answers();
	if (eb.exit_buffered && eb.buffered)
		ebpub_worse(STATUS_AGAIN);
	if (stopped)
		ebpub_worse(128 + stopped);
	conf_free(&eb.conf);
	return eb.status;
}
