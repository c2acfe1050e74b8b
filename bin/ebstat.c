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
#include "base/table.h"
#include "conf/conf.h"
#include "event/id.h"
#include "event/names.h"
#include "redis/stream.h"
#include "report/snapshot.h"

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
	struct table *facts, *streams;
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
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) == -1)
		text = mem_strdup("?");
	va_end(ap);
	table_cell(eb.facts, "%s", name);
	table_cell(eb.facts, "%s", text);
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

static void
add_number_cell(int64_t n)
{
	if (n < 0)
		table_cell(eb.streams, "?");
	else
		table_cell(eb.streams, "%" PRId64, n);
}

static void
add_id_cell(struct stream_id id, bool known)
{
	char text[ID_SIZE];

	id_format(id, text);
	table_cell(eb.streams, "%s", known ? text : "-");
}

static void
add_group_cells(const struct survey_stream *st, const struct stream_group *g)
{
	int64_t age = survey_pending_age(&eb.snapshot.redis, g);
	char span[SPAN] = "-";
	bool known;
	uint64_t lost = stream_lost(&st->info, g, &known);

	if (age >= 0)
		clock_format_span(age, span, sizeof(span));
	table_cell(eb.streams, "%s", g->name);
	add_number_cell((int64_t)g->consumers);
	add_number_cell((int64_t)g->pending);
	table_cell(eb.streams, "%s", span);
	add_number_cell(survey_lag(&st->info, g));
	add_number_cell(known ? (int64_t)lost : -1);
	if (eb.conf.verbose)
		add_id_cell(g->last_delivered, true);
}

static void
add_no_group_cells(const struct survey_stream *st)
{
	table_cell(eb.streams, "%s", st->error != NULL || st->info.exists ? "-" : "no stream");
	for (int i = eb.conf.verbose ? 0 : 1; i < 6; i++)
		table_cell(eb.streams, "-");
}

static void
add_stream_row(const struct survey_stream *st, const struct stream_group *g)
{
	table_cell(eb.streams, "%s", st->type);
	add_number_cell(st->info.exists || st->error == NULL ? (int64_t)st->info.length : -1);
	if (eb.conf.verbose) {
		add_id_cell(st->info.first, st->info.length > 0);
		add_id_cell(st->info.last, st->info.length > 0);
	}
	add_number_cell(st->dead_letters);
	if (g != NULL)
		add_group_cells(st, g);
	else
		add_no_group_cells(st);
	/* The error stands once, on the first row of the stream. */
	table_cell(
	    eb.streams, "%s", st->error != NULL && (g == NULL || g == st->groups) ? st->error : "");
}

static bool
group_lost_nothing(const struct survey_stream *st, const struct stream_group *g)
{
	bool known;

	return stream_lost(&st->info, g, &known) == 0;
}

static void
show_stream(const struct survey_stream *st)
{
	bool wanted = !eb.conf.quiet || st->error != NULL || st->dead_letters > 0;

	if (st->ngroups == 0 && wanted)
		add_stream_row(st, NULL);
	for (size_t i = 0; i < st->ngroups; i++)
		if (wanted || !group_lost_nothing(st, &st->groups[i]))
			add_stream_row(st, &st->groups[i]);
}

static void
show_streams(const struct survey *s)
{
	static const char *const names[] = {"TYPE", "LENGTH", "FIRST", "LAST", "DEAD", "GROUP",
	    "CONSUMERS", "PENDING", "OLDEST", "LAG", "LOST", "DELIVERED", ""};

	eb.streams = table_new(eb.conf.verbose ? "lrllrlrrrrrll" : "lrrlrrrrrl");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (eb.conf.verbose || (i != 2 && i != 3 && i != 11))
			table_cell(eb.streams, "%s", names[i]);
	for (size_t i = 0; i < s->n; i++)
		show_stream(&s->streams[i]);
}

/* --- output --------------------------------------------------------------------------- */

static void
print_tables(struct bytes *out)
{
	eb.facts = table_new("ll");
	show_buffer(&eb.snapshot);
	show_redis(&eb.snapshot.redis);
	table_print(out, eb.facts);
	show_streams(&eb.snapshot.redis);
	if (table_rows(eb.streams) > 1) {
		if (out->len > 0)
			bytes_addc(out, '\n');
		table_print(out, eb.streams);
	}
	table_free(eb.facts);
	table_free(eb.streams);
}

static void
print_json(struct bytes *out)
{
	char now[CLOCK_SIZE];

	clock_format(clock_now(), now);
	bytes_addf(out, "{\"time\":\"%s\",", now);
	snapshot_json(out, &eb.snapshot);
	survey_streams_json(out, &eb.snapshot.redis);
	bytes_adds(out, "}\n");
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
write_ebstat_output(const struct bytes *out, int status)
{
	if (io_write_all(STDOUT_FILENO, out->p, out->len) == 0)
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
	struct bytes out = {0};
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
		print_json(&out);
	else
		print_tables(&out);
	status = write_ebstat_output(&out, ebstat_status(&eb.snapshot));
	bytes_free(&out);
	snapshot_free(&eb.snapshot);
	conf_free(&eb.conf);
	return status;
}
