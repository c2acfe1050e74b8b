#include "publish/inflight.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define FIRST 4

void
inflight_init(struct inflight *w)
{
	memset(w, 0, sizeof(*w));
	w->cap = FIRST;
	w->slot = mem_alloc(w->cap * sizeof(*w->slot));
}

void
inflight_free(struct inflight *w)
{
	size_t i;

	for (i = 0; i < w->cap; i++)
		bytes_free(&w->slot[i].bytes);
	free(w->slot);
	memset(w, 0, sizeof(*w));
}

static void
grow(struct inflight *w)
{
	struct inflight_event *more = mem_alloc(4 * w->cap * sizeof(*more));
	size_t i;

	for (i = 0; i < w->count; i++)
		more[i] = *inflight_at(w, i);
	free(w->slot);
	w->slot = more;
	w->head = 0;
	w->cap *= 4;
}

int
inflight_has_room(const struct inflight *w, size_t bytes)
{
	size_t times = w->spills == w->count ? INFLIGHT_BUFFER_FACTOR : 1;

	return w->count < times * INFLIGHT_EVENTS &&
	    (w->count == 0 ||
	        (w->bytes + bytes <= times * INFLIGHT_BYTES && bytes <= INFLIGHT_BIG));
}

struct inflight_event *
inflight_at(struct inflight *w, size_t i)
{
	return &w->slot[(w->head + i) & (w->cap - 1)];
}

static void
copy(struct inflight_event *s, const struct event *e)
{
	const struct slice *from[EVENT_FIELDS] = {&e->type, &e->payload, &e->trace_id,
	    &e->correlation_id, &e->timestamp, &e->source, &e->event_id};
	struct slice *to[EVENT_FIELDS] = {&s->e.type, &s->e.payload, &s->e.trace_id,
	    &s->e.correlation_id, &s->e.timestamp, &s->e.source, &s->e.event_id};
	size_t i, all = 0;

	for (i = 0; i < EVENT_FIELDS; i++)
		all += from[i]->n;
	s->bytes.len = 0;
	bytes_reserve(&s->bytes, all + 1); /* the pointers stay */
	for (i = 0; i < EVENT_FIELDS; i++) {
		to[i]->p = s->bytes.p + s->bytes.len;
		to[i]->n = from[i]->n;
		bytes_add(&s->bytes, from[i]->p, from[i]->n);
	}
}

struct inflight_event *
inflight_push(struct inflight *w, const struct event *e, unsigned long long n)
{
	struct inflight_event *s;

	if (w->count == w->cap)
		grow(w);
	s = inflight_at(w, w->count++);
	s->n = n;
	s->state = INFLIGHT_NEW;
	s->dest = NULL;
	s->doubt = false;
	s->bytes.len = 0;
	s->e = (struct event){0};
	if (e != NULL)
		copy(s, e);
	w->bytes += s->bytes.len;
	return s;
}

static size_t *
counter(struct inflight *w, enum inflight_state state)
{
	return state == INFLIGHT_SENT ? &w->sent : state == INFLIGHT_TO_BUFFER ? &w->spills : NULL;
}

void
inflight_set_state(struct inflight *w, struct inflight_event *s, enum inflight_state state)
{
	size_t i = ((size_t)(s - w->slot) - w->head) & (w->cap - 1);
	size_t *c;

	if ((c = counter(w, s->state)) != NULL)
		--*c;
	s->state = state;
	if ((c = counter(w, state)) != NULL)
		++*c;
	if (state == INFLIGHT_SENT && i < w->asked)
		w->asked = i;
}

/* Answers come in order, so that each slot is passed once. */
struct inflight_event *
inflight_oldest_sent(struct inflight *w)
{
	while (inflight_at(w, w->asked)->state != INFLIGHT_SENT)
		w->asked++;
	return inflight_at(w, w->asked);
}

void
inflight_pop(struct inflight *w)
{
	struct inflight_event *s = inflight_at(w, 0);

	w->bytes -= s->bytes.len;
	if (s->bytes.cap > 2 * INFLIGHT_BIG)
		bytes_free(&s->bytes);
	w->head = (w->head + 1) & (w->cap - 1);
	w->count--;
	if (w->asked > 0)
		w->asked--;
}
