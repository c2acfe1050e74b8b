#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "buffer/backlog.h"
#include "buffer/claim.h"
#include "buffer/counters.h"
#include "drain/load.h"
#include "drain/move.h"
#include "drain/outage.h"
#include "buffer/roster.h"
#include "drain/run.h"
#include "buffer/segment.h"
#include "drain/ship.h"
#include "base/status.h"
#include "base/util.h"
#include "base/when.h"

#define ROUNDS 3	/* how often plain writers' files are looked for anew */

static void
pace(struct run *d)
{
	int64_t due, ms;

	if (!d->o->rate)
		return;
	due = d->started + (int64_t)(d->tried * 1000 / d->o->rate);
	while (!run_stopping(d) && (ms = due - when_mono()) > 0)
		nanosleep(&(struct timespec){ 0, (ms > 100 ? 100 : ms) * 1000000 }, NULL);
}

static bool
any_to_send(const struct batch *b)
{
	size_t i;

	for (i = 0; i < b->n; i++)
		if (b->item[i].state == BATCH_SEND)
			return true;
	return false;
}

/* What was answered before the run has to end counts. */
static int
give_up(struct run *d, struct fail *f)
{
	struct fail keep = *f;

	if (ship_record(d, false, f) == 0)
		*f = keep;
	return -1;
}

/* A damaged segment goes into quarantine whole; that has to be known before the marks pass it. */
static void
note_damaged(struct run *d)
{
	const struct segment *s;

	for (; (s = ahead_damaged(&d->ahead, d->damaged)); d->damaged++) {
		progress_add_broken(&d->p, s->stem);
		if (s->kind != SEGMENT_CHAIN)	/* there is no more to be had from it */
			mark_set(marks_get(&d->walked, s->stem), s->stem, UINT64_MAX, 0);
		d->r->quarantined++;
		d->pieces++;
		counters_add(d->sp, (uint64_t[COUNTERS]){ [COUNT_QUARANTINED] = 1 });
		run_say(d, "'%s' is damaged: what could be decoded is replayed, the file goes into quarantine", s->stem);
	}
}

static int
sweep(struct run *d, bool end, struct fail *f)
{
	uint64_t torn = d->sweep.torn;
	int r;

	d->sweep_due = false;
	r = sweep_run(&d->sweep, d->sp, d->q, &d->p, d->ahead.w, end, d->o->limits->lock_ms, f);

	torn = d->sweep.torn - torn;
	if (torn) {
		d->r->quarantined += torn;
		d->pieces += torn;
		counters_add(d->sp, (uint64_t[COUNTERS]){ [COUNT_QUARANTINED] = torn });
		run_say(d, "a piece of a line at the end of the buffer, its writer dead: put into quarantine");
	}
	return r;
}

/* Reads a batch and sends it: bit by bit where it is recorded already, else when all of it is known and recorded. 0 or -1. */
static int
send_batch(struct run *d, bool *end, struct fail *f)
{
	size_t room = load_room(d);
	int more;

	batch_reset(&d->batch);
	more = load_batch(d, d->p.intent.on && room > SHIP_PUSH ? SHIP_PUSH : room, end, f);
	if (more == 1 && !d->batch.recorded)
		more = load_batch(d, room, end, f);
	if (more == -1 || ship_settle(d, f) == -1)
		return -1;
	if (!d->batch.recorded && any_to_send(&d->batch) && ship_record(d, true, f) == -1)
		return -1;
	for (ship_send(d); more == 1 && d->batch.n < room; ship_send(d))
		more = load_batch(d, d->batch.n + SHIP_PUSH < room ? d->batch.n + SHIP_PUSH : room, end, f);
	return 0;
}

/*
 * The server is busy: meanwhile what comes next is read and recorded, and segments go that the marks have passed. Not those of a
 * walk for late types: whether they are done with is seen from the answers. 0; 1 a segment could not be taken away; -1 nothing can be
 * recorded any more.
 */
static int
work_ahead(struct run *d, struct fail *f)
{
	struct fail dead;
	int r;

	while (bus_io(d->b, &dead) == 0 && !run_over(d) && ahead_more(&d->ahead, SHIP_PUSH, load_room(d)))
		;
	if (bus_why(d->b) != BUS_FINE || run_over(d))
		return 0;
	r = ship_record_more(d, f);
	if (r == 1)
		r = d->sweep_due && !d->covers && sweep(d, false, f) == -1;
	bus_resume(d->b);
	return r;
}

/* One batch. 1 go on, 0 the walk is at its end, -1. */
static int
step(struct run *d, struct fail *f)
{
	enum bus_why worst = BUS_FINE;
	char *was = d->stem ? util_strdup(d->stem) : NULL;
	bool end, due = d->sweep_due;
	struct fail disk;
	int ahead;

	if (send_batch(d, &end, f) == -1) {
		free(was);
		/* Nothing of it was sent. A server that refuses a request may close behind its answer. */
		return bus_why(d->b) != BUS_FINE ? give_up(d, f) : -1;
	}
	ahead = work_ahead(d, &disk);
	due = due && d->sweep_due;
	d->sweep_due |= was && strcmp(was, d->stem) != 0;
	free(was);
	if (ship_take(d, &worst, f) == -1)
		return -1;
	if (ahead == -1) {
		*f = disk;
		return -1;
	}
	if (bus_why(d->b) != BUS_FINE)	/* its last words have been read */
		worst = bus_why(d->b);
	note_damaged(d);
	move_marks(d);
	ship_spend(d);
	move_forget_old(d);
	if (d->o->tick)
		d->o->tick(d->o->arg, d->r->replayed + d->r->found);
	d->r->server = worst;
	if (ahead == 1)
		*f = disk;
	if (worst != BUS_FINE || ahead == 1)
		return give_up(d, f);
	if ((end || due || (d->sweep_due && d->covers)) && (ship_record(d, false, f) == -1 || sweep(d, end, f) == -1))
		return -1;
	return !end;
}

static int
open_walk(struct run *d, struct fail *f)
{
	struct walk *w;

	walk_close(d->ahead.w);
	d->ahead.w = NULL;
	progress_free(&d->skips);
	marks_clear(&d->walked);
	intent_clear(&d->p.intent);
	free(d->stem);
	d->stem = NULL;
	d->failed = d->sweep_due = false;
	d->damaged = 0;
	d->covers = run_tries_late(d) || d->old.on;
	lanes_stale(&d->lanes);
	w = walk_open(d->sp, &d->p, WALK_SYNC | (d->covers ? WALK_LATE : 0), backlog_stamp, f);
	ahead_open(&d->ahead, w);
	sweep_begin(&d->sweep);
	return w ? 0 : -1;
}

static int
walk_on(struct run *d, struct fail *f)
{
	const char *name;
	int r = 1;

	for (; r == 1 && !run_over(d); pace(d))
		if ((r = step(d, f)) == 1 && !run_wants(d) && open_walk(d, f) == -1)
			return -1;
	if ((name = walk_disorder(d->ahead.w)))
		run_say(d, "'%s': lines further out of order than %d: given in the order of their window", name, WALK_WINDOW);
	if (r == 1 && (ship_record(d, false, f) == -1 || (d->sweep_due && sweep(d, false, f) == -1)))
		return -1;
	return r;
}

/* One walk through what is there. It knows every segment, so it is not kept any longer. */
static int
pass(struct run *d, struct fail *f)
{
	int r = open_walk(d, f) == -1 ? -1 : walk_on(d, f);

	walk_close(d->ahead.w);
	d->ahead.w = NULL;
	return r;
}

static int
claim(struct run *d, size_t *claimed, bool *resting, struct fail *f)
{
	int64_t rest;

	if (claim_files(d->sp, &d->p, &rest, claimed, f) == -1)
		return -1;
	/* The number of the last claim must not come again, whatever happens. What is still to be settled stays in the record. */
	if (*claimed && progress_prepare(d->sp, f) == 0 && ship_record(d, false, f) == -1)
		return -1;
	*resting = rest > 0 && !d->o->all;
	for (; rest > 0 && d->o->all && !run_stopping(d); rest -= 50)
		nanosleep(&(struct timespec){ 0, (rest > 50 ? 50 : rest) * 1000000 }, NULL);
	return 0;
}

/* What is left, seen after everything. */
static int
judge(struct run *d, struct fail *f)
{
	struct segment *list;
	size_t i, n;
	char **gone;

	if (segment_list(spool_fd(d->sp), &list, &n, f) == -1)
		return -1;
	d->r->left = false;
	for (i = 0; i < n; i++)
		if (list[i].odd)
			run_say(d, "'%s' is no regular file of ours with one link: left alone", list[i].name);
		else
			d->r->left = true;
	roster_missing(d->sp, list, n, &gone, &i);
	while (i) {
		run_say(d, "segment '%s' has vanished with undelivered events", gone[--i]);
		free(gone[i]);
		d->r->status = STATUS_UNSAFE;
	}
	free(gone);
	free(list);
	/* Marked, so that one that vanished under this run is known when it comes back. */
	if (d->r->status == STATUS_UNSAFE && roster_returned(d->sp, f) == -1)
		return -1;
	for (i = 0; i < d->p.lates; i++)
		if (*d->p.late[i].reason) {
			d->r->held++;
			run_say(d, "'%s' is held: %s", d->p.late[i].type, d->p.late[i].reason);
		}
	if (!d->r->left && (d->p.spents || d->p.lost)) {	/* IDs may begin anew one day */
		progress_drop_spent(&d->p);
		d->p.lost = false;
		if (progress_store(d->sp, &d->p, f) == -1)
			return -1;
	}
	if (d->r->quarantined > RUN_WORDS)
		run_say(d, "%" PRIu64 " lines in all put into quarantine", d->r->quarantined);
	if (d->r->quarantined || d->r->disordered)
		d->r->status = status_worse(d->r->status, STATUS_SOME);
	if (d->r->left)
		d->r->status = status_worse(d->r->status, STATUS_AGAIN);
	return 0;
}

static int
rounds(struct run *d, struct fail *f)
{
	size_t claimed;
	bool resting = false, holds;
	uint64_t before;
	int i, r;

	for (i = 0; ; i++) {
		before = d->r->replayed + d->r->found + d->r->quarantined;
		claimed = 0;
		if (i < ROUNDS && claim(d, &claimed, &resting, f) == -1)
			return -1;
		if (resting)
			return 0;	/* a plain writer's file is not ready, and what is ours may belong behind it */
		if ((r = pass(d, f)) != 0)
			return r == -1 ? -1 : 0;
		if (run_over(d) || backlog_clear(d->sp, "", &holds, f) == 1)
			return 0;
		if (i > 0 && !claimed && before == d->r->replayed + d->r->found + d->r->quarantined)
			return 0;	/* what is left will not go now */
	}
}

/* What a stream without groups lost to its limit: nobody was reading, but it is counted. */
static void
count_trimmed(struct run *d)
{
	enum bus_why why;
	struct fail f;
	uint64_t now;
	size_t i;

	for (i = 0; i < d->lanes.n && bus_why(d->b) == BUS_FINE; i++) {
		struct lane *l = d->lanes.lane[i];
		uint64_t had = l->watch.before.length + l->watch.added;

		d->r->trimmed += l->trimmed;
		if (l->mode == LANE_PLAIN && l->watch.added && l->maxlen > 0 && had > (uint64_t)l->maxlen &&
		    stream_length(d->b, l->key, &now, &why, &f) == 0 && now < had)
			d->r->trimmed += had - now;
	}
}

/* Draining needs no room, the event that tells of the outage does. */
static int
end_outage(struct run *d, struct fail *f)
{
	struct fail why;
	int r = outage_end(&d->outage, d->sp, run_drained(d), d->o->target, d->o->limits, d->o->conf->service, &why);

	if (r == 1)
		run_say(d, "%s: " OUTAGE_TYPE " has to wait", why.text);
	if (r == -1)
		*f = why;
	return r == -1 ? -1 : 0;
}

/* Whoever holds the replay lock may be late: the buffer can have been handed over, or emptied and taken by another. */
static int
check_owner(struct run *d, struct fail *f)
{
	char *owner = spool_target(d->sp);
	int r = 0;

	if (!owner && errno != ENOENT)
		r = fail_errno(f, STATUS_UNSAFE, "read '%s/.target'", spool_dir(d->sp));
	else if (owner && strcmp(owner, d->o->target) != 0)
		r = fail_set(f, STATUS_CONFIG, "buffer '%s' holds events for %s, not for %s: give another with -b, or see "
		    "ebreplay --retarget", spool_dir(d->sp), owner, d->o->target);
	free(owner);
	return r;
}

static int
begin(struct run *d, struct fail *f)
{
	struct intent *in = &d->p.intent;
	int r;

	if (check_owner(d, f) == -1 || roster_returned(d->sp, f) == -1 || progress_load(d->sp, &d->p, f) == -1)
		return -1;
	if (d->p.lost)
		run_say(d, "'%s/.progress' was lost: what stands in the streams already is looked up", spool_dir(d->sp));
	if (in->on) {
		if (stream_fence(d->b, in->run_id, in->client, in->addr, f) == -1)
			return -1;
		d->old = *in;
		memset(in, 0, sizeof *in);
	}
	r = outage_begin(&d->outage, d->sp, f);
	if (r == 1 && (r = end_outage(d, f)) == 0 && !d->outage.due)
		r = outage_begin(&d->outage, d->sp, f);	/* there may have been another since */
	return r == -1 ? -1 : 0;
}

int
drain_run(struct spool *sp, struct bus *b, const struct drain_options *o, struct drain_result *res, struct fail *f)
{
	struct run d = { .sp = sp, .b = b, .o = o, .r = res, .started = when_mono() };
	struct lane *own;
	int r;

	memset(res, 0, sizeof *res);
	batch_init(&d.batch);
	d.q = quarantine_open(sp);
	r = begin(&d, f);
	if (r == 0)
		r = rounds(&d, f);
	if (r == 0 && d.outage.due && (r = end_outage(&d, f)) == 0 && !d.outage.due && !run_over(&d))
		r = rounds(&d, f);
	outage_keep(&d.outage, sp, run_drained(&d));
	if (r == 0)
		r = judge(&d, f);
	if (r == 0)
		count_trimmed(&d);
	if (o->type && (own = lanes_find(&d.lanes, o->type)) && own->stopped)
		res->refused = own->why;
	counters_add(sp, (uint64_t[COUNTERS]){ [COUNT_REPLAYED] = res->replayed, [COUNT_DOUBLES] = res->doubles,
	    [COUNT_TRIMMED] = res->trimmed });
	ahead_close(&d.ahead);
	suspect_close(d.suspect);
	batch_free(&d.batch);
	quarantine_close(d.q);
	lanes_free(&d.lanes);
	sweep_free(&d.sweep);
	marks_clear(&d.walked);
	progress_free(&d.p);
	progress_free(&d.skips);
	intent_clear(&d.old);
	outage_free(&d.outage);
	free(d.own);
	free(d.stem);
	return r;
}
