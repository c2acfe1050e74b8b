#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "buffer/breaker.h"
#include "buffer/line.h"
#include "event/id.h"
#include "publish/publish_int.h"
#include "redis/reply.h"
#include "redis/stream.h"

void
connect_close(struct publish *p)
{
	conn_close(p->conn);
	p->conn = NULL;
	dests_free(&p->dests);
}

/* Words, status and pause for a server that does not take events now. */
void
connect_pause(struct publish *p, enum conn_why why, const char *text)
{
	int status = conn_exit_status(why);

	p->next_try = clock_mono() + (why == CONN_TIMEOUT ? BREAKER_OPEN_MS : PUBLISH_RETRY_MS);
	p->behind = p->buf != NULL;
	p->paused = true;
	if (why == CONN_REFUSED || why == CONN_TIMEOUT || why == CONN_CUT || why == CONN_GARBAGE)
		p->away = true;
	if (status == STATUS_DENIED || status == STATUS_CONFIG)
		publish_worse(p, status);
	if (!p->said_down)
		publish_say(p, status == STATUS_DENIED || status == STATUS_CONFIG, "%s%s", text,
		    p->buf != NULL ? "; buffering" : "");
	p->said_down = true;
}

/* --- replies ---------------------------------------------------------------------------- */

static void
refused(struct publish *p, struct inflight_event *s, enum conn_why why, const char *text)
{
	if (why == CONN_TOOBIG && fallback_quarantine(p, s, text) == 0)
		return;
	inflight_set_state(&p->inflight, s, INFLIGHT_TO_BUFFER);
	dest_stop(s->dest, why, text);
	if (why == CONN_READONLY)
		p->readonly = true;
	if (why == CONN_LATER || why == CONN_READONLY || why == CONN_DENIED || why == CONN_MOVED) {
		connect_pause(p, why, text);
		return;
	}
	publish_worse(p, conn_exit_status(why));
	publish_say(p, true, "%s", text);
}

/* To the first that is unanswered; there is one. */
static void
take_reply(struct publish *p, const struct reply *r)
{
	struct inflight_event *s = inflight_oldest_sent(&p->inflight);
	enum conn_why why = CONN_OK;
	struct err err;

	if (stream_take_add(r, &s->id, &why, &err) == -1) {
		if (why == CONN_GARBAGE)
			p->garbled = true;
		else
			refused(p, s, why, err.text);
		return;
	}
	if (s->dest->stopped) {
		publish_worse(p, STATUS_SOME);
		publish_say(p, true,
		    "'%s': event %llu was taken after an earlier one was refused: they are out of "
		    "order",
		    s->dest->type, s->n);
	}
	s->dest->after = s->id;
	s->dest->watch.added++;
	p->since_watch++;
	inflight_set_state(&p->inflight, s, INFLIGHT_ADDED);
}

static void
take_all(struct publish *p)
{
	struct reply *r;

	while (p->conn != NULL && p->inflight.sent && !p->garbled &&
	    (r = conn_take(p->conn)) != NULL) {
		take_reply(p, r);
		reply_free(r);
	}
}

/* --- the connection goes ------------------------------------------------------- */

/* What was handed to the kernel whole may have been executed; what was not, was not. */
static void
doubt(struct publish *p, struct inflight_event *s)
{
	struct doubt *d = &s->where;

	if (s->number > conn_sent(p->conn))
		return;
	s->doubt = true;
	memset(d, 0, sizeof(*d));
	snprintf(d->run_id, sizeof(d->run_id), "%s", conn_run_id(p->conn));
	snprintf(d->addr, sizeof(d->addr), "%s", conn_client_addr(p->conn));
	d->client = conn_client_id(p->conn);
	id_format(s->dest->after, d->after);
}

/* The connection is gone: all that is unanswered goes to the buffer. */
void
connect_drop(struct publish *p, const struct err *err)
{
	enum conn_why why = p->garbled ? CONN_GARBAGE : conn_why(p->conn);
	bool idle = p->inflight.sent == 0;
	size_t i;

	if (!p->garbled)
		take_all(p); /* what had been answered before it died */
	p->garbled = false;
	for (i = 0; i < p->inflight.count; i++) {
		struct inflight_event *s = inflight_at(&p->inflight, i);

		if (s->state != INFLIGHT_SENT)
			continue;
		doubt(p, s);
		inflight_set_state(&p->inflight, s, INFLIGHT_TO_BUFFER);
	}
	if (why == CONN_TIMEOUT && p->buf != NULL)
		breaker_trip(p->buf, p->o->conf->address);
	conn_abort(p->conn);
	p->conn = NULL;
	if (!idle || why != CONN_CUT)
		connect_pause(p, why, err->text);
	/* else the server closed an idle connection (its timeout, a restart): the next event tells
	 */
	dests_free(&p->dests);
	for (i = 0; i < p->inflight.count; i++)
		inflight_at(&p->inflight, i)->dest = NULL;
}

/* Greeting and the bound of the first type in one round trip. */
static int
greet(struct publish *p, struct slice type, struct err *err)
{
	struct dest *dest = dests_get(&p->dests, p->o->conf->prefix, type);
	struct reply *r;

	stream_put_info(p->conn, dest->key);
	if (conn_handshake(p->conn, err) == -1 || (r = conn_wait(p->conn, 0, err)) == NULL)
		return -1;
	publish_open_dest_reply(p, type, r);
	reply_free(r);
	return 0;
}

static int
dial(struct publish *p, struct slice type, enum conn_why *why, struct err *err)
{
	const struct conf *c = p->o->conf;

	p->conn = conn_connect(&c->url, c->timeout_ms, why, err);
	if (p->conn == NULL)
		return -1;
	if (greet(p, type, err) == 0)
		return 0;
	*why = conn_why(p->conn);
	connect_close(p);
	return -1;
}

/* 1 when connected. */
int
connect_ensure(struct publish *p, struct slice type)
{
	const struct conf *c = p->o->conf;
	enum conn_why why = CONN_OK;
	struct err err;
	int r;

	if (p->next_try && clock_mono() < p->next_try)
		return 0;
	p->next_try = 0;
	if (p->conn != NULL && p->paused && !p->inflight.sent)
		dests_free(&p->dests); /* those stopped then may go on now */
	p->paused = p->paused && p->inflight.sent;
	if (p->conn != NULL)
		return 1;
	if (p->buf != NULL && !breaker_enter(p->buf, c->address, c->timeout_ms)) {
		err_set(&err, STATUS_UNREACHABLE,
		    "%s did not answer a moment ago; not tried again for %d s", c->address,
		    BREAKER_OPEN_MS / 1000);
		connect_pause(p, CONN_TIMEOUT, err.text);
		return 0;
	}
	r = dial(p, type, &why, &err);
	if (p->buf != NULL)
		breaker_leave(p->buf, c->address, r == -1 && why == CONN_TIMEOUT);
	if (r == -1) {
		connect_pause(p, why, err.text);
		return 0;
	}
	if (p->said_down)
		publish_say(p, false, "%s is back", c->address);
	p->said_down = p->away = false;
	return 1;
}

static void
drop_garbled(struct publish *p)
{
	struct err err;

	err_set(&err, STATUS_SOME, "'%s' answers what nobody asked", p->o->conf->address);
	connect_drop(p, &err);
}

void
connect_take_replies(struct publish *p)
{
	take_all(p);
	if (p->garbled)
		drop_garbled(p);
}

/* Waits for all that is unanswered. */
void
connect_await_replies(struct publish *p)
{
	struct reply *r;
	struct err err;

	while (p->conn != NULL && p->inflight.sent) {
		if ((r = conn_wait(p->conn, 0, &err)) == NULL) {
			connect_drop(p, &err);
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
connect_send_event(struct publish *p, struct inflight_event *s)
{
	s->dest = dests_get(&p->dests, p->o->conf->prefix, s->e.type);
	s->number =
	    dest_put_add(s->dest, p->conn, s->dest->trim_acked ? 0 : s->dest->maxlen, &s->e);
	if (s->dest->trim_acked)
		s->dest->room--;
	inflight_set_state(&p->inflight, s, INFLIGHT_SENT);
}

/* A replica answered: its name may lead elsewhere by now. Once. */
void
connect_follow_failover(struct publish *p)
{
	enum conn_why why;
	struct dest *dest;
	struct err err;
	size_t i;

	p->readonly = false;
	if (p->readonly_tried)
		return;
	p->readonly_tried = true;
	connect_close(p);
	for (i = 0;
	     i < p->inflight.count && inflight_at(&p->inflight, i)->state != INFLIGHT_TO_BUFFER;
	     i++)
		;
	if (i == p->inflight.count ||
	    dial(p, inflight_at(&p->inflight, i)->e.type, &why, &err) == -1)
		return;
	p->next_try = 0;
	for (i = 0; i < p->inflight.count; i++) {
		struct inflight_event *s = inflight_at(&p->inflight, i);

		if (s->state != INFLIGHT_TO_BUFFER || s->doubt)
			continue;
		dest = dests_get(&p->dests, p->o->conf->prefix, s->e.type);
		if (!dest->measured)
			dest = publish_open_dest(p, s->e.type, NULL);
		if (dest->room > 0)
			connect_send_event(p, s);
	}
	connect_await_replies(p);
}
