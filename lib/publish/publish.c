#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "buffer/backlog.h"
#include "event/names.h"
#include "drain/outage.h"
#include "publish/publishing.h"
#include "drain/retain.h"
#include "buffer/segment.h"
#include "base/util.h"
#include "base/when.h"

#define WATCH_EVERY 10000
#define REST 300000	/* ns: less than any server takes for half a window */

void
publish_say(struct publish *p, bool important, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	fail_clean(text);
	p->o->say(p->o->arg, important, text);
}

void
publish_worse(struct publish *p, int status)
{
	p->status = status_worse(p->status, status);
}

int64_t
publish_limit(const struct publish *p, const char *type)
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
	while (p->w.count && window_at(&p->w, 0)->state >= SLOT_ADDED) {
		answer(p, window_at(&p->w, 0), unsafe);
		window_pop(&p->w);
	}
}

static void
set_spills(struct publish *p, enum slot_state state)
{
	size_t i;

	for (i = 0; i < p->w.count; i++)
		if (window_at(&p->w, i)->state == SLOT_SPILL)
			window_state(&p->w, window_at(&p->w, i), state);
}

/* Everything in the window gets its answer. */
static void
settle(struct publish *p)
{
	struct fail f = { .text = "" };

	link_await(p);
	if (p->readonly)
		link_elsewhere(p);
	if (p->w.spills) {
		if (spill_append(p, &f) == -1 && spill_past(p) == -1) {
			publish_worse(p, f.status == STATUS_CONFIG ? STATUS_CONFIG : STATUS_UNSAFE);
			set_spills(p, SLOT_UNSAFE);
		}
	}
	emit(p, f.text);
}

/* --- may it go directly? ------------------------------------------------------------ */

static int
goes_directly(struct publish *p, struct slice type)
{
	char name[NAMES_MAX + 1];

	if (!link_up(p, type))
		return 0;
	if (p->sp && !p->o->unordered && !spill_clear(p, type)) {
		p->behind = true;
		if (when_mono() < p->next_drain)
			return 0;
		settle(p);
		if (!p->b)
			return 0;
		snprintf(name, sizeof name, "%.*s", (int)type.n, type.p);
		spill_drain(p, name, false);
		if (!p->b || !spill_clear(p, type))
			return 0;
	}
	return admit_type(p, type) == 0 && p->b && (!p->next_try || when_mono() >= p->next_try);
}

/* --- the interface ------------------------------------------------------------------------------ */

struct publish *
publish_open(const struct publish_options *o, struct fail *f)
{
	struct publish *p = util_alloc(sizeof *p);
	struct buf b = { 0 };
	const char *dir, *word;
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
		/* One that is there may hold events, which ours pass then. */
		publish_say(p, faccessat(AT_FDCWD, dir, F_OK, 0) == 0, "%s: events are not buffered if Redis goes away", f->text);
		return p;
	}
	if ((word = spool_warning(p->sp)))
		publish_say(p, false, "buffer '%s' %s", dir, word);
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
	link_close(p);
	spool_close(p->sp);
	window_free(&p->w);
	buf_free(&p->arena);
	spill_forget(p);
	free(p->no_buffer);
	free(p->target);
	free(p);
}

void
publish_begin(struct publish *p)
{
	if (p->sp && p->looked && spool_change(p->sp) != p->change)
		spill_forget(p);
}

/* To be woken for each few answers costs more than to take them: while the server surely has work, sleeps first. */
static int
await_some(struct publish *p, struct fail *f)
{
	uint64_t had = bus_received(p->b);

	if (p->w.sent > WINDOW_SLOTS / 2) {
		nanosleep(&(struct timespec){ 0, REST }, NULL);
		if (bus_io(p->b, f) == -1)
			return -1;
		if (bus_received(p->b) != had)
			return 0;
	}
	return bus_pause(p->b, -1, -1, f);
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
		if (await_some(p, &f) == -1) {
			link_lost(p, &f);
			break;
		}
		link_take(p);
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
	s = window_push(&p->w, e, ++p->taken);
	if (!direct) {
		window_state(&p->w, s, SLOT_SPILL);
		return;
	}
	link_send(p, s);
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

		if (l->acked) {
			if (retain_due(l) && admit_measure(p, l) == 1)
				retain_again(l);	/* the next event of its type says so, if there is one */
			continue;
		}
		words.len = 0;
		p->count[COUNT_TRIMMED] += watch_look(&l->watch, p->b, l->key, l->maxlen, &words);
		if (words.len)
			publish_say(p, true, "%s", buf_str(&words));
	}
	buf_free(&words);
	p->since_watch = 0;
}

void
publish_end(struct publish *p)
{
	struct fail f;

	if (p->b && bus_io(p->b, &f) == -1)
		link_lost(p, &f);
	link_take(p);
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
	return (short)(p->b ? bus_events(p->b) : 0);
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
	if (!link_up(p, slice_of(OUTAGE_TYPE))) {
		p->next_drain = p->next_try;
		return;
	}
	spill_drain(p, NULL, false);
}

void
publish_work(struct publish *p)
{
	publish_end(p);
	if (p->behind && p->w.count == 0 && when_mono() >= p->next_try && when_mono() >= p->next_drain)
		catch_up(p);
}

int
publish_finish(struct publish *p)
{
	settle(p);
	watch_all(p);
	if (p->held && p->sp && p->b)	/* what is full stands in the buffer's record then, for all to see */
		spill_drain(p, NULL, false);
	if (p->sp)
		counters_add(p->sp, p->count);
	return p->status;
}
