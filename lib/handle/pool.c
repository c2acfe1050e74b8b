#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "handle/handle_int.h"

#define GRACE 2000 /* ms between being told to end and being killed, when we stop */

int
pool_init(struct handle *w, struct err *err)
{
	w->env = childenv_new();
	w->runners = mem_alloc(w->plan->runners * sizeof(*w->runners));
	for (size_t i = 0; i < w->plan->runners; i++) {
		struct runner *h = &w->runners[i];

		h->w = w;
		h->child = (struct child){.in = -1, .out = -1, .words = -1};
		h->deadline = -1;
		if (w->plan->worker && worker_spawn(h, err) == -1)
			return -1;
	}
	return 0;
}

void
pool_free(struct handle *w)
{
	for (size_t i = 0; w->runners != NULL && i < w->plan->runners; i++) {
		struct runner *h = &w->runners[i];

		child_destroy(&h->child);
		bytes_free(&h->out);
		bytes_free(&h->in);
		free(h->given);
	}
	free(w->runners);
	childenv_free(w->env);
}

static bool
takes(struct runner *h, const struct job *j)
{
	return h->w->plan->worker ? worker_has_room(h, j) : h->load == 0;
}

struct runner *
pool_pick(struct handle *w, const struct job *j)
{
	struct runner *best = NULL;

	for (size_t i = 0; i < w->plan->runners; i++) {
		struct runner *h = &w->runners[i];

		if ((best == NULL || h->load < best->load) && takes(h, j))
			best = h;
	}
	return best;
}

void
runner_reserve(struct runner *h, const struct job *j)
{
	h->load++;
	h->alone = h->w->plan->worker && j->attempts > 0;
}

void
runner_release(struct runner *h)
{
	if (--h->load == 0)
		h->alone = false;
}

size_t
pool_capacity(const struct handle *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->plan->runners; i++)
		n += w->plan->worker ? 2 * w->runners[i].window : 1;
	return n;
}

void
runner_start(struct runner *h, struct job *j, const struct record *r)
{
	(h->w->plan->worker ? worker_send : exec_start)(h, j, r);
}

bool
pool_process(struct handle *w)
{
	bool some = false;

	for (size_t i = 0; i < w->plan->runners; i++) {
		struct runner *h = &w->runners[i];

		if (h->heard)
			child_read_stderr(&h->child);
		h->heard = false;
		child_kill_overdue(&h->child);
		some = (w->plan->worker ? worker_process : exec_process)(h) || some;
	}
	w->child_news = false;
	return some;
}

void
pool_stop(struct handle *w)
{
	for (size_t i = 0; i < w->plan->runners; i++)
		if (w->runners[i].child.pid != 0) {
			w->runners[i].cut_short = true;
			child_terminate(&w->runners[i].child, GRACE);
		}
}

bool
pool_idle(const struct handle *w)
{
	for (size_t i = 0; i < w->plan->runners; i++)
		if (w->runners[i].load > 0 || w->runners[i].child.pid != 0)
			return false;
	return true;
}

size_t
pool_fill_pollfds(const struct handle *w, struct pollfd *p)
{
	size_t n = 0;

	for (size_t i = 0; i < w->plan->runners; i++) {
		const struct runner *h = &w->runners[i];

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
pool_read_pollfds(struct handle *w, const struct pollfd *p)
{
	for (size_t i = 0; i < w->plan->runners; i++) {
		struct runner *h = &w->runners[i];

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
pool_next_due(const struct handle *w)
{
	int64_t by = -1;

	for (size_t i = 0; i < w->plan->runners; i++) {
		const struct runner *h = &w->runners[i];

		if (h->load > 0 && !h->overdue)
			sooner(&by, h->deadline);
		if (h->child.kill_at != 0)
			sooner(&by, h->child.kill_at);
		if (w->plan->worker && h->child.pid == 0 && !w->ending)
			sooner(&by, h->next_start);
	}
	return by;
}
