#include <stdio.h>
#include <stdlib.h>

#include "handle/desk.h"
#include "base/util.h"

void
desk_init(struct desk *d, const struct url *url, int64_t timeout_ms)
{
	*d = (struct desk){.url = url, .timeout_ms = timeout_ms};
	d->last = &d->first;
}

int
desk_open(struct desk *d, enum bus_why *why, struct fail *f)
{
	d->bus = bus_open(d->url, d->timeout_ms, why, f);
	return d->bus == NULL ? -1 : 0;
}

void
desk_asked(struct desk *d, struct ask a)
{
	struct ask *mine = util_alloc(sizeof(*mine));

	*mine = a;
	mine->next = NULL;
	*d->last = mine;
	d->last = &mine->next;
	d->asked++;
}

static struct ask *
pop(struct desk *d)
{
	struct ask *a = d->first;

	d->first = a->next;
	if (d->first == NULL)
		d->last = &d->first;
	d->asked--;
	return a;
}

static void
give(struct ask *a, struct reply *r)
{
	a->answer(a, r);
	if (!a->kept)
		reply_free(r);
	free(a->jobs);
	free(a->ids);
	free(a);
}

void
desk_close(struct desk *d)
{
	bus_close(d->bus);
	d->bus = NULL;
	while (d->first != NULL)
		give(pop(d), NULL);
}

/* An error that nobody asked for: the server is not as it should be, or refuses us. */
static int
refused(struct desk *d, struct reply *r, enum bus_why *why, struct fail *f)
{
	*why = reply_why(r);
	reply_fail(f, r, "work on entries");
	reply_free(r);
	desk_close(d);
	return -1;
}

int
desk_move(struct desk *d, enum bus_why *why, struct fail *f)
{
	struct reply *r;
	struct fail dead;
	int alive = bus_io(d->bus, &dead), came = 0;

	while ((r = bus_take(d->bus)) != NULL) {
		if (reply_is_error(r) && !d->first->takes_errors && reply_why(r) != BUS_NOGROUP)
			return refused(d, r, why, f);
		came = 1;
		give(pop(d), r);
	}
	if (alive == 0)
		return came;
	*f = dead;
	*why = bus_why(d->bus);
	desk_close(d);
	return -1;
}
