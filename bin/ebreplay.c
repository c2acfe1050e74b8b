/*
 * ebreplay: drains the disk buffer into Redis, maintains it, and re-drives dead letters
 * (ebreplay(1)).
 */
#include <err.h>
#include <errno.h>
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
#include "buffer/backlog.h"
#include "buffer/buffer.h"
#include "cli/optvalue.h"
#include "conf/conf.h"
#include "drain/redrive.h"
#include "drain/retry.h"
#include "report/bufferfmt.h"
#include "report/drainfmt.h"
#include "report/maintain.h"

enum {
	OPT_DRY_RUN = 256,
	OPT_LIST,
	OPT_CHECK,
	OPT_LIMIT,
	OPT_RATE,
	OPT_WAIT,
	OPT_FORCE,
	OPT_MAXLEN,
	OPT_COMPRESS,
	OPT_RETARGET,
	OPT_DISCARD,
	OPT_YES,
	OPT_QUARANTINE,
	OPT_DEAD,
	OPT_MATCH,
	OPT_SINCE
};

/* clang-format off */
static const struct option options[] = {
	CONF_LONG,
	{"dry-run", no_argument, NULL, OPT_DRY_RUN},
	{"list", no_argument, NULL, OPT_LIST},
	{"check", no_argument, NULL, OPT_CHECK},
	{"limit", required_argument, NULL, OPT_LIMIT},
	{"rate", required_argument, NULL, OPT_RATE},
	{"wait", required_argument, NULL, OPT_WAIT},
	{"force", no_argument, NULL, OPT_FORCE},
	{"maxlen", required_argument, NULL, OPT_MAXLEN},
	{"compress", no_argument, NULL, OPT_COMPRESS},
	{"retarget", no_argument, NULL, OPT_RETARGET},
	{"discard", no_argument, NULL, OPT_DISCARD},
	{"yes", no_argument, NULL, OPT_YES},
	{"quarantine", required_argument, NULL, OPT_QUARANTINE},
	{"dead", no_argument, NULL, OPT_DEAD},
	{"match", required_argument, NULL, OPT_MATCH},
	{"since", required_argument, NULL, OPT_SINCE},
	{NULL, 0, NULL, 0},
};
/* clang-format on */

/* What to do instead of draining. */
static const struct action {
	int option;
	const char *word; /* argument of --quarantine */
	bool changes;
	int what; /* enum maintain_op when it changes the buffer, else enum bufferfmt_view */
	const char *needs_yes; /* the message without --yes; NULL: not needed */
} actions[] = {
    {OPT_DRY_RUN, NULL, false, BUFFERFMT_DRAIN, NULL},
    {OPT_LIST, NULL, false, BUFFERFMT_UNDELIVERED, NULL},
    {OPT_CHECK, NULL, false, BUFFERFMT_CHECK, NULL},
    {OPT_COMPRESS, NULL, true, MAINTAIN_COMPRESS, NULL},
    {OPT_RETARGET, NULL, true, MAINTAIN_RETARGET, NULL},
    {OPT_DISCARD, NULL, true, MAINTAIN_DISCARD,
        "--discard moves every undelivered event into quarantine; confirm with --yes"},
    {OPT_QUARANTINE, "list", false, BUFFERFMT_QUARANTINE, NULL},
    {OPT_QUARANTINE, "retry", true, MAINTAIN_RETRY, NULL},
    {OPT_QUARANTINE, "drop", true, MAINTAIN_DROP,
        "--quarantine drop deletes the lines that could not be replayed; confirm with --yes"},
};

static struct ebreplay {
	struct conf conf;
	struct drain_options drain;
	struct append_limits limits;
	struct requeue_names names;
	struct redrive_options redrive;
	struct table dead_letters; /* of a dry run */
	/* NULL: drain the buffer, or re-drive dead letters */
	const struct action *action;
	bool dead, since;  /* --dead, --since */
	bool yes, verbose; /* verbose: -v or a terminal, and no -q */
	int64_t wait_ms;
	char target[1024];
	struct drain_result result;
	uint64_t total; /* at the start, for the progress line */
	int64_t started, shown;
	int status;
} eb;

#define NUMBER "a number expected"

static volatile sig_atomic_t stopped;

static void
ebreplay_usage(FILE *to)
{
	fputs("usage: ebreplay [-hjqvV] [-b dir] [-p prefix] [-s service] [-t seconds] [-u url] "
	      "[--force] [--limit n]\n"
	      "                [--maxlen n] [--rate n] [--wait seconds]\n"
	      "       ebreplay --check | --dry-run | --list [-jq] [-b dir] [-p prefix] [-u url] "
	      "[--limit n]\n"
	      "       ebreplay --compress | --retarget | --discard --yes [-qv] [-b dir] [-p "
	      "prefix] [-u url]\n"
	      "       ebreplay --quarantine list | retry | drop [-jqv] [-b dir] [-p prefix] [-u "
	      "url] [--yes] [file ...]\n"
	      "       ebreplay --dead [-jqv] [-p prefix] [-t seconds] [-u url] [--dry-run] "
	      "[--force] [--limit n]\n"
	      "                [--match field=value] [--maxlen n] [--rate n] [--since where] type "
	      "...\n",
	    to);
}

static void
ebreplay_worse(int status)
{
	eb.status = status_worse(eb.status, status);
}

static void
on_ebreplay_signal(int sig)
{
	stopped = sig;
}

static void __attribute__((noreturn, format(printf, 1, 2))) ebreplay_bad_usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vwarnx(fmt, ap);
	va_end(ap);
	ebreplay_usage(stderr);
	exit(STATUS_USAGE);
}

/* Status 64 for a malformed value, 78 for one that cannot be used. */
static void __attribute__((noreturn)) ebreplay_bad_option(const struct err *err)
{
	if (err->status == STATUS_USAGE)
		ebreplay_bad_usage("%s", err->text);
	errx(err->status, "%s", err->text);
}

/* --- progress ------------------------------------------------------------------------- */

static void
clear_progress(void)
{
	if (eb.shown)
		fputs("\r\033[K", stderr);
}

static void
on_replay_message(void *arg, const char *text)
{
	(void)arg;
	if (eb.conf.quiet)
		return;
	clear_progress();
	warnx("%s", text);
}

/* One line on a terminal, at most ten times a second. */
static void
show_progress(void *arg, uint64_t delivered)
{
	int64_t now = clock_mono(), ms = now - eb.started;
	struct bytes out = {0};

	(void)arg;
	if (now - eb.shown < 100 || ms <= 0)
		return;
	clear_progress();
	eb.shown = now;
	drainfmt_progress(&out, eb.result.replayed + eb.result.found + delivered, eb.total, ms);
	fputs(bytes_str(&out), stderr);
	bytes_free(&out);
}

/* --- draining ---------------------------------------------------------------------------- */

/* Prints JSON, or on a terminal or with -v text. Frees the report. */
static void
print_report(struct bytes *out)
{
	clear_progress();
	if (eb.conf.json)
		puts(bytes_str(out));
	else if (eb.verbose)
		warnx("%s", bytes_str(out));
	bytes_free(out);
}

static void
print_drain_report(void)
{
	struct bytes out = {0};

	drainfmt_result(&out, eb.conf.json, &eb.result, eb.status, clock_mono() - eb.started);
	print_report(&out);
}

/* buf: NULL when there is no directory. */
static void
drain_buffer(struct buffer *buf)
{
	struct backlog b;
	struct err err;
	bool due = false;

	if (buf != NULL)
		buffer_remove_stale(buf);
	if (buf != NULL && retry_has_work(buf, &due, &err) == -1)
		errx(err.status, "%s", err.text);
	if (due) {
		if (isatty(STDERR_FILENO) && !eb.conf.quiet && backlog_read(buf, &b, &err) == 0) {
			eb.total = b.events;
			backlog_free(&b);
			eb.drain.progress = show_progress;
		}
		ebreplay_worse(retry_drain(buf, &eb.drain, &eb.result, eb.wait_ms, eb.verbose));
		if (stopped && eb.result.left)
			ebreplay_worse(128 + stopped);
	}
	print_drain_report();
}

/* --- showing the buffer --------------------------------------------------------------- */

static int
print_record(void *arg, const char *text)
{
	(void)arg;
	puts(text);
	return ferror(stdout);
}

/* buf: NULL when there is no directory. */
static void
inspect_buffer(struct buffer *buf)
{
	enum bufferfmt_view what = (enum bufferfmt_view)eb.action->what;
	struct bufferfmt l = {
	    .table = {.json = eb.conf.json, .quiet = eb.conf.quiet, .emit = print_record},
	    .limit = what == BUFFERFMT_UNDELIVERED ? eb.drain.limit : 0,
	    .target = eb.target,
	    .names = eb.names};
	struct err err;

	if (buf == NULL)
		bufferfmt_show_empty(&l, what, eb.conf.buffer);
	else if (bufferfmt_show(&l, what, buf, &err) == -1)
		errx(err.status, "%s", err.text);
	ebreplay_worse(l.status);
	table_end(&l.table);
}

/* --- changing the buffer -------------------------------------------------------------- */

static void
change_buffer(struct buffer *buf)
{
	const struct maintain u = {.target = eb.target, .limits = &eb.limits, .names = eb.names};
	struct bytes report = {0};
	uint64_t kept;
	struct err err;
	int ok = maintain_run(&u, (enum maintain_op)eb.action->what, buf, &report, &kept, &err);

	if (report.len > 0 && eb.verbose)
		warnx("%s", bytes_str(&report));
	bytes_free(&report);
	if (kept > 0) {
		warnx("%llu line%s kept in '%s/quarantine': not an event", (unsigned long long)kept,
		    kept == 1 ? "" : "s", buf->dir);
		ebreplay_worse(STATUS_SOME);
	}
	if (ok == -1)
		errx(err.status, "%s", err.text);
}

/* --- dead letters --------------------------------------------------------------------- */

static int
print_dead_letter(void *arg, const struct redrive_preview *l)
{
	(void)arg;
	return drainfmt_dead_letter(&eb.dead_letters, l);
}

static void
show_redrive_progress(void *arg, uint64_t moved, uint64_t of)
{
	eb.total = of;
	show_progress(arg, moved);
}

static void
print_redrive_report(const struct redrive_result *r)
{
	struct bytes out = {0};

	drainfmt_redrive(&out, eb.conf.json, r, eb.status, clock_mono() - eb.started);
	print_report(&out);
}

static void
redrive_dead_letters(void)
{
	struct redrive_options *o = &eb.redrive;
	struct redrive_result r;

	o->conf = &eb.conf;
	o->maxlen = eb.drain.maxlen;
	o->force = eb.drain.force;
	o->limit = eb.drain.limit;
	o->rate = eb.drain.rate;
	o->stop = &stopped;
	o->say = on_replay_message;
	if (eb.action != NULL)
		o->dry = print_dead_letter;
	else if (isatty(STDERR_FILENO) && !eb.conf.quiet)
		o->progress = show_redrive_progress;
	eb.dead_letters =
	    (struct table){.json = eb.conf.json, .quiet = eb.conf.quiet, .emit = print_record};
	redrive_run(o, &r);
	table_end(&eb.dead_letters);
	ebreplay_worse(r.status);
	if (stopped && r.left)
		ebreplay_worse(128 + stopped);
	if (o->dry == NULL)
		print_redrive_report(&r);
	redrive_free(o);
}

/* --- the command line ----------------------------------------------------------------- */

static int
set_action(int option, const char *word, struct err *err)
{
	const struct action *a = actions, *end = actions + sizeof(actions) / sizeof(*actions);

	while (a < end && (a->option != option || (a->word != NULL && strcmp(a->word, word) != 0)))
		a++;
	if (a == end)
		return err_set(
		    err, STATUS_USAGE, "--quarantine %s: expected list, retry or drop", word);
	if (eb.action != NULL && eb.action != a)
		return err_set(err, STATUS_USAGE,
		    "--dry-run, --list, --check, --compress, --retarget, --discard and "
		    "--quarantine exclude each other");
	eb.action = a;
	return 0;
}

/* Returns as conf_option. */
static int
take_ebreplay_option(int ch, const char *arg, struct err *err)
{
	int ok = 0;

	switch (ch) {
	case OPT_DRY_RUN:
	case OPT_LIST:
	case OPT_CHECK:
	case OPT_COMPRESS:
	case OPT_RETARGET:
	case OPT_DISCARD:
	case OPT_QUARANTINE: ok = set_action(ch, arg, err); break;
	case OPT_DEAD: eb.dead = true; break;
	case OPT_MATCH: ok = redrive_add_match(&eb.redrive, arg, err); break;
	case OPT_SINCE:
		eb.since = true;
		ok = redrive_set_since(&eb.redrive, arg, err);
		break;
	case OPT_YES: eb.yes = true; break;
	case OPT_FORCE: eb.drain.force = true; break;
	case OPT_LIMIT:
		ok = optvalue_number("--limit", arg, INT64_MAX, NUMBER, &eb.drain.limit, err);
		break;
	case OPT_RATE:
		ok = optvalue_number("--rate", arg, INT64_MAX, NUMBER, &eb.drain.rate, err);
		break;
	case OPT_MAXLEN:
		ok = optvalue_count("--maxlen", arg, 0, NUMBER, &eb.drain.maxlen, err);
		break;
	case OPT_WAIT:
		ok = optvalue_span("--wait", arg, 0, "seconds expected", &eb.wait_ms, err);
		break;
	default: return 0;
	}
	return ok == -1 ? -1 : 1;
}

static void
read_ebreplay_options(int argc, char **argv)
{
	struct err err;
	int ch, r;

	conf_init(&eb.conf);
	eb.drain.maxlen = -1;
	while ((ch = getopt_long(argc, argv, CONF_SHORT, options, NULL)) != -1) {
		if ((r = conf_option(&eb.conf, ch, optarg, &err)) == 0)
			r = take_ebreplay_option(ch, optarg, &err);
		if (r == -1)
			ebreplay_bad_option(&err);
		if (r == 0) {
			ebreplay_usage(stderr);
			exit(STATUS_USAGE);
		}
	}
	if (conf_finish(&eb.conf, argc, argv, &err) == -1)
		errx(err.status, "%s", err.text);
}

static void
check_ebreplay_arguments(char **args, size_t n)
{
	struct err err;

	if (!eb.dead && (eb.since || eb.redrive.matches))
		ebreplay_bad_usage("--match and --since need --dead");
	if (!eb.dead && n > 0 && (eb.action == NULL || eb.action->option != OPT_QUARANTINE))
		ebreplay_bad_usage(
		    "'%s': unexpected argument; ebreplay drains the whole buffer", *args);
	if (!eb.dead)
		return;
	if (eb.action != NULL && eb.action->option != OPT_DRY_RUN)
		ebreplay_bad_usage("--dead cannot be combined with another action than --dry-run");
	if (eb.wait_ms || eb.yes)
		ebreplay_bad_usage("--wait and --yes cannot be combined with --dead");
	if (redrive_set_types(&eb.redrive, args, n, &err) == -1)
		ebreplay_bad_usage("%s", err.text);
}

static void
prepare_replay(void)
{
	eb.verbose = !eb.conf.quiet && (eb.conf.verbose || isatty(STDERR_FILENO));
	snprintf(eb.target, sizeof(eb.target), "%s %s", eb.conf.address, eb.conf.prefix);
	eb.limits = (struct append_limits){
	    .segment_max = APPEND_SEGMENT_MAX, .lock_ms = eb.conf.timeout_ms};
	eb.drain.conf = &eb.conf;
	eb.drain.target = eb.target;
	eb.drain.limits = &eb.limits;
	eb.drain.all = true;
	eb.drain.stop = &stopped;
	eb.drain.say = on_replay_message;
	eb.started = clock_mono();
	if (eb.action != NULL && eb.action->needs_yes != NULL && !eb.yes)
		ebreplay_bad_usage("%s", eb.action->needs_yes);
}

static int
ebreplay_finish(void)
{
	if (fflush(stdout) == EOF || ferror(stdout)) {
		warn("write standard output");
		ebreplay_worse(STATUS_UNSAFE);
	}
	return eb.status;
}

static void
run_on_buffer(void)
{
	struct err err;
	const char *dir = conf_buffer(&eb.conf, &err);
	struct buffer *buf = dir != NULL ? buffer_open(dir, false, &err) : NULL;

	if (buf == NULL && (dir == NULL || err.sys != ENOENT))
		errx(err.status, "%s", err.text);
	if (eb.action == NULL)
		drain_buffer(buf);
	else if (!eb.action->changes)
		inspect_buffer(buf);
	else if (buf != NULL)
		change_buffer(buf);
	buffer_close(buf);
}

int
main(int argc, char **argv)
{
	process_init();
	read_ebreplay_options(argc, argv);
	if (eb.conf.help || eb.conf.version) {
		if (eb.conf.help)
			ebreplay_usage(stdout);
		else
			puts("ebreplay " EB_VERSION);
		return ebreplay_finish();
	}
	eb.names = (struct requeue_names){argv + optind, (size_t)(argc - optind)};
	check_ebreplay_arguments(argv + optind, (size_t)(argc - optind));
	prepare_replay();
	process_on_signal(SIGTERM, on_ebreplay_signal);
	process_on_signal(SIGINT, on_ebreplay_signal);
	if (eb.dead)
		redrive_dead_letters();
	else
		run_on_buffer();
	conf_free(&eb.conf);
	return ebreplay_finish();
}
