#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "publish/window.h"

#define FIRST 4

void
window_init(struct window *w)
{
	memset(w, 0, sizeof *w);
	w->cap = FIRST;
	w->slot = util_alloc(w->cap * sizeof *w->slot);
}

void
window_free(struct window *w)
{
	size_t i;

	for (i = 0; i < w->cap; i++)
		buf_free(&w->slot[i].bytes);
	free(w->slot);
	memset(w, 0, sizeof *w);
}

static void
grow(struct window *w)
{
	struct slot *more = util_alloc(4 * w->cap * sizeof *more);
	size_t i;

	for (i = 0; i < w->count; i++)
		more[i] = *window_at(w, i);
	free(w->slot);
	w->slot = more;
	w->head = 0;
	w->cap *= 4;
}

int
window_room(const struct window *w, size_t bytes)
{
	size_t times = w->spills == w->count ? WINDOW_SPILLS : 1;

	return w->count < times * WINDOW_SLOTS && (w->count == 0 || (w->bytes + bytes <= times * WINDOW_BYTES && bytes <= WINDOW_BIG));
}

struct slot *
window_at(struct window *w, size_t i)
{
	return &w->slot[(w->head + i) & (w->cap - 1)];
}

static void
copy(struct slot *s, const struct event *e)
{
	const struct slice *from[EVENT_FIELDS] = { &e->type, &e->payload, &e->trace_id, &e->correlation_id,
	    &e->timestamp, &e->source, &e->event_id };
	struct slice *to[EVENT_FIELDS] = { &s->e.type, &s->e.payload, &s->e.trace_id, &s->e.correlation_id,
	    &s->e.timestamp, &s->e.source, &s->e.event_id };
	size_t i, all = 0;

	for (i = 0; i < EVENT_FIELDS; i++)
		all += from[i]->n;
	s->bytes.len = 0;
	buf_reserve(&s->bytes, all + 1);	/* the pointers stay */
	for (i = 0; i < EVENT_FIELDS; i++) {
		to[i]->p = s->bytes.p + s->bytes.len;
		to[i]->n = from[i]->n;
		buf_add(&s->bytes, from[i]->p, from[i]->n);
	}
}

struct slot *
window_push(struct window *w, const struct event *e, unsigned long long n)
{
	struct slot *s;

	if (w->count == w->cap)
		grow(w);
	s = window_at(w, w->count++);
	s->n = n;
	s->state = SLOT_NEW;
	s->lane = NULL;
	s->doubt = false;
	s->bytes.len = 0;
	s->e = (struct event){ 0 };
	if (e)
		copy(s, e);
	w->bytes += s->bytes.len;
	return s;
}

static size_t *
counter(struct window *w, enum slot_state state)
{
	return state == SLOT_SENT ? &w->sent : state == SLOT_SPILL ? &w->spills : NULL;
}

void
window_state(struct window *w, struct slot *s, enum slot_state state)
{
	size_t i = ((size_t)(s - w->slot) - w->head) & (w->cap - 1);
	size_t *c;

	if ((c = counter(w, s->state)))
		--*c;
	s->state = state;
	if ((c = counter(w, state)))
		++*c;
	if (state == SLOT_SENT && i < w->asked)
		w->asked = i;
}

/* Answers come in order, so that each slot is passed once. */
struct slot *
window_sent(struct window *w)
{
	while (window_at(w, w->asked)->state != SLOT_SENT)
		w->asked++;
	return window_at(w, w->asked);
}

void
window_pop(struct window *w)
{
	struct slot *s = window_at(w, 0);

	w->bytes -= s->bytes.len;
	if (s->bytes.cap > 2 * WINDOW_BIG)
		buf_free(&s->bytes);
	w->head = (w->head + 1) & (w->cap - 1);
	w->count--;
	if (w->asked > 0)
		w->asked--;
}
