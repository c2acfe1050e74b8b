/* ebbuffer: shows and changes the disk buffer by hand (ebbuffer(1)). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/status.h"
#include "buffer/adopt.h"
#include "buffer/buffer.h"
#include "buffer/inspect.h"
#include "buffer/requeue.h"
#include "buffer/setaside.h"
#include "cli/cli.h"
#include "drain/options.h"
#include "report/bufferfmt.h"

static struct ebbuffer {
	struct conf conf;
	bool yes;
	uint64_t limit; /* lines still to print; 0: all */
	struct table table;
	struct buffer *buf; /* NULL: no directory, which counts as an empty buffer */
	struct append_limits limits;
	struct setaside aside;
	const char *reason; /* of set-aside */
	bool dry_run;
} eb = {.reason = "set aside by hand (ebbuffer set-aside)"};

/* --- list, check ------------------------------------------------------------------------- */

static int
print_line(void *arg, const struct inspect_line *l)
{
	(void)arg;
	if (l->bad != NULL)
		cli_worse(STATUS_SOME);
	return bufferfmt_line(&eb.table, l) || (eb.limit > 0 && --eb.limit == 0);
}

static int
run_list(char **args, size_t n, struct err *err)
{
	(void)args, (void)n;
	eb.table.width = cli_columns();
	return inspect_lines(eb.buf, print_line, NULL, err);
}

static int
run_check(char **args, size_t n, struct err *err)
{
	struct inspect_report r = {0};

	(void)args, (void)n;
	eb.table.titled = true; /* bad lines stand without titles */
	if (eb.buf != NULL &&
	    inspect_check(eb.buf, &r, eb.conf.json ? NULL : print_line, NULL, err) == -1)
		return -1;
	bufferfmt_check(&eb.table, &r);
	if (r.bad || r.disorder || r.ignored || r.suspect)
		cli_worse(STATUS_SOME);
	if (r.vanished || r.unreadable)
		cli_worse(STATUS_UNSAFE);
	return 0;
}

/* --- compress, retarget, discard ------------------------------------------------------------ */

static int
run_compress(char **args, size_t n, struct err *err)
{
	size_t files = 0;
	int ok = inspect_compress(eb.buf, &files, err);

	(void)args, (void)n;
	if (cli_verbose())
		cli_warn("%zu segments compressed", files);
	return ok;
}

static int
run_retarget(char **args, size_t n, struct err *err)
{
	struct buffer_hints hints;

	(void)args, (void)n;
	if (buffer_lock(eb.buf, eb.limits.lock_ms, &hints, err) == -1 ||
	    buffer_retarget(eb.buf, eb.conf.target, err) == -1)
		return -1;
	if (cli_verbose())
		cli_warn("buffer '%s' now belongs to %s", eb.buf->dir, eb.conf.target);
	return 0;
}

static int
run_discard(char **args, size_t n, struct err *err)
{
	uint64_t lines = 0;
	int ok = inspect_discard(eb.buf, eb.limits.lock_ms, &lines, err);

	(void)args, (void)n;
	if (cli_verbose())
		cli_warn(
		    "%llu events moved to '%s/quarantine'", (unsigned long long)lines, eb.buf->dir);
	return ok;
}

/* --- set-aside ---------------------------------------------------------------------------- */

static int
take_aside_match(const char *option, const char *arg, struct err *err)
{
	(void)option;
	return setaside_add_match(&eb.aside, arg, err);
}

static int
print_chosen_line(void *arg, const struct inspect_line *l)
{
	if (l->bad != NULL || !setaside_chooses(&eb.aside, &l->line->e))
		return 0;
	(*(uint64_t *)arg)++;
	return bufferfmt_line(&eb.table, l);
}

static int
move_chosen_lines(struct setaside_result *r, struct err *err)
{
	if (setaside_run(eb.buf, &eb.aside, eb.reason, eb.limits.lock_ms, r, err) == -1)
		return -1;
	if (r->kept > 0) {
		cli_warn(
		    "%s: %llu events stay in the buffer", r->why.text, (unsigned long long)r->kept);
		cli_worse(r->why.status);
	}
	return 0;
}

static void
report_unknown_ids(uint64_t moved)
{
	uint64_t unknown = 0;

	for (size_t i = 0; i < eb.aside.nids; i++)
		if (!eb.aside.seen[i]) {
			cli_warn("'%s': no event with this event_id waits in the buffer",
			    eb.aside.ids[i]);
			cli_worse(STATUS_SOME);
			unknown++;
		}
	if (!eb.dry_run && eb.conf.json)
		bufferfmt_set_aside(&eb.table, moved, unknown);
	else if (!eb.dry_run && cli_verbose())
		cli_warn("%llu events moved to '%s/quarantine'", (unsigned long long)moved,
		    eb.conf.buffer);
}

static int
run_set_aside(char **ids, size_t n, struct err *err)
{
	struct setaside_result r = {0};
	int ok = 0;

	if (n == 0 && eb.aside.nmatch == 0)
		return err_set(err, STATUS_USAGE, "set-aside: name events by event_id or --match");
	if (!json_is_utf8(eb.reason, strlen(eb.reason)))
		return err_set(err, STATUS_USAGE, "--reason: not UTF-8");
	eb.aside.ids = ids;
	eb.aside.nids = n;
	eb.aside.seen = mem_alloc(n * sizeof(*eb.aside.seen));
	eb.table.width = cli_columns();
	if (eb.buf != NULL)
		ok = eb.dry_run ? inspect_lines(eb.buf, print_chosen_line, &r.moved, err)
		                : move_chosen_lines(&r, err);
	if (ok == 0)
		report_unknown_ids(r.moved);
	free(eb.aside.seen);
	free(eb.aside.match);
	return ok;
}

/* --- adopt --------------------------------------------------------------------------------- */

static int
run_adopt(char **files, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		if (adopt_named_file(eb.buf, files[i], err) == -1)
			return -1;
		if (cli_verbose())
			cli_warn("'%s' adopted: ebreplay sends its events", files[i]);
	}
	return 0;
}

/* --- quarantine --------------------------------------------------------------------------- */

static int
print_quarantined(void *arg, const struct requeue_line *l)
{
	(void)arg;
	return bufferfmt_quarantined(&eb.table, l);
}

static int
run_quarantine_list(char **files, size_t n, struct err *err)
{
	struct requeue_names names = {files, n};

	return requeue_list_quarantine(eb.buf, &names, print_quarantined, NULL, err);
}

static int
export_line(void *arg, const struct requeue_line *l)
{
	(void)arg;
	if (l->damaged) {
		cli_warn("'%s/quarantine/%s' is damaged: it cannot be read to its end", eb.buf->dir,
		    l->file);
		cli_worse(STATUS_SOME);
		return 0;
	}
	return cli_write(l->line.p, l->line.n) || cli_write("\n", 1);
}

static int
run_quarantine_export(char **files, size_t n, struct err *err)
{
	struct requeue_names names = {files, n};

	return requeue_list_quarantine(eb.buf, &names, export_line, NULL, err);
}

static int
run_quarantine_retry(char **files, size_t n, struct err *err)
{
	struct requeue_names names = {files, n};
	struct requeue_result r;
	int ok = requeue_retry(eb.buf, eb.conf.target, &eb.limits, &names, &r, err);

	if (cli_verbose())
		cli_warn("%llu events returned to the buffer", (unsigned long long)r.back);
	if (r.kept > 0) {
		cli_warn("%llu line%s kept in '%s/quarantine': not an event",
		    (unsigned long long)r.kept, r.kept == 1 ? "" : "s", eb.buf->dir);
		cli_worse(STATUS_SOME);
	}
	return ok;
}

static int
run_quarantine_drop(char **files, size_t n, struct err *err)
{
	struct requeue_names names = {files, n};
	struct requeue_result r;
	int ok = requeue_drop(eb.buf, &names, &r, err);

	if (cli_verbose())
		cli_warn("%llu lines deleted from '%s/quarantine'", (unsigned long long)r.dropped,
		    eb.buf->dir);
	return ok;
}

/* --- the command line ------------------------------------------------------------------ */

enum {
	LIST,
	CHECK,
	COMPRESS,
	RETARGET,
	DISCARD,
	SET_ASIDE,
	ADOPT,
	QUARANTINE_LIST,
	QUARANTINE_RETRY,
	QUARANTINE_EXPORT,
	QUARANTINE_DROP
};

static const struct cli_mode modes[] = {
    [LIST] = {"list", "", 0, 0, "print the events that wait", run_list, NULL},
    [CHECK] = {"check", "", 0, 0, "read every line of every segment, and count", run_check, NULL},
    [COMPRESS] = {"compress", "", 0, 0, "compress the segments that are complete", run_compress,
        NULL},
    [RETARGET] = {"retarget", "", 0, 0, "assign the events to the Redis and prefix of -u and -p",
        run_retarget, NULL},
    [DISCARD] = {"discard", "", 0, 0, "move all waiting events to quarantine", run_discard,
        "moves every undelivered event into quarantine"},
    [SET_ASIDE] = {"set-aside", "[event-id ...]", 0, SIZE_MAX,
        "move single waiting events to quarantine", run_set_aside, NULL},
    [ADOPT] = {"adopt", "file ...", 1, SIZE_MAX,
        "take over files of plain writers with other names", run_adopt, NULL},
    [QUARANTINE_LIST] = {"quarantine list", "[file ...]", 0, SIZE_MAX,
        "print the lines that cannot be replayed", run_quarantine_list, NULL},
    [QUARANTINE_RETRY] = {"quarantine retry", "[file ...]", 0, SIZE_MAX,
        "put quarantined events back into the buffer", run_quarantine_retry, NULL},
    [QUARANTINE_EXPORT] = {"quarantine export", "[file ...]", 0, SIZE_MAX,
        "print the quarantined lines, byte for byte", run_quarantine_export, NULL},
    [QUARANTINE_DROP] = {"quarantine drop", "[file ...]", 0, SIZE_MAX, "delete quarantined lines",
        run_quarantine_drop, "deletes the lines that could not be replayed"},
    {0},
};

#define IN(mode) (1u << (mode))

static const struct cli_option options[] = {
    CLI_HEAD(IN(LIST), "Options of list"),
    CLI_NUMBER(0, "limit", "n", 0, 0, &eb.limit, "stop after n events"),
    CLI_HEAD(IN(SET_ASIDE), "Options of set-aside"),
    CLI_CALL(
        0, "match", "field=value", take_aside_match, "only those with this field; all must match"),
    CLI_NAME(0, "reason", "text", &eb.reason, "recorded with the events"),
    CLI_FLAG(0, "dry-run", &eb.dry_run, "print what would be moved"),
    CLI_HEAD(IN(DISCARD) | IN(SET_ASIDE) | IN(QUARANTINE_DROP),
        "Options of discard, set-aside and quarantine drop"),
    CLI_FLAG(0, "yes", &eb.yes, "do it; set-aside does not need it"),
    CLI_END,
};

static const struct cli_command command = {.name = "ebbuffer",
    .conf = &eb.conf,
    .about = {"Shows and changes the disk buffer by hand: the events that wait for Redis,",
        "and the lines in quarantine. ebreplay(1) drains it."},
    .examples = {"ebbuffer list", "ebbuffer quarantine list", "ebbuffer check"},
    .statuses = "0 done, 1 bad lines, 64 usage, 74 unsafe, 75 try again, 78 config",
    .options = options,
    .modes = modes};

/* Keeps replays away until buffer_close when the mode changes the buffer; 75 while one runs. */
static int
open_buffer(unsigned mode, struct err *err)
{
	const char *dir = conf_buffer(&eb.conf, err);

	eb.buf = dir != NULL ? buffer_open(dir, mode == IN(ADOPT), err) : NULL;
	if (eb.buf == NULL)
		return dir != NULL && err->sys == ENOENT ? 0 : -1;
	return eb.dry_run ||
	        (mode & (IN(LIST) | IN(CHECK) | IN(QUARANTINE_LIST) | IN(QUARANTINE_EXPORT))) != 0
	    ? 0
	    : buffer_replay_lock(eb.buf, err);
}

int
main(int argc, char **argv)
{
	struct cli_args args = cli_start(&command, argc, argv);
	unsigned mode = IN(args.mode - modes);
	struct err err;

	eb.limits = drain_append_limits(&eb.conf);
	eb.table = (struct table){.json = eb.conf.json, .quiet = eb.conf.quiet, .emit = cli_print};
	if (open_buffer(mode, &err) == -1 ||
	    (eb.buf == NULL && args.n > 0 && mode != IN(SET_ASIDE) &&
	        requeue_refuse_name(eb.conf.buffer, args.v[0], &err) == -1) ||
	    ((eb.buf != NULL || (mode & (IN(CHECK) | IN(SET_ASIDE))) != 0) &&
	        args.mode->run(args.v, args.n, &err) == -1))
		cli_fail(&err);
	table_end(&eb.table);
	buffer_close(eb.buf);
	return cli_finish();
}
