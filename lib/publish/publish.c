#include "publish/publish.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "buffer/backlog.h"
#include "buffer/segment.h"
#include "drain/outage.h"
#include "drain/trim.h"
#include "event/id.h"
#include "event/names.h"
#include "publish/publish_int.h"
#include "redis/reply.h"
#include "redis/stream.h"

#define TRIMWATCH_EVERY 10000 /* events added between two checks of their streams */
#define NAP_NS 300000         /* less than any server needs for half of INFLIGHT_EVENTS */

void
publish_say(struct publish *p, bool important, const char *fmt, ...)
{
	struct err message;
	va_list ap;

	va_start(ap, fmt);
	err_setv(&message, 0, fmt, ap);
	va_end(ap);
	p->o->say(p->o->arg, important, message.text);
}

void
publish_worse(struct publish *p, int status)
{
	p->status = status_worse(p->status, status);
}

int64_t
publish_maxlen(const struct publish *p, const char *type)
{
	return p->o->maxlen >= 0 ? p->o->maxlen : conf_maxlen(p->o->conf, type);
}

/* The first is important. */
static void
say_trim_warning(void *arg, const char *text)
{
	struct publish *p = arg;

	publish_say(p, !p->trim_reported, "%s", text);
	p->trim_reported = true;
}

/* --- opening and closing ----------------------------------------------------------- */

#define UNBUFFERED "events are not buffered if Redis goes away"
#define BUFFER_CHECK_MS 1000

/* Warns once in an outage of the buffer, which is over when `flag` and the other one are false. */
static void __attribute__((format(printf, 3, 4)))
report_buffer_outage(struct publish *p, bool *flag, const char *fmt, ...)
{
	bool known = p->unwritable || p->append_failed;
	struct err message;
	va_list ap;

	va_start(ap, fmt);
	err_setv(&message, 0, fmt, ap);
	va_end(ap);
	if (!known)
		publish_say(p, !p->o->conf->quiet, "%s", message.text);
	*flag = true;
}

/* Goes on without a buffer. One that is there may hold events that new ones overtake now. */
static void
go_without_buffer(struct publish *p, const char *dir, const struct err *err)
{
	bool may_hold = dir != NULL && buffer_may_hold(dir);

	free(p->no_buffer_why);
	p->no_buffer_why = mem_strdup(err->text);
	p->no_buffer_status = err->status;
	report_buffer_outage(p, &p->unwritable, "%s; " UNBUFFERED "%s", err->text,
	    may_hold ? "; it may hold earlier events, so the order of events is not known" : "");
}

/* Opens the buffer, and checks whether events can be appended. Returns -1 with err when it belongs
 * to another target. */
static int
open_publish_buffer(struct publish *p, struct err *err)
{
	const char *dir = conf_buffer(p->o->conf, err), *word;

	p->buf = dir != NULL ? buffer_open(dir, true, err) : NULL;
	if (p->buf == NULL) {
		go_without_buffer(p, dir, err);
		return 0;
	}
	if ((word = buffer_warning(p->buf)) != NULL)
		publish_say(p, false, "buffer '%s' %s", dir, word);
	if (segment_any(p->buf->fd) == 1 &&
	    buffer_check_target(p->buf, p->o->conf->target, err) == -1 &&
	    err->status == STATUS_CONFIG) {
		buffer_close(p->buf);
		p->buf = NULL;
		return -1;
	}
	if (buffer_check_writable(p->buf, err) == -1)
		report_buffer_outage(p, &p->unwritable, "%s; " UNBUFFERED, err->text);
	else
		p->unwritable = false;
	return 0;
}

/* Looks again every BUFFER_CHECK_MS whether the buffer can be opened and written. */
static void
recheck_buffer(struct publish *p)
{
	struct err err;

	if (p->o->no_buffer || clock_mono() < p->next_buffer_check)
		return;
	p->next_buffer_check = clock_mono() + BUFFER_CHECK_MS;
	if (p->buf == NULL) {
		if (open_publish_buffer(p, &err) == -1)
			go_without_buffer(p, NULL, &err);
	} else if (buffer_check_writable(p->buf, &err) == -1)
		report_buffer_outage(p, &p->unwritable, "%s; " UNBUFFERED, err.text);
	else
		p->unwritable = false;
}

struct publish *
publish_open(const struct publish_options *o, struct err *err)
{
	struct publish *p = mem_alloc(sizeof(*p));

	p->o = o;
	p->dests = (struct dests){
	    .conf = o->conf, .forcible = "ebreplay", .say = say_trim_warning, .arg = p};
	p->pool = (struct pool){.url = &o->conf->url, .timeout_ms = o->conf->timeout_ms};
	p->no_buffer_status = STATUS_UNSAFE;
	p->next_buffer_check = clock_mono() + BUFFER_CHECK_MS;
	inflight_init(&p->inflight);
	if (o->no_buffer)
		p->no_buffer_why =
		    mem_strdup("Redis did not take it, and --no-buffer forbids the buffer");
	else if (open_publish_buffer(p, err) == -1) {
		publish_close(p);
		return NULL;
	}
	return p;
}

void
publish_close(struct publish *p)
{
	connect_close(p);
	buffer_close(p->buf);
	inflight_free(&p->inflight);
	bytes_free(&p->line_bytes);
	fallback_forget_absent(p);
	free(p->no_buffer_why);
	free(p);
}

/* --- the streams that events go to ------------------------------------------------- */

void
publish_open_dest(struct publish *p, struct slice type, const struct reply *reply)
{
	struct dest *dest = dests_get(&p->dests, type);
	struct stream_info info;
	struct err err;
	bool known = reply != NULL && stream_take_info(reply, &info, &err) == 0;

	dest->measured = true;
	dest->maxlen = publish_maxlen(p, dest->type);
	if (known) {
		dest->after = info.last_generated;
		dest->watch.before = info;
	}
	if (dest->trim_acked)
		trim_begin_acked(dest, known ? &info : NULL);
	else
		dest->room = INT64_MAX;
}

static int
fetch_stream_info(struct publish *p, struct slice type, const char *key)
{
	struct reply *r;
	struct err err;

	stream_put_info(p->conn, key);
	if ((r = conn_wait(p->conn, &err)) == NULL) {
		connect_drop(p, &err);
		return -1;
	}
	publish_open_dest(p, type, r);
	reply_free(r);
	return 0;
}

/* Measures how many entries the stream takes (trim.h); no event may be SENT. Returns 0 when there
 * is room, 1 when not and the type is stopped now, -1 when nothing can be sent. */
static int
measure_stream_room(struct publish *p, struct dest *dest)
{
	struct err err;

	trim_remeasure(dest);
	if (trim_ensure_room(&p->dests, dest, p->conn, dest->maxlen, &err) == 0)
		return dest->stopped;
	if (conn_why(p->conn) != CONN_OK || err.why == CONN_GARBAGE) {
		connect_drop(p, &err);
		return -1;
	}
	dest->room = 1; /* the server refuses: its reply to the XADD will show why */
	return 0;
}

static void
report_stopped(struct publish *p, struct dest *dest)
{
	bool full = dest->why == CONN_OK;

	dest->recheck_at = clock_mono() + PUBLISH_RETRY_MS;
	if (full)
		p->held_unrecorded = true;
	else
		publish_worse(p, conn_exit_status(dest->why));
	publish_say(p, !full || p->buf == NULL, "'%s' is held: %s", dest->type, dest->reason);
}

int
publish_prepare_dest(struct publish *p, struct slice type)
{
	struct dest *dest = dests_get(&p->dests, type);
	int r;

	if (dest->measured && !dest->stopped && dest->room > 0)
		return 0;
	if (dest->measured && dest->stopped &&
	    !(dest->trim_acked && dest->why == CONN_OK && clock_mono() >= dest->recheck_at))
		return -1;
	connect_await_replies(p);
	if (p->conn == NULL)
		return -1;
	dest = dests_get(&p->dests, type);
	if (!dest->measured && fetch_stream_info(p, type, dest->key) == -1)
		return -1;
	if (dest->room > 0 && !dest->stopped)
		return 0;
	if ((r = measure_stream_room(p, dest)) == 1)
		report_stopped(p, dest);
	return r == 0 ? 0 : -1;
}

/* Checks every stream of this connection: makes room with trim = acked, else counts and reports
 * unread entries that were trimmed. */
static void
watch_trimming(struct publish *p)
{
	for (size_t i = 0; p->conn != NULL && conn_why(p->conn) == CONN_OK && i < p->dests.n; i++) {
		struct dest *dest = p->dests.dest[i];

		if (dest->trim_acked) {
			if (trim_is_due(dest) && measure_stream_room(p, dest) == 1)
				/* reported when an event of the type comes */
				trim_remeasure(dest);
			continue;
		}
		p->trim_reported = false; /* each loss is important */
		p->counts[COUNT_TRIMMED] += trim_count_unread(&p->dests, dest, p->conn);
	}
	p->added_since_watch = 0;
}

/* --- answers, in the order of the events ------------------------------------------- */

static void
answer_event(struct publish *p, struct inflight_event *ev, const char *text)
{
	char id[ID_SIZE];

	switch (ev->state) {
	case INFLIGHT_ADDED:
		id_format(ev->id, id);
		p->counts[COUNT_PUBLISHED]++;
		p->o->answer(p->o->arg, ev->number, PUBLISH_ADDED, id);
		break;
	case INFLIGHT_BUFFERED:
		p->counts[COUNT_BUFFERED]++;
		p->o->answer(p->o->arg, ev->number, PUBLISH_BUFFERED, "buffered");
		break;
	case INFLIGHT_UNSAFE:
		publish_worse(p, p->buf != NULL ? STATUS_UNSAFE : p->no_buffer_status);
		p->o->answer(p->o->arg, ev->number, PUBLISH_UNSAFE, text);
		break;
	default:
		p->counts[COUNT_REFUSED]++;
		p->o->answer(p->o->arg, ev->number, PUBLISH_REFUSED, "refused");
	}
}

/* Answers for the oldest events up to the first that is not finished; `unsafe` is the text for
 * UNSAFE ones. */
static void
answer_finished(struct publish *p, const char *unsafe)
{
	while (p->inflight.count && inflight_at(&p->inflight, 0)->state >= INFLIGHT_ADDED) {
		answer_event(p, inflight_at(&p->inflight, 0), unsafe);
		inflight_pop(&p->inflight);
	}
}

/* Marks the TO_BUFFER events as UNSAFE: neither Redis nor the buffer took them. */
static void
mark_unsafe(struct publish *p)
{
	for (size_t i = 0; i < p->inflight.count; i++)
		if (inflight_at(&p->inflight, i)->state == INFLIGHT_TO_BUFFER)
			inflight_set_state(
			    &p->inflight, inflight_at(&p->inflight, i), INFLIGHT_UNSAFE);
}

/* Appends the TO_BUFFER events. When that fails while Redis is up, sends those that overtake
 * nothing. Where the file system cannot lock, the others get segments of their own. Returns -1 with
 * err when some have no place. */
static int
buffer_inflight(struct publish *p, struct err *err)
{
	struct err why;

	if (fallback_append(p, p->o->limits.lock_ms, err) == 0) {
		p->append_failed = false;
		return 0;
	}
	why = *err;
	if (fallback_bypass(p) == 0) {
		/* that a limit is reached is no outage */
		if (why.sys && why.sys != ENOSPC && why.sys != EDQUOT)
			report_buffer_outage(p, &p->append_failed, "%s; " UNBUFFERED, why.text);
		return 0;
	}
	if (why.sys != ENOLCK || fallback_append(p, -1, err) == -1)
		return -1;
	report_buffer_outage(
	    p, &p->append_failed, "%s; events are buffered, but not drained before that", why.text);
	return 0;
}

/* Awaits the replies, appends the remaining events to the buffer, and gives every event in flight
 * its answer. */
static void
settle_inflight(struct publish *p)
{
	struct err err = {.text = ""};

	connect_await_replies(p);
	if (p->replica)
		connect_follow_failover(p);
	if (p->inflight.to_buffer && buffer_inflight(p, &err) == -1) {
		publish_worse(p, err.status == STATUS_CONFIG ? STATUS_CONFIG : STATUS_UNSAFE);
		mark_unsafe(p);
	}
	answer_finished(p, err.text);
}

/* --- accepting events -------------------------------------------------------------- */

/*
 * Connects, drains and makes room as needed. Returns whether an event of this type may now be sent
 * to Redis directly; else it goes to the buffer.
 *
 * It may be sent when the connection is up, the buffer lacks undelivered events of the type (so
 * that none is overtaken, G3 in eventbus(7); with `unordered` or without a buffer this does not
 * matter), and the type's stream has room. When the buffer holds such events, a part of it is
 * drained first.
 */
static bool
prepare_direct_send(struct publish *p, struct slice type)
{
	char name[NAMES_MAX + 1];

	if (!connect_ensure(p, type))
		return false;
	if (p->buf != NULL && !p->o->unordered && !fallback_lacks_type(p, type)) {
		p->must_drain = true;
		if (clock_mono() < p->next_drain)
			return false;
		settle_inflight(p);
		if (p->conn == NULL)
			return false;
		snprintf(name, sizeof(name), "%.*s", (int)type.n, type.p);
		fallback_drain(p, name, false);
		if (p->conn == NULL || !fallback_lacks_type(p, type))
			return false;
	}
	return publish_prepare_dest(p, type) == 0 && p->conn != NULL &&
	    (!p->next_try || clock_mono() >= p->next_try);
}

/* Waking up for each few replies costs more than parsing them: with more than half of the events
 * that may be in flight SENT, sleeps first. */
static int
await_some_replies(struct publish *p, struct err *err)
{
	uint64_t had = conn_received(p->conn);

	if (p->inflight.sent > INFLIGHT_EVENTS / 2) {
		nanosleep(&(struct timespec){0, NAP_NS}, NULL);
		if (conn_io(p->conn, err) == -1)
			return -1;
		if (conn_received(p->conn) != had)
			return 0;
	}
	return conn_poll(p->conn, -1, -1, err);
}

static void
make_inflight_room(struct publish *p, size_t bytes)
{
	struct err err;

	if (inflight_has_room(&p->inflight, bytes))
		return;
	/* Waits for half of it only, so that the server is busy while the caller reads on. */
	while (p->conn != NULL && !p->inflight.to_buffer && p->inflight.sent &&
	    bytes <= INFLIGHT_BIG &&
	    (p->inflight.count > INFLIGHT_EVENTS / 2 || p->inflight.bytes > INFLIGHT_BYTES / 2)) {
		if (await_some_replies(p, &err) == -1) {
			connect_drop(p, &err);
			break;
		}
		connect_take_replies(p);
		answer_finished(p, "");
	}
	if (!inflight_has_room(&p->inflight, bytes))
		settle_inflight(p);
}

void
publish_begin_batch(struct publish *p)
{
	recheck_buffer(p);
	if (p->buf != NULL && p->seen && buffer_fingerprint(p->buf) != p->seen_change)
		fallback_forget_absent(p);
}

void
publish_event(struct publish *p, const struct event *e)
{
	struct inflight_event *ev;
	bool directly;

	make_inflight_room(p, e->payload.n);
	directly = prepare_direct_send(p, e->type);
	if (directly && p->inflight.to_buffer) { /* earlier events go to the buffer first */
		settle_inflight(p);
		directly = prepare_direct_send(p, e->type);
	}
	ev = inflight_push(&p->inflight, e, ++p->accepted);
	if (!directly) {
		inflight_set_state(&p->inflight, ev, INFLIGHT_TO_BUFFER);
		return;
	}
	connect_send_event(p, ev);
	if (e->payload.n > INFLIGHT_BIG)
		settle_inflight(p);
}

void
publish_refused_line(struct publish *p)
{
	if (!inflight_has_room(&p->inflight, 0))
		settle_inflight(p);
	inflight_set_state(
	    &p->inflight, inflight_push(&p->inflight, NULL, ++p->accepted), INFLIGHT_REFUSED);
}

void
publish_end_batch(struct publish *p)
{
	struct err err;

	if (p->conn != NULL && conn_io(p->conn, &err) == -1)
		connect_drop(p, &err);
	connect_take_replies(p);
	if (p->inflight.to_buffer)
		settle_inflight(p);
	else
		answer_finished(p, "");
	if (p->conn != NULL && p->added_since_watch >= TRIMWATCH_EVERY) {
		settle_inflight(p);
		watch_trimming(p);
	}
}

/* --- the poll loop ----------------------------------------------------------------- */

struct pollfd
publish_pollfd(const struct publish *p)
{
	return p->conn != NULL ? conn_pollfd(p->conn) : (struct pollfd){.fd = -1};
}

int
publish_timeout_ms(const struct publish *p)
{
	int64_t now = clock_mono(), at = -1, next;

	if (p->conn != NULL)
		at = conn_due(p->conn);
	if (at == -1 && p->must_drain)
		at = p->next_try > p->next_drain ? p->next_try : p->next_drain;
	if (at == -1)
		return -1;
	next = at - now;
	return next < 0 ? 0 : next > 60000 ? 60000 : (int)next;
}

/* Drains a part of the buffer while there is nothing to send. */
static void
drain_when_idle(struct publish *p)
{
	bool holds = true;
	struct err err;

	if (backlog_lacks_type(p->buf, "", &holds, &err) > 0 && !holds) {
		p->must_drain = false;
		return;
	}
	if (!connect_ensure(p, slice_of(OUTAGE_TYPE))) {
		p->next_drain = p->next_try;
		return;
	}
	fallback_drain(p, NULL, false);
}

void
publish_work(struct publish *p)
{
	publish_end_batch(p);
	if (p->must_drain && p->inflight.count == 0 && clock_mono() >= p->next_try &&
	    clock_mono() >= p->next_drain)
		drain_when_idle(p);
}

int
publish_finish(struct publish *p)
{
	settle_inflight(p);
	watch_trimming(p);
	if (p->held_unrecorded && p->buf != NULL && p->conn != NULL)
		fallback_drain(p, NULL, false); /* records held types in the checkpoint */
	if (p->buf != NULL)
		counters_add(p->buf, p->counts);
	return p->status;
}
