/* ebstat: shows the disk buffer, the streams and their groups (ebstat(1)). */
#include <err.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/process.h"
#include "base/status.h"
#include "conf/conf.h"
#include "event/names.h"
#include "report/snapshotfmt.h"

#define SPAN 32

/* clang-format off */
static const struct option options[] = {
	CONF_LONG,
	{NULL, 0, NULL, 0},
};
/* clang-format on */

static struct ebstat {
	struct conf conf;
	struct snapshot snapshot;
	struct table facts;
	struct bytes out;
} eb;

static void
ebstat_usage(FILE *to)
{
	fputs("usage: ebstat [-hjqvV] [-b dir] [-p prefix] [-s service] [-t seconds] [-u url] "
	      "[type ...]\n",
	    to);
}

/* --- the buffer ------------------------------------------------------------------- */

static void __attribute__((format(printf, 2, 3))) add_fact(const char *name, const char *fmt, ...)
{
	struct record fact = {.json = false};
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) == -1)
		text = mem_strdup("?");
	va_end(ap);
	record_text(&fact, NULL, "name", name);
	record_text(&fact, NULL, "text", text);
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
	if (b->ignored > 0 || all)
		add_fact("odd",
		    "%" PRIu64
		    " file%s ignored: not a regular file owned by this user with one link",
		    b->ignored, plural_ending(b->ignored));
}

static void
show_counters(const struct snapshot *s)
{
	struct bytes b = {0};

	for (int i = 0; i < COUNTERS; i++)
		bytes_addf(
		    &b, "%s%s %" PRIu64, i > 0 ? ", " : "", counter_names[i], s->counters[i]);
	add_fact("counters", "%s", bytes_str(&b));
	bytes_free(&b);
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
	if (!eb.conf.quiet)
		add_fact("buffer", "%s%s", s->buffer.dir != NULL ? s->buffer.dir : eb.conf.buffer,
		    s->readable && !s->dir_exists ? " (does not exist yet)" : "");
	if (!s->readable) {
		add_fact("unreadable", "%s", s->read_error.text);
		return;
	}
	show_target_and_files(s);
	show_buffered_events(&s->buffer);
	show_buffer_problems(&s->buffer);
	if (eb.conf.verbose && !eb.conf.quiet)
		show_counters(s);
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

/* Adds a table, below an empty line unless it is the first. */
static int
add_output(void *arg, const char *text)
{
	(void)arg;
	bytes_addf(&eb.out, "%s%s\n", eb.out.len > 0 ? "\n" : "", text);
	return 0;
}

static void
print_tables(void)
{
	static const struct column columns[] = {{"name", -1}, {"text", -1}, {NULL, 0}};
	struct table streams = {.emit = add_output};

	eb.facts = (struct table){.columns = columns, .quiet = true, .emit = add_output};
	show_buffer(&eb.snapshot);
	show_redis(&eb.snapshot.redis);
	table_end(&eb.facts);
	snapshotfmt_streams(&streams, &eb.snapshot.redis, eb.conf.quiet, eb.conf.verbose);
	table_end(&streams);
}

static void
print_json(void)
{
	struct record document = {.json = true};

	snapshotfmt_time(&document);
	snapshotfmt_json(&document, &eb.snapshot);
	record_json(&eb.out, &document);
	bytes_addc(&eb.out, '\n');
}

/* Reports what could not be read, and vanished events; no other problem. */
static int
ebstat_status(const struct snapshot *s)
{
	int status = s->redis.status;

	if (!s->readable) {
		warnx("%s", s->read_error.text);
		status = status_worse(status,
		    s->read_error.status == STATUS_UNSAFE ? STATUS_SOME : s->read_error.status);
	}
	if (s->buffer.nvanished > 0)
		status = status_worse(status, STATUS_UNSAFE);
	return status;
}

static int
write_ebstat_output(int status)
{
	if (io_write_all(STDOUT_FILENO, eb.out.p, eb.out.len) == 0)
		return status;
	warn("write standard output");
	return STATUS_UNSAFE;
}

static void __attribute__((noreturn, format(printf, 1, 2))) ebstat_bad_usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vwarnx(fmt, ap);
	va_end(ap);
	ebstat_usage(stderr);
	exit(STATUS_USAGE);
}

/* Status 64 for a malformed value, 78 for one that cannot be used. */
static void __attribute__((noreturn)) ebstat_bad_option(const struct err *err)
{
	if (err->status == STATUS_USAGE)
		ebstat_bad_usage("%s", err->text);
	errx(err->status, "%s", err->text);
}

static void
read_ebstat_options(int argc, char **argv)
{
	struct err err;
	int ch, r;

	conf_init(&eb.conf);
	while ((ch = getopt_long(argc, argv, CONF_SHORT, options, NULL)) != -1) {
		r = conf_option(&eb.conf, ch, optarg, &err);
		if (r == -1)
			ebstat_bad_option(&err);
		if (r == 0) {
			ebstat_usage(stderr);
			exit(STATUS_USAGE);
		}
	}
	if (conf_finish(&eb.conf, argc, argv, &err) == -1)
		errx(err.status, "%s", err.text);
}

static void
check_types(char **types)
{
	for (; *types != NULL; types++)
		if (!names_is_pattern(*types) && !names_legal(*types, strlen(*types)))
			ebstat_bad_usage("'%s': an event type is " NAMES_LEGAL "; "
			                 "a pattern has * ? or [",
			    *types);
}

int
main(int argc, char **argv)
{
	struct survey_options survey_options = {.all = true};
	struct err err;
	const char *dir;
	int status;

	process_init();
	read_ebstat_options(argc, argv);
	if (eb.conf.help) {
		ebstat_usage(stdout);
		return fflush(stdout) == EOF ? STATUS_UNSAFE : STATUS_OK;
	}
	if (eb.conf.version) {
		puts("ebstat " EB_VERSION);
		return fflush(stdout) == EOF ? STATUS_UNSAFE : STATUS_OK;
	}
	check_types(argv + optind);
	if ((dir = conf_buffer(&eb.conf, &err)) == NULL)
		errx(err.status, "%s", err.text);
	survey_options.types = argv + optind;
	survey_options.n = (size_t)(argc - optind);
	survey_options.timeout_ms = eb.conf.timeout_ms;
	snapshot_take(&eb.snapshot, &eb.conf, dir, &survey_options);
	if (eb.conf.json)
		print_json();
	else
		print_tables();
	status = write_ebstat_output(ebstat_status(&eb.snapshot));
	bytes_free(&eb.out);
	snapshot_free(&eb.snapshot);
	conf_free(&eb.conf);
	return status;
}
