#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "handle/handle_int.h"

#define GRACE 2000 /* ms between being told to end and being killed, when we stop */

int
pool_init(struct handle *w, struct err *err)
{
	w->env = childenv_new();
	w->hands = mem_alloc(w->plan->hands * sizeof(*w->hands));
	for (size_t i = 0; i < w->plan->hands; i++) {
		struct runner *h = &w->hands[i];

		h->w = w;
		h->child = (struct child){.in = -1, .out = -1, .words = -1};
		h->deadline = -1;
		if (w->plan->worker && worker_begin(h, err) == -1)
			return -1;
	}
	return 0;
}

void
pool_free(struct handle *w)
{
	for (size_t i = 0; w->hands != NULL && i < w->plan->hands; i++) {
		struct runner *h = &w->hands[i];

		child_drop(&h->child);
		bytes_free(&h->out);
		bytes_free(&h->in);
		free(h->given);
	}
	free(w->hands);
	childenv_free(w->env);
}

static bool
takes(struct runner *h, const struct job *j)
{
	return h->w->plan->worker ? worker_takes(h, j) : h->load == 0;
}

struct runner *
pool_pick(struct handle *w, const struct job *j)
{
	struct runner *best = NULL;

	for (size_t i = 0; i < w->plan->hands; i++) {
		struct runner *h = &w->hands[i];

		if ((best == NULL || h->load < best->load) && takes(h, j))
			best = h;
	}
	return best;
}

void
runner_take(struct runner *h, const struct job *j)
{
	h->load++;
	h->alone = h->w->plan->worker && j->attempts > 0;
}

void
runner_put_down(struct runner *h)
{
	if (--h->load == 0)
		h->alone = false;
}

size_t
pool_capacity(const struct handle *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->plan->hands; i++)
		n += w->plan->worker ? 2 * w->hands[i].window : 1;
	return n;
}

void
pool_start(struct runner *h, struct job *j, const struct record *r)
{
	(h->w->plan->worker ? worker_start : exec_start)(h, j, r);
}

bool
pool_look(struct handle *w)
{
	bool some = false;

	for (size_t i = 0; i < w->plan->hands; i++) {
		struct runner *h = &w->hands[i];

		if (h->heard)
			child_listen(&h->child);
		h->heard = false;
		child_tick(&h->child);
		some = (w->plan->worker ? worker_look : exec_look)(h) || some;
	}
	w->child_news = false;
	return some;
}

void
pool_stop(struct handle *w)
{
	for (size_t i = 0; i < w->plan->hands; i++)
		if (w->hands[i].child.pid != 0) {
			w->hands[i].cut_short = true;
			child_end(&w->hands[i].child, GRACE);
		}
}

bool
pool_idle(const struct handle *w)
{
	for (size_t i = 0; i < w->plan->hands; i++)
		if (w->hands[i].load > 0 || w->hands[i].child.pid != 0)
			return false;
	return true;
}

size_t
pool_poll(const struct handle *w, struct pollfd *p)
{
	size_t n = 0;

	for (size_t i = 0; i < w->plan->hands; i++) {
		const struct runner *h = &w->hands[i];

		if (h->child.words != -1)
			p[n++] = (struct pollfd){.fd = h->child.words, .events = POLLIN};
		if (h->child.out != -1)
			p[n++] = (struct pollfd){.fd = h->child.out, .events = POLLIN};
		if (h->child.in != -1 && h->out.len > h->written)
			p[n++] = (struct pollfd){.fd = h->child.in, .events = POLLOUT};
	}
	return n;
}

void
pool_polled(struct handle *w, const struct pollfd *p)
{
	for (size_t i = 0; i < w->plan->hands; i++) {
		struct runner *h = &w->hands[i];

		h->heard = h->child.words != -1 && (p++)->revents != 0;
		p += (h->child.out != -1) + (h->child.in != -1 && h->out.len > h->written);
	}
}

static void
sooner(int64_t *by, int64_t t)
{
	if (t != -1 && (*by == -1 || t < *by))
		*by = t;
}

int64_t
pool_next(const struct handle *w)
{
	int64_t by = -1;

	for (size_t i = 0; i < w->plan->hands; i++) {
		const struct runner *h = &w->hands[i];

		if (h->load > 0 && !h->overdue)
			sooner(&by, h->deadline);
		if (h->child.kill_at != 0)
			sooner(&by, h->child.kill_at);
		if (w->plan->worker && h->child.pid == 0 && !w->ending)
			sooner(&by, h->next_start);
	}
	return by;
}
