#include "publish/inflight.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define FIRST_CAP 4

void
inflight_init(struct inflight *in)
{
	memset(in, 0, sizeof(*in));
	in->cap = FIRST_CAP;
	in->ring = mem_alloc(in->cap * sizeof(*in->ring));
}

void
inflight_free(struct inflight *in)
{
	for (size_t i = 0; i < in->cap; i++)
		bytes_free(&in->ring[i].bytes);
	free(in->ring);
	memset(in, 0, sizeof(*in));
}

static void
grow_ring(struct inflight *in)
{
	struct inflight_event *ring = mem_alloc(4 * in->cap * sizeof(*ring));

	for (size_t i = 0; i < in->count; i++)
		ring[i] = *inflight_at(in, i);
	free(in->ring);
	in->ring = ring;
	in->head = 0;
	in->cap *= 4;
}

bool
inflight_has_room(const struct inflight *in, size_t bytes)
{
	size_t factor = in->to_buffer == in->count ? INFLIGHT_BUFFER_FACTOR : 1;

	return in->count < factor * INFLIGHT_EVENTS &&
	    (in->count == 0 ||
	        (in->bytes + bytes <= factor * INFLIGHT_BYTES && bytes <= INFLIGHT_BIG));
}

struct inflight_event *
inflight_at(struct inflight *in, size_t i)
{
	return &in->ring[(in->head + i) & (in->cap - 1)];
}

static void
copy_event(struct inflight_event *ev, const struct event *e)
{
	const struct slice *from[EVENT_FIELDS] = {&e->type, &e->payload, &e->trace_id,
	    &e->correlation_id, &e->timestamp, &e->source, &e->event_id};
	struct slice *to[EVENT_FIELDS] = {&ev->event.type, &ev->event.payload, &ev->event.trace_id,
	    &ev->event.correlation_id, &ev->event.timestamp, &ev->event.source,
	    &ev->event.event_id};
	size_t i, all = 0;

	for (i = 0; i < EVENT_FIELDS; i++)
		all += from[i]->n;
	ev->bytes.len = 0;
	bytes_reserve(&ev->bytes, all + 1); /* bytes_add must not move them below */
	for (i = 0; i < EVENT_FIELDS; i++) {
		to[i]->p = ev->bytes.p + ev->bytes.len;
		to[i]->n = from[i]->n;
		bytes_add(&ev->bytes, from[i]->p, from[i]->n);
	}
}

struct inflight_event *
inflight_push(struct inflight *in, const struct event *e, unsigned long long number)
{
	struct inflight_event *ev;

	if (in->count == in->cap)
		grow_ring(in);
	ev = inflight_at(in, in->count++);
	ev->number = number;
	ev->state = INFLIGHT_NEW;
	ev->dest = NULL;
	ev->in_doubt = false;
	ev->bytes.len = 0;
	ev->event = (struct event){0};
	if (e != NULL)
		copy_event(ev, e);
	in->bytes += ev->bytes.len;
	return ev;
}

static size_t *
state_counter(struct inflight *in, enum inflight_state state)
{
	return state == INFLIGHT_SENT     ? &in->sent
	    : state == INFLIGHT_TO_BUFFER ? &in->to_buffer
	                                  : NULL;
}

void
inflight_set_state(struct inflight *in, struct inflight_event *ev, enum inflight_state state)
{
	size_t i = ((size_t)(ev - in->ring) - in->head) & (in->cap - 1);
	size_t *counter;

	if ((counter = state_counter(in, ev->state)) != NULL)
		--*counter;
	ev->state = state;
	if ((counter = state_counter(in, state)) != NULL)
		++*counter;
	if (state == INFLIGHT_SENT && i < in->first_sent)
		in->first_sent = i;
}

/* Replies come in order, so each event is passed once. */
struct inflight_event *
inflight_oldest_sent(struct inflight *in)
{
	while (inflight_at(in, in->first_sent)->state != INFLIGHT_SENT)
		in->first_sent++;
	return inflight_at(in, in->first_sent);
}

void
inflight_pop(struct inflight *in)
{
	struct inflight_event *ev = inflight_at(in, 0);

	in->bytes -= ev->bytes.len;
	if (ev->bytes.cap > 2 * INFLIGHT_BIG)
		bytes_free(&ev->bytes);
	in->head = (in->head + 1) & (in->cap - 1);
	in->count--;
	if (in->first_sent > 0)
		in->first_sent--;
}
