/* probe: runs functions of lib/ for the tests, one for each command. Status 1: the function refused
 * its input; the reason is on stderr. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/json.h"
#include "base/lines.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/process.h"
#include "base/uuid.h"
#include "buffer/line.h"
#include "cli/cli_int.h"
#include "conf/conf.h"
#include "event/event.h"
#include "event/names.h"
#include "redis/url.h"

static struct err why;

static int
fail_with(const char *text)
{
	fprintf(stderr, "%s\n", text);
	return 1;
}

static int
fail_with_err(void)
{
	fprintf(stderr, "%d %s\n", why.status, why.text);
	return 1;
}

static void
print_slice(const char *name, struct slice s)
{
	if (s.p == NULL) {
		printf("%s none\n", name);
		return;
	}
	printf("%s [", name);
	fwrite(s.p, 1, s.n, stdout);
	puts("]");
}

static struct bytes
read_stdin(void)
{
	struct bytes b = {0};
	ssize_t got;

	do {
		bytes_reserve(&b, 65536);
		got = read(STDIN_FILENO, b.p + b.len, b.cap - b.len);
		b.len += got > 0 ? (size_t)got : 0;
	} while (got > 0);
	/* no spare room, so that a sanitizer sees a read behind the end */
	b.p = mem_realloc(b.p, b.len);
	b.cap = b.len;
	return b;
}

static int
write_stdout(struct bytes *b)
{
	int result = io_write_all(STDOUT_FILENO, b->p, b->len);

	bytes_free(b);
	return result == -1;
}

static int
check_json(const char *s, size_t n)
{
	struct json_fault fault = {0, ""};
	char *exact = mem_alloc(n);
	int result;

	if (n > 0)
		memcpy(exact, s, n);
	result = json_check(exact, n, &fault);
	free(exact);
	if (result == -1)
		fprintf(stderr, "%zu %s\n", fault.at, fault.why);
	return result == -1;
}

static int
run_json_check(char **argv)
{
	struct bytes b = read_stdin();
	int result = check_json(b.p, b.len);

	(void)argv;
	bytes_free(&b);
	return result;
}

/* Checks documents that each follow their length in decimal and a newline. Prints 1 or 0 for each.
 */
static int
run_json_check_many(char **argv)
{
	struct bytes b = read_stdin();
	char *p = b.p, *end = b.p + b.len;

	(void)argv;
	while (p < end) {
		size_t n = strtoul(p, &p, 10);

		putchar(check_json(++p, n) == 0 ? '1' : '0');
		p += n;
	}
	bytes_free(&b);
	return 0;
}

static int
run_json_walk(char **argv)
{
	struct bytes b = read_stdin(), text = {0};
	struct slice key, value;
	struct json_walk w;

	(void)argv;
	if (json_walk(&w, (struct slice){b.p, b.len}) == -1) {
		bytes_free(&b);
		return fail_with("not an object");
	}
	while (json_next(&w, &key, &value)) {
		print_slice("key", key);
		print_slice("value", value);
		text.len = 0;
		if (json_unquote(&text, value) == 0)
			print_slice("text", (struct slice){text.p, text.len});
	}
	bytes_free(&text);
	bytes_free(&b);
	return 0;
}

static int
run_json_unquote(char **argv)
{
	struct bytes b = read_stdin(), out = {0};
	int result = json_unquote(&out, json_trim_space(b.p, b.len));

	(void)argv;
	bytes_free(&b);
	return write_stdout(&out) || result == -1;
}

static int
run_filter(void (*fn)(struct bytes *, const char *, size_t))
{
	struct bytes b = read_stdin(), out = {0};

	fn(&out, b.p, b.len);
	bytes_free(&b);
	return write_stdout(&out);
}

static int
run_json_quote(char **argv)
{
	(void)argv;
	return run_filter(json_quote);
}

static int
run_json_quote_text(char **argv)
{
	(void)argv;
	return run_filter(json_quote_text);
}

static int
run_json_oneline(char **argv)
{
	(void)argv;
	return run_filter(json_add_oneline);
}

static int
run_base64_encode(char **argv)
{
	(void)argv;
	return run_filter(base64_encode);
}

static int
run_base64_decode(char **argv)
{
	struct bytes b = read_stdin(), out = {0};
	int result = base64_decode(&out, b.p, b.len);

	(void)argv;
	bytes_free(&b);
	return write_stdout(&out) || result == -1;
}

static int
run_clock_parse(char **argv)
{
	char *s = argv[0];
	int64_t us;

	if (clock_parse(s, strlen(s), &us) == -1)
		return fail_with("no time");
	printf("%lld\n", (long long)us);
	return 0;
}

static int
run_clock_rfc3339(char **argv)
{
	int64_t us;

	if (clock_parse_rfc3339(argv[0], strlen(argv[0]), &us) == -1)
		return fail_with("no time");
	printf("%lld\n", (long long)us);
	return 0;
}

static int
run_clock_format(char **argv)
{
	char s[CLOCK_SIZE];

	clock_format(strtoll(argv[0], NULL, 10), s);
	puts(s);
	return 0;
}

static int
run_clock_span(char **argv)
{
	char s[32];

	clock_format_span(strtoll(argv[0], NULL, 10), s, sizeof(s));
	puts(s);
	return 0;
}

static int
run_num_parse_size(char **argv)
{
	uint64_t n;

	if (num_parse_size(argv[0], &n) == -1)
		return fail_with("no size");
	printf("%llu\n", (unsigned long long)n);
	return 0;
}

static int
run_num_parse_ms(char **argv)
{
	int64_t n;

	if (num_parse_ms(argv[0], &n) == -1)
		return fail_with("no span");
	printf("%lld\n", (long long)n);
	return 0;
}

static int
run_num_parse_u64(char **argv)
{
	uint64_t n;

	if (num_parse_u64(argv[0], &n) == -1)
		return fail_with("no number");
	printf("%llu\n", (unsigned long long)n);
	return 0;
}

static int
run_read_file(char **argv)
{
	char *s = io_read_file(-100, argv[0], 100, NULL);

	if (s == NULL)
		return fail_with("cannot");
	fputs(s, stdout);
	free(s);
	return 0;
}

/* Prints the descriptor that a file gets after process_init, and the results of a read from 0 and a
 * write to 1. */
static int
run_process_init(char **argv)
{
	char c = 'x';
	FILE *f;

	process_init();
	if ((f = fopen(argv[0], "w")) == NULL)
		return 1;
	fprintf(f, "fd %d read %zd write %d\n", fileno(f), read(STDIN_FILENO, &c, 1),
	    io_write_all(STDOUT_FILENO, &c, 1));
	return fclose(f) != 0;
}

static int
run_uuid(char **argv)
{
	char s[UUID_SIZE];

	for (long n = strtol(argv[1], NULL, 10); n > 0; n--) {
		if (strcmp(argv[0], "v7") == 0)
			uuid_v7(s);
		else
			uuid_v4(s);
		puts(s);
	}
	return 0;
}

static int
run_uuid_derived(char **argv)
{
	char s[UUID_SIZE];

	uuid_derived(argv[0], argv[1], strlen(argv[1]), s);
	puts(s);
	return 0;
}

static int
run_names(char **argv)
{
	char *keys[] = {
	    names_stream(argv[0], argv[2]),
	    names_group(argv[0], argv[1], argv[2]),
	    names_dlq(argv[0], argv[2]),
	};

	for (size_t i = 0; i < 3; i++) {
		puts(keys[i]);
		free(keys[i]);
	}
	return 0;
}

static int
run_names_legal(char **argv)
{
	return names_legal(argv[0], strlen(argv[0])) ? 0 : fail_with("not legal");
}

static int
run_names_legal_prefix(char **argv)
{
	return names_legal_prefix(argv[0]) ? 0 : fail_with("not legal");
}

static int
run_names_is_pattern(char **argv)
{
	return names_is_pattern(argv[0]) ? 0 : fail_with("no pattern");
}

static int
run_names_stream_type(char **argv)
{
	const char *s = names_stream_type(argv[0], argv[1], strlen(argv[1]));

	return s == NULL ? fail_with("no stream") : puts(s) == EOF;
}

static int
run_lines(char **argv)
{
	struct lines *l =
	    lines_new(STDIN_FILENO, *argv[0] == '0' ? '\0' : '\n', strtoul(argv[1], NULL, 10));
	struct slice s;
	enum lines_got got;

	do {
		while ((got = lines_next(l, &s)) != LINES_NONE) {
			printf("%llu ", lines_number(l));
			if (got == LINES_LONG)
				puts("long");
			else
				printf("%zu [%.*s]\n", s.n, (int)(s.n < 60 ? s.n : 60), s.p);
		}
	} while (!lines_ended(l) && lines_fill(l) != -1);
	lines_free(l);
	return 0;
}

static int
run_url(char **argv)
{
	struct url u;
	char *place;

	if (url_parse(&u, argv[0], &why) == -1)
		return fail_with_err();
	place = url_target(&u);
	printf("%s\nuser %s\npassword %s\n", place, u.user == NULL ? "none" : u.user,
	    u.password == NULL ? "none" : u.password->text);
	free(place);
	url_free(&u);
	return 0;
}

static void
print_event(const struct event *e)
{
	struct slice kv[2 * EVENT_FIELDS];

	event_to_fields(e, kv);
	for (size_t i = 0; i < EVENT_FIELDS; i++)
		print_slice(kv[2 * i].p, kv[2 * i + 1]);
}

static int
run_line_parse(char **argv)
{
	struct bytes b = read_stdin(), text = {0};
	struct line l;
	int result;

	(void)argv;
	if (b.len > 0 && b.p[b.len - 1] == '\n')
		b.len--;
	if ((result = line_parse(b.p, b.len, &l, &text, &why)) == 0) {
		print_event(&l.e);
		printf("buffered_at %lld\nmaxlen %lld\n%s\n", (long long)l.buffered_at,
		    (long long)l.maxlen, l.has_crc ? "ours" : "theirs");
		if (l.in_doubt)
			printf("doubt %s %lld %s %s\n", l.doubt.run_id, (long long)l.doubt.client,
			    l.doubt.addr, l.doubt.after);
	}
	bytes_free(&b);
	bytes_free(&text);
	return result == -1 ? fail_with_err() : 0;
}

/* Arguments TYPE TRACE MAXLEN [DOUBT]: prints a buffer line with the payload of stdin, without crc.
 */
static int
run_line_write(char **argv)
{
	struct doubt d = {"run", INT64_C(9007199254740991), "127.0.0.1:5", "5-1"};
	struct bytes b = read_stdin(), out = {0};
	struct event e = {
	    .type = slice_of(argv[0]),
	    .payload = {b.p, b.len},
	    .trace_id = slice_of(argv[1]),
	    .correlation_id = slice_of("c"),
	    .timestamp = slice_of("2025-12-04T10:30:00.000000Z"),
	    .source = slice_of("s"),
	    .event_id = slice_of("e"),
	};

	line_head(&out, &e);
	bytes_adds(&out, ",\"buffered_at\":\"2025-12-04T10:30:01.123456Z\"");
	line_tail(&out, strtoll(argv[2], NULL, 10), argv[3] == NULL ? NULL : &d);
	bytes_adds(&out, "}\n");
	bytes_free(&b);
	return write_stdout(&out);
}

/* Takes arguments NAME VALUE ...; the value - stands for all of stdin. */
static size_t
read_fields(char **argv, struct slice kv[20], struct bytes *b)
{
	size_t n;

	*b = read_stdin();
	for (n = 0; n < 20 && argv[n] != NULL; n++)
		kv[n] =
		    strcmp(argv[n], "-") == 0 ? (struct slice){b->p, b->len} : slice_of(argv[n]);
	return n;
}

static int
run_event_json(char **argv)
{
	struct bytes b, out = {0};
	struct slice kv[20];
	size_t n = read_fields(argv + 1, kv, &b);

	event_add_json(&out,
	    &(struct event_entry){slice_of("5-1"), slice_of("q:stream:t"), slice_of("t"), kv, n,
	        strtoll(argv[0], NULL, 10)});
	bytes_free(&b);
	bytes_addc(&out, '\n');
	return write_stdout(&out);
}

static int
run_event_payload(char **argv)
{
	struct bytes b, out = {0};
	struct slice kv[20];
	size_t n = read_fields(argv, kv, &b);

	event_add_payload(&out, kv, n);
	bytes_free(&b);
	return write_stdout(&out);
}

static int
run_event_parse_json(char **argv)
{
	struct bytes b = read_stdin(), text = {0};
	struct event e;
	bool is_json;
	int result;

	(void)argv;
	if ((result = event_parse_json(b.p, b.len, &e, &is_json, &text, &why)) == 0) {
		print_event(&e);
		puts(is_json ? "json" : "other");
	}
	bytes_free(&b);
	bytes_free(&text);
	return result == -1 ? fail_with_err() : 0;
}

static int
run_event_recovered(char **argv)
{
	struct bytes out = {0};

	event_add_recovered(&out, argv[0], slice_of(argv[1]));
	bytes_addc(&out, '\n');
	return write_stdout(&out);
}

static void
print_conf(const struct conf *c, char **words)
{
	printf("place %s\nuser %s\npassword %s\n", c->address,
	    c->url.user == NULL ? "none" : c->url.user,
	    c->url.password == NULL ? "none" : c->url.password->text);
	printf("buffer %s\nstate %s\n", c->buffer == NULL ? "none" : c->buffer,
	    c->state == NULL ? "none" : c->state);
	printf("prefix %s\nservice %s%s\ntimeout %lld\nmaxlen %lld\nmaxlen of t %lld%s", c->prefix,
	    c->service, c->service_given ? "" : " (default)", (long long)c->timeout_ms,
	    (long long)c->maxlen, (long long)conf_maxlen(c, "t"),
	    conf_trim_acked(c, "t") ? ", acked, hard " : "\n");
	if (conf_trim_acked(c, "t"))
		printf("%lld\n", (long long)conf_maxlen_hard(c, "t"));
	printf("flags%s%s%s\nargv", c->json ? " json" : "", c->quiet ? " quiet" : "",
	    c->verbose ? " verbose" : "");
	for (; *words != NULL; words++)
		printf(" %s", *words);
	putchar('\n');
}

static int
run_conf(char **argv)
{
	static const struct cli_option none[] = {CLI_END};
	struct conf c;
	const struct cli_command command = {.name = "probe", .conf = &c, .options = none};
	int argc = 0, result;

	while (argv[argc] != NULL)
		argc++;
	conf_init(&c);
	result = options_read(&command, argc, argv, &why);
	if (result != -1 && (result = conf_finish(&c, argc, argv, &why)) == 0 && !c.help &&
	    !c.version) {
		print_conf(&c, argv);
		if (conf_buffer(&c, &why) == NULL)
			result = -1;
	}
	conf_free(&c);
	return result == -1 ? fail_with_err() : 0;
}

static const struct command {
	const char *name;
	int (*fn)(char **argv);
	int args;
} commands[] = {
    {"json-check", run_json_check, 0},
    {"json-check-many", run_json_check_many, 0},
    {"json-walk", run_json_walk, 0},
    {"json-unquote", run_json_unquote, 0},
    {"json-quote", run_json_quote, 0},
    {"json-quote-text", run_json_quote_text, 0},
    {"json-oneline", run_json_oneline, 0},
    {"base64-encode", run_base64_encode, 0},
    {"base64-decode", run_base64_decode, 0},
    {"clock-parse", run_clock_parse, 1},
    {"clock-rfc3339", run_clock_rfc3339, 1},
    {"clock-format", run_clock_format, 1},
    {"clock-span", run_clock_span, 1},
    {"size", run_num_parse_size, 1},
    {"ms", run_num_parse_ms, 1},
    {"u64", run_num_parse_u64, 1},
    {"read-file", run_read_file, 1},
    {"start", run_process_init, 1},
    {"uuid", run_uuid, 2},
    {"uuid-derived", run_uuid_derived, 2},
    {"names", run_names, 3},
    {"legal", run_names_legal, 1},
    {"legal-prefix", run_names_legal_prefix, 1},
    {"pattern", run_names_is_pattern, 1},
    {"type", run_names_stream_type, 2},
    {"lines", run_lines, 2},
    {"url", run_url, 1},
    {"line-parse", run_line_parse, 0},
    {"line-write", run_line_write, 3},
    {"event-json", run_event_json, 1},
    {"event-payload", run_event_payload, 0},
    {"event-parse-json", run_event_parse_json, 0},
    {"recovered", run_event_recovered, 2},
    {"conf", run_conf, 0},
};

int
main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(*commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0 && argc - 2 >= commands[i].args)
			return commands[i].fn(strcmp(argv[1], "conf") == 0 ? argv + 1 : argv + 2);
	fprintf(stderr, "usage: probe COMMAND [ARG ...]\n");
	return 64;
}
