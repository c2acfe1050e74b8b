#include "handle/control.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

void
control_init(struct control *d, const struct url *url, int64_t timeout_ms)
{
	*d = (struct control){.url = url, .timeout_ms = timeout_ms};
	d->last = &d->first;
}

int
control_open(struct control *d, enum conn_why *why, struct err *err)
{
	d->conn = conn_open(d->url, d->timeout_ms, why, err);
	return d->conn == NULL ? -1 : 0;
}

void
control_expect(struct control *d, struct control_request a)
{
	struct control_request *mine = mem_alloc(sizeof(*mine));

	*mine = a;
	mine->next = NULL;
	*d->last = mine;
	d->last = &mine->next;
	d->asked++;
}

static struct control_request *
pop(struct control *d)
{
	struct control_request *a = d->first;

	d->first = a->next;
	if (d->first == NULL)
		d->last = &d->first;
	d->asked--;
	return a;
}

static void
give(struct control_request *a, struct reply *r)
{
	a->answer(a, r);
	if (!a->kept)
		reply_free(r);
	free(a->jobs);
	free(a->ids);
	free(a);
}

void
control_close(struct control *d)
{
	conn_close(d->conn);
	d->conn = NULL;
	while (d->first != NULL)
		give(pop(d), NULL);
}

/* An error that nobody asked for: the server is not as it should be, or refuses us. */
static int
refused(struct control *d, struct reply *r, enum conn_why *why, struct err *err)
{
	*why = reply_why(r);
	reply_fail(err, r, "work on entries");
	reply_free(r);
	control_close(d);
	return -1;
}

int
control_process(struct control *d, enum conn_why *why, struct err *err)
{
	struct reply *r;
	struct err dead;
	int alive = conn_io(d->conn, &dead), came = 0;

	while ((r = conn_take(d->conn)) != NULL) {
		if (reply_is_error(r) && !d->first->takes_errors && reply_why(r) != CONN_NOGROUP)
			return refused(d, r, why, err);
		came = 1;
		give(pop(d), r);
	}
	if (alive == 0)
		return came;
	*err = dead;
	*why = conn_why(d->conn);
	control_close(d);
	return -1;
}
