#include "publish/publish.h"

#include <fcntl.h>
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

struct dest *
publish_open_dest(struct publish *p, struct slice type, const struct stream_info *info)
{
	struct dest *dest = dests_get(&p->dests, p->o->conf->prefix, type);

	dest->measured = true;
	dest->maxlen = publish_maxlen(p, dest->type);
	if (info != NULL) {
		dest->after = info->last_generated;
		dest->watch.before = *info;
	}
	trim_set_policy(dest, p->o->conf);
	if (dest->trim_acked)
		trim_set_length(dest, info);
	else
		dest->room = INT64_MAX;
	return dest;
}

void
publish_open_dest_reply(struct publish *p, struct slice type, const struct reply *r)
{
	struct stream_info info;
	enum conn_why why;
	struct err err;

	publish_open_dest(p, type, stream_take_info(r, &info, &why, &err) == 0 ? &info : NULL);
}

static int
ask(struct publish *p, struct slice type)
{
	struct reply *r;
	struct err err;

	stream_put_info(p->conn, dests_get(&p->dests, p->o->conf->prefix, type)->key);
	if ((r = conn_wait(p->conn, 0, &err)) == NULL) {
		connect_drop(p, &err);
		return -1;
	}
	publish_open_dest_reply(p, type, r);
	reply_free(r);
	return 0;
}

/* Measures the room (trim.h); no command may be unanswered. 0: some, 1: the type is stopped now,
 * -1: the connection is lost. */
static int
measure_stream_room(struct publish *p, struct dest *dest)
{
	struct bytes words = {0};
	struct err err;
	int r;

	trim_remeasure(dest);
	r = trim_ensure_room(dest, p->conn, dest->maxlen, false, &words, &err);
	if (words.len)
		publish_say(p, !p->said_retain, "%s", bytes_str(&words));
	p->said_retain |= words.len > 0;
	bytes_free(&words);
	if (r == -1 && conn_why(p->conn) != CONN_OK) {
		connect_drop(p, &err);
		return -1;
	}
	if (r == -1) /* of the whole server: the XADD will tell */
		dest->room = 1;
	return dest->stopped;
}

static void
note_stopped(struct publish *p, struct dest *dest)
{
	bool full = dest->why == CONN_OK;

	dest->held_until = clock_mono() + PUBLISH_RETRY_MS;
	if (full)
		p->held = true;
	else
		publish_worse(p, conn_exit_status(dest->why));
	publish_say(p, !full || p->buf == NULL, "'%s' is held: %s", dest->type, dest->reason);
}

int
publish_prepare_dest(struct publish *p, struct slice type)
{
	struct dest *dest = dests_get(&p->dests, p->o->conf->prefix, type);
	int r;

	if (dest->measured && !dest->stopped && dest->room > 0)
		return 0;
	if (dest->measured && dest->stopped &&
	    !(dest->trim_acked && dest->why == CONN_OK && clock_mono() >= dest->held_until))
		return -1;
	connect_await_replies(p);
	if (p->conn == NULL)
		return -1;
	dest = dests_get(&p->dests, p->o->conf->prefix, type);
	if (!dest->measured && ask(p, type) == -1)
		return -1;
	if (dest->room > 0 && !dest->stopped)
		return 0;
	if ((r = measure_stream_room(p, dest)) == 1)
		note_stopped(p, dest);
	return r == 0 ? 0 : -1;
}

#define TRIMWATCH_EVERY 10000
#define REST 300000 /* ns: less than any server takes for half a window */

void
publish_say(struct publish *p, bool important, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err_clean(text);
	p->o->say(p->o->arg, important, text);
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

/* --- answers, in order --------------------------------------------------------------- */

static void
answer(struct publish *p, struct inflight_event *s, const char *text)
{
	char id[ID_SIZE];

	switch (s->state) {
	case INFLIGHT_ADDED:
		id_format(s->id, id);
		p->count[COUNT_PUBLISHED]++;
		p->o->answer(p->o->arg, s->n, PUBLISH_ADDED, id);
		break;
	case INFLIGHT_BUFFERED:
		p->count[COUNT_BUFFERED]++;
		p->o->answer(p->o->arg, s->n, PUBLISH_BUFFERED, "buffered");
		break;
	case INFLIGHT_UNSAFE:
		publish_worse(p, STATUS_UNSAFE);
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
	while (p->inflight.count && inflight_at(&p->inflight, 0)->state >= INFLIGHT_ADDED) {
		answer(p, inflight_at(&p->inflight, 0), unsafe);
		inflight_pop(&p->inflight);
	}
}

static void
set_spills(struct publish *p, enum inflight_state state)
{
	size_t i;

	for (i = 0; i < p->inflight.count; i++)
		if (inflight_at(&p->inflight, i)->state == INFLIGHT_TO_BUFFER)
			inflight_set_state(&p->inflight, inflight_at(&p->inflight, i), state);
}

/* Everything in the window gets its answer. */
static void
indoubt_settle(struct publish *p)
{
	struct err err = {.text = ""};

	connect_await_replies(p);
	if (p->readonly)
		connect_follow_failover(p);
	if (p->inflight.spills) {
		if (fallback_append(p, &err) == -1 && fallback_bypass(p) == -1) {
			publish_worse(
			    p, err.status == STATUS_CONFIG ? STATUS_CONFIG : STATUS_UNSAFE);
			set_spills(p, INFLIGHT_UNSAFE);
		}
	}
	emit(p, err.text);
}

/* --- may it go directly? ------------------------------------------------------------ */

static int
goes_directly(struct publish *p, struct slice type)
{
	char name[NAMES_MAX + 1];

	if (!connect_ensure(p, type))
		return 0;
	if (p->buf != NULL && !p->o->unordered && !fallback_lacks_type(p, type)) {
		p->behind = true;
		if (clock_mono() < p->next_drain)
			return 0;
		indoubt_settle(p);
		if (p->conn == NULL)
			return 0;
		snprintf(name, sizeof(name), "%.*s", (int)type.n, type.p);
		fallback_drain(p, name, false);
		if (p->conn == NULL || !fallback_lacks_type(p, type))
			return 0;
	}
	return publish_prepare_dest(p, type) == 0 && p->conn != NULL &&
	    (!p->next_try || clock_mono() >= p->next_try);
}

/* --- the interface ------------------------------------------------------------------------------
 */

struct publish *
publish_open(const struct publish_options *o, struct err *err)
{
	struct publish *p = mem_alloc(sizeof(*p));
	struct bytes b = {0};
	const char *dir, *word;
	char *owner;

	p->o = o;
	inflight_init(&p->inflight);
	bytes_addf(&b, "%s %s", o->conf->address, o->conf->prefix);
	p->target = mem_strdup(bytes_str(&b));
	bytes_free(&b);
	if (o->no_buffer) {
		p->no_buffer =
		    mem_strdup("Redis did not take it, and --no-buffer forbids the buffer");
		return p;
	}
	if ((dir = conf_buffer(o->conf, err)) == NULL)
		goto fail;
	if ((p->buf = buffer_open(dir, true, err)) == NULL) {
		if (err->status == STATUS_CONFIG)
			goto fail;
		p->no_buffer = mem_strdup(err->text);
		/* One that is there may hold events, which ours pass then. */
		publish_say(p, faccessat(AT_FDCWD, dir, F_OK, 0) == 0,
		    "%s: events are not buffered if Redis goes away", err->text);
		return p;
	}
	if ((word = buffer_warning(p->buf)) != NULL)
		publish_say(p, false, "buffer '%s' %s", dir, word);
	if (segment_any(buffer_fd(p->buf)) == 1 && (owner = buffer_target(p->buf)) != NULL) {
		if (strcmp(owner, p->target) != 0) {
			err_set(err, STATUS_CONFIG,
			    "buffer '%s' holds events for %s, not for %s: give another with -b, "
			    "or see ebreplay --retarget",
			    dir, owner, p->target);
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
	connect_close(p);
	buffer_close(p->buf);
	inflight_free(&p->inflight);
	bytes_free(&p->arena);
	fallback_forget_absent(p);
	free(p->no_buffer);
	free(p->target);
	free(p);
}

void
publish_begin_batch(struct publish *p)
{
	if (p->buf != NULL && p->looked && buffer_change(p->buf) != p->change)
		fallback_forget_absent(p);
}

/* To be woken for each few answers costs more than to take them: while the server surely has work,
 * sleeps first. */
static int
await_some(struct publish *p, struct err *err)
{
	uint64_t had = conn_received(p->conn);

	if (p->inflight.sent > INFLIGHT_EVENTS / 2) {
		nanosleep(&(struct timespec){0, REST}, NULL);
		if (conn_io(p->conn, err) == -1)
			return -1;
		if (conn_received(p->conn) != had)
			return 0;
	}
	return conn_poll(p->conn, -1, -1, err);
}

static void
make_space(struct publish *p, size_t bytes)
{
	struct err err;

	if (inflight_has_room(&p->inflight, bytes))
		return;
	/* Down to a half, so that the server always has work while we read on. */
	while (p->conn != NULL && !p->inflight.spills && p->inflight.sent &&
	    bytes <= INFLIGHT_BIG &&
	    (p->inflight.count > INFLIGHT_EVENTS / 2 || p->inflight.bytes > INFLIGHT_BYTES / 2)) {
		if (await_some(p, &err) == -1) {
			connect_drop(p, &err);
			break;
		}
		connect_take_replies(p);
		emit(p, "");
	}
	if (!inflight_has_room(&p->inflight, bytes))
		indoubt_settle(p);
}

void
publish_event(struct publish *p, const struct event *e)
{
	struct inflight_event *s;
	bool direct;

	make_space(p, e->payload.n);
	direct = goes_directly(p, e->type);
	if (direct && p->inflight.spills) { /* what waits for the buffer was there first */
		indoubt_settle(p);
		direct = goes_directly(p, e->type);
	}
	s = inflight_push(&p->inflight, e, ++p->taken);
	if (!direct) {
		inflight_set_state(&p->inflight, s, INFLIGHT_TO_BUFFER);
		return;
	}
	connect_send_event(p, s);
	if (e->payload.n > INFLIGHT_BIG)
		indoubt_settle(p);
}

void
publish_refused_line(struct publish *p)
{
	if (!inflight_has_room(&p->inflight, 0))
		indoubt_settle(p);
	inflight_set_state(
	    &p->inflight, inflight_push(&p->inflight, NULL, ++p->taken), INFLIGHT_REFUSED);
}

static void
watch_all(struct publish *p)
{
	struct bytes words = {0};
	size_t i;

	for (i = 0; p->conn != NULL && conn_why(p->conn) == CONN_OK && i < p->dests.n; i++) {
		struct dest *dest = p->dests.dest[i];

		if (dest->trim_acked) {
			if (trim_is_due(dest) && measure_stream_room(p, dest) == 1)
				/* the next event of its type says so, if there is one */
				trim_remeasure(dest);
			continue;
		}
		words.len = 0;
		p->count[COUNT_TRIMMED] +=
		    trimwatch_check(&dest->watch, p->conn, dest->key, dest->maxlen, &words);
		if (words.len)
			publish_say(p, true, "%s", bytes_str(&words));
	}
	bytes_free(&words);
	p->since_watch = 0;
}

void
publish_end_batch(struct publish *p)
{
	struct err err;

	if (p->conn != NULL && conn_io(p->conn, &err) == -1)
		connect_drop(p, &err);
	connect_take_replies(p);
	if (p->inflight.spills)
		indoubt_settle(p);
	else
		emit(p, "");
	if (p->conn != NULL && p->since_watch >= TRIMWATCH_EVERY) {
		indoubt_settle(p);
		watch_all(p);
	}
}

int
publish_fd(const struct publish *p)
{
	return p->conn != NULL ? conn_fd(p->conn) : -1;
}

short
publish_poll_events(const struct publish *p)
{
	return (short)(p->conn != NULL ? conn_events(p->conn) : 0);
}

int
publish_timeout_ms(const struct publish *p)
{
	int64_t now = clock_mono(), at = -1, next;

	if (p->conn != NULL && p->inflight.sent)
		at = conn_deadline(p->conn);
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
	struct err err;

	if (backlog_lacks_type(p->buf, "", &holds, &err) == 1 && !holds) {
		p->behind = false;
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
	if (p->behind && p->inflight.count == 0 && clock_mono() >= p->next_try &&
	    clock_mono() >= p->next_drain)
		catch_up(p);
}

int
publish_finish(struct publish *p)
{
	indoubt_settle(p);
	watch_all(p);
	if (p->held && p->buf != NULL &&
	    p->conn != NULL) /* what is full stands in the buffer's record then, for all to see */
		fallback_drain(p, NULL, false);
	if (p->buf != NULL)
		counters_add(p->buf, p->count);
	return p->status;
}
