#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffer/probe.h"
#include "publish/publishing.h"
#include "redis/reply.h"
#include "redis/stream.h"
#include "base/util.h"
#include "base/when.h"

void
link_close(struct publish *p)
{
	bus_close(p->b);
	p->b = NULL;
	lanes_free(&p->lanes);
}

/* Words, status and pause for a server that does not take events now. */
void
link_down(struct publish *p, enum bus_why why, const char *text)
{
	int status = bus_status(why);

	p->next_try = when_mono() + (why == BUS_TIMEOUT ? PROBE_MS : PUBLISH_RETRY_MS);
	p->behind = p->sp != NULL;
	p->paused = true;
	if (why == BUS_REFUSED || why == BUS_TIMEOUT || why == BUS_CUT || why == BUS_GARBAGE)
		p->away = true;
	if (status == STATUS_DENIED || status == STATUS_CONFIG)
		publish_worse(p, status);
	if (!p->said_down)
		publish_say(p, status == STATUS_DENIED || status == STATUS_CONFIG, "%s%s", text,
		    p->sp ? "; buffering" : "");
	p->said_down = true;
}

/* --- replies ---------------------------------------------------------------------------- */

static void
refused(struct publish *p, struct slot *s, enum bus_why why, const char *text)
{
	if (why == BUS_TOOBIG && spill_quarantine(p, s, text) == 0)
		return;
	window_state(&p->w, s, SLOT_SPILL);
	lane_stop(s->lane, why, text);
	if (why == BUS_READONLY)
		p->readonly = true;
	if (why == BUS_LATER || why == BUS_READONLY || why == BUS_DENIED || why == BUS_MOVED) {
		link_down(p, why, text);
		return;
	}
	publish_worse(p, bus_status(why));
	publish_say(p, true, "%s", text);
}

/* To the first that is unanswered; there is one. */
static void
take_reply(struct publish *p, const struct reply *r)
{
	struct slot *s = window_sent(&p->w);
	enum bus_why why = BUS_FINE;
	struct fail f;

	if (stream_take_add(r, &s->id, &why, &f) == -1) {
		if (why == BUS_GARBAGE)
			p->garbled = true;
		else
			refused(p, s, why, f.text);
		return;
	}
	if (s->lane->stopped) {
		publish_worse(p, STATUS_SOME);
		publish_say(p, true, "'%s': event %llu was taken after an earlier one was refused: they are out of order",
		    s->lane->type, s->n);
	}
	s->lane->after = s->id;
	s->lane->watch.added++;
	p->since_watch++;
	window_state(&p->w, s, SLOT_ADDED);
}

static void
take_all(struct publish *p)
{
	struct reply *r;

	while (p->b && p->w.sent && !p->garbled && (r = bus_take(p->b))) {
		take_reply(p, r);
		reply_free(r);
	}
}

/* --- the connection goes ------------------------------------------------------- */

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

/* The connection is gone: all that is unanswered goes to the buffer. */
void
link_lost(struct publish *p, const struct fail *f)
{
	enum bus_why why = p->garbled ? BUS_GARBAGE : bus_why(p->b);
	bool idle = p->w.sent == 0;
	size_t i;

	if (!p->garbled)
		take_all(p);	/* what had been answered before it died */
	p->garbled = false;
	for (i = 0; i < p->w.count; i++) {
		struct slot *s = window_at(&p->w, i);

		if (s->state != SLOT_SENT)
			continue;
		doubt(p, s);
		window_state(&p->w, s, SLOT_SPILL);
	}
	if (why == BUS_TIMEOUT && p->sp)
		probe_silent(p->sp, p->o->conf->place);
	bus_abort(p->b);
	p->b = NULL;
	if (!idle || why != BUS_CUT)
		link_down(p, why, f->text);
	/* else the server closed an idle connection (its timeout, a restart): the next event tells */
	lanes_free(&p->lanes);
	for (i = 0; i < p->w.count; i++)
		window_at(&p->w, i)->lane = NULL;
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
	admit_reply(p, type, r);
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
	link_close(p);
	return -1;
}

/* 1 when connected. */
int
link_up(struct publish *p, struct slice type)
{
	const struct conf *c = p->o->conf;
	enum bus_why why = BUS_FINE;
	struct fail f;
	int r;

	if (p->next_try && when_mono() < p->next_try)
		return 0;
	p->next_try = 0;
	if (p->b && p->paused && !p->w.sent)
		lanes_free(&p->lanes);	/* those stopped then may go on now */
	p->paused = p->paused && p->w.sent;
	if (p->b)
		return 1;
	if (p->sp && !probe_enter(p->sp, c->place, c->timeout_ms)) {
		fail_set(&f, STATUS_UNREACHABLE, "%s did not answer a moment ago; not tried again for %d s", c->place,
		    PROBE_MS / 1000);
		link_down(p, BUS_TIMEOUT, f.text);
		return 0;
	}
	r = dial(p, type, &why, &f);
	if (p->sp)
		probe_leave(p->sp, c->place, r == -1 && why == BUS_TIMEOUT);
	if (r == -1) {
		link_down(p, why, f.text);
		return 0;
	}
	if (p->said_down)
		publish_say(p, false, "%s is back", c->place);
	p->said_down = p->away = false;
	return 1;
}

static void
drop_garbled(struct publish *p)
{
	struct fail f;

	fail_set(&f, STATUS_SOME, "'%s' answers what nobody asked", p->o->conf->place);
	link_lost(p, &f);
}

void
link_take(struct publish *p)
{
	take_all(p);
	if (p->garbled)
		drop_garbled(p);
}

/* Waits for all that is unanswered. */
void
link_await(struct publish *p)
{
	struct reply *r;
	struct fail f;

	while (p->b && p->w.sent) {
		if (!(r = bus_wait(p->b, 0, &f))) {
			link_lost(p, &f);
			return;
		}
		take_reply(p, r);
		reply_free(r);
		if (p->garbled)
			drop_garbled(p);
	}
}

/* --- sending ------------------------------------------------------------------------------ */

void
link_send(struct publish *p, struct slot *s)
{
	s->lane = lanes_get(&p->lanes, p->o->conf->prefix, s->e.type);
	s->number = lane_put(s->lane, p->b, s->lane->acked ? 0 : s->lane->maxlen, &s->e);
	if (s->lane->acked)
		s->lane->room--;
	window_state(&p->w, s, SLOT_SENT);
}

/* A replica answered: its name may lead elsewhere by now. Once. */
void
link_elsewhere(struct publish *p)
{
	enum bus_why why;
	struct lane *l;
	struct fail f;
	size_t i;

	p->readonly = false;
	if (p->readonly_tried)
		return;
	p->readonly_tried = true;
	link_close(p);
	for (i = 0; i < p->w.count && window_at(&p->w, i)->state != SLOT_SPILL; i++)
		;
	if (i == p->w.count || dial(p, window_at(&p->w, i)->e.type, &why, &f) == -1)
		return;
	p->next_try = 0;
	for (i = 0; i < p->w.count; i++) {
		struct slot *s = window_at(&p->w, i);

		if (s->state != SLOT_SPILL || s->doubt)
			continue;
		l = lanes_get(&p->lanes, p->o->conf->prefix, s->e.type);
		if (!l->opened)
			l = admit_open(p, s->e.type, NULL);
		if (l->room > 0)
			link_send(p, s);
	}
	link_await(p);
}
