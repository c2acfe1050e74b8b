/* ebstat: shows the disk buffer, the streams and their groups (ebstat(1)). */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/status.h"
#include "cli/cli.h"
#include "report/snapshot.h"

#define SPAN 32

static struct ebstat {
	struct conf conf;
	struct snapshot snapshot;
	struct table facts;
	bool printed; /* a table */
} eb;

/* --- the buffer ------------------------------------------------------------------- */

static void __attribute__((format(printf, 2, 3))) add_fact(const char *name, const char *fmt, ...)
{
	struct item fact = {.json = false};
	char *text;
	va_list ap;

	va_start(ap, fmt);
	text = mem_vasprintf(fmt, ap);
	va_end(ap);
	item_text(&fact, NULL, "name", name);
	item_text(&fact, NULL, "text", text);
	table_row(&eb.facts, &fact);
	free(text);
}

static const char *
plural_ending(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void
show_buffered_events(const struct backlog *b)
{
	char when[CLOCK_SIZE], span[SPAN];

	if (b->events > 0 || !eb.conf.quiet)
		add_fact("events", "%" PRIu64 " undelivered%s", b->events,
		    b->replaying ? ", a replay is running" : "");
	if (b->oldest != 0) {
		clock_format(b->oldest, when);
		clock_format_span((clock_now() - b->oldest) / 1000, span, sizeof(span));
		add_fact("oldest", "%s, %s old", when, span);
	}
}

/* Shown only when something needs attention, or with -v. */
static void
show_buffer_problems(const struct backlog *b)
{
	bool all = eb.conf.verbose && !eb.conf.quiet;

	for (size_t i = 0; i < b->nheld; i++)
		add_fact("held", "%s, %" PRIu64 " event%s: %s", b->held[i].type, b->held[i].events,
		    plural_ending(b->held[i].events), b->held[i].reason);
	for (size_t i = 0; i < b->nvanished; i++)
		add_fact("vanished", "%s disappeared with undelivered events", b->vanished[i]);
	for (size_t i = 0; i < b->nshrunk; i++)
		add_fact("shrunk", "%s, from %" PRIu64 " to %" PRIu64 " bytes", b->shrunk[i].stem,
		    b->shrunk[i].from, b->shrunk[i].to);
	if (b->lock_holder != NULL)
		add_fact("locked", "by process %s, which does not release it; resume or end it",
		    b->lock_holder);
	if (b->quarantined > 0 || all)
		add_fact("quarantine", "%" PRIu64 " line%s", b->quarantined,
		    plural_ending(b->quarantined));
	if (b->possible_duplicates > 0 || all)
		add_fact("doubles", "%" PRIu64 " possible duplicate%s so far",
		    b->possible_duplicates, plural_ending(b->possible_duplicates));
	if (b->suspect > 0 || all)
		add_fact("suspect", "%" PRIu64 " segment%s could not be synced to disk", b->suspect,
		    plural_ending(b->suspect));
	if (b->foreign > 0 || all)
		add_fact("foreign", "%" PRIu64 " file%s not of the buffer: left alone", b->foreign,
		    plural_ending(b->foreign));
	if (b->ignored > 0 || all)
		add_fact("odd",
		    "%" PRIu64 " file%s ignored: not a regular file, or owned by another user",
		    b->ignored, plural_ending(b->ignored));
}

static void
show_target_and_files(const struct snapshot *s)
{
	char size[NUM_SIZE_TEXT];
	const struct backlog *b = &s->buffer;

	if (s->other_target) {
		add_fact("target", "%s (of the buffer)", b->target);
		add_fact("", "%s (of this command): DIFFERENT", s->target);
	} else if (!eb.conf.quiet)
		add_fact("target", "%s", s->target);
	if (eb.conf.quiet)
		return;
	num_format_size(b->bytes, size);
	add_fact("files", "%" PRIu64 ", %s", b->files, size);
	num_format_size(s->free, size);
	if (s->free_known)
		add_fact("free", "%s", size);
	if (s->warning != NULL)
		add_fact("note", "%s", s->warning);
}

static void
show_buffer(const struct snapshot *s)
{
	struct bytes counters = {0};

	if (!eb.conf.quiet)
		add_fact("buffer", "%s%s", s->buffer.dir != NULL ? s->buffer.dir : eb.conf.buffer,
		    s->readable && !s->dir_exists ? " (does not exist yet)" : "");
	if (!s->readable) {
		add_fact("unreadable", "%s", s->read_error.text);
		return;
	}
	if (s->write_error.text[0] != '\0')
		add_fact("unwritable", "%s", s->write_error.text);
	show_target_and_files(s);
	show_buffered_events(&s->buffer);
	show_buffer_problems(&s->buffer);
	if (!eb.conf.verbose || eb.conf.quiet)
		return;
	for (int i = 0; i < COUNTERS; i++)
		bytes_addf(&counters, "%s%s %" PRIu64, i > 0 ? ", " : "", counter_names[i],
		    s->counters[i]);
	add_fact("counters", "%s", bytes_str(&counters));
	bytes_free(&counters);
}

/* --- Redis ------------------------------------------------------------------------- */

static void
show_redis(const struct survey *s)
{
	if (!s->up)
		add_fact("redis", "DOWN: %s", s->error);
	else if (!eb.conf.quiet)
		add_fact("redis", "up, %s%s%s, %.1f ms",
		    *s->server != '\0' ? s->server : "unknown version",
		    *s->version != '\0' ? " " : "", s->version, (double)s->rtt_us / 1000);
	if (s->refusal != NULL)
		add_fact("", "refuses writes: %s", s->refusal);
	if (s->why_incomplete != NULL)
		add_fact("INCOMPLETE", "%s", s->why_incomplete);
	for (size_t i = 0; i < s->nunmatched; i++)
		add_fact("no stream", "matches '%s'", s->unmatched[i]);
}

/* --- output --------------------------------------------------------------------------- */

/* Prints a table, below an empty line unless it is the first. */
static int
print_table(void *arg, const char *text)
{
	if (eb.printed)
		cli_print(arg, "");
	eb.printed = true;
	return cli_print(arg, text);
}

static void
print_tables(void)
{
	static const struct column columns[] = {{"name", -1}, {"text", -1}, {NULL, 0}};
	struct table streams = {.emit = print_table};

	eb.facts = (struct table){.columns = columns, .quiet = true, .emit = print_table};
	show_buffer(&eb.snapshot);
	show_redis(&eb.snapshot.redis);
	table_end(&eb.facts);
	snapshot_streams(&streams, &eb.snapshot.redis, eb.conf.quiet, eb.conf.verbose);
	table_end(&streams);
}

static void
print_json(void)
{
	struct item document = {.json = true};
	struct bytes out = {0};

	item_time(&document, "time", NULL, clock_now());
	snapshot_json(&document, &eb.snapshot);
	item_json(&out, &document);
	cli_print(NULL, bytes_str(&out));
	bytes_free(&out);
}

/* Reports what could not be read, and lost events; no other problem. */
static void
report_unread(const struct snapshot *s)
{
	cli_worse(s->redis.status);
	if (!s->readable)
		cli_report(NULL,
		    s->read_error.status == STATUS_UNSAFE ? STATUS_SOME : s->read_error.status,
		    s->read_error.text);
	if (s->buffer.nvanished > 0 || s->buffer.nshrunk > 0)
		cli_worse(STATUS_UNSAFE);
}

/* --- the command line ------------------------------------------------------------------ */

static const struct cli_option options[] = {CLI_END};

static const struct cli_command command = {
    .name = "ebstat",
    .conf = &eb.conf,
    .about = {"Shows the disk buffer, Redis, the streams and their consumer groups.",
        "Without a type it shows all streams; a type may be a pattern."},
    .usage = {"[option ...] [type ...]"},
    .examples = {"ebstat", "ebstat -v 'order.*'", "ebstat -j | jq .redis.up"},
    .statuses = "0 shown, 1 not all read, 64 usage, 69 no Redis, 74 events vanished",
    .options = options,
};

int
main(int argc, char **argv)
{
	struct cli_args args = cli_start(&command, argc, argv);
	struct survey_options survey_options = {.conf = &eb.conf,
	    .timeout_ms = eb.conf.timeout_ms,
	    .types = args.v,
	    .n = args.n,
	    .all = true};
	struct err err;

	cli_check_types(args.v, args.n, NULL);
	if (conf_buffer(&eb.conf, &err) == NULL)
		cli_fail(&err);
	snapshot_take(&eb.snapshot, &survey_options);
	if (eb.conf.json)
		print_json();
	else
		print_tables();
	report_unread(&eb.snapshot);
	snapshot_free(&eb.snapshot);
	return cli_finish();
}
