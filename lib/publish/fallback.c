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

#define DRAIN_EVENTS 1000 /* G3: how much of the buffer a publisher drains at a time */
#define DRAIN_MS 200
#define ARENA_KEPT (8UL << 20)

/* What a line says of its stream's limit: nothing when it is the default. */
static int64_t
line_limit(struct publish *p, const struct inflight_event *s)
{
	int64_t own = publish_maxlen(p, dests_get(&p->dests, p->o->conf->prefix, s->e.type)->type);

	return own == CONF_MAXLEN ? -1 : own;
}

static size_t
gather(struct publish *p, struct bytes *arena, struct append_line *lines)
{
	size_t i, n = 0, at = 0;

	for (i = 0; i < p->inflight.count; i++) {
		struct inflight_event *s = inflight_at(&p->inflight, i);

		if (s->state != INFLIGHT_TO_BUFFER)
			continue;
		line_head(arena, &s->e);
		lines[n].head.n = arena->len - at;
		at = arena->len;
		line_tail(arena, line_limit(p, s), s->doubt ? &s->where : NULL);
		lines[n++].tail.n = arena->len - at;
		at = arena->len;
	}
	for (i = 0, at = 0; i < n; i++) { /* the arena stands still now */
		lines[i].head.p = arena->p + at;
		at += lines[i].head.n;
		lines[i].tail.p = arena->p + at;
		at += lines[i].tail.n;
	}
	return n;
}

/* The first n that wait for it stand in the buffer now. */
static void
note_buffered(struct publish *p, size_t n)
{
	size_t i;

	for (i = 0; n > 0; i++)
		if (inflight_at(&p->inflight, i)->state == INFLIGHT_TO_BUFFER) {
			inflight_set_state(
			    &p->inflight, inflight_at(&p->inflight, i), INFLIGHT_BUFFERED);
			n--;
		}
}

int
fallback_append(struct publish *p, struct err *err)
{
	struct append_line *lines;
	struct bytes *arena = &p->arena;
	int64_t until = clock_mono() + p->o->limits.lock_ms;
	size_t n, done = 0, part;
	int r = 0;

	if (p->buf == NULL)
		return err_set(err, STATUS_UNSAFE, "%s", p->no_buffer);
	lines = mem_alloc((p->inflight.count + 1) * sizeof(*lines));
	arena->len = 0;
	part = n = gather(p, arena, lines);
	while (done < n) {
		if (part > n - done)
			part = n - done;
		r = append_lines(p->buf, p->target, &p->o->limits, lines + done, part, err);
		if (r == 0) {
			note_buffered(p, part);
			done += part;
		} else if (part > 1 && err->status == STATUS_UNSAFE && clock_mono() < until)
			/* a disk that is nearly full takes some of them */
			part = (part + 1) / 2;
		else
			break;
	}
	if (done) {
		p->behind = true;
		p->looked = false;
	}
	if (done && p->away)
		outage_start(p->buf);
	if (arena->cap > ARENA_KEPT)
		bytes_free(arena);
	free(lines);
	return r;
}

/* --- may it go directly? ------------------------------------------------------------- */

void
fallback_forget_absent(struct publish *p)
{
	while (p->clears)
		free(p->clear[--p->clears]);
	p->looked = p->empty = false;
	p->next_look = 0;
}

/* As long as nothing changes, the buffer holds no event of this type. */
static void
note_clear(struct publish *p, const char *type, uint64_t change)
{
	if (!p->looked || change != p->change)
		fallback_forget_absent(p);
	p->looked = true;
	p->change = change;
	if (p->clears < PUBLISH_TYPES)
		p->clear[p->clears++] = mem_strdup(type);
}

int
fallback_lacks_type(struct publish *p, struct slice type)
{
	char name[NAMES_MAX + 1];
	struct err err;
	struct dest *dest;
	int64_t began;
	uint64_t change;
	bool holds;
	size_t i;
	int r;

	if (p->looked && p->empty)
		return 1;
	for (i = 0; p->looked && i < p->clears; i++)
		if (slice_is(type, p->clear[i]))
			return 1;
	dest = dests_get(&p->dests, p->o->conf->prefix, type);
	began = clock_mono();
	if (dest->held_until > began || p->next_look > began)
		return 0;
	snprintf(name, sizeof(name), "%.*s", (int)type.n, type.p);
	change = buffer_change(p->buf);
	r = backlog_lacks_type(p->buf, name, &holds, &err);
	if (r != 1) {
		dest->held_until = p->next_drain;
		/* With thousands of held types a look is dear: a tenth of the time at most. "Not
		 * clear" is always safe. */
		p->next_look = clock_mono() + 10 * (clock_mono() - began);
		return 0;
	}
	note_clear(p, name, change);
	p->empty = !holds;
	return 1;
}

static void
quiet(void *arg, const char *text)
{
	publish_say(arg, false, "%s", text);
}

/* Drains a part of the buffer, if nobody else does. 0 something was done, -1 not possible now. */
int
fallback_drain(struct publish *p, const char *type, bool whole)
{
	struct drain_options o = {.conf = p->o->conf,
	    .target = p->target,
	    .limits = &p->o->limits,
	    .maxlen = -1,
	    .type = type,
	    .limit = whole ? 0 : DRAIN_EVENTS,
	    .budget_ms = whole ? 0 : DRAIN_MS,
	    .say = quiet,
	    .arg = p};
	int64_t began = clock_mono(), cost;
	struct drain_result r;
	struct err err;
	int done;

	p->next_drain = began + PUBLISH_RETRY_MS;
	p->held = false;
	if (buffer_replay_lock(p->buf, &err) == -1)
		return -1;
	done = drain_run(p->buf, p->conn, &o, &r, &err);
	buffer_replay_unlock(p->buf);
	fallback_forget_absent(p);
	dests_free(&p->dests); /* their bounds have moved, and those stopped may go on */
	if (r.disordered)
		publish_say(p, true,
		    "%llu events of the buffer were taken after earlier ones of their types were "
		    "refused: "
		    "they are out of order",
		    (unsigned long long)r.disordered);
	if (r.quarantined || r.disordered || r.status == STATUS_UNSAFE)
		publish_worse(p, r.status == STATUS_UNSAFE ? STATUS_UNSAFE : STATUS_SOME);
	p->garbled |= r.garbage;
	if (done == -1 && (p->garbled || conn_why(p->conn) != CONN_OK))
		connect_drop(p, &err);
	else if (done == -1)
		connect_pause(p, CONN_LATER, err.text);
	if (r.refused == CONN_NOPERM || r.refused == CONN_WRONGTYPE || r.refused == CONN_FULL ||
	    r.refused == CONN_OTHER)
		publish_worse(p, conn_exit_status(r.refused));
	if (done == 0 && (r.replayed || r.found)) {
		p->next_drain = 0;
		return 0;
	}
	/* What brings nothing is not to take more than a tenth of the time. */
	cost = clock_mono() - began;
	p->next_drain =
	    clock_mono() + (10 * cost > PUBLISH_RETRY_MS ? 10 * cost : PUBLISH_RETRY_MS);
	return -1;
}

/* --- past a buffer that takes nothing ----------------------------------------------- */

/* The buffer takes nothing, and perhaps cannot be drained either (a disk that has become
 * read-only): is it in the way at all? */
static int
is_in_the_way(struct publish *p, struct slice type)
{
	char name[NAMES_MAX + 1];
	struct err err;

	if (fallback_lacks_type(p, type) ||
	    (fallback_drain(p, NULL, true) == 0 && p->conn != NULL && fallback_lacks_type(p, type)))
		return 0;
	snprintf(name, sizeof(name), "%.*s", (int)type.n, type.p);
	if (p->conn == NULL || backlog_scan_lacks_type(p->buf, name, &err) != 1)
		return 1;
	note_clear(p, name, buffer_change(p->buf));
	return 0;
}

/* One that waits for the buffer, directly instead. It is sent alone: the next may not pass it. */
static int
send_spilled(struct publish *p, struct inflight_event *s)
{
	if (s->doubt || is_in_the_way(p, s->e.type) || p->conn == NULL ||
	    publish_prepare_dest(p, s->e.type) == -1 || p->conn == NULL)
		return -1;
	connect_send_event(p, s);
	connect_await_replies(p);
	return s->state == INFLIGHT_TO_BUFFER ? -1 : 0;
}

/* An earlier event of its type waits still: the order of a type holds. */
static bool
waits_behind(struct publish *p, size_t at)
{
	struct slice type = inflight_at(&p->inflight, at)->e.type, other;
	size_t i;

	for (i = 0; i < at; i++) {
		other = inflight_at(&p->inflight, i)->e.type;
		if (inflight_at(&p->inflight, i)->state == INFLIGHT_TO_BUFFER &&
		    other.n == type.n && memcmp(other.p, type.p, type.n) == 0)
			return true;
	}
	return false;
}

int
fallback_bypass(struct publish *p)
{
	size_t i;
	int r = 0;

	for (i = 0; i < p->inflight.count; i++) {
		if (inflight_at(&p->inflight, i)->state != INFLIGHT_TO_BUFFER)
			continue;
		if (p->conn == NULL || p->buf == NULL || clock_mono() < p->next_try)
			return -1;
		if (waits_behind(p, i) || send_spilled(p, inflight_at(&p->inflight, i)) == -1)
			r = -1;
	}
	return r;
}

/* An event that the server will never take is kept, out of the way. */
int
fallback_quarantine(struct publish *p, struct inflight_event *s, const char *why)
{
	struct bytes line = {0};
	struct quarantine *q;
	struct err err;
	int r = -1;

	if (p->buf == NULL)
		return -1;
	line_put(&line, &s->e, line_limit(p, s), NULL, clock_now());
	q = quarantine_open(p->buf);
	if (quarantine_add_refused(q, why, (struct slice){line.p, line.len - 1}, &err) == 0 &&
	    quarantine_sync(q, &err) == 0) {
		inflight_set_state(&p->inflight, s, INFLIGHT_REFUSED);
		p->count[COUNT_QUARANTINED]++;
		publish_worse(p, STATUS_SOME);
		publish_say(p, true, "event %llu: %s: put into quarantine", s->n, why);
		r = 0;
	}
	quarantine_close(q);
	bytes_free(&line);
	return r;
}
