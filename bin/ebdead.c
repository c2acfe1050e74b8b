/* ebdead: lists dead letters, moves them back into their streams, deletes them (ebdead(1)). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/cli.h"
#include "drain/redrive.h"
#include "event/event.h"
#include "event/names.h"
#include "redis/pool.h"
#include "redis/scan.h"
#include "report/drainfmt.h"

static struct ebdead {
	struct conf conf;
	struct redrive_options redrive;
	bool dry_run, yes;
	bool payload, null;
	const char *format;
	struct table table;
	int64_t started;
	char **types; /* those that the patterns of list match */
	size_t ntypes;
} eb = {.redrive = {.maxlen = -1, .range = {.last = -1}}};

/* --- output ------------------------------------------------------------------------------ */

static int
print_bytes(const char *p, size_t n)
{
	int stop;

	cli_write(p, n);
	stop = cli_write(eb.null ? "" : "\n", 1);
	if (eb.redrive.range.follow)
		stop = !cli_flush(STATUS_UNSAFE, "");
	return stop;
}

static int
print_row(void *arg, const char *text)
{
	(void)arg;
	return print_bytes(text, strlen(text));
}

static int
print_letter(void *arg, const struct redrive_letter *l)
{
	const struct event_entry *r = &l->entry;
	struct bytes out = {0};
	int stop;

	(void)arg;
	if (l->own_fields == 0 && eb.dry_run && !eb.redrive.drop)
		return 0; /* cannot be moved */
	if (eb.format != NULL)
		format_add(&out, eb.format, r);
	else if (eb.payload)
		event_add_payload(&out, r->kv, r->nkv);
	else if (eb.conf.json)
		event_add_json(&out, r);
	else
		return drainfmt_letter(&eb.table, l);
	stop = print_bytes(out.p, out.len);
	bytes_free(&out);
	return stop;
}

static void
show_dead_progress(void *arg, uint64_t done, uint64_t of)
{
	(void)arg;
	cli_progress(done, of, eb.started);
}

/* --- the commands ------------------------------------------------------------------------ */

static int
work_on_letters(char **types, size_t n)
{
	struct redrive_options *o = &eb.redrive;
	struct redrive_result r;
	struct bytes out = {0};

	o->conf = &eb.conf;
	o->types = types;
	o->ntypes = n;
	o->stop = &cli_stopped;
	o->say = cli_say;
	if (o->show == NULL && isatty(STDERR_FILENO) && !eb.conf.quiet)
		o->progress = show_dead_progress;
	eb.table =
	    (struct table){.quiet = eb.conf.quiet, .width = cli_columns(), .emit = print_row};
	eb.started = clock_mono();
	cli_stop_on(SIGTERM);
	cli_stop_on(SIGINT);
	redrive_run(o, &r);
	if (cli_stopped && r.left)
		r.status = status_worse(r.status, 128 + cli_stopped);
	cli_worse(r.status);
	drainfmt_dead_result(&out, o, &r, eb.conf.json, clock_mono() - eb.started);
	if (o->show == NULL && eb.conf.json)
		cli_print(NULL, bytes_str(&out));
	else if (o->show == NULL && cli_verbose())
		cli_warn("%s", bytes_str(&out));
	bytes_free(&out);
	table_end(&eb.table);
	redrive_free(o);
	return 0;
}

static void
add_type(const char *type)
{
	for (size_t i = 0; i < eb.ntypes; i++)
		if (strcmp(eb.types[i], type) == 0)
			return;
	eb.types = mem_realloc(eb.types, (eb.ntypes + 1) * sizeof(*eb.types));
	eb.types[eb.ntypes++] = mem_strdup(type);
}

/* Adds the types whose streams of dead letters match. */
static void
add_matching_types(const char *pattern)
{
	char *match = names_dlq(eb.conf.prefix, pattern);
	struct pool pool = {.url = &eb.conf.url, .timeout_ms = eb.conf.timeout_ms};
	struct err err;
	struct conn *conn = pool_get(&pool, match, &err);
	struct key_list keys;

	if (conn == NULL ||
	    scan_keys(conn, match, clock_mono() + eb.conf.timeout_ms, &keys, &err) == -1) {
		cli_say(NULL, err.text);
		exit(err.status);
	}
	for (size_t i = 0; i < keys.n; i++) {
		const char *key = keys.p[i];
		const char *type = names_dlq_type(eb.conf.prefix, key, strlen(key));

		if (type != NULL)
			add_type(type);
	}
	if (!keys.complete)
		cli_warn("'%s': timed out listing streams, some may be missing; raise -t", pattern);
	else if (keys.n == 0 && !eb.conf.quiet && strcmp(pattern, "*") != 0)
		cli_warn("'%s': no such stream of dead letters", pattern);
	key_list_free(&keys);
	free(match);
	pool_close(&pool);
}

static int
run_dead_list(char **types, size_t n, struct err *err)
{
	(void)err;
	cli_check_types(types, n, NULL);
	for (size_t i = 0; i < n; i++)
		if (names_is_pattern(types[i]))
			add_matching_types(types[i]);
		else
			add_type(types[i]);
	if (n == 0)
		add_matching_types("*");
	eb.redrive.show = print_letter;
	if (eb.ntypes > 0)
		work_on_letters(eb.types, eb.ntypes);
	while (eb.ntypes > 0)
		free(eb.types[--eb.ntypes]);
	free(eb.types);
	return 0;
}

static int
run_redrive(char **types, size_t n, struct err *err)
{
	(void)err;
	cli_check_types(types, n, "list");
	eb.redrive.show = eb.dry_run ? print_letter : NULL;
	return work_on_letters(types, n);
}

static int
run_drop(char **types, size_t n, struct err *err)
{
	eb.redrive.drop = true;
	return run_redrive(types, n, err);
}

/* --- the command line ------------------------------------------------------------------ */

static int
take_match(const char *option, const char *arg, struct err *err)
{
	(void)option;
	return redrive_add_match(&eb.redrive, arg, err);
}

static int
take_until(const char *option, const char *arg, struct err *err)
{
	return range_set_to(&eb.redrive.range, option, arg, err);
}

enum { LIST, REDRIVE, DROP };

static const struct cli_mode modes[] = {
    [LIST] = {"list", "[type ...]", 0, SIZE_MAX, "print the dead letters of these types, or of all",
        run_dead_list, NULL},
    [REDRIVE] = {"redrive", "type ...", 1, SIZE_MAX, "move them back into their streams",
        run_redrive, NULL},
    [DROP] = {"drop", "type ...", 1, SIZE_MAX, "delete them", run_drop, "deletes dead letters"},
    {0},
};

#define IN(mode) (1u << (mode))

static const struct cli_option options[] = {
    CLI_HEAD(0, "Which dead letters"),
    CLI_CALL(0, "match", "field=value", take_match, "only those with this field; all must match"),
    CLI_PLACE(0, "since", "where", &eb.redrive.range.from, "from an ID, a time, or 24h ago"),
    CLI_CALL(0, "until", "where", take_until, "up to an ID, a time, or 24h ago"),
    CLI_COUNT(0, "last", "n", 0, 0, &eb.redrive.range.last, "only the newest n of each type"),
    CLI_NUMBER(0, "limit", "n", 0, 0, &eb.redrive.limit, "stop after n of all types together"),
    CLI_HEAD(IN(LIST), "Options of list"),
    CLI_FLAG(0, "follow", &eb.redrive.range.follow, "go on with what comes"),
    CLI_FORMAT('f', "format", "format", &eb.format, "print them in this format, as ebsub -f"),
    CLI_FLAG(0, "payload", &eb.payload, "print the payloads only"),
    CLI_FLAG('0', "null", &eb.null, "end each with NUL instead of a newline"),
    CLI_HEAD(IN(REDRIVE), "Options of redrive"),
    CLI_FLAG(0, "force", &eb.redrive.force, "also into full streams; trims unread entries"),
    CLI_COUNT(0, "maxlen", "n", 0, 0, &eb.redrive.maxlen, "limit of streams; 0: none"),
    CLI_NUMBER(0, "rate", "n", 0, 0, &eb.redrive.rate, "at most n dead letters a second"),
    CLI_HEAD(IN(REDRIVE) | IN(DROP), "Options of redrive and drop"),
    CLI_FLAG(0, "dry-run", &eb.dry_run, "print what would be moved or deleted"),
    CLI_HEAD(IN(DROP), "Options of drop"),
    CLI_FLAG(0, "yes", &eb.yes, "do it"),
    CLI_END,
};

static const struct cli_command command = {.name = "ebdead",
    .conf = &eb.conf,
    .about = {"Works on dead letters, the events that a consumer could not handle: lists them,",
        "moves them back into their streams, or deletes them."},
    .examples = {"ebdead list", "ebdead redrive --match dead_status='exit 1' order.created",
        "ebdead drop --until 30d --dry-run order.created"},
    .statuses = "0 done, 1 some failed, 64 usage, 69 no Redis, 75 again, 77 denied",
    .options = options,
    .modes = modes};

int
main(int argc, char **argv)
{
	struct cli_args args = cli_start(&command, argc, argv);
	struct err err;

	if (eb.payload + (eb.format != NULL) + eb.conf.json > 1)
		cli_bad_usage("-j, --payload and -f exclude each other");
	if (eb.payload || eb.format != NULL || eb.conf.json)
		cli_records(eb.null ? '\0' : '\n');
	if (eb.redrive.range.follow && eb.redrive.range.has_to)
		cli_bad_usage("--until cannot be combined with --follow, which has no end");
	if (args.mode->run(args.v, args.n, &err) == -1)
		cli_fail(&err);
	return cli_finish();
}
