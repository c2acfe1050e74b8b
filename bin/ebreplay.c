#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backlog.h"
#include "compress.h"
#include "conf.h"
#include "inspect.h"
#include "listing.h"
#include "names.h"
#include "outage.h"
#include "point.h"
#include "redrive.h"
#include "replay.h"
#include "requeue.h"
#include "spool.h"
#include "status.h"
#include "tidy.h"
#include "util.h"
#include "when.h"

enum {
	OPT_DRY_RUN = 256, OPT_LIST, OPT_CHECK, OPT_LIMIT, OPT_RATE, OPT_WAIT, OPT_FORCE, OPT_MAXLEN, OPT_COMPRESS,
	OPT_RETARGET, OPT_DISCARD, OPT_YES, OPT_QUARANTINE, OPT_RETRY, OPT_DROP, OPT_DEAD,
	OPT_MATCH, OPT_SINCE
};

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
	{NULL, 0, NULL, 0}
};

static struct ebreplay {
	struct conf conf;
	struct drain_options drain;
	struct append_limits limits;
	struct requeue_names names;
	struct redrive_options dead;
	int action;		/* OPT_DRY_RUN ..., 0 for draining; OPT_QUARANTINE is its list */
	bool redrives, since;	/* --dead, --since */
	bool yes, loud;		/* loud: -v, or a terminal */
	int64_t wait_ms;
	char target[1024];
	struct drain_result sum;
	uint64_t total;		/* undelivered at the start, for the progress line */
	int64_t started, shown;
	int status;
} eb;

static volatile sig_atomic_t stopped;

static void
usage(FILE *to)
{
	fputs("usage: ebreplay [-hjqvV] [-b dir] [-p prefix] [-s service] [-t seconds] [-u url] [--force] [--limit n]\n"
	    "                [--maxlen n] [--rate n] [--wait seconds]\n"
	    "       ebreplay --check | --dry-run | --list [-jq] [-b dir] [-p prefix] [-u url] [--limit n]\n"
	    "       ebreplay --compress | --retarget | --discard --yes [-qv] [-b dir] [-p prefix] [-u url]\n"
	    "       ebreplay --quarantine list | retry | drop [-jqv] [-b dir] [-p prefix] [-u url] [--yes] [file ...]\n"
	    "       ebreplay --dead [-jqv] [-p prefix] [-t seconds] [-u url] [--dry-run] [--force] [--limit n]\n"
	    "                [--match field=value] [--maxlen n] [--rate n] [--since where] type ...\n", to);
}

static void
worse(int status)
{
	eb.status = status_worse(eb.status, status);
}

static void
on_signal(int sig)
{
	stopped = sig;
}

static void __attribute__((noreturn, format(printf, 1, 2)))
bad_usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vwarnx(fmt, ap);
	va_end(ap);
	usage(stderr);
	exit(STATUS_USAGE);
}

/* A shared option's value: wrong as such (64), or right and not possible (78). */
static void __attribute__((noreturn))
bad_option(const struct fail *f)
{
	if (f->status == STATUS_USAGE)
		bad_usage("%s", f->text);
	errx(f->status, "%s", f->text);
}

/* --- words while it runs -------------------------------------------------------------- */

static void
clear_line(void)
{
	if (eb.shown)
		fputs("\r\033[K", stderr);
}

/* With --wait the same things are found again at each attempt: said once. */
static int
said_before(const char *text)
{
	static char *said[64];
	static size_t n = 0;
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(said[i], text) == 0)
			return 1;
	if (n < sizeof said / sizeof *said)
		said[n++] = util_strdup(text);
	return 0;
}

static void
on_say(void *arg, const char *text)
{
	(void)arg;
	if (eb.conf.quiet || (eb.wait_ms && said_before(text)))
		return;
	clear_line();
	warnx("%s", text);
}

/* One line on a terminal, at most ten times a second. */
static void
on_tick(void *arg, uint64_t delivered)
{
	int64_t now = when_mono(), ms = now - eb.started;
	struct buf out = { 0 };

	(void)arg;
	if (now - eb.shown < 100 || ms <= 0)
		return;
	clear_line();
	eb.shown = now;
	replay_tick_text(&out, eb.sum.replayed + eb.sum.found + delivered, eb.total, ms);
	fputs(buf_str(&out), stderr);
	buf_free(&out);
}

/* --- draining ---------------------------------------------------------------------------- */

/* That another replay is running is said only where somebody looks. */
static void
on_attempt(void *arg, int status, const struct fail *f)
{
	(void)arg;
	(void)status;
	if (*f->text && (eb.loud || f->sys != EWOULDBLOCK))
		on_say(NULL, f->text);
}

static void
report(void)
{
	struct buf out = { 0 };

	clear_line();
	if (eb.conf.json) {
		replay_json(&out, &eb.sum, eb.status);
		puts(buf_str(&out));
	} else if (eb.loud && !eb.conf.quiet) {
		replay_text(&out, &eb.sum, when_mono() - eb.started);
		warnx("%s", buf_str(&out));
	}
	buf_free(&out);
}

static void
drain(struct spool *sp)
{
	struct backlog b;
	struct fail f;
	bool holds;

	tidy_run(sp);
	if (backlog_any(sp, &holds, &f) == -1)
		errx(f.status, "%s", f.text);
	if (holds || outage_due(sp)) {
		if (isatty(STDERR_FILENO) && !eb.conf.quiet && backlog_read(sp, &b, &f) == 0) {
			eb.total = b.events;
			backlog_free(&b);
			eb.drain.tick = on_tick;
		}
		worse(replay_within(sp, &eb.drain, &eb.sum, eb.wait_ms, on_attempt));
		if (stopped && eb.sum.left)
			worse(128 + stopped);
	}
	report();
}

/* --- looking -------------------------------------------------------------------------------- */

static int
print_line(void *arg, const char *text)
{
	(void)arg;
	puts(text);
	return ferror(stdout);
}

/* What a run would do, as far as can be seen without asking Redis. */
static int
dry_run(struct listing *l, struct spool *sp, struct fail *f)
{
	struct backlog b;

	if (backlog_read(sp, &b, f) == -1)
		return -1;
	listing_backlog(l, &b, eb.target);
	backlog_free(&b);
	return 0;
}

static int
check(struct listing *l, struct spool *sp, struct fail *f)
{
	struct inspect_report r;

	if (listing_check(l, sp, &r, f) == -1)
		return -1;
	if (r.bad || r.disorder || r.odd || r.suspect)
		worse(STATUS_SOME);
	if (r.vanished || r.unreadable)
		worse(STATUS_UNSAFE);
	return 0;
}

static void
look(struct spool *sp)
{
	struct listing l = { .json = eb.conf.json, .quiet = eb.conf.quiet, .put = print_line };
	struct fail f;
	int r;

	if (eb.action == OPT_CHECK)
		r = check(&l, sp, &f);
	else if (eb.action == OPT_DRY_RUN)
		r = dry_run(&l, sp, &f);
	else if (eb.action == OPT_QUARANTINE)
		r = listing_quarantine(&l, sp, &eb.names, &f);
	else {
		l.limit = eb.drain.limit;
		r = listing_buffer(&l, sp, &f);
	}
	if (r == -1)
		errx(f.status, "%s", f.text);
	if (l.bad)
		worse(STATUS_SOME);
	listing_free(&l);
}

/* There is no directory: the same words as for an empty buffer. */
static void
no_buffer(void)
{
	struct listing l = { .json = eb.conf.json, .quiet = eb.conf.quiet, .put = print_line };

	if (!eb.action)
		report();
	else if (eb.action == OPT_CHECK)
		listing_report(&l, &(struct inspect_report){ 0 });
	else if (eb.action == OPT_DRY_RUN)
		listing_backlog(&l, &(struct backlog){ .dir = eb.conf.buffer }, eb.target);
	listing_free(&l);
}

/* --- changing ---------------------------------------------------------------------------------- */

/* What was changed, where somebody looks. */
static void __attribute__((format(printf, 1, 2)))
tell(const char *fmt, ...)
{
	va_list ap;

	if (!eb.loud || eb.conf.quiet)
		return;
	va_start(ap, fmt);
	vwarnx(fmt, ap);
	va_end(ap);
}

static int
retry_or_drop(struct spool *sp, struct fail *f)
{
	struct requeue_result r;
	int done = eb.action == OPT_DROP ? requeue_drop(sp, &eb.names, &r, f) :
	    requeue_retry(sp, eb.target, &eb.limits, &eb.names, &r, f);

	if (eb.action == OPT_DROP)
		tell("%" PRIu64 " lines dropped from '%s/quarantine'", r.dropped, spool_dir(sp));
	else
		tell("%" PRIu64 " events put back into the buffer", r.back);
	if (r.kept) {
		warnx("%" PRIu64 " lines are no events and stay in '%s/quarantine'", r.kept, spool_dir(sp));
		worse(STATUS_SOME);
	}
	return done;
}

static void
change(struct spool *sp)
{
	struct notebook nb;
	struct fail f;
	uint64_t lines = 0;
	size_t files = 0;
	int r = spool_replay_lock(sp, &f);

	if (r == -1)
		errx(f.sys == EWOULDBLOCK ? STATUS_AGAIN : f.status, "%s", f.text);
	if (eb.action == OPT_RETRY || eb.action == OPT_DROP)
		r = retry_or_drop(sp, &f);
	else if (eb.action == OPT_COMPRESS) {
		if ((r = compress_closed(sp, &files, &f)) == 0)
			tell("%zu segments compressed", files);
	} else if (eb.action == OPT_DISCARD) {
		if ((r = inspect_discard(sp, eb.limits.lock_ms, &lines, &f)) == 0)
			tell("%" PRIu64 " events put into '%s/quarantine'", lines, spool_dir(sp));
	} else if ((r = spool_lock(sp, eb.limits.lock_ms, &nb, &f)) == 0) {
		if ((r = spool_retarget(sp, eb.target, &f)) == 0)
			tell("buffer '%s' now belongs to %s", spool_dir(sp), eb.target);
	}
	if (r == -1)
		errx(f.status, "%s", f.text);
}

/* --- dead letters ------------------------------------------------------------------------------- */

static void
on_redriven(void *arg, uint64_t moved, uint64_t of)
{
	eb.total = of;
	on_tick(arg, moved);
}

static void
report_dead(const struct redrive_result *r)
{
	struct buf out = { 0 };

	clear_line();
	if (eb.conf.json) {
		redrive_json(&out, r, eb.status);
		puts(buf_str(&out));
	} else if (eb.loud && !eb.conf.quiet) {
		redrive_text(&out, r, when_mono() - eb.started);
		warnx("%s", buf_str(&out));
	}
	buf_free(&out);
}

static void
redrive(char **types, size_t n)
{
	struct redrive_options *o = &eb.dead;
	struct redrive_result r;

	o->conf = &eb.conf;
	o->types = types;
	o->ntypes = n;
	o->maxlen = eb.drain.maxlen;
	o->force = eb.drain.force;
	o->limit = eb.drain.limit;
	o->rate = eb.drain.rate;
	o->json = eb.conf.json;
	o->quiet = eb.conf.quiet;
	o->stop = &stopped;
	o->say = on_say;
	if (eb.action == OPT_DRY_RUN)
		o->dry = print_line;
	else if (isatty(STDERR_FILENO) && !eb.conf.quiet)
		o->tick = on_redriven;
	redrive_run(o, &r);
	worse(r.status);
	if (stopped && r.left)
		worse(128 + stopped);
	if (!o->dry)
		report_dead(&r);
	redrive_free(o);
}

/* --- the command line ------------------------------------------------------------------------------ */

static uint64_t
number(const char *name, const char *arg)
{
	uint64_t n;

	if (util_u64(arg, &n) == -1 || n > INT64_MAX)
		bad_usage("--%s %s: a number expected", name, arg);
	return n;
}

static void
set_action(int action)
{
	if (eb.action && eb.action != action)
		bad_usage("one of --dry-run, --list, --check, --compress, --retarget, --discard, --quarantine at a time");
	eb.action = action;
}

static void
take_quarantine(const char *arg)
{
	if (strcmp(arg, "list") == 0)
		set_action(OPT_QUARANTINE);
	else if (strcmp(arg, "retry") == 0)
		set_action(OPT_RETRY);
	else if (strcmp(arg, "drop") == 0)
		set_action(OPT_DROP);
	else
		bad_usage("--quarantine %s: list, retry or drop expected", arg);
}

static void
take_since(const char *arg)
{
	struct point p;
	struct fail f;

	if (point_parse(arg, when_now(), "--since", &p, &f) == -1)
		bad_usage("%s", f.text);
	eb.since = true;
	eb.dead.since = p.end ? (struct stream_id){ UINT64_MAX, UINT64_MAX } : p.low;
}

static int
take_option(int ch, const char *arg)
{
	switch (ch) {
	case OPT_DRY_RUN: case OPT_LIST: case OPT_CHECK: case OPT_COMPRESS: case OPT_RETARGET: case OPT_DISCARD:
		set_action(ch);
		return 0;
	case OPT_DEAD: eb.redrives = true; return 0;
	case OPT_MATCH:
		if (redrive_match(&eb.dead, arg) == -1)
			bad_usage("--match %s: a field's name, '=' and its value are expected", arg);
		return 0;
	case OPT_SINCE: take_since(arg); return 0;
	case OPT_YES: eb.yes = true; return 0;
	case OPT_QUARANTINE: take_quarantine(arg); return 0;
	case OPT_FORCE: eb.drain.force = true; return 0;
	case OPT_LIMIT: eb.drain.limit = number("limit", arg); return 0;
	case OPT_RATE: eb.drain.rate = number("rate", arg); return 0;
	case OPT_MAXLEN: eb.drain.maxlen = (int64_t)number("maxlen", arg); return 0;
	case OPT_WAIT:
		if (util_ms(arg, &eb.wait_ms) == -1)
			bad_usage("--wait %s: seconds expected", arg);
		return 0;
	}
	return -1;
}

static void
read_options(int argc, char **argv)
{
	struct fail f;
	int ch, r;

	conf_init(&eb.conf);
	eb.drain.maxlen = -1;
	while ((ch = getopt_long(argc, argv, CONF_SHORT, options, NULL)) != -1) {
		r = conf_option(&eb.conf, ch, optarg, &f);
		if (r == -1)
			bad_option(&f);
		if (r == 0 && take_option(ch, optarg) == -1) {
			usage(stderr);
			exit(STATUS_USAGE);
		}
	}
	if (conf_finish(&eb.conf, argc, argv, &f) == -1)
		errx(f.status, "%s", f.text);
}

static void
check_dead(char **types, int n)
{
	if (!eb.redrives && (eb.since || eb.dead.matches))
		bad_usage("--match and --since go with --dead");
	if (!eb.redrives)
		return;
	if (eb.action && eb.action != OPT_DRY_RUN)
		bad_usage("--dead re-drives dead letters: of the others only --dry-run goes with it");
	if (eb.wait_ms || eb.yes)
		bad_usage("--wait and --yes do not go with --dead");
	if (n == 0)
		bad_usage("--dead: which event type?");
	for (int i = 0; i < n; i++)
		if (!names_legal(types[i], strlen(types[i])))
			bad_usage("'%s': --dead wants event types by name, each 1 to 200 of [A-Za-z0-9._-], not beginning with '-'",
			    types[i]);
}

static void
prepare(void)
{
	eb.loud = eb.conf.verbose || isatty(STDERR_FILENO);
	snprintf(eb.target, sizeof eb.target, "%s %s", eb.conf.place, eb.conf.prefix);
	eb.limits = (struct append_limits){ .segment_max = APPEND_SEGMENT_MAX, .lock_ms = eb.conf.timeout_ms };
	eb.drain.conf = &eb.conf;
	eb.drain.target = eb.target;
	eb.drain.limits = &eb.limits;
	eb.drain.all = true;
	eb.drain.stop = &stopped;
	eb.drain.say = on_say;
	eb.started = when_mono();
	if (eb.action == OPT_DISCARD && !eb.yes)
		bad_usage("--discard moves every undelivered event into quarantine: say --yes too");
	if (eb.action == OPT_DROP && !eb.yes)
		bad_usage("--quarantine drop deletes what could not be replayed: say --yes too");
}

static int
finish(void)
{
	if (fflush(stdout) == EOF || ferror(stdout)) {
		warn("standard output");
		worse(STATUS_UNSAFE);
	}
	return eb.status;
}

int
main(int argc, char **argv)
{
	struct spool *sp;
	const char *dir;
	struct fail f;

	util_start();
	read_options(argc, argv);
	if (eb.conf.help || eb.conf.version) {
		if (eb.conf.help)
			usage(stdout);
		else
			puts("ebreplay " EB_VERSION);
		return finish();
	}
	eb.names = (struct requeue_names){ argv + optind, (size_t)(argc - optind) };
	check_dead(argv + optind, argc - optind);
	if (optind < argc && !eb.redrives && eb.action != OPT_QUARANTINE && eb.action != OPT_RETRY && eb.action != OPT_DROP)
		bad_usage("'%s': no arguments expected; the whole buffer is replayed", argv[optind]);
	prepare();
	util_on_signal(SIGTERM, on_signal);
	util_on_signal(SIGINT, on_signal);
	if (eb.redrives) {
		redrive(argv + optind, (size_t)(argc - optind));
		conf_free(&eb.conf);
		return finish();
	}
	if (!(dir = conf_buffer(&eb.conf, &f)))
		errx(f.status, "%s", f.text);
	if (!(sp = spool_open(dir, false, &f))) {
		if (f.sys != ENOENT)
			errx(f.status, "%s", f.text);
		no_buffer();
		return finish();
	}
	switch (eb.action) {
	case 0: drain(sp); break;
	case OPT_LIST: case OPT_CHECK: case OPT_DRY_RUN: case OPT_QUARANTINE: look(sp); break;
	default: change(sp);
	}
	spool_close(sp);
	conf_free(&eb.conf);
	return finish();
}
