/* ebpub: publishes events to Redis, else to the disk buffer (ebpub(1)). */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/lines.h"
#include "base/status.h"
#include "base/uuid.h"
#include "cli/cli.h"
#include "drain/options.h"
#include "event/event.h"
#include "event/names.h"
#include "publish/publish.h"

#define MAX_PAYLOAD_DEFAULT (64u << 20)
/* Escaped, such a payload still fits a line of the buffer (READER_LINE_MAX). */
#define MAX_PAYLOAD_LIMIT (240u << 20)

static struct ebpub {
	struct conf conf;
	struct publish_options publish;
	const char *type;
	const char *trace_id, *correlation_id, *source, *event_id;
	char timestamp[CLOCK_SIZE]; /* "": the current time */
	uint64_t max_payload;
	bool null, from_json, exit_buffered;
	bool stdout_failed;
	unsigned long long buffered;
} eb = {.max_payload = MAX_PAYLOAD_DEFAULT, .publish = {.maxlen = -1}};

/* --- results ---------------------------------------------------------------------- */

static void
on_answer(void *arg, unsigned long long n, enum publish_answer what, const char *text)
{
	static const char *const words[] = {"added", "buffered", "refused", "unsafe"};

	(void)arg;
	if (what == PUBLISH_UNSAFE)
		cli_warn("event %llu is NOT safe: %s", n, text);
	if (what == PUBLISH_BUFFERED)
		eb.buffered++;
	if (eb.conf.quiet || eb.stdout_failed)
		return;
	if (eb.conf.json)
		cli_printf("{\"event\":%llu,\"result\":\"%s\",\"id\":%s%s%s}\n", n, words[what],
		    what == PUBLISH_ADDED ? "\"" : "", what == PUBLISH_ADDED ? text : "null",
		    what == PUBLISH_ADDED ? "\"" : "");
	else {
		text = what == PUBLISH_UNSAFE ? "unsafe" : text;
		cli_write(text, strlen(text));
		cli_write("\n", 1);
	}
}

static void
on_publish_message(void *arg, bool important, const char *text)
{
	(void)arg;
	if (important || eb.conf.verbose)
		cli_warn("%s", text);
}

static void
flush_answers(void)
{
	eb.stdout_failed = !cli_flush(STATUS_SOME, "; publishing continues");
}

/* --- one event ----------------------------------------------------------------------- */

/* what: the source of the payload, as "line"; n: its number, 0 when there is only one. */
static void
refuse_input(struct publish *p, const char *what, unsigned long long n, const char *why)
{
	char number[24] = "";

	if (n)
		snprintf(number, sizeof(number), " %llu", n);
	cli_warn("%s%s: %s: refused", what, number, why);
	cli_worse(STATUS_DATA);
	publish_refused_line(p);
}

/* The text of fields that the input does not have. */
struct generated {
	char event_id[UUID_SIZE], correlation_id[UUID_SIZE], timestamp[CLOCK_SIZE];
};

static void
fill_in_defaults(struct event *e, struct generated *text)
{
	if (!e->trace_id.n && eb.trace_id != NULL)
		e->trace_id = slice_of(eb.trace_id);
	if (!e->correlation_id.n && eb.correlation_id == NULL)
		uuid_v4(text->correlation_id);
	if (!e->correlation_id.n)
		e->correlation_id =
		    slice_of(eb.correlation_id != NULL ? eb.correlation_id : text->correlation_id);
	if (!e->source.n)
		e->source = slice_of(eb.source != NULL ? eb.source : eb.conf.service);
	if (!e->timestamp.n && !*eb.timestamp)
		clock_format(clock_now(), text->timestamp);
	if (!e->timestamp.n)
		e->timestamp = slice_of(*eb.timestamp ? eb.timestamp : text->timestamp);
	if (!e->event_id.n && eb.event_id == NULL)
		uuid_v7(text->event_id);
	if (!e->event_id.n)
		e->event_id = slice_of(eb.event_id != NULL ? eb.event_id : text->event_id);
}

static int
read_payload(struct event *e, struct slice s, struct err *err)
{
	struct json_fault fault;

	*e = (struct event){.type = slice_of(eb.type), .payload = json_trim_space(s.p, s.n)};
	if (s.n > eb.max_payload)
		return err_set(err, STATUS_DATA, "longer than --max-payload %llu bytes",
		    (unsigned long long)eb.max_payload);
	if (json_check(s.p, s.n, &fault) == -1)
		return err_set(
		    err, STATUS_DATA, "not JSON at byte %zu: %s", fault.at + 1, fault.why);
	return 0;
}

static int
read_object(struct event *e, struct slice s, struct err *err)
{
	static struct bytes text;
	bool is_json;

	if (event_parse_json(s.p, s.n, e, &is_json, &text, err) == -1)
		return -1;
	if (!names_legal(e->type.p, e->type.n))
		return err_set(err, STATUS_DATA, "event_type is not " NAMES_LEGAL);
	if (e->payload.n > eb.max_payload)
		return err_set(err, STATUS_DATA, "payload longer than --max-payload");
	return 0;
}

/* what, at: as for refuse_input. */
static void
publish_record(struct publish *p, const char *what, unsigned long long at, struct slice s)
{
	struct generated text;
	struct event e;
	struct err err;

	if ((eb.from_json ? read_object(&e, s, &err) : read_payload(&e, s, &err)) == -1) {
		refuse_input(p, what, at, err.text);
		return;
	}
	fill_in_defaults(&e, &text);
	publish_event(p, &e);
}

/* --- standard input ---------------------------------------------------------------------- */

static void
report_read_error(void)
{
	struct err err;

	err_sys(&err, STATUS_UNSAFE, "read standard input");
	cli_report(NULL, err.status, err.text);
}

static void
publish_lines(struct publish *p, struct lines *l)
{
	struct slice s;
	enum lines_got got;
	const char *what = eb.null ? "record" : "line";

	publish_begin_batch(p);
	while (!cli_stopped && (got = lines_next(l, &s)) != LINES_NONE) {
		if (got == LINES_LONG)
			refuse_input(p, what, lines_number(l), "longer than --max-payload");
		else if (json_trim_space(s.p, s.n).n > 0) /* not blank */
			publish_record(p, what, lines_number(l), s);
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
	struct err err;

	flush_answers();
	/* A signal just before poll does not interrupt it: wait for a second at most. */
	if (poll(fds, 2, ms == -1 || ms > 1000 ? 1000 : ms) == -1 && errno != EINTR) {
		err_sys(&err, STATUS_UNSAFE, "poll");
		cli_fail(&err);
	}
	return fds[0].revents != 0;
}

static void
publish_stdin_lines(struct publish *p)
{
	struct lines *l = lines_new(STDIN_FILENO, eb.null ? '\0' : '\n',
	    (size_t)eb.max_payload * (eb.from_json ? 2 : 1) + (eb.from_json ? 65536 : 0));

	cli_records('\n');
	while (!cli_stopped && !lines_ended(l)) {
		if (wait_for_input(p)) {
			if (lines_fill(l) == -1 && errno != EAGAIN && errno != EINTR) {
				report_read_error();
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

	while (n > 0 && b.len <= eb.max_payload && !cli_stopped) {
		bytes_reserve(&b, 65536);
		if (poll(&(struct pollfd){STDIN_FILENO, POLLIN, 0}, 1, 1000) == 0)
			continue;
		n = read(STDIN_FILENO, b.p + b.len, b.cap - b.len);
		if (n > 0)
			b.len += (size_t)n;
		else if (n == -1 && (errno == EINTR || errno == EAGAIN))
			n = 1;
	}
	if (n == -1)
		report_read_error();
	else if (!cli_stopped)
		publish_record(p, "standard input", 0, (struct slice){b.p, b.len});
	bytes_free(&b);
}

/* --- the command line ---------------------------------------------------------------------- */

static int
take_timestamp(const char *option, const char *arg, struct err *err)
{
	int64_t us;

	if (clock_parse_rfc3339(arg, strlen(arg), &us) == -1)
		return err_set(err, STATUS_USAGE,
		    "%s '%s': expected an RFC 3339 time such as 2025-12-04T10:30:00Z", option, arg);
	clock_format(us, eb.timestamp);
	return 0;
}

static int
take_event_id(const char *option, const char *arg, struct err *err)
{
	eb.event_id = arg;
	if (event_id_legal(slice_of(arg)))
		return 0;
	return err_set(
	    err, STATUS_USAGE, "%s '%s': expected 1 to 200 printable characters", option, arg);
}

static const struct cli_option options[] = {
    CLI_HEAD(0, "Input"),
    CLI_FLAG('0', "null", &eb.null, "records end with a NUL byte instead of a newline"),
    CLI_FLAG('J', "from-json", &eb.from_json, "records are JSON objects as ebsub prints them"),
    CLI_SIZE(0, "max-payload", "size", 1, MAX_PAYLOAD_LIMIT, &eb.max_payload,
        "refuse longer payloads; default: 64M"),
    CLI_HEAD(0, "Fields of events that have none"),
    CLI_TEXT(0, "correlation-id", "id", &eb.correlation_id, "default: a new UUID for each event"),
    CLI_CALL(0, "event-id", "id", take_event_id, "default: a new UUID for each event"),
    CLI_TEXT(0, "source", "text", &eb.source, "default: the service"),
    CLI_CALL(0, "timestamp", "time", take_timestamp, "in RFC 3339; default: now"),
    CLI_TEXT(0, "trace-id", "id", &eb.trace_id, "default: empty"),
    CLI_HEAD(0, "Stream and buffer"),
    CLI_COUNT(0, "maxlen", "n", 0, 0, &eb.publish.maxlen,
        "trim the stream to about n entries; 0: no limit"),
    CLI_SIZE(0, "buffer-max", "size", 0, 0, &eb.conf.buffer_max,
        "do not let the buffer grow beyond this"),
    CLI_SIZE(0, "min-free", "size", 0, 0, &eb.conf.min_free,
        "buffer only while so much of the disk stays free"),
    CLI_SIZE(0, "segment-size", "size", 1, 0, &eb.conf.segment_size,
        "of the files of the buffer; default: 8M"),
    CLI_FLAG(
        0, "no-buffer", &eb.publish.no_buffer, "publish to Redis or fail; do not touch the buffer"),
    CLI_FLAG(0, "unordered", &eb.publish.unordered, "do not wait for buffered events of the type"),
    CLI_FLAG(0, "exit-buffered", &eb.exit_buffered, "exit 75 when an event was buffered"),
    CLI_END,
};

static const struct cli_command command = {
    .name = "ebpub",
    .conf = &eb.conf,
    .about = {"Publishes events to Redis. While Redis is away they go to a disk buffer,",
        "and a later ebpub or ebreplay adds them to their streams."},
    .usage = {"[option ...] type payload", "[option ...] type [-]", "-J [option ...]"},
    .examples = {"ebpub order.created '{\"id\":1}'", "seq 3 | ebpub -q count.made",
        "ebpub --no-buffer ci.smoke '{\"run\":1}'"},
    .statuses = "0 all safe, 64 usage, 65 refused, 74 not safe, 77 denied, 78 config",
    .options = options,
};

static void
check_utf8(const char *name, const char *text)
{
	if (text != NULL && !json_is_utf8(text, strlen(text)))
		cli_bad_usage("%s: not UTF-8", name);
}

static void
check_ebpub_arguments(const struct cli_args *args)
{
	check_utf8("--trace-id", eb.trace_id);
	check_utf8("--correlation-id", eb.correlation_id);
	check_utf8("--source", eb.source);
	if (eb.from_json && args->n > 0)
		cli_bad_usage(
		    "'%s': unexpected argument; with -J each object has its own type", args->v[0]);
	if (eb.from_json)
		return;
	if (args->n == 0)
		cli_bad_usage("missing event type (or -J)");
	if (args->n > 2)
		cli_bad_usage(
		    "'%s': unexpected argument; quote the payload for the shell", args->v[2]);
	cli_check_types(args->v, 1, "ebsub --peek, ebstat and ebhealth");
	eb.type = args->v[0];
}

static void
publish_input(struct publish *p, const struct cli_args *args)
{
	if (args->n == 2 && strcmp(args->v[1], "-") != 0) {
		publish_begin_batch(p);
		publish_record(p, "payload", 0, slice_of(args->v[1]));
	} else if (args->n == 2) {
		publish_begin_batch(p);
		publish_stdin_payload(p);
	} else
		publish_stdin_lines(p);
}

int
main(int argc, char **argv)
{
	struct cli_args args = cli_start(&command, argc, argv);
	struct publish *p;
	struct err err;

	check_ebpub_arguments(&args);
	eb.publish.conf = &eb.conf;
	eb.publish.limits = drain_append_limits(&eb.conf);
	eb.publish.answer = on_answer;
	eb.publish.say = on_publish_message;
	cli_stop_on(SIGTERM);
	cli_stop_on(SIGINT);
	cli_stop_on(SIGHUP);
	if ((p = publish_open(&eb.publish, &err)) == NULL)
		cli_fail(&err);
	publish_input(p, &args);
	cli_worse(publish_finish(p));
	publish_close(p);
	flush_answers();
	if (eb.exit_buffered && eb.buffered)
		cli_worse(STATUS_AGAIN);
	if (cli_stopped)
		cli_worse(128 + cli_stopped);
	return cli_finish();
}
