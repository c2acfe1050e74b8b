/*
 * ebreplay: drains the disk buffer into Redis, maintains it, and re-drives dead letters
 * (ebreplay(1)).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/status.h"
#include "buffer/backlog.h"
#include "buffer/buffer.h"
#include "cli/cli.h"
#include "drain/redrive.h"
#include "drain/retry.h"
#include "report/bufferfmt.h"
#include "report/drainfmt.h"
#include "report/maintain.h"

/* What to do instead of draining. */
static const struct action {
	const char *option, *word; /* word: argument of --quarantine */
	bool changes;
	int what; /* enum maintain_op when it changes the buffer, else enum bufferfmt_view */
	const char *needs_yes; /* the message without --yes; NULL: not needed */
} actions[] = {
    {"--dry-run", NULL, false, BUFFERFMT_DRAIN, NULL},
    {"--list", NULL, false, BUFFERFMT_UNDELIVERED, NULL},
    {"--check", NULL, false, BUFFERFMT_CHECK, NULL},
    {"--compress", NULL, true, MAINTAIN_COMPRESS, NULL},
    {"--retarget", NULL, true, MAINTAIN_RETARGET, NULL},
    {"--discard", NULL, true, MAINTAIN_DISCARD,
        "--discard moves every undelivered event into quarantine; confirm with --yes"},
    {"--quarantine", "list", false, BUFFERFMT_QUARANTINE, NULL},
    {"--quarantine", "retry", true, MAINTAIN_RETRY, NULL},
    {"--quarantine", "drop", true, MAINTAIN_DROP,
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
	int64_t started;
} eb = {.drain.maxlen = -1};

/* --- progress ------------------------------------------------------------------------- */

static void
show_progress(void *arg, uint64_t delivered)
{
	int64_t ms = clock_mono() - eb.started;
	struct bytes out = {0};

	(void)arg;
	if (!cli_progress_due() || ms <= 0)
		return;
	drainfmt_progress(&out, eb.result.replayed + eb.result.found + delivered, eb.total, ms);
	cli_progress(bytes_str(&out));
	bytes_free(&out);
}

/* --- draining ---------------------------------------------------------------------------- */

/* Prints JSON, or on a terminal or with -v text. Frees the report. */
static void
print_report(struct bytes *out)
{
	if (eb.conf.json)
		cli_print(NULL, bytes_str(out));
	else if (eb.verbose)
		cli_warn("%s", bytes_str(out));
	bytes_free(out);
}

static void
print_drain_report(void)
{
	struct bytes out = {0};

	drainfmt_result(&out, eb.conf.json, &eb.result, cli_status(), clock_mono() - eb.started);
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
		cli_fail(&err);
	if (due) {
		if (isatty(STDERR_FILENO) && !eb.conf.quiet && backlog_read(buf, &b, &err) == 0) {
			eb.total = b.events;
			backlog_free(&b);
			eb.drain.progress = show_progress;
		}
		cli_worse(retry_drain(buf, &eb.drain, &eb.result, eb.wait_ms, eb.verbose));
		if (cli_stopped && eb.result.left)
			cli_worse(128 + cli_stopped);
	}
	print_drain_report();
}

/* --- showing the buffer --------------------------------------------------------------- */

/* buf: NULL when there is no directory. */
static void
inspect_buffer(struct buffer *buf)
{
	enum bufferfmt_view what = (enum bufferfmt_view)eb.action->what;
	struct bufferfmt l = {
	    .table = {.json = eb.conf.json, .quiet = eb.conf.quiet, .emit = cli_print},
	    .limit = what == BUFFERFMT_UNDELIVERED ? eb.drain.limit : 0,
	    .target = eb.target,
	    .names = eb.names};
	struct err err;

	if (buf == NULL)
		bufferfmt_show_empty(&l, what, eb.conf.buffer);
	else if (bufferfmt_show(&l, what, buf, &err) == -1)
		cli_fail(&err);
	cli_worse(l.status);
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
		cli_warn("%s", bytes_str(&report));
	bytes_free(&report);
	if (kept > 0) {
		cli_warn("%llu line%s kept in '%s/quarantine': not an event",
		    (unsigned long long)kept, kept == 1 ? "" : "s", buf->dir);
		cli_worse(STATUS_SOME);
	}
	if (ok == -1)
		cli_fail(&err);
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

	drainfmt_redrive(&out, eb.conf.json, r, cli_status(), clock_mono() - eb.started);
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
	o->stop = &cli_stopped;
	o->say = cli_say;
	if (eb.action != NULL)
		o->dry = print_dead_letter;
	else if (isatty(STDERR_FILENO) && !eb.conf.quiet)
		o->progress = show_redrive_progress;
	eb.dead_letters =
	    (struct table){.json = eb.conf.json, .quiet = eb.conf.quiet, .emit = cli_print};
	redrive_run(o, &r);
	table_end(&eb.dead_letters);
	cli_worse(r.status);
	if (cli_stopped && r.left)
		cli_worse(128 + cli_stopped);
	if (o->dry == NULL)
		print_redrive_report(&r);
	redrive_free(o);
}

/* --- the command line ----------------------------------------------------------------- */

static int
set_action(const char *option, const char *word, struct err *err)
{
	const struct action *a = actions, *end = actions + sizeof(actions) / sizeof(*actions);

	while (a < end &&
	    (strcmp(a->option, option) != 0 || (a->word != NULL && strcmp(a->word, word) != 0)))
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

static int
add_match(const char *option, const char *arg, struct err *err)
{
	(void)option;
	return redrive_add_match(&eb.redrive, arg, err);
}

static int
set_since(const char *option, const char *arg, struct err *err)
{
	(void)option;
	eb.since = true;
	return redrive_set_since(&eb.redrive, arg, err);
}

static const struct cli_option options[] = {
    CLI_HEAD(0, "Draining"),
    CLI_CALL(0, "dry-run", NULL, set_action, "show what would be done, change nothing"),
    CLI_FLAG(0, "force", &eb.drain.force, "drain into another target, or beyond limits"),
    CLI_NUMBER(0, "limit", "n", 0, 0, &eb.drain.limit, "stop after n events"),
    CLI_COUNT(0, "maxlen", "n", 0, 0, &eb.drain.maxlen, "trim the streams to about n entries"),
    CLI_NUMBER(0, "rate", "n", 0, 0, &eb.drain.rate, "send at most n events per second"),
    CLI_SPAN(0, "wait", "seconds", 0, 0, &eb.wait_ms, "keep trying for so long"),
    CLI_HEAD(0, "The buffer by hand"),
    CLI_CALL(0, "list", NULL, set_action, "print the undelivered events"),
    CLI_CALL(0, "check", NULL, set_action, "check the buffer"),
    CLI_CALL(0, "compress", NULL, set_action, "compress closed segments"),
    CLI_CALL(0, "retarget", NULL, set_action, "give the buffer to this target"),
    CLI_CALL(0, "discard", NULL, set_action, "move all undelivered events into quarantine"),
    CLI_CALL(0, "quarantine", "list|retry|drop", set_action, "the lines that cannot be replayed"),
    CLI_FLAG(0, "yes", &eb.yes, "confirm --discard or --quarantine drop"),
    CLI_HEAD(0, "Dead letters"),
    CLI_FLAG(0, "dead", &eb.dead, "move dead letters back to their streams"),
    CLI_CALL(0, "match", "field=value", add_match, "only those with this field"),
    CLI_CALL(0, "since", "where", set_since, "only those from then on"),
    CLI_END,
};

static const struct cli_command command = {
    .name = "ebreplay",
    .conf = &eb.conf,
    .about = {"Drains the disk buffer into Redis: in order, and each event once.",
        "A later run continues where one was stopped or killed."},
    .usage = {"[option ...]", "--quarantine list | retry | drop [option ...] [file ...]",
        "--dead [option ...] type ..."},
    .examples = {"ebreplay", "ebreplay --wait 30 --rate 1000", "ebreplay --dry-run"},
    .statuses = "0 done, 1 some kept, 64 usage, 69 no Redis, 75 try again, 78 config",
    .options = options,
};

static void
check_ebreplay_arguments(char **args, size_t n)
{
	struct err err;

	if (!eb.dead && (eb.since || eb.redrive.matches))
		cli_bad_usage("--match and --since need --dead");
	if (!eb.dead && n > 0 &&
	    (eb.action == NULL || strcmp(eb.action->option, "--quarantine") != 0))
		cli_bad_usage("'%s': unexpected argument; ebreplay drains the whole buffer", *args);
	if (!eb.dead)
		return;
	if (eb.action != NULL && strcmp(eb.action->option, "--dry-run") != 0)
		cli_bad_usage("--dead cannot be combined with another action than --dry-run");
	if (eb.wait_ms || eb.yes)
		cli_bad_usage("--wait and --yes cannot be combined with --dead");
	if (redrive_set_types(&eb.redrive, args, n, &err) == -1)
		cli_bad_usage("%s", err.text);
}

static void
prepare_replay(void)
{
	eb.verbose = cli_verbose();
	snprintf(eb.target, sizeof(eb.target), "%s %s", eb.conf.address, eb.conf.prefix);
	eb.limits = (struct append_limits){
	    .segment_max = APPEND_SEGMENT_MAX, .lock_ms = eb.conf.timeout_ms};
	eb.drain.conf = &eb.conf;
	eb.drain.target = eb.target;
	eb.drain.limits = &eb.limits;
	eb.drain.all = true;
	eb.drain.stop = &cli_stopped;
	eb.drain.say = cli_say;
	eb.started = clock_mono();
	if (eb.action != NULL && eb.action->needs_yes != NULL && !eb.yes)
		cli_bad_usage("%s", eb.action->needs_yes);
}

static void
run_on_buffer(void)
{
	struct err err;
	const char *dir = conf_buffer(&eb.conf, &err);
	struct buffer *buf = dir != NULL ? buffer_open(dir, false, &err) : NULL;

	if (buf == NULL && (dir == NULL || err.sys != ENOENT))
		cli_fail(&err);
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
	struct cli_args args = cli_start(&command, argc, argv);

	eb.names = (struct requeue_names){args.v, args.n};
	check_ebreplay_arguments(args.v, args.n);
	prepare_replay();
	cli_stop_on(SIGTERM);
	cli_stop_on(SIGINT);
	if (eb.dead)
		redrive_dead_letters();
	else
		run_on_buffer();
	return cli_finish();
}
