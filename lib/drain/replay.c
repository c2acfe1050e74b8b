#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "buffer/backlog.h"
#include "base/backoff.h"
#include "base/member.h"
#include "drain/outage.h"
#include "buffer/probe.h"
#include "drain/replay.h"
#include "base/status.h"
#include "base/util.h"
#include "base/when.h"

#define TOLD 64		/* texts that are remembered */

static void
add_up(struct drain_result *sum, const struct drain_result *r)
{
	sum->replayed += r->replayed;
	sum->found += r->found;
	sum->quarantined += r->quarantined;
	sum->doubles += r->doubles;
	sum->trimmed += r->trimmed;
	sum->disordered += r->disordered;
	sum->held = r->held;
	sum->left = r->left;
}

/* A run that ended early: most reasons pass. */
static int
cut_short(const struct drain_result *r, const struct bus *b, const struct fail *f)
{
	int status = bus_why(b) != BUS_FINE || r->garbage || f->status == STATUS_UNREACHABLE ? STATUS_AGAIN : f->status;

	return status_worse(status_worse(r->status, status), r->quarantined || r->disordered ? STATUS_SOME : 0);
}

/* One connection. *again: worth another at once, for the name may lead elsewhere. */
static int
drain_over(struct spool *sp, const struct drain_options *o, struct drain_result *sum, bool *again, struct fail *f)
{
	struct drain_result r;
	enum bus_why why = BUS_FINE;
	struct bus *b = bus_open(&o->conf->url, o->conf->timeout_ms, &why, f);
	int status;

	*again = false;
	if (!b) {
		sum->left = true;
		status = bus_status(why);
		return status == STATUS_DENIED || status == STATUS_CONFIG ? status : STATUS_AGAIN;
	}
	probe_answered(sp, o->conf->place);
	if (drain_run(sp, b, o, &r, f) == 0) {
		status = r.status;
		f->text[0] = '\0';
		bus_close(b);
	} else {
		status = cut_short(&r, b, f);
		*again = r.server == BUS_READONLY;
		r.left = true;
		bus_abort(b);
	}
	add_up(sum, &r);
	return status;
}

static int
drain_locked(struct spool *sp, const struct drain_options *o, struct drain_result *sum, struct fail *f)
{
	bool again;
	int status = drain_over(sp, o, sum, &again, f);

	return again ? drain_over(sp, o, sum, &again, f) : status;
}

/*
 * An exit status. Where the buffer was not drained for a reason of the server, the disk, or the lock (f->sys EWOULDBLOCK: another replay
 * is running), f->text says so; else it is "".
 */
static int
once(struct spool *sp, const struct drain_options *o, struct drain_result *sum, struct fail *f)
{
	char *owner = spool_target(sp);
	int status;

	f->text[0] = '\0';
	f->sys = 0;
	if (owner && strcmp(owner, o->target) != 0) {
		fail_set(f, STATUS_CONFIG, "buffer '%s' holds events for %s, not for %s: give another with -b, or see --retarget",
		    spool_dir(sp), owner, o->target);
		free(owner);
		sum->left = true;
		return STATUS_CONFIG;
	}
	free(owner);
	if (spool_replay_lock(sp, f) == -1) {
		sum->left = true;
		return f->status;
	}
	status = drain_locked(sp, o, sum, f);
	spool_replay_unlock(sp);
	return status;
}

static bool
is_stopped(const struct drain_options *o)
{
	return o->stop != NULL && *o->stop;
}

static void
rest(const struct drain_options *o, int64_t ms)
{
	for (; ms > 0 && !is_stopped(o); ms -= 50)
		nanosleep(&(struct timespec){ 0, (ms > 50 ? 50 : ms) * 1000000 }, NULL);
}

/* What is told of attempts. */
struct told {
	const struct drain_options *o;
	bool again;			/* there may be several */
	char *text[TOLD];
	size_t n;
};

static bool
told_before(struct told *t, const char *text)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->text[i], text) == 0)
			return true;
	if (t->n < TOLD)
		t->text[t->n++] = util_strdup(text);
	return false;
}

static void
on_say(void *arg, const char *text)
{
	struct told *t = arg;

	if (!t->again || !told_before(t, text))
		t->o->say(t->o->arg, text);
}

static void
on_tick(void *arg, uint64_t delivered)
{
	const struct told *t = arg;

	t->o->tick(t->o->arg, delivered);
}

static int
attempt(struct spool *sp, const struct drain_options *o, struct drain_result *sum, bool watched)
{
	struct fail f;
	int status;

	sum->left = false;
	status = once(sp, o, sum, &f);
	if (*f.text != '\0' && (watched || f.sys != EWOULDBLOCK))
		o->say(o->arg, f.text);
	return status;
}

int
replay_within(struct spool *sp, const struct drain_options *o, struct drain_result *sum, int64_t wait_ms, bool watched)
{
	struct backoff pause = { .first = 100, .most = 10000 };
	struct told told = { .o = o, .again = wait_ms > 0 };
	struct drain_options each = *o;
	int64_t until = when_mono() + wait_ms, left, ms;
	int status;

	each.say = on_say;
	each.tick = o->tick != NULL ? on_tick : NULL;
	each.arg = &told;
	status = attempt(sp, &each, sum, watched);
	while (status == STATUS_AGAIN && !is_stopped(o) && (left = until - when_mono()) > 0) {
		ms = backoff_next(&pause);
		rest(o, ms < left ? ms : left);
		status = attempt(sp, &each, sum, watched);
	}
	while (told.n > 0)
		free(told.text[--told.n]);
	return status_worse(status, sum->quarantined || sum->disordered ? STATUS_SOME : 0);
}

int
replay_due(struct spool *sp, bool *due, struct fail *f)
{
	bool holds;

	if (backlog_any(sp, &holds, f) == -1)
		return -1;
	*due = holds || outage_due(sp);
	return 0;
}

void
replay_tick_text(struct buf *out, uint64_t done, uint64_t total, int64_t ms)
{
	uint64_t rate = done * 1000 / (uint64_t)ms;
	char left[32];

	when_span(rate && total > done ? (int64_t)((total - done) * 1000 / rate) : 0, left, sizeof left);
	buf_addf(out, "%" PRIu64 " of %" PRIu64 " events, %" PRIu64 "/s, %s left", done, total, rate, left);
}

void
replay_text(struct buf *out, const struct drain_result *r, int64_t ms)
{
	char span[32];

	when_span(ms, span, sizeof span);
	buf_addf(out, "%" PRIu64 " replayed, %" PRIu64 " found already there, %" PRIu64 " quarantined, %" PRIu64
	    " possible duplicates, %" PRIu64 " types held, in %s%s", r->replayed, r->found, r->quarantined, r->doubles, r->held,
	    span, r->left ? "; something is left" : "");
}

void
replay_json(struct buf *out, const struct drain_result *r, int status)
{
	member_begin(out);
	member_count(out, "replayed", r->replayed);
	member_count(out, "found", r->found);
	member_count(out, "quarantined", r->quarantined);
	member_count(out, "possible_duplicates", r->doubles);
	member_count(out, "trimmed", r->trimmed);
	member_count(out, "out_of_order", r->disordered);
	member_count(out, "held", r->held);
	member_bool(out, "left", r->left);
	member_count(out, "status", (uint64_t)status);
	member_end(out);
}
