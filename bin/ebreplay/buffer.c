/* ebreplay --check, --compress, --discard, --dry-run, --list, --quarantine, --retarget. */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "backlog.h"
#include "compress.h"
#include "ebreplay.h"
#include "inspect.h"
#include "listing.h"
#include "status.h"

/* --- looking -------------------------------------------------------------------------------- */

int
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

void
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
void
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

void
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
