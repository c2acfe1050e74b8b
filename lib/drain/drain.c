#include "drain/drain.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/status.h"
#include "buffer/adopt.h"
#include "buffer/backlog.h"
#include "buffer/counters.h"
#include "buffer/manifest.h"
#include "buffer/segment.h"
#include "drain/intent.h"
#include "drain/outage.h"
#include "drain/send.h"
#include "drain/trim.h"

#define ADOPT_ROUNDS 3 /* how often a run looks for new files of plain writers */

struct drain {
	struct run run;
	struct delivery delivery;
	struct readahead ahead;
	struct dests dests;
	struct batch batch;
	struct outage outage;
	size_t damaged;   /* damaged segments of this walk that were noted so far */
	bool reclaim_due; /* the positions have entered another segment */
};

/* --- a batch -------------------------------------------------------------------------- */

/* Stores the positions of what Redis accepted before the run fails. Returns -1 and keeps err. */
static int
store_answered_and_fail(struct drain *d, struct err *err)
{
	struct err keep = *err;

	if (intent_store(&d->batch, false, err) == 0)
		*err = keep;
	return -1;
}

static int
reclaim_segments(struct drain *d, bool end, struct err *err)
{
	d->reclaim_due = false;
	return delivery_reclaim(&d->delivery, d->ahead.walk, end, err);
}

/* Fills the batch up to `room` lines; where the stored intent covers them, with a first chunk.
 * Looks up lines in doubt and stores an intent if it has to. Returns 1 when more lines fit, 0, or
 * -1 with err. */
static int
load_batch(struct drain *d, size_t room, bool *end, struct err *err)
{
	struct batch *b = &d->batch;
	int more;

	batch_reset(b);
	more = batch_load(b,
	    d->delivery.checkpoint.intent.active && room > SEND_CHUNK ? SEND_CHUNK : room, end,
	    err);
	if (more == 1 && !b->covered)
		more = batch_load(b, room, end, err);
	if (more == -1 || send_resolve(b, err) == -1)
		return -1;
	if (!b->covered && batch_has_items_to_send(b) && intent_store(b, true, err) == -1)
		return -1;
	return more;
}

/*
 * While the server works on the batch, reads the next lines, stores an intent that covers them, and
 * removes segments that the positions have passed. A walk for lagging types removes none here: only
 * the replies show whether their segments are delivered. Returns 0, 1 when a segment could not be
 * removed, -1 when the intent could not be stored.
 */
static int
prepare_next_batch(struct drain *d, struct err *err)
{
	struct conn *conn = d->run.conn;
	struct err io_err;
	int r;

	while (conn_io(conn, &io_err) == 0 && !run_must_end(&d->run) &&
	    readahead_fill(&d->ahead, SEND_CHUNK, pace_most(&d->run.pace, BATCH_LINES)))
		;
	if (conn_why(conn) != CONN_OK || run_must_end(&d->run))
		return 0;
	r = intent_store_ahead(&d->batch, err);
	if (r == 1)
		r = d->reclaim_due && !d->delivery.covers_lagging &&
		    reclaim_segments(d, false, err) == -1;
	conn_restart_deadline(conn);
	return r;
}

/* Takes note of a batch that was answered. Returns 1 when the walk goes on, 0 at its end, -1 with
 * err. `fails`: the run has to end, for the reason in err. */
static int
commit_batch(struct drain *d, bool end, bool overdue, bool fails, struct err *err)
{
	struct drain_result *res = d->run.r;
	const struct segment *damaged;

	if (conn_why(d->run.conn) != CONN_OK) /* all replies that arrived have been read */
		res->server = conn_why(d->run.conn);
	while ((damaged = readahead_damaged(&d->ahead, d->damaged)) != NULL) {
		delivery_note_damaged(&d->delivery, damaged);
		d->damaged++;
	}
	delivery_commit(&d->delivery, &d->dests);
	if (d->run.o->progress != NULL)
		d->run.o->progress(d->run.o->arg, res->replayed + res->found);
	if (res->server != CONN_OK || fails)
		return store_answered_and_fail(d, err);
	if ((end || overdue || (d->reclaim_due && d->delivery.covers_lagging)) &&
	    (intent_store(&d->batch, false, err) == -1 || reclaim_segments(d, end, err) == -1))
		return -1;
	return !end;
}

/* Sends one batch. Returns as commit_batch. */
static int
drain_batch(struct drain *d, struct err *err)
{
	struct batch *b = &d->batch;
	struct err ahead_err;
	/* A walk that begins with this batch removes nothing before its second batch. */
	bool end, overdue = d->reclaim_due, first = d->delivery.reclaim.stem == NULL;
	size_t room = pace_most(&d->run.pace, BATCH_LINES);
	int more = load_batch(d, room, &end, err), ahead;

	if (more == -1)
		/* Nothing of this batch was sent. The connection may be dead because the server
		 * closed it after it refused a request. */
		return conn_why(d->run.conn) != CONN_OK ? store_answered_and_fail(d, err) : -1;
	for (send_queue(b); more == 1 && b->n < room; send_queue(b))
		more =
		    batch_load(b, b->n + SEND_CHUNK < room ? b->n + SEND_CHUNK : room, &end, err);
	ahead = prepare_next_batch(d, &ahead_err);
	overdue = overdue && d->reclaim_due;
	d->reclaim_due |= reclaim_has_entered(&d->delivery.reclaim) && !first;
	if (send_await_replies(b, err) == -1)
		return -1;
	if (ahead != 0)
		*err = ahead_err;
	return ahead == -1 ? -1 : commit_batch(d, end, overdue, ahead == 1, err);
}

/* --- a walk --------------------------------------------------------------------------- */

static int
open_drain_walk(struct drain *d, struct err *err)
{
	bool lagging = batch_may_deliver_lagging(&d->batch) || d->delivery.old_intent.active;
	struct walk *walk;

	readahead_close_walk(&d->ahead);
	/* a segment that was put back may stand before the positions: this walk would remove it */
	if (manifest_reconcile(d->run.buf, &d->delivery.checkpoint, err) == -1)
		return -1;
	delivery_begin_walk(&d->delivery, lagging);
	dests_mark_stale(&d->dests);
	d->damaged = 0;
	d->reclaim_due = false;
	walk = walk_open(
	    d->run.buf, &d->delivery.checkpoint, WALK_SYNC | (lagging ? WALK_LAGGING : 0), err);
	readahead_open(&d->ahead, walk);
	return walk != NULL ? 0 : -1;
}

/* Drains all segments that exist now. A walk that can deliver nothing more for lagging types is
 * opened again at the common positions. Returns 0 at the end of the walk, 1 when the run has to end
 * before, -1 with err. */
static int
drain_walk(struct drain *d, struct err *err)
{
	const char *name;
	int r = open_drain_walk(d, err) == -1 ? -1 : 1;

	for (; r == 1 && !run_must_end(&d->run); pace_keep_rate(&d->run.pace))
		if ((r = drain_batch(d, err)) == 1 && !batch_is_walk_useful(&d->batch) &&
		    open_drain_walk(d, err) == -1)
			r = -1;
	if (d->ahead.walk != NULL && (name = walk_disordered_file(d->ahead.walk)) != NULL)
		run_say(&d->run,
		    "'%s': lines are out of order by more than %d lines: "
		    "sorted only within that window",
		    name, WALK_WINDOW);
	if (r == 1 &&
	    (intent_store(&d->batch, false, err) == -1 ||
	        (d->reclaim_due && reclaim_segments(d, false, err) == -1)))
		r = -1;
	readahead_close_walk(&d->ahead);
	return r;
}

/* --- a run ---------------------------------------------------------------------------- */

static int
adopt_foreign_files(struct drain *d, size_t *adopted, bool *unsettled, struct err *err)
{
	struct drain_result *res = d->run.r;
	int64_t settle_ms;
	int r = adopt_files(d->run.buf, &d->delivery.checkpoint, false, &settle_ms, adopted, err);

	if (r == -1)
		return -1;
	if (r == 1 && res->status != STATUS_UNSAFE) {
		run_say(&d->run, "%s: its events wait, the others are replayed", err->text);
		if (d->run.o->all)
			res->status = status_worse(res->status, STATUS_UNSAFE);
	}
	/* Makes the number of the last adopted file durable, so that it is not used again. An
	 * unresolved intent stays stored. */
	if (*adopted &&
	    checkpoint_preallocate(
	        d->run.buf, d->run.buf->replay_fd, d->delivery.checkpoint.lost, err) == 0 &&
	    intent_store(&d->batch, false, err) == -1)
		return -1;
	*unsettled = settle_ms > 0 && !d->run.o->all;
	if (d->run.o->all)
		pace_sleep(&d->run.pace, settle_ms);
	return 0;
}

static uint64_t
count_handled(const struct drain_result *r)
{
	return r->replayed + r->found + r->quarantined;
}

/* Makes walks until nothing that remains can be delivered now. */
static int
drain_until_empty(struct drain *d, struct err *err)
{
	size_t adopted;
	bool unsettled = false, holds;
	uint64_t before;

	for (int i = 0;; i++) {
		before = count_handled(d->run.r);
		adopted = 0;
		if (i < ADOPT_ROUNDS && adopt_foreign_files(d, &adopted, &unsettled, err) == -1)
			return -1;
		if (unsettled)
			/* A plain writer's file has not settled, and our lines may be younger than
			 * its. */
			return 0;
		if (drain_walk(d, err) == -1)
			return -1;
		if (run_must_end(&d->run) || backlog_lacks_type(d->run.buf, "", &holds, err) > 0)
			return 0;
		if (i > 0 && !adopted && before == count_handled(d->run.r))
			return 0; /* nothing that remains can be delivered now */
	}
}

/* Appends the event of an outage that has ended. Unlike draining it needs room on the disk, so it
 * may have to wait. Returns whether there is more to drain now. */
static bool
append_outage_event(struct drain *d)
{
	struct err err;

	if (!d->outage.due)
		return false;
	if (outage_append_event(
	        &d->outage, d->run.buf, d->run.o, delivery_removed(&d->delivery), &err) == 0)
		return !run_must_end(&d->run);
	run_say(&d->run, "%s: " OUTAGE_TYPE " will be appended by a later run", err.text);
	return false;
}

bool
drain_describe_foreign(struct buffer *buf, struct bytes *text)
{
	struct bytes names = {0};
	size_t n = segment_count_foreign(buf->fd, &names);

	if (n > 0)
		bytes_addf(text,
		    "%zu file%s left alone, not named as a buffer file: %s: see ebbuffer adopt", n,
		    n == 1 ? "" : "s", bytes_str(&names));
	bytes_free(&names);
	return n > 0;
}

static void
report_foreign_files(struct drain *d)
{
	struct bytes text = {0};

	if (drain_describe_foreign(d->run.buf, &text))
		run_say(&d->run, "%s", bytes_str(&text));
	bytes_free(&text);
}

/* Reports segments that vanished or shrank, and files that are ignored. Sets r->left. A plain
 * writer's file that only stays because its writer has it open is not left. */
static int
report_segments(struct drain *d, struct err *err)
{
	struct drain_result *res = d->run.r;
	struct segment *list;
	struct manifest_shrunk *shrunk;
	size_t n, nmissing, nshrunk;
	char **missing;

	if (segment_list(d->run.buf->fd, &list, &n, err) == -1)
		return -1;
	report_foreign_files(d);
	res->left = false;
	for (size_t i = 0; i < n; i++) {
		bool holds = segment_may_hold(&list[i]);

		if (list[i].ignored)
			run_say(&d->run, "'%s': ignored, %s%s", list[i].name, list[i].ignored,
			    holds ? ": it may hold events that are earlier than those sent" : "");
		res->left |= holds &&
		    (list[i].kind != SEGMENT_ADOPTED ||
		        !backlog_is_delivered(d->run.buf, &d->delivery.checkpoint, &list[i]));
	}
	nmissing = manifest_list_vanished(d->run.buf, list, n, &missing);
	while (nmissing) {
		run_say(&d->run, "segment '%s' has vanished with undelivered events",
		    missing[--nmissing]);
		free(missing[nmissing]);
		res->status = STATUS_UNSAFE;
	}
	free(missing);
	nshrunk = manifest_list_shrunk(d->run.buf, list, n, &shrunk);
	for (size_t i = 0; i < nshrunk; i++) {
		run_say(&d->run,
		    "segment '%s' shrank from %" PRIu64 " to %" PRIu64
		    " bytes: put it back as it was, or drain the rest and run ebbuffer discard",
		    shrunk[i].stem, shrunk[i].from, shrunk[i].to);
		res->status = status_worse(res->status, STATUS_UNSAFE);
	}
	free(shrunk);
	free(list);
	/* Records segments that vanished during this run, so that they are recognised when they
	 * return. */
	return res->status == STATUS_UNSAFE
	    ? manifest_reconcile(d->run.buf, &d->delivery.checkpoint, err)
	    : 0;
}

/* Reports what remains after the run and sets the exit status. */
static int
report_leftovers(struct drain *d, struct err *err)
{
	struct drain_result *res = d->run.r;
	struct checkpoint *cp = &d->delivery.checkpoint;

	if (report_segments(d, err) == -1)
		return -1;
	res->left |= cp->nlagging > 0;
	for (size_t i = 0; i < cp->nlagging; i++)
		if (*cp->lagging[i]->reason) {
			res->held++;
			run_say(&d->run, "'%s' is held: %s", cp->lagging[i]->type,
			    cp->lagging[i]->reason);
		}
	if (!res->left && cp->lost) {
		cp->lost = false;
		if (checkpoint_store(d->run.buf, cp, err) == -1)
			return -1;
	}
	if (res->quarantined > DELIVERY_NAMED)
		run_say(&d->run, "%" PRIu64 " lines in all put into quarantine", res->quarantined);
	if (res->quarantined || res->disordered)
		res->status = status_worse(res->status, STATUS_SOME);
	if (res->left)
		res->status = status_worse(res->status, STATUS_AGAIN);
	return 0;
}

static void
close_drain(struct drain *d)
{
	const struct drain_result *res = d->run.r;

	outage_save_count(&d->outage, d->run.buf, delivery_removed(&d->delivery));
	counters_add(d->run.buf,
	    (uint64_t[COUNTERS]){[COUNT_REPLAYED] = res->replayed,
	        [COUNT_POSSIBLE_DUPLICATES] =
	            res->possible_duplicates - d->batch.counted_duplicates,
	        [COUNT_TRIMMED] = res->trimmed});
	readahead_close(&d->ahead);
	batch_free(&d->batch);
	dests_free(&d->dests);
	delivery_close(&d->delivery);
	outage_free(&d->outage);
}

int
drain_run(struct buffer *buf, struct conn *conn, const struct drain_options *o,
    struct drain_result *res, struct err *err)
{
	struct drain d = {
	    .run = {.buf = buf, .conn = conn, .o = o, .r = res},
	    .dests = {.conf = o->conf,
	        .force = o->force,
	        .forcible = "ebreplay",
	        .say = o->say,
	        .arg = o->arg},
	};
	const struct dest *dest;
	int r;

	*res = (struct drain_result){0};
	d.run.pace = (struct pace){
	    .stop = o->stop, .limit = o->limit, .rate = o->rate, .started = clock_mono()};
	batch_init(&d.batch, &d.run, &d.delivery, &d.ahead, &d.dests);
	r = delivery_open(&d.delivery, &d.run, err);
	if (r == 0)
		r = outage_load(&d.outage, buf, err);
	if (r == 0)
		r = drain_until_empty(&d, err);
	if (r == 0 && append_outage_event(&d))
		r = drain_until_empty(&d, err);
	if (r == 0)
		r = report_leftovers(&d, err);
	if (r == 0)
		res->trimmed = dests_count_trimmed(&d.dests, conn);
	if (o->type != NULL && (dest = dests_find(&d.dests, o->type)) != NULL && dest->stopped)
		res->refused = dest->why;
	close_drain(&d);
	return r;
}
