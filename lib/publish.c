#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backlog.h"
#include "bus.h"
#include "counters.h"
#include "drain.h"
#include "lane.h"
#include "names.h"
#include "outage.h"
#include "probe.h"
#include "publish.h"
#include "quarantine.h"
#include "segment.h"
#include "spool.h"
#include "status.h"
#include "stream.h"
#include "util.h"
#include "watch.h"
#include "when.h"
#include "window.h"

#define RETRY_MS 500		/* after a refusal, which costs nothing */
#define DRAIN_EVENTS 1000	/* G3: how much of the buffer a publisher drains at a time */
#define DRAIN_MS 200
#define WATCH_EVERY 10000
#define CLEAR_TYPES 32

struct publish {
	const struct publish_options *o;
	struct spool *sp;	/* NULL: no buffer */
	char *no_buffer;	/* why not */
	char *target;
	struct bus *b;
	struct lanes lanes;	/* of this connection */
	struct window w;
	unsigned long long taken;
	int64_t next_try;	/* CLOCK_MONOTONIC ms: neither connect nor send before */
	int64_t next_drain;
	bool behind;		/* the buffer holds what this process is waiting to see gone */
	bool readonly, readonly_tried;
	bool said_down;
	/* What of the buffer was seen last (spool_change): the types that were clear then. */
	bool looked, empty;
	uint64_t change;
	char *clear[CLEAR_TYPES];
	size_t clears;
	uint64_t since_watch;
	uint64_t count[COUNTERS];
	int status;
};

static void say(struct publish *p, bool important, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void
say(struct publish *p, bool important, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	p->o->say(p->o->arg, important, text);
}

static void
worse(struct publish *p, int status)
{
	p->status = status_worse(p->status, status);
}

static int64_t
limit_of(const struct publish *p, const char *type)
{
	return p->o->maxlen >= 0 ? p->o->maxlen : conf_maxlen(p->o->conf, type);
}

/* --- answers, in order --------------------------------------------------------------- */

static void
answer(struct publish *p, struct slot *s, const char *text)
{
	char id[STREAM_ID_SIZE];

	switch (s->state) {
	case SLOT_ADDED:
		stream_id_format(s->id, id);
		p->count[COUNT_PUBLISHED]++;
		p->o->answer(p->o->arg, s->n, PUBLISH_ADDED, id);
		break;
	case SLOT_BUFFERED:
		p->count[COUNT_BUFFERED]++;
		p->o->answer(p->o->arg, s->n, PUBLISH_BUFFERED, "buffered");
		break;
	case SLOT_UNSAFE:
		worse(p, STATUS_UNSAFE);
		p->o->answer(p->o->arg, s->n, PUBLISH_UNSAFE, text);
		break;
	default:
		p->count[COUNT_REFUSED]++;
		p->o->answer(p->o->arg, s->n, PUBLISH_REFUSED, "refused");
	}
}

static void
emit(struct publish *p, const char *unsafe)
{
	while (p->w.count && window_at(&p->w, 0)->state >= SLOT_ADDED) {
		answer(p, window_at(&p->w, 0), unsafe);
		window_pop(&p->w);
	}
}

/* --- the connection -------------------------------------------------------------------- */

static void
disconnect(struct publish *p)
{
	bus_close(p->b);
	p->b = NULL;
	lanes_free(&p->lanes);
}

/* Words, status and pause for a server that does not take events now. */
static void
down(struct publish *p, enum bus_why why, const char *text)
{
	int status = bus_status(why);

	p->next_try = when_mono() + (why == BUS_TIMEOUT ? PROBE_MS : RETRY_MS);
	p->behind = p->sp != NULL;
	if (p->sp && (why == BUS_REFUSED || why == BUS_TIMEOUT || why == BUS_CUT || why == BUS_GARBAGE))
		outage_mark(p->sp);
	if (status == STATUS_DENIED || status == STATUS_CONFIG)
		worse(p, status);
	if (!p->said_down)
		say(p, status == STATUS_DENIED || status == STATUS_CONFIG, "%s%s", text,
		    p->sp ? "; buffering" : "");
	p->said_down = true;
}

/* What was handed to the kernel whole may have been executed; what was not, was not. */
static void
doubt(struct publish *p, struct slot *s)
{
	struct doubt *d = &s->where;

	if (s->number > bus_sent(p->b))
		return;
	s->doubt = true;
	memset(d, 0, sizeof *d);
	snprintf(d->run_id, sizeof d->run_id, "%s", bus_run_id(p->b));
	snprintf(d->addr, sizeof d->addr, "%s", bus_addr(p->b));
	d->client = bus_client_id(p->b);
	stream_id_format(s->lane->after, d->after);
}

static int quarantine_event(struct publish *p, struct slot *s, const char *why);

/* The connection is gone: all that is unanswered goes to the buffer. */
static void
lost(struct publish *p, const struct fail *f)
{
	enum bus_why why = bus_why(p->b);
	size_t i;

	for (i = 0; i < p->w.count; i++) {
		struct slot *s = window_at(&p->w, i);

		if (s->state != SLOT_SENT)
			continue;
		if (why == BUS_TOOBIG && p->w.sent == 1 && quarantine_event(p, s, f->text) == 0)
			continue;
		doubt(p, s);
		window_state(&p->w, s, SLOT_SPILL);
	}
	if (why == BUS_TIMEOUT && p->sp)
		probe_silent(p->sp, p->o->conf->place);
	bus_abort(p->b);
	p->b = NULL;
	down(p, why, f->text);
	lanes_free(&p->lanes);
	for (i = 0; i < p->w.count; i++)
		window_at(&p->w, i)->lane = NULL;
}

static struct lane *
take_lane(struct publish *p, struct slice type, const struct stream_info *info)
{
	struct lane *l = lanes_get(&p->lanes, p->o->conf->prefix, type);

	l->opened = true;
	l->after = info->last_generated;
	l->maxlen = limit_of(p, l->type);
	l->watch.before = *info;
	return l;
}

/* A refusal to look (no permission, wrong type) is none to send: the XADD itself will tell. */
static int
look_at(struct publish *p, const struct reply *r, struct slice type)
{
	struct stream_info info;
	enum bus_why why;
	struct fail f;

	if (stream_take_info(r, &info, &why, &f) == -1)
		memset(&info, 0, sizeof info);
	take_lane(p, type, &info);
	return 0;
}

/* Greeting and the bound of the first type in one round trip. */
static int
greet(struct publish *p, struct slice type, struct fail *f)
{
	struct lane *l = lanes_get(&p->lanes, p->o->conf->prefix, type);
	struct reply *r;

	stream_put_info(p->b, l->key);
	if (bus_greet(p->b, f) == -1 || !(r = bus_wait(p->b, 0, f)))
		return -1;
	look_at(p, r, type);
	reply_free(r);
	return 0;
}

static int
dial(struct publish *p, struct slice type, enum bus_why *why, struct fail *f)
{
	const struct conf *c = p->o->conf;

	p->b = bus_dial(&c->url, c->timeout_ms, why, f);
	if (!p->b)
		return -1;
	if (greet(p, type, f) == 0)
		return 0;
	*why = bus_why(p->b);
	disconnect(p);
	return -1;
}

/* 1 when connected. */
static int
connected(struct publish *p, struct slice type)
{
	const struct conf *c = p->o->conf;
	enum bus_why why = BUS_FINE;
	struct fail f;
	int r;

	if (p->b)
		return when_mono() >= p->next_try;
	if (when_mono() < p->next_try)
		return 0;
	if (p->sp && !probe_enter(p->sp, c->place, c->timeout_ms)) {
		fail_set(&f, STATUS_UNREACHABLE, "%s did not answer a moment ago; not tried again for %d s", c->place,
		    PROBE_MS / 1000);
		down(p, BUS_TIMEOUT, f.text);
		return 0;
	}
	r = dial(p, type, &why, &f);
	if (p->sp)
		probe_leave(p->sp, c->place, r == -1 && why == BUS_TIMEOUT);
	if (r == -1) {
		down(p, why, f.text);
		return 0;
	}
	if (p->said_down)
		say(p, false, "%s is back", c->place);
	p->said_down = false;
	return 1;
}

/* --- replies ---------------------------------------------------------------------------- */

/* An event that the server will never take is kept, out of the way. */
static int
quarantine_event(struct publish *p, struct slot *s, const char *why)
{
	struct buf line = { 0 };
	struct quarantine *q;
	struct fail f;
	int r = -1;

	if (!p->sp)
		return -1;
	event_line_head(&line, &s->e);
	buf_addc(&line, '}');
	q = quarantine_open(p->sp);
	if (quarantine_add(q, "refused", (uint64_t)when_now(), why, (struct slice){ line.p, line.len }, &f) == 0 &&
	    quarantine_sync(q, &f) == 0) {
		window_state(&p->w, s, SLOT_REFUSED);
		p->count[COUNT_QUARANTINED]++;
		worse(p, STATUS_SOME);
		say(p, true, "event %llu: %s: put into quarantine", s->n, why);
		r = 0;
	}
	quarantine_close(q);
	buf_free(&line);
	return r;
}

static void
refused(struct publish *p, struct slot *s, enum bus_why why, const char *text)
{
	if (why == BUS_TOOBIG && quarantine_event(p, s, text) == 0)
		return;
	window_state(&p->w, s, SLOT_SPILL);
	lane_stop(s->lane, why, text);
	if (why == BUS_READONLY)
		p->readonly = true;
	if (why == BUS_LATER || why == BUS_READONLY || why == BUS_DENIED || why == BUS_MOVED) {
		down(p, why, text);
		return;
	}
	worse(p, bus_status(why));
	say(p, true, "%s", text);
}

static void
take_reply(struct publish *p, const struct reply *r)
{
	struct slot *s = NULL;
	enum bus_why why = BUS_FINE;
	struct fail f;
	size_t i;

	for (i = 0; i < p->w.count; i++)
		if ((s = window_at(&p->w, i))->state == SLOT_SENT)
			break;
	if (i == p->w.count)
		return;
	if (stream_take_add(r, &s->id, &why, &f) == -1) {
		refused(p, s, why, f.text);
		return;
	}
	if (s->lane->stopped) {
		worse(p, STATUS_SOME);
		say(p, true, "'%s': event %llu was taken after an earlier one was refused: they are out of order",
		    s->lane->type, s->n);
	}
	s->lane->after = s->id;
	s->lane->watch.added++;
	p->since_watch++;
	window_state(&p->w, s, SLOT_ADDED);
}

static void
take_replies(struct publish *p)
{
	struct reply *r;

	while (p->b && p->w.sent && (r = bus_take(p->b))) {
		take_reply(p, r);
		reply_free(r);
	}
}

/* Waits for all that is unanswered. */
static void
await(struct publish *p)
{
	struct reply *r;
	struct fail f;

	while (p->b && p->w.sent) {
		if (!(r = bus_wait(p->b, 0, &f))) {
			lost(p, &f);
			return;
		}
		take_reply(p, r);
		reply_free(r);
	}
}

/* --- sending ------------------------------------------------------------------------------ */

static void
send_slot(struct publish *p, struct slot *s)
{
	struct slice kv[2 * EVENT_FIELDS];

	event_fields(&s->e, kv);
	s->lane = lanes_get(&p->lanes, p->o->conf->prefix, s->e.type);
	s->number = stream_put_add(p->b, s->lane->key, s->lane->maxlen, kv, 2 * EVENT_FIELDS);
	window_state(&p->w, s, SLOT_SENT);
}

/* A replica answered: its name may lead elsewhere by now. Once. */
static void
try_elsewhere(struct publish *p)
{
	enum bus_why why;
	struct fail f;
	size_t i;

	p->readonly = false;
	if (p->readonly_tried)
		return;
	p->readonly_tried = true;
	disconnect(p);
	if (dial(p, window_at(&p->w, 0)->e.type, &why, &f) == -1)
		return;
	p->next_try = 0;
	for (i = 0; i < p->w.count; i++) {
		struct slot *s = window_at(&p->w, i);

		if (s->state != SLOT_SPILL || s->doubt)
			continue;
		if (!lanes_get(&p->lanes, p->o->conf->prefix, s->e.type)->opened)
			take_lane(p, s->e.type, &(struct stream_info){ 0 });
		send_slot(p, s);
	}
	await(p);
}

/* --- the buffer ---------------------------------------------------------------------------- */

static size_t
gather(struct publish *p, struct buf *arena, struct append_line *lines)
{
	size_t i, n = 0, at = 0;

	for (i = 0; i < p->w.count; i++) {
		struct slot *s = window_at(&p->w, i);
		const char *type;
		int64_t own;

		if (s->state != SLOT_SPILL)
			continue;
		event_line_head(arena, &s->e);
		lines[n].head.n = arena->len - at;
		at = arena->len;
		type = lanes_get(&p->lanes, p->o->conf->prefix, s->e.type)->type;
		own = limit_of(p, type);
		event_line_tail(arena, own == CONF_MAXLEN ? -1 : own, s->doubt ? &s->where : NULL);
		lines[n++].tail.n = arena->len - at;
		at = arena->len;
	}
	for (i = 0, at = 0; i < n; i++) {	/* the arena stands still now */
		lines[i].head.p = arena->p + at;
		at += lines[i].head.n;
		lines[i].tail.p = arena->p + at;
		at += lines[i].tail.n;
	}
	return n;
}

static void
set_spills(struct publish *p, enum slot_state state)
{
	size_t i;

	for (i = 0; i < p->w.count; i++)
		if (window_at(&p->w, i)->state == SLOT_SPILL)
			window_state(&p->w, window_at(&p->w, i), state);
}

static int
append(struct publish *p, struct fail *f)
{
	struct append_line *lines;
	struct buf arena = { 0 };
	size_t n;
	int r;

	if (!p->sp)
		return fail_set(f, STATUS_UNSAFE, "%s", p->no_buffer);
	lines = util_alloc((p->w.count + 1) * sizeof *lines);
	n = gather(p, &arena, lines);
	r = append_lines(p->sp, p->target, &p->o->limits, lines, n, f);
	buf_free(&arena);
	free(lines);
	return r;
}

static int drain_some(struct publish *p, const char *type, bool whole);
static int is_clear(struct publish *p, struct slice type);

/*
 * The buffer takes no more, but Redis is there: draining needs no room, and once the buffer is clear, what is at hand may
 * go directly.
 */
static int
past_the_buffer(struct publish *p)
{
	size_t i;

	if (!p->b || !p->sp || when_mono() < p->next_try)
		return -1;
	for (i = 0; i < p->w.count; i++) {
		struct slot *s = window_at(&p->w, i);

		if (s->state != SLOT_SPILL)
			continue;
		if (s->doubt || (!is_clear(p, s->e.type) && (drain_some(p, NULL, true), !p->b || !is_clear(p, s->e.type))))
			return -1;
		if (!lanes_get(&p->lanes, p->o->conf->prefix, s->e.type)->opened)
			take_lane(p, s->e.type, &(struct stream_info){ 0 });
		send_slot(p, s);
		await(p);
		if (!p->b || p->w.spills > p->w.count)
			return -1;
	}
	return p->w.spills ? -1 : 0;
}

/* Everything in the window gets its answer. */
static void
settle(struct publish *p)
{
	struct fail f = { .text = "" };

	await(p);
	if (p->readonly)
		try_elsewhere(p);
	if (p->w.spills) {
		if (append(p, &f) == 0) {
			set_spills(p, SLOT_BUFFERED);
			p->behind = true;
			p->looked = false;
		} else if (past_the_buffer(p) == -1) {
			worse(p, f.status == STATUS_CONFIG ? STATUS_CONFIG : STATUS_UNSAFE);
			set_spills(p, SLOT_UNSAFE);
		}
	}
	emit(p, f.text);
}

/* --- may it go directly? --------------------------------------------------------------------- */

static void
forget_clear(struct publish *p)
{
	while (p->clears)
		free(p->clear[--p->clears]);
	p->looked = p->empty = false;
}

static int
is_clear(struct publish *p, struct slice type)
{
	char name[NAMES_MAX + 1];
	struct fail f;
	uint64_t change;
	bool holds;
	size_t i;
	int r;

	if (p->looked && p->empty)
		return 1;
	for (i = 0; p->looked && i < p->clears; i++)
		if (slice_eq(type, p->clear[i]))
			return 1;
	snprintf(name, sizeof name, "%.*s", (int)type.n, type.p);
	change = spool_change(p->sp);
	r = backlog_clear(p->sp, name, &holds, &f);
	if (r != 1)
		return 0;
	if (!p->looked || change != p->change)
		forget_clear(p);
	p->looked = true;
	p->change = change;
	p->empty = !holds;
	if (p->clears < CLEAR_TYPES)
		p->clear[p->clears++] = util_strdup(name);
	return 1;
}

static void
quiet(void *arg, const char *text)
{
	say(arg, false, "%s", text);
}

/* Drains a part of the buffer, if nobody else does. 0 something was done, -1 not possible now. */
static int
drain_some(struct publish *p, const char *type, bool whole)
{
	struct drain_options o = { .conf = p->o->conf, .target = p->target, .limits = &p->o->limits, .maxlen = -1,
	    .type = type, .limit = whole ? 0 : DRAIN_EVENTS, .budget_ms = whole ? 0 : DRAIN_MS, .say = quiet, .arg = p };
	struct drain_result r;
	struct fail f;
	int done;

	if (spool_replay_lock(p->sp, &f) == -1)
		return -1;
	done = drain_run(p->sp, p->b, &o, &r, &f);
	spool_replay_unlock(p->sp);
	forget_clear(p);
	if (r.quarantined || r.status == STATUS_UNSAFE)
		worse(p, r.status == STATUS_UNSAFE ? STATUS_UNSAFE : STATUS_SOME);
	if (done == -1 && bus_why(p->b) != BUS_FINE)
		lost(p, &f);
	else if (done == -1)
		down(p, BUS_LATER, f.text);
	if (r.refused == BUS_NOPERM || r.refused == BUS_WRONGTYPE || r.refused == BUS_FULL || r.refused == BUS_OTHER)
		worse(p, bus_status(r.refused));
	return done == -1 || (!r.replayed && !r.found) ? -1 : 0;
}

/* The bound of a type that is new on this connection; nothing may be unanswered. */
static int
open_lane(struct publish *p, struct slice type)
{
	struct lane *l = lanes_get(&p->lanes, p->o->conf->prefix, type);
	struct reply *r;
	struct fail f;

	if (l->opened)
		return l->stopped ? -1 : 0;
	await(p);
	if (!p->b)
		return -1;
	l = lanes_get(&p->lanes, p->o->conf->prefix, type);
	stream_put_info(p->b, l->key);
	if (!(r = bus_wait(p->b, 0, &f))) {
		lost(p, &f);
		return -1;
	}
	look_at(p, r, type);
	reply_free(r);
	return 0;
}

static int
goes_directly(struct publish *p, struct slice type)
{
	char name[NAMES_MAX + 1];

	if (!connected(p, type))
		return 0;
	if (p->sp && !p->o->unordered && !is_clear(p, type)) {
		p->behind = true;
		settle(p);
		if (!p->b || when_mono() < p->next_drain)
			return 0;
		snprintf(name, sizeof name, "%.*s", (int)type.n, type.p);
		if (drain_some(p, name, false) == -1)
			p->next_drain = when_mono() + RETRY_MS;
		if (!p->b || !is_clear(p, type))
			return 0;
	}
	return open_lane(p, type) == 0 && p->b && when_mono() >= p->next_try;
}

/* --- the interface ------------------------------------------------------------------------------ */

struct publish *
publish_open(const struct publish_options *o, struct fail *f)
{
	struct publish *p = util_alloc(sizeof *p);
	struct buf b = { 0 };
	const char *dir;
	char *owner;

	p->o = o;
	window_init(&p->w);
	buf_addf(&b, "%s %s", o->conf->place, o->conf->prefix);
	p->target = util_strdup(buf_str(&b));
	buf_free(&b);
	if (o->no_buffer) {
		p->no_buffer = util_strdup("Redis did not take it, and --no-buffer forbids the buffer");
		return p;
	}
	if (!(dir = conf_buffer(o->conf, f)))
		goto fail;
	if (!(p->sp = spool_open(dir, true, f))) {
		if (f->status == STATUS_CONFIG)
			goto fail;
		p->no_buffer = util_strdup(f->text);
		say(p, false, "%s: events are not buffered if Redis goes away", f->text);
		return p;
	}
	if (segment_any(spool_fd(p->sp)) == 1 && (owner = spool_target(p->sp))) {
		if (strcmp(owner, p->target) != 0) {
			fail_set(f, STATUS_CONFIG, "buffer '%s' holds events for %s, not for %s: give another with -b, "
			    "or see ebreplay --retarget", dir, owner, p->target);
			free(owner);
			goto fail;
		}
		free(owner);
	}
	return p;
fail:
	publish_close(p);
	return NULL;
}

void
publish_close(struct publish *p)
{
	if (!p)
		return;
	disconnect(p);
	spool_close(p->sp);
	window_free(&p->w);
	forget_clear(p);
	free(p->no_buffer);
	free(p->target);
	free(p);
}

void
publish_begin(struct publish *p)
{
	if (p->sp && p->looked && spool_change(p->sp) != p->change)
		forget_clear(p);
}

static void
make_space(struct publish *p, size_t bytes)
{
	struct fail f;

	if (window_room(&p->w, bytes))
		return;
	/* Down to a half, so that the server always has work while we read on. */
	while (p->b && !p->w.spills && p->w.sent && bytes <= WINDOW_BIG &&
	    (p->w.count > WINDOW_SLOTS / 2 || p->w.bytes > WINDOW_BYTES / 2)) {
		if (bus_pause(p->b, -1, -1, &f) == -1) {
			lost(p, &f);
			break;
		}
		take_replies(p);
		emit(p, "");
	}
	if (!window_room(&p->w, bytes))
		settle(p);
}

void
publish_event(struct publish *p, const struct event *e)
{
	struct slot *s;
	bool direct;

	make_space(p, e->payload.n);
	direct = goes_directly(p, e->type);
	if (direct && p->w.spills) {	/* what waits for the buffer was there first */
		settle(p);
		direct = goes_directly(p, e->type);
	}
	if (!window_room(&p->w, e->payload.n))
		settle(p);
	s = window_push(&p->w, e, ++p->taken);
	if (!direct) {
		window_state(&p->w, s, SLOT_SPILL);
		return;
	}
	send_slot(p, s);
	if (e->payload.n > WINDOW_BIG)
		settle(p);
}

void
publish_refused(struct publish *p)
{
	if (!window_room(&p->w, 0))
		settle(p);
	window_state(&p->w, window_push(&p->w, NULL, ++p->taken), SLOT_REFUSED);
}

static void
watch_all(struct publish *p)
{
	struct buf words = { 0 };
	size_t i;

	for (i = 0; p->b && bus_why(p->b) == BUS_FINE && i < p->lanes.n; i++) {
		struct lane *l = p->lanes.lane[i];

		words.len = 0;
		p->count[COUNT_TRIMMED] += watch_look(&l->watch, p->b, l->key, l->maxlen, &words);
		if (words.len)
			say(p, true, "%s", buf_str(&words));
	}
	buf_free(&words);
	p->since_watch = 0;
}

void
publish_end(struct publish *p)
{
	struct fail f;

	if (p->b && bus_io(p->b, &f) == -1)
		lost(p, &f);
	take_replies(p);
	if (p->w.spills)
		settle(p);
	else
		emit(p, "");
	if (p->b && p->since_watch >= WATCH_EVERY) {
		settle(p);
		watch_all(p);
	}
}

int
publish_fd(const struct publish *p)
{
	return p->b ? bus_fd(p->b) : -1;
}

short
publish_events(const struct publish *p)
{
	return p->b ? bus_events(p->b) : 0;
}

int
publish_timeout(const struct publish *p)
{
	int64_t now = when_mono(), at = -1, next;

	if (p->b && p->w.sent)
		at = bus_deadline(p->b);
	else if (p->behind)
		at = p->next_try > p->next_drain ? p->next_try : p->next_drain;
	if (at == -1)
		return -1;
	next = at - now;
	return next < 0 ? 0 : next > 60000 ? 60000 : (int)next;
}

/* Nothing to send just now: bring the buffer down. */
static void
catch_up(struct publish *p)
{
	bool holds = true;
	struct fail f;

	if (backlog_clear(p->sp, "", &holds, &f) == 1 && !holds) {
		p->behind = false;
		return;
	}
	if (!connected(p, slice_of(OUTAGE_TYPE))) {
		p->next_drain = p->next_try;
		return;
	}
	if (drain_some(p, NULL, false) == -1)
		p->next_drain = when_mono() + 2 * RETRY_MS;
}

void
publish_work(struct publish *p)
{
	publish_end(p);
	if (p->behind && p->sp && p->w.count == 0 && when_mono() >= p->next_try && when_mono() >= p->next_drain)
		catch_up(p);
}

int
publish_finish(struct publish *p)
{
	settle(p);
	watch_all(p);
	if (p->sp)
		counters_add(p->sp, p->count);
	return p->status;
}
