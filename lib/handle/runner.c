/* runner: the runners, each a command or a worker. Declared in handle_int.h. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "handle/handle_int.h"

#define STOP_GRACE 2000 /* ms between SIGTERM and SIGKILL when the run ends */

int
runners_init(struct handle_loop *loop, struct err *err)
{
	loop->env = childenv_new();
	loop->runners = mem_alloc(loop->plan->runners * sizeof(*loop->runners));
	for (size_t i = 0; i < loop->plan->runners; i++) {
		struct runner *runner = &loop->runners[i];

		runner->loop = loop;
		runner->child = (struct child){.stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
		runner->deadline = -1;
		if (loop->plan->worker && worker_spawn(runner, err) == -1)
			return -1;
	}
	return 0;
}

void
runners_free(struct handle_loop *loop)
{
	for (size_t i = 0; loop->runners != NULL && i < loop->plan->runners; i++) {
		struct runner *runner = &loop->runners[i];

		child_destroy(&runner->child);
		bytes_free(&runner->out);
		bytes_free(&runner->in);
		free(runner->unanswered);
	}
	free(loop->runners);
	childenv_free(loop->env);
}

static bool
can_take_job(struct runner *runner, const struct job *job)
{
	return runner->loop->plan->worker ? worker_has_room(runner, job) : runner->load == 0;
}

struct runner *
runners_pick(struct handle_loop *loop, const struct job *job)
{
	struct runner *best = NULL;

	for (size_t i = 0; i < loop->plan->runners; i++) {
		struct runner *runner = &loop->runners[i];

		if ((best == NULL || runner->load < best->load) && can_take_job(runner, job))
			best = runner;
	}
	return best;
}

void
runner_reserve(struct runner *runner, const struct job *job)
{
	runner->load++;
	runner->alone = runner->loop->plan->worker && job->attempts > 0;
}

void
runner_release(struct runner *runner)
{
	if (--runner->load == 0)
		runner->alone = false;
}

size_t
runners_capacity(const struct handle_loop *loop)
{
	size_t n = 0;

	for (size_t i = 0; i < loop->plan->runners; i++)
		n += loop->plan->worker ? 2 * loop->runners[i].window : 1;
	return n;
}

void
runner_start(struct runner *runner, struct job *job, const struct record *record)
{
	(runner->loop->plan->worker ? worker_send : exec_start)(runner, job, record);
}

bool
runners_process(struct handle_loop *loop)
{
	bool worked = false;

	for (size_t i = 0; i < loop->plan->runners; i++) {
		struct runner *runner = &loop->runners[i];

		if (runner->stderr_ready)
			child_read_stderr(&runner->child);
		runner->stderr_ready = false;
		child_kill_overdue(&runner->child);
		worked = (loop->plan->worker ? worker_process : exec_process)(runner) || worked;
	}
	loop->check_children = false;
	return worked;
}

void
runners_stop(struct handle_loop *loop)
{
	for (size_t i = 0; i < loop->plan->runners; i++)
		if (loop->runners[i].child.pid != 0) {
			loop->runners[i].stopped = true;
			child_terminate(&loop->runners[i].child, STOP_GRACE);
		}
}

bool
runners_idle(const struct handle_loop *loop)
{
	for (size_t i = 0; i < loop->plan->runners; i++)
		if (loop->runners[i].load > 0 || loop->runners[i].child.pid != 0)
			return false;
	return true;
}

size_t
runners_fill_pollfds(const struct handle_loop *loop, struct pollfd *p)
{
	size_t n = 0;

	for (size_t i = 0; i < loop->plan->runners; i++) {
		const struct runner *runner = &loop->runners[i];

		if (runner->child.stderr_fd != -1)
			p[n++] = (struct pollfd){.fd = runner->child.stderr_fd, .events = POLLIN};
		if (runner->child.stdout_fd != -1)
			p[n++] = (struct pollfd){.fd = runner->child.stdout_fd, .events = POLLIN};
		if (runner->child.stdin_fd != -1 && runner->out.len > runner->written)
			p[n++] = (struct pollfd){.fd = runner->child.stdin_fd, .events = POLLOUT};
	}
	return n;
}

void
runners_read_pollfds(struct handle_loop *loop, const struct pollfd *p)
{
	for (size_t i = 0; i < loop->plan->runners; i++) {
		struct runner *runner = &loop->runners[i];

		runner->stderr_ready = runner->child.stderr_fd != -1 && (p++)->revents != 0;
		p += (runner->child.stdout_fd != -1) +
		    (runner->child.stdin_fd != -1 && runner->out.len > runner->written);
	}
}

int64_t
runners_next_due(const struct handle_loop *loop)
{
	int64_t by = -1;

	for (size_t i = 0; i < loop->plan->runners; i++) {
		const struct runner *runner = &loop->runners[i];

		if (runner->load > 0 && !runner->at_fault)
			clock_earliest(&by, runner->deadline);
		if (runner->child.kill_at != 0)
			clock_earliest(&by, runner->child.kill_at);
		if (loop->plan->worker && runner->child.pid == 0 && !loop->ending)
			clock_earliest(&by, runner->next_start);
	}
	return by;
}
