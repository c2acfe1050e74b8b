/* connect: a publisher's connection to Redis: sends events, takes replies. Declared in
 * publish_int.h. */
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
	pool_close(&p->pool);
	p->conn = NULL;
	dests_free(&p->dests);
}

void
connect_suspend_sending(struct publish *p, const struct err *err)
{
	enum conn_why why = (enum conn_why)err->why;
	int status = conn_exit_status(why);
	bool important = status == STATUS_DENIED || status == STATUS_CONFIG;

	p->next_try = clock_mono() + (why == CONN_TIMEOUT ? BREAKER_OPEN_MS : PUBLISH_RETRY_MS);
	p->must_drain = p->buf != NULL;
	p->paused = true;
	p->replica |= why == CONN_READONLY;
	p->outage |=
	    why == CONN_REFUSED || why == CONN_TIMEOUT || why == CONN_CUT || why == CONN_GARBAGE;
	if (important)
		publish_worse(p, status);
	if (!p->down_reported)
		publish_say(p, important, "%s%s", err->text, p->buf != NULL ? "; buffering" : "");
	p->down_reported = true;
}

/* --- replies ---------------------------------------------------------------------------- */

/* Handles an error reply to an event's XADD. */
static void
handle_refusal(struct publish *p, struct inflight_event *ev, const struct err *err)
{
	if (err->why == CONN_TOOBIG && fallback_quarantine(p, ev, err->text) == 0)
		return;
	inflight_set_state(&p->inflight, ev, INFLIGHT_TO_BUFFER);
	if (dest_refuse(ev->dest, err) == -1) {
		connect_suspend_sending(p, err);
		return;
	}
	publish_worse(p, conn_exit_status((enum conn_why)err->why));
	publish_say(p, true, "%s", err->text);
}

/* Takes and frees the reply to the oldest SENT event; there must be one. Returns -1 with err when
 * it has an unexpected form: later ones are not to be trusted. */
static int
take_publish_reply(struct publish *p, struct reply *reply, struct err *err)
{
	struct inflight_event *ev = inflight_oldest_sent(&p->inflight);
	int r = dest_take_add(ev->dest, reply, &ev->id, err);

	reply_free(reply);
	if (r != 0 && err->why == CONN_GARBAGE)
		return -1;
	if (r == -1) {
		handle_refusal(p, ev, err);
		return 0;
	}
	if (ev->dest->stopped) {
		publish_worse(p, STATUS_SOME);
		publish_say(p, true,
		    "'%s': Redis accepted event %llu after it refused an earlier one: "
		    "they are out of order",
		    ev->dest->type, ev->number);
	}
	p->added_since_watch++;
	inflight_set_state(&p->inflight, ev, INFLIGHT_ADDED);
	return 0;
}

static int
take_arrived_replies(struct publish *p, struct err *err)
{
	struct reply *r;

	while (p->inflight.sent && (r = conn_take(p->conn)) != NULL)
		if (take_publish_reply(p, r, err) == -1)
			return -1;
	return 0;
}

void
connect_take_replies(struct publish *p)
{
	struct err err;

	if (p->conn != NULL && take_arrived_replies(p, &err) == -1)
		connect_drop(p, &err);
}

void
connect_await_replies(struct publish *p)
{
	struct reply *r;
	struct err err;

	while (p->conn != NULL && p->inflight.sent)
		if ((r = conn_wait(p->conn, &err)) == NULL || take_publish_reply(p, r, &err) == -1)
			connect_drop(p, &err);
}

/* --- losing the connection ------------------------------------------------------ */

/* Marks an unanswered event as in doubt when its last byte reached the kernel: the server may have
 * executed it. Before that byte it cannot have. */
static void
mark_in_doubt(struct publish *p, struct inflight_event *ev)
{
	struct doubt *d = &ev->doubt;

	if (ev->command > conn_sent(p->conn))
		return;
	ev->in_doubt = true;
	memset(d, 0, sizeof(*d));
	snprintf(d->run_id, sizeof(d->run_id), "%s", conn_facts(p->conn)->run_id);
	snprintf(d->addr, sizeof(d->addr), "%s", conn_facts(p->conn)->addr);
	d->client = conn_facts(p->conn)->client;
	id_format(ev->dest->after, d->after);
}

void
connect_drop(struct publish *p, const struct err *cause)
{
	struct err err = *cause, ignored;
	bool idle = p->inflight.sent == 0;

	/* After garbage no reply counts, even if the server has closed the connection since. */
	if (err.why != CONN_GARBAGE && conn_why(p->conn) != CONN_OK)
		err.why = conn_why(p->conn);
	if (err.why != CONN_GARBAGE)
		take_arrived_replies(p, &ignored);
	for (size_t i = 0; i < p->inflight.count; i++) {
		struct inflight_event *ev = inflight_at(&p->inflight, i);

		if (ev->state == INFLIGHT_SENT) {
			mark_in_doubt(p, ev);
			inflight_set_state(&p->inflight, ev, INFLIGHT_TO_BUFFER);
		}
		ev->dest = NULL;
	}
	if (err.why == CONN_TIMEOUT && p->buf != NULL)
		breaker_leave(p->buf, p->o->conf->address, true);
	pool_drop(&p->pool, p->conn);
	p->conn = NULL;
	/* Otherwise the server closed an idle connection (its timeout, a restart), and the next
	 * event connects again. */
	if (!idle || err.why != CONN_CUT)
		connect_suspend_sending(p, &err);
	dests_free(&p->dests);
}

/* --- connecting ------------------------------------------------------------------ */

/* Completes the handshake and opens the first type's destination in one round trip. */
static int
handshake_and_open_dest(
    struct publish *p, const struct dest *dest, struct slice type, struct err *err)
{
	struct reply *reply;

	stream_put_info(p->conn, dest->key);
	if (conn_handshake(p->conn, err) == -1 || (reply = conn_wait(p->conn, err)) == NULL)
		return -1;
	publish_open_dest(p, type, reply);
	reply_free(reply);
	return 0;
}

static int
connect_and_handshake(struct publish *p, struct slice type, struct err *err)
{
	const struct dest *dest = dests_get(&p->dests, type);

	p->conn = pool_connect(&p->pool, dest->key, err);
	if (p->conn != NULL && handshake_and_open_dest(p, dest, type, err) == 0)
		return 0;
	connect_close(p);
	return -1;
}

bool
connect_ensure(struct publish *p, struct slice type)
{
	const struct conf *conf = p->o->conf;
	struct err err;
	int r;

	if (p->next_try && clock_mono() < p->next_try)
		return false;
	p->next_try = 0;
	if (p->conn != NULL && p->paused && !p->inflight.sent)
		dests_free(&p->dests); /* types stopped by the pause may go on */
	p->paused = p->paused && p->inflight.sent;
	if (p->conn != NULL)
		return true;
	if (p->buf != NULL && !breaker_enter(p->buf, conf->address, conf->timeout_ms)) {
		err_set(&err, STATUS_UNREACHABLE,
		    "%s did not answer a moment ago; not tried again for %d s", conf->address,
		    BREAKER_OPEN_MS / 1000);
		err.why = CONN_TIMEOUT;
		connect_suspend_sending(p, &err);
		return false;
	}
	r = connect_and_handshake(p, type, &err);
	if (p->buf != NULL)
		breaker_leave(p->buf, conf->address, r == -1 && err.why == CONN_TIMEOUT);
	if (r == -1) {
		connect_suspend_sending(p, &err);
		return false;
	}
	if (p->down_reported)
		publish_say(p, false, "%s is back", conf->address);
	p->down_reported = p->outage = false;
	return true;
}

/* --- sending ------------------------------------------------------------------------------ */

void
connect_send_event(struct publish *p, struct inflight_event *ev)
{
	ev->dest = dests_get(&p->dests, ev->event.type);
	ev->command = dest_put_add(
	    ev->dest, p->conn, ev->dest->trim_acked ? 0 : ev->dest->maxlen, &ev->event);
	if (ev->dest->trim_acked)
		ev->dest->room--;
	inflight_set_state(&p->inflight, ev, INFLIGHT_SENT);
}

void
connect_follow_failover(struct publish *p)
{
	struct dest *dest;
	struct err err;

	p->replica = false;
	if (p->failover_tried)
		return;
	p->failover_tried = true;
	connect_close(p);
	for (size_t i = 0; i < p->inflight.count; i++) {
		struct inflight_event *ev = inflight_at(&p->inflight, i);

		if (ev->state != INFLIGHT_TO_BUFFER || ev->in_doubt)
			continue;
		if (p->conn == NULL && connect_and_handshake(p, ev->event.type, &err) == -1)
			return;
		p->next_try = 0;
		dest = dests_get(&p->dests, ev->event.type);
		if (!dest->measured)
			publish_open_dest(p, ev->event.type, NULL);
		if (dest->room > 0)
			connect_send_event(p, ev);
	}
	connect_await_replies(p);
}
