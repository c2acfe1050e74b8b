#include "drain/drain.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/status.h"
#include "buffer/adopt.h"
#include "buffer/backlog.h"
#include "buffer/counters.h"
#include "buffer/manifest.h"
#include "buffer/segment.h"
#include "drain/commit.h"
#include "drain/drain_int.h"
#include "drain/outage.h"
#include "drain/send.h"
#include "redis/fence.h"
#include "redis/stream.h"

#define ADOPT_ROUNDS 3 /* how often a run looks for new files of plain writers */

void
drain_say(struct drain *d, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err_clean(text);
	d->o->say(d->o->arg, text);
}

void
drain_quarantine(
    struct drain *d, const char *stem, uint64_t pos, struct slice line, const char *reason)
{
	uint64_t add[COUNTERS] = {[COUNT_QUARANTINED] = 1};
	struct err err;

	err_set(&err, STATUS_SOME, "'%s' at %" PRIu64 ": a line of %zu bytes is too long", stem,
	    pos, line.n);
	if (line.n > QUARANTINE_LINE_MAX ||
	    quarantine_add(d->quarantine, stem, pos, reason, line, &err) == -1) {
		checkpoint_count_bad_line(&d->checkpoint, stem);
		drain_say(d, "quarantine: %s; the whole segment will be quarantined", err.text);
	}
	d->r->quarantined++;
	counters_add(d->buf, add);
	if (d->r->quarantined <= DRAIN_NAMED)
		drain_say(d, "'%s' at %" PRIu64 ": %s: put into quarantine", stem, pos, reason);
}

bool
drain_is_stopped(const struct drain *d)
{
	return d->o->stop != NULL && *d->o->stop;
}

bool
drain_must_end(const struct drain *d)
{
	return drain_is_stopped(d) || (d->o->limit && d->queued >= d->o->limit) ||
	    (d->o->budget_ms && clock_mono() - d->started >= d->o->budget_ms);
}

bool
drain_may_deliver_lagging(struct drain *d)
{
	size_t i;

	for (i = 0; i < d->checkpoint.nlagging; i++)
		if (!batch_dest(d, slice_of(d->checkpoint.lagging[i].type))->stopped)
			return true;
	return false;
}

bool
drain_walk_is_useful(struct drain *d)
{
	const struct position *common = &d->checkpoint.positions.chain, *reached = &d->walked.chain;

	return !d->covers_lagging || !d->checkpoint.nlagging || d->old_intent.active ||
	    reached->stem == NULL || common->stem == NULL ||
	    position_cmp(reached, common->stem, common->pos) >= 0 || drain_may_deliver_lagging(d);
}

int64_t
drain_maxlen(const struct drain *d, int64_t own, const char *type)
{
	if (own >= 0)
		return own;
	return d->o->maxlen >= 0 ? d->o->maxlen : conf_maxlen(d->o->conf, type);
}

uint64_t
drain_events_removed(const struct drain *d)
{
	return d->r->replayed + d->r->found + d->r->quarantined - d->damaged_pieces;
}

static void
sleep_for_rate(struct drain *d)
{
	int64_t due, ms;

	if (!d->o->rate)
		return;
	due = d->started + (int64_t)(d->queued * 1000 / d->o->rate);
	while (!drain_is_stopped(d) && (ms = due - clock_mono()) > 0)
		nanosleep(&(struct timespec){0, (ms > 100 ? 100 : ms) * 1000000}, NULL);
}

static bool
has_items_to_send(const struct batch *b)
{
	size_t i;

	for (i = 0; i < b->n; i++)
		if (b->item[i].state == BATCH_SEND)
			return true;
	return false;
}

/* Stores the positions of what Redis accepted before the run fails. Returns -1 and keeps err. */
static int
store_answered_and_fail(struct drain *d, struct err *err)
{
	struct err keep = *err;

	if (send_store_checkpoint(d, false, err) == 0)
		*err = keep;
	return -1;
}

/* Marks damaged segments to be quarantined whole, before the positions pass them. */
static void
note_damaged_segments(struct drain *d)
{
	const struct segment *s;

	for (; (s = readahead_damaged(&d->ahead, d->damaged)) != NULL; d->damaged++) {
		checkpoint_count_bad_line(&d->checkpoint, s->stem);
		if (s->kind != SEGMENT_CHAIN) /* nothing more can be read from it */
			position_set(
			    positions_find_or_add(&d->walked, s->stem), s->stem, UINT64_MAX, 0);
		d->r->quarantined++;
		d->damaged_pieces++;
		counters_add(d->buf, (uint64_t[COUNTERS]){[COUNT_QUARANTINED] = 1});
		drain_say(d,
		    "'%s' is damaged: the lines that can be decoded are replayed, the file is put "
		    "into quarantine",
		    s->stem);
	}
}

static int
reclaim_segments(struct drain *d, bool end, struct err *err)
{
	uint64_t torn = d->reclaim.torn;
	int r;

	d->reclaim_due = false;
	r = reclaim_run(&d->reclaim, d->buf, d->quarantine, &d->checkpoint, d->ahead.walk, end,
	    d->o->limits->lock_ms, err);

	torn = d->reclaim.torn - torn;
	if (torn) {
		d->r->quarantined += torn;
		d->damaged_pieces += torn;
		counters_add(d->buf, (uint64_t[COUNTERS]){[COUNT_QUARANTINED] = torn});
		drain_say(d,
		    "an incomplete line at the end of the buffer, left by a dead writer: put into "
		    "quarantine");
	}
	return r;
}

/* Reads a batch and queues it: in chunks where the stored intent covers it, else when it is
 * complete and its intent is stored. Returns 0, or -1 with err. */
static int
load_and_send_batch(struct drain *d, bool *end, struct err *err)
{
	size_t room = batch_max_lines(d);
	int more;

	batch_reset(&d->batch);
	more = batch_load(
	    d, d->checkpoint.intent.active && room > SEND_CHUNK ? SEND_CHUNK : room, end, err);
	if (more == 1 && !d->batch.covered)
		more = batch_load(d, room, end, err);
	if (more == -1 || send_resolve(d, err) == -1)
		return -1;
	if (!d->batch.covered && has_items_to_send(&d->batch) &&
	    send_store_checkpoint(d, true, err) == -1)
		return -1;
	for (send_queue(d); more == 1 && d->batch.n < room; send_queue(d))
		more = batch_load(
		    d, d->batch.n + SEND_CHUNK < room ? d->batch.n + SEND_CHUNK : room, end, err);
	return 0;
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
	struct err io_err;
	int r;

	while (conn_io(d->conn, &io_err) == 0 && !drain_must_end(d) &&
	    readahead_fill(&d->ahead, SEND_CHUNK, batch_max_lines(d)))
		;
	if (conn_why(d->conn) != CONN_OK || drain_must_end(d))
		return 0;
	r = send_store_checkpoint_ahead(d, err);
	if (r == 1)
		r = d->reclaim_due && !d->covers_lagging && reclaim_segments(d, false, err) == -1;
	conn_restart_deadline(d->conn);
	return r;
}

/* Sends one batch. Returns 1 when the walk goes on, 0 at its end, -1 with err. */
static int
drain_batch(struct drain *d, struct err *err)
{
	enum conn_why worst = CONN_OK;
	char *old_stem = d->chain_stem != NULL ? mem_strdup(d->chain_stem) : NULL;
	bool end, reclaim_was_due = d->reclaim_due;
	struct err ahead_err;
	int ahead;

	if (load_and_send_batch(d, &end, err) == -1) {
		free(old_stem);
		/* Nothing of this batch was sent. The connection may be dead because the server
		 * closed it after it refused a request. */
		return conn_why(d->conn) != CONN_OK ? store_answered_and_fail(d, err) : -1;
	}
	ahead = prepare_next_batch(d, &ahead_err);
	reclaim_was_due = reclaim_was_due && d->reclaim_due;
	d->reclaim_due |= old_stem != NULL && strcmp(old_stem, d->chain_stem) != 0;
	free(old_stem);
	if (send_await_replies(d, &worst, err) == -1)
		return -1;
	if (ahead == -1) {
		*err = ahead_err;
		return -1;
	}
	if (conn_why(d->conn) != CONN_OK) /* all replies that arrived have been read */
		worst = conn_why(d->conn);
	note_damaged_segments(d);
	commit_positions(d);
	send_note_matched(d);
	commit_drop_resolved(d);
	if (d->o->progress != NULL)
		d->o->progress(d->o->arg, d->r->replayed + d->r->found);
	d->r->server = worst;
	if (ahead == 1)
		*err = ahead_err;
	if (worst != CONN_OK || ahead == 1)
		return store_answered_and_fail(d, err);
	if ((end || reclaim_was_due || (d->reclaim_due && d->covers_lagging)) &&
	    (send_store_checkpoint(d, false, err) == -1 || reclaim_segments(d, end, err) == -1))
		return -1;
	return !end;
}

static int
open_drain_walk(struct drain *d, struct err *err)
{
	struct walk *walk;

	walk_close(d->ahead.walk);
	d->ahead.walk = NULL;
	checkpoint_free(&d->skipped);
	positions_clear(&d->walked);
	intent_clear(&d->checkpoint.intent);
	free(d->chain_stem);
	d->chain_stem = NULL;
	d->walk_failed = d->reclaim_due = false;
	d->damaged = 0;
	d->covers_lagging = drain_may_deliver_lagging(d) || d->old_intent.active;
	dests_mark_stale(&d->dests);
	walk = walk_open(
	    d->buf, &d->checkpoint, WALK_SYNC | (d->covers_lagging ? WALK_LAGGING : 0), err);
	readahead_open(&d->ahead, walk);
	reclaim_begin_walk(&d->reclaim);
	return walk != NULL ? 0 : -1;
}

/* Sends batches until the walk is at its end. A walk that can deliver nothing more for lagging
 * types is opened again at the common positions. */
static int
drain_batches(struct drain *d, struct err *err)
{
	const char *name;
	int r = 1;

	for (; r == 1 && !drain_must_end(d); sleep_for_rate(d))
		if ((r = drain_batch(d, err)) == 1 && !drain_walk_is_useful(d) &&
		    open_drain_walk(d, err) == -1)
			return -1;
	if ((name = walk_disordered_file(d->ahead.walk)) != NULL)
		drain_say(d,
		    "'%s': lines are out of order by more than %d lines: "
		    "sorted only within that window",
		    name, WALK_WINDOW);
	if (r == 1 &&
	    (send_store_checkpoint(d, false, err) == -1 ||
	        (d->reclaim_due && reclaim_segments(d, false, err) == -1)))
		return -1;
	return r;
}

/* Drains all segments that exist now, with one walk. */
static int
drain_one_walk(struct drain *d, struct err *err)
{
	int r = open_drain_walk(d, err) == -1 ? -1 : drain_batches(d, err);

	walk_close(d->ahead.walk);
	d->ahead.walk = NULL;
	return r;
}

static int
adopt_foreign_files(struct drain *d, size_t *adopted, bool *unsettled, struct err *err)
{
	int64_t settle_ms;

	if (adopt_files(d->buf, &d->checkpoint, &settle_ms, adopted, err) == -1)
		return -1;
	/* Makes the number of the last adopted file durable, so that it is not used again. An
	 * unresolved intent stays stored. */
	if (*adopted && checkpoint_preallocate(d->buf, err) == 0 &&
	    send_store_checkpoint(d, false, err) == -1)
		return -1;
	*unsettled = settle_ms > 0 && !d->o->all;
	for (; settle_ms > 0 && d->o->all && !drain_is_stopped(d); settle_ms -= 50)
		nanosleep(&(struct timespec){0, (settle_ms > 50 ? 50 : settle_ms) * 1000000}, NULL);
	return 0;
}

/* Reports what remains after the run and sets the exit status. */
static int
report_leftovers(struct drain *d, struct err *err)
{
	struct segment *list;
	size_t i, n;
	char **missing;

	if (segment_list(d->buf->fd, &list, &n, err) == -1)
		return -1;
	d->r->left = false;
	for (i = 0; i < n; i++)
		if (list[i].ignored)
			drain_say(d, "'%s': ignored, not a regular file of this user with one link",
			    list[i].name);
		else
			d->r->left = true;
	i = manifest_list_vanished(d->buf, list, n, &missing);
	while (i) {
		drain_say(d, "segment '%s' has vanished with undelivered events", missing[--i]);
		free(missing[i]);
		d->r->status = STATUS_UNSAFE;
	}
	free(missing);
	free(list);
	/* Records segments that vanished during this run, so that they are recognised when they
	 * return. */
	if (d->r->status == STATUS_UNSAFE && manifest_reconcile(d->buf, err) == -1)
		return -1;
	for (i = 0; i < d->checkpoint.nlagging; i++)
		if (*d->checkpoint.lagging[i].reason) {
			d->r->held++;
			drain_say(d, "'%s' is held: %s", d->checkpoint.lagging[i].type,
			    d->checkpoint.lagging[i].reason);
		}
	/* stream IDs may start again one day */
	if (!d->r->left && (d->checkpoint.nmatched || d->checkpoint.lost)) {
		checkpoint_drop_matched(&d->checkpoint);
		d->checkpoint.lost = false;
		if (checkpoint_store(d->buf, &d->checkpoint, err) == -1)
			return -1;
	}
	if (d->r->quarantined > DRAIN_NAMED)
		drain_say(d, "%" PRIu64 " lines in all put into quarantine", d->r->quarantined);
	if (d->r->quarantined || d->r->disordered)
		d->r->status = status_worse(d->r->status, STATUS_SOME);
	if (d->r->left)
		d->r->status = status_worse(d->r->status, STATUS_AGAIN);
	return 0;
}

/* Makes walks until nothing that remains can be delivered now. */
static int
drain_until_empty(struct drain *d, struct err *err)
{
	size_t adopted;
	bool unsettled = false, holds;
	uint64_t before;
	int i, r;

	for (i = 0;; i++) {
		before = d->r->replayed + d->r->found + d->r->quarantined;
		adopted = 0;
		if (i < ADOPT_ROUNDS && adopt_foreign_files(d, &adopted, &unsettled, err) == -1)
			return -1;
		if (unsettled)
			/* A plain writer's file has not settled, and our lines may be younger than
			 * its. */
			return 0;
		if ((r = drain_one_walk(d, err)) != 0)
			return r == -1 ? -1 : 0;
		if (drain_must_end(d) || backlog_lacks_type(d->buf, "", &holds, err) == 1)
			return 0;
		if (i > 0 && !adopted && before == d->r->replayed + d->r->found + d->r->quarantined)
			return 0; /* nothing that remains can be delivered now */
	}
}

/* Counts the entries that MAXLEN trimmed from streams without groups. */
static void
count_drain_trimmed(struct drain *d)
{
	struct err err;
	uint64_t now;
	size_t i;

	for (i = 0; i < d->dests.n && conn_why(d->conn) == CONN_OK; i++) {
		struct dest *dest = d->dests.dest[i];
		uint64_t had = dest->watch.before.length + dest->watch.added;

		d->r->trimmed += dest->trimmed;
		if (dest->mode == DEST_PLAIN && dest->watch.added && dest->maxlen > 0 &&
		    had > (uint64_t)dest->maxlen &&
		    stream_length(d->conn, dest->key, &now, &err) == 0 && now < had)
			d->r->trimmed += had - now;
	}
}

/* Appends the outage's event. Unlike draining it needs room on the disk, so it may have to wait. */
static int
end_drain_outage(struct drain *d, struct err *err)
{
	struct err append_err;
	int r = outage_append_event(&d->outage, d->buf, drain_events_removed(d), d->o->target,
	    d->o->limits, d->o->conf->service, &append_err);

	if (r == 1)
		drain_say(
		    d, "%s: " OUTAGE_TYPE " will be appended by a later run", append_err.text);
	if (r == -1)
		*err = append_err;
	return r == -1 ? -1 : 0;
}

static int
load_drain_state(struct drain *d, struct err *err)
{
	struct intent *in = &d->checkpoint.intent;
	int r;

	/* Checked again under the replay lock: meanwhile the buffer may have been retargeted, or
	 * emptied and used for another target. */
	if (buffer_check_target(d->buf, d->o->target, err) == -1 ||
	    manifest_reconcile(d->buf, err) == -1 ||
	    checkpoint_load(d->buf, &d->checkpoint, err) == -1)
		return -1;
	if (d->checkpoint.lost)
		drain_say(d,
		    "'%s/.progress' was lost: looking up which events the streams already hold",
		    d->buf->dir);
	if (in->active) {
		if (fence_conn(d->conn, in->run_id, in->client, in->addr, err) == -1)
			return -1;
		d->old_intent = *in;
		memset(in, 0, sizeof(*in));
	}
	r = outage_load(&d->outage, d->buf, err);
	if (r == 1 && (r = end_drain_outage(d, err)) == 0 && !d->outage.due)
		/* another outage may have begun since */
		r = outage_load(&d->outage, d->buf, err);
	return r == -1 ? -1 : 0;
}

/* Calls, from level to level: drain_until_empty, drain_one_walk, drain_batches, drain_batch. */
int
drain_run(struct buffer *buf, struct conn *conn, const struct drain_options *o,
    struct drain_result *res, struct err *err)
{
	struct drain d = {.buf = buf, .conn = conn, .o = o, .r = res, .started = clock_mono()};
	struct dest *dest;
	int r;

	memset(res, 0, sizeof(*res));
	batch_init(&d.batch);
	d.quarantine = quarantine_open(buf);
	r = load_drain_state(&d, err);
	if (r == 0)
		r = drain_until_empty(&d, err);
	if (r == 0 && d.outage.due && (r = end_drain_outage(&d, err)) == 0 && !d.outage.due &&
	    !drain_must_end(&d))
		r = drain_until_empty(&d, err);
	outage_save_count(&d.outage, buf, drain_events_removed(&d));
	if (r == 0)
		r = report_leftovers(&d, err);
	if (r == 0)
		count_drain_trimmed(&d);
	if (o->type != NULL && (dest = dests_find(&d.dests, o->type)) != NULL && dest->stopped)
		res->refused = dest->why;
	counters_add(buf,
	    (uint64_t[COUNTERS]){[COUNT_REPLAYED] = res->replayed,
	        [COUNT_POSSIBLE_DUPLICATES] = res->possible_duplicates,
	        [COUNT_TRIMMED] = res->trimmed});
	readahead_close(&d.ahead);
	suspect_close(d.suspect);
	batch_free(&d.batch);
	quarantine_close(d.quarantine);
	dests_free(&d.dests);
	reclaim_free(&d.reclaim);
	positions_clear(&d.walked);
	checkpoint_free(&d.checkpoint);
	checkpoint_free(&d.skipped);
	intent_clear(&d.old_intent);
	outage_free(&d.outage);
	free(d.added);
	free(d.chain_stem);
	return r;
}
