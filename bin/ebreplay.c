/* ebreplay: drains the disk buffer into Redis (ebreplay(1)). */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/status.h"
#include "buffer/adopt.h"
#include "buffer/backlog.h"
#include "buffer/buffer.h"
#include "cli/cli.h"
#include "drain/retry.h"
#include "report/drainfmt.h"

static struct ebreplay {
	struct conf conf;
	bool dry_run;
	struct drain_options drain;
	struct append_limits limits;
	int64_t wait_ms;
	struct drain_result result;
	uint64_t total; /* at the start, for the progress line */
	int64_t started;
} eb = {.drain = {.maxlen = -1, .all = true}};

/* --- draining ---------------------------------------------------------------------------- */

static void
show_drain_progress(void *arg, uint64_t delivered)
{
	(void)arg;
	cli_progress(eb.result.replayed + eb.result.found + delivered, eb.total, eb.started);
}

static void
drain_due_events(struct buffer *buf)
{
	struct backlog b;
	struct err err;

	if (isatty(STDERR_FILENO) && !eb.conf.quiet && backlog_read(buf, &b, &err) == 0) {
		eb.total = b.events;
		backlog_free(&b);
		eb.drain.progress = show_drain_progress;
	}
	eb.result.status = retry_drain(buf, &eb.drain, &eb.result, eb.wait_ms, cli_verbose());
	if (cli_stopped && eb.result.left)
		eb.result.status = status_worse(eb.result.status, 128 + cli_stopped);
}

/* As a drain does. */
static void
say_foreign_files(struct buffer *buf)
{
	struct bytes text = {0};

	if (drain_describe_foreign(buf, &text))
		cli_say(NULL, bytes_str(&text));
	bytes_free(&text);
}

/* buf: NULL when there is no directory. */
static void
drain_buffer(struct buffer *buf)
{
	struct bytes out = {0};
	struct err err;
	bool due = false;

	if (buf != NULL)
		buffer_remove_stale(buf);
	if (buf != NULL && retry_has_work(buf, &due, &err) == -1)
		cli_fail(&err);
	if (due)
		drain_due_events(buf);
	else if (buf != NULL && cli_verbose())
		say_foreign_files(buf);
	if (buf != NULL && adopt_remove_empty(buf, &err) == -1)
		cli_say(NULL, err.text);
	cli_worse(eb.result.status);
	drainfmt_result(&out, &eb.result, eb.conf.json, clock_mono() - eb.started);
	if (eb.conf.json)
		cli_print(NULL, bytes_str(&out));
	else if (cli_verbose())
		cli_warn("%s", bytes_str(&out));
	bytes_free(&out);
}

static void
preview_drain(struct buffer *buf)
{
	struct backlog b = {.dir = eb.conf.buffer};
	struct bytes out = {0};
	struct err err;

	if (buf != NULL && backlog_read(buf, &b, &err) == -1)
		cli_fail(&err);
	if (eb.conf.json)
		backlog_json(&out, &b);
	else
		drainfmt_preview(&out, &b, eb.conf.target);
	cli_print(NULL, bytes_str(&out));
	bytes_free(&out);
	if (buf != NULL)
		backlog_free(&b);
}

/* --- the command line ----------------------------------------------------------------- */

static const struct cli_option options[] = {
    CLI_HEAD(0, "What is replayed"),
    CLI_FLAG(0, "dry-run", &eb.dry_run, "print what would be replayed, and to where"),
    CLI_NUMBER(0, "limit", "n", 0, 0, &eb.drain.limit, "stop after n events"),
    CLI_HEAD(0, "How"),
    CLI_FLAG(0, "force", &eb.drain.force, "also into full streams; trims unread entries"),
    CLI_COUNT(0, "maxlen", "n", 0, 0, &eb.drain.maxlen, "limit of streams; 0: none"),
    CLI_NUMBER(0, "rate", "n", 0, 0, &eb.drain.rate, "at most n events a second"),
    CLI_SPAN(
        0, "wait", "seconds", 0, 0, &eb.wait_ms, "try again for so long while events are left"),
    CLI_END,
};

static const struct cli_old old[] = {
    {"--check", "ebbuffer check"},
    {"--compress", "ebbuffer compress"},
    {"--dead", "ebdead redrive"},
    {"--discard", "ebbuffer discard"},
    {"--list", "ebbuffer list"},
    {"--match", "ebdead redrive --match"},
    {"--quarantine", "ebbuffer quarantine"},
    {"--retarget", "ebbuffer retarget"},
    {"--since", "ebdead redrive --since"},
    {"--yes", "ebbuffer ... --yes"},
    {0},
};

static const struct cli_command command = {.name = "ebreplay",
    .conf = &eb.conf,
    .about = {"Drains the disk buffer into Redis: each event once, each type in its order.",
        "It can be killed at any moment and run again."},
    .usage = {"[option ...]"},
    .examples = {"ebreplay", "ebreplay --dry-run", "ebreplay --wait 60 -v"},
    .statuses = "0 drained, 1 lines kept, 74 unsafe, 75 events left, 78 config",
    .options = options,
    .old = old};

int
main(int argc, char **argv)
{
	struct cli_args args = cli_start(&command, argc, argv);
	struct buffer *buf;
	const char *dir;
	struct err err;

	if (args.n > 0)
		cli_bad_usage(
		    "'%s': unexpected argument; ebreplay drains the whole buffer", *args.v);
	eb.limits = drain_append_limits(&eb.conf);
	eb.drain.conf = &eb.conf;
	eb.drain.limits = &eb.limits;
	eb.drain.stop = &cli_stopped;
	eb.drain.say = cli_say;
	eb.started = clock_mono();
	cli_stop_on(SIGTERM);
	cli_stop_on(SIGINT);
	dir = conf_buffer(&eb.conf, &err);
	buf = dir != NULL ? buffer_open(dir, false, &err) : NULL;
	if (buf == NULL && (dir == NULL || err.sys != ENOENT))
		cli_fail(&err);
	(eb.dry_run ? preview_drain : drain_buffer)(buf);
	buffer_close(buf);
	return cli_finish();
}
