/* fallback: a publisher's use of the disk buffer: appends what Redis did not take, and drains.
 * Declared in publish_int.h. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "buffer/backlog.h"
#include "buffer/line.h"
#include "buffer/quarantine.h"
#include "drain/drain.h"
#include "drain/outage.h"
#include "event/names.h"
#include "publish/publish_int.h"

#define DRAIN_EVENTS 1000 /* G3 (eventbus(7)): the part that a publisher drains at a time */
#define DRAIN_MS 200
#define LINE_BYTES_KEPT (8UL << 20)

/* Returns the maxlen to write into the event's line; -1, none, for the default. */
static int64_t
line_maxlen(struct publish *p, const struct inflight_event *ev)
{
	int64_t own = publish_maxlen(p, dests_get(&p->dests, ev->event.type)->type);

	return own == CONF_MAXLEN ? -1 : own;
}

static size_t
gather_lines(struct publish *p, struct bytes *bytes, struct append_line *lines)
{
	size_t i, n = 0, at = 0;

	for (i = 0; i < p->inflight.count; i++) {
		struct inflight_event *ev = inflight_at(&p->inflight, i);

		if (ev->state != INFLIGHT_TO_BUFFER)
			continue;
		line_head(bytes, &ev->event);
		lines[n].head.n = bytes->len - at;
		at = bytes->len;
		line_tail(bytes, line_maxlen(p, ev), ev->in_doubt ? &ev->doubt : NULL);
		lines[n++].tail.n = bytes->len - at;
		at = bytes->len;
	}
	for (i = 0, at = 0; i < n; i++) { /* bytes does not move any more */
		lines[i].head.p = bytes->p + at;
		at += lines[i].head.n;
		lines[i].tail.p = bytes->p + at;
		at += lines[i].tail.n;
	}
	return n;
}

/* Marks the first n TO_BUFFER events as BUFFERED. */
static void
mark_buffered(struct publish *p, size_t n)
{
	for (size_t i = 0; n > 0; i++)
		if (inflight_at(&p->inflight, i)->state == INFLIGHT_TO_BUFFER) {
			inflight_set_state(
			    &p->inflight, inflight_at(&p->inflight, i), INFLIGHT_BUFFERED);
			n--;
		}
}

int
fallback_append(struct publish *p, int64_t lock_ms, struct err *err)
{
	struct append_limits limits = p->o->limits;
	struct append_line *lines;
	struct bytes *bytes = &p->line_bytes;
	int64_t until = clock_mono() + limits.lock_ms;
	size_t n, done = 0, part;
	int r = 0;

	if (p->buf == NULL)
		return err_set(err, p->no_buffer_status, "%s", p->no_buffer_why);
	limits.lock_ms = lock_ms;
	lines = mem_alloc((p->inflight.count + 1) * sizeof(*lines));
	bytes->len = 0;
	part = n = gather_lines(p, bytes, lines);
	while (done < n) {
		if (part > n - done)
			part = n - done;
		r = append_lines(p->buf, p->o->conf->target, &limits, lines + done, part, err);
		if (r == 0) {
			mark_buffered(p, part);
			done += part;
		} else if (part > 1 && err->status == STATUS_UNSAFE && clock_mono() < until)
			/* a disk that is nearly full has room for some of them */
			part = (part + 1) / 2;
		else
			break;
	}
	if (done) {
		p->must_drain = true;
		p->seen = false;
	}
	if (done && p->outage)
		outage_start(p->buf);
	if (bytes->cap > LINE_BYTES_KEPT)
		bytes_free(bytes);
	free(lines);
	return r;
}

/* --- which types the buffer lacks ------------------------------------------------------ */

void
fallback_forget_absent(struct publish *p)
{
	p->seen = p->seen_empty = false;
	p->next_check = 0;
}

/* Remembers that the buffer lacks this type, or `all` types, at this version of the buffer. */
static void
remember_absent(struct publish *p, struct dest *dest, uint64_t change, bool all)
{
	p->seen = true;
	p->seen_change = dest->absent_at = change;
	p->seen_empty = all;
}

bool
fallback_lacks_type(struct publish *p, struct slice type)
{
	struct dest *dest = dests_get(&p->dests, type);
	int64_t began;
	struct err err;
	uint64_t change;
	bool holds;
	int lacks;

	if (p->seen && (p->seen_empty || dest->absent_at == p->seen_change))
		return true;
	began = clock_mono();
	if (dest->recheck_at > began || p->next_check > began)
		return false;
	change = buffer_fingerprint(p->buf);
	lacks = backlog_lacks_type(p->buf, dest->type, &holds, &err);
	if (lacks <= 0) {
		dest->recheck_at = p->next_drain;
		/* With thousands of held types a check is expensive: spend a tenth of the time on
		 * checks at most. Returning false is always safe. */
		p->next_check = clock_mono() + 10 * (clock_mono() - began);
		return false;
	}
	/* the fingerprint does not show that a plain writer appends to its file */
	if (lacks == 1)
		remember_absent(p, dest, change, !holds);
	return true;
}

/* --- draining ---------------------------------------------------------------------- */

static void
say_quietly(void *arg, const char *text)
{
	publish_say(arg, false, "%s", text);
}

int
fallback_drain(struct publish *p, const char *type, bool whole)
{
	struct drain_options options = {.conf = p->o->conf,
	    .limits = &p->o->limits,
	    .maxlen = -1,
	    .type = type,
	    .limit = whole ? 0 : DRAIN_EVENTS,
	    .budget_ms = whole ? 0 : DRAIN_MS,
	    .say = say_quietly,
	    .arg = p};
	int64_t began = clock_mono(), cost;
	struct drain_result drained = {0};
	struct err err;
	int done;

	p->next_drain = began + PUBLISH_RETRY_MS;
	p->held_unrecorded = false;
	if (buffer_replay_lock(p->buf, &err) == -1)
		return -1;
	done = buffer_check_target(p->buf, p->o->conf->target, &err) == -1
	    ? -1
	    : drain_run(p->buf, p->conn, &options, &drained, &err);
	buffer_replay_unlock(p->buf);
	fallback_forget_absent(p);
	dests_free(&p->dests); /* their streams grew, and stopped types may go on */
	if (drained.disordered)
		publish_say(p, true,
		    "%llu events of the buffer were taken after earlier ones of their types were "
		    "refused: they are out of order",
		    (unsigned long long)drained.disordered);
	if (drained.quarantined || drained.disordered || drained.status == STATUS_UNSAFE)
		publish_worse(p, drained.status == STATUS_UNSAFE ? STATUS_UNSAFE : STATUS_SOME);
	if (done == -1 && (err.why == CONN_GARBAGE || conn_why(p->conn) != CONN_OK)) {
		connect_drop(p, &err);
	} else if (done == -1 && err.sys != EACCES) { /* see drain_for_type */
		err.why = CONN_LATER;
		connect_suspend_sending(p, &err);
	}
	if (!conn_is_server_wide(drained.refused))
		publish_worse(p, conn_exit_status(drained.refused));
	if (done == 0 && (drained.replayed || drained.found)) {
		p->next_drain = 0;
		return 0;
	}
	/* Spend a tenth of the time at most on drains that deliver nothing. */
	cost = clock_mono() - began;
	p->next_drain =
	    clock_mono() + (10 * cost > PUBLISH_RETRY_MS ? 10 * cost : PUBLISH_RETRY_MS);
	return -1;
}

/* --- past a buffer that takes no more ----------------------------------------------- */

/* Drains the whole buffer if it may hold events of this type. On a disk that has become read-only
 * that fails; then reads all lines. Returns 0 when the buffer holds no event of the type now, or
 * may not be read, else -1. */
static int
drain_for_type(struct publish *p, struct slice type)
{
	struct dest *dest;
	struct err err;
	int r;

	if (fallback_lacks_type(p, type) ||
	    (fallback_drain(p, NULL, true) == 0 && p->conn != NULL && fallback_lacks_type(p, type)))
		return 0;
	if (p->conn == NULL)
		return -1;
	dest = dests_get(&p->dests, type);
	r = backlog_scan_lacks_type(p->buf, dest->type, &err);
	if (r == -1 && err.sys == EACCES) {
		publish_say(p, !p->order_unknown && !p->o->conf->quiet,
		    "%s; the buffer may hold earlier events, so the order of events is not known",
		    err.text);
		p->order_unknown = true;
		return 0;
	}
	if (r != 1)
		return -1;
	remember_absent(p, dest, buffer_fingerprint(p->buf), false);
	return 0;
}

/* Sends one TO_BUFFER event to Redis. Awaits its reply, so that no later event overtakes it. */
static int
send_past_buffer(struct publish *p, struct inflight_event *ev)
{
	if (ev->in_doubt || drain_for_type(p, ev->event.type) == -1 || p->conn == NULL ||
	    publish_prepare_dest(p, ev->event.type) == -1 || p->conn == NULL)
		return -1;
	connect_send_event(p, ev);
	connect_await_replies(p);
	return ev->state == INFLIGHT_TO_BUFFER ? -1 : 0;
}

/* Returns whether an earlier event of the same type is still TO_BUFFER: G3 forbids overtaking it.
 */
static bool
waits_behind_same_type(struct publish *p, size_t at)
{
	struct slice type = inflight_at(&p->inflight, at)->event.type, other;

	for (size_t i = 0; i < at; i++) {
		other = inflight_at(&p->inflight, i)->event.type;
		if (inflight_at(&p->inflight, i)->state == INFLIGHT_TO_BUFFER &&
		    other.n == type.n && memcmp(other.p, type.p, type.n) == 0)
			return true;
	}
	return false;
}

int
fallback_bypass(struct publish *p)
{
	int r = 0;

	for (size_t i = 0; i < p->inflight.count; i++) {
		if (inflight_at(&p->inflight, i)->state != INFLIGHT_TO_BUFFER)
			continue;
		if (p->conn == NULL || p->buf == NULL || clock_mono() < p->next_try)
			return -1;
		if (waits_behind_same_type(p, i) ||
		    send_past_buffer(p, inflight_at(&p->inflight, i)) == -1)
			r = -1;
	}
	return r;
}

int
fallback_quarantine(struct publish *p, struct inflight_event *ev, const char *why)
{
	struct bytes line = {0};
	struct quarantine *quarantine;
	struct err err;
	int r = -1;

	if (p->buf == NULL)
		return -1;
	line_format(&line, &ev->event, line_maxlen(p, ev), NULL, clock_now());
	quarantine = quarantine_open(p->buf);
	if (quarantine_add_refused(quarantine, why, (struct slice){line.p, line.len - 1}, &err) ==
	        0 &&
	    quarantine_sync(quarantine, &err) == 0) {
		inflight_set_state(&p->inflight, ev, INFLIGHT_REFUSED);
		p->counts[COUNT_QUARANTINED]++;
		publish_worse(p, STATUS_SOME);
		publish_say(p, true, "event %llu: %s: put into quarantine", ev->number, why);
		r = 0;
	}
	quarantine_close(quarantine);
	bytes_free(&line);
	return r;
}
