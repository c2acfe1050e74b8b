/* runner: the slots in which commands or workers run; a command for each event. Declared in
 * handle_int.h. */
#include <sys/mman.h>
#include <sys/wait.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/status.h"
#include "event/event.h"
#include "handle/handle.h"
#include "handle/handle_int.h"

#define STOP_GRACE 2000 /* ms between SIGTERM and SIGKILL when the run ends */

static const struct slice none;

/* --- a command ----------------------------------------------------------------------- */

/* Creates a memory file with the payload. Returns its descriptor, or -1 with errno. */
static int
make_payload_file(const struct event_entry *r)
{
	struct bytes b = {0};
	int fd = memfd_create("payload", MFD_CLOEXEC);

	event_add_payload(&b, r->kv, r->nkv);
	if (fd != -1 && (io_write_all(fd, b.p, b.len) == -1 || lseek(fd, 0, SEEK_SET) == -1)) {
		close(fd);
		fd = -1;
	}
	bytes_free(&b);
	return fd;
}

static void
finish_unstarted(struct handle *handle, struct job *job, const struct err *err)
{
	if (err->sys == E2BIG) {
		attempt_finish(handle, job, OUTCOME_FAILED, err->text, none);
		return;
	}
	attempt_finish(handle, job, OUTCOME_UNDONE, "", none);
	if (child_is_shortage(err))
		sub_notef(handle->loop.plan->sub, SUB_WARNING, "%s; trying again", err->text);
	else
		loop_fail(&handle->loop, err);
}

static void
start_command(struct runner *runner, struct job *job, const struct event_entry *record)
{
	struct runners *set = runner->set;
	struct child_plan plan = {.argv = set->plan->argv,
	    .env = childenv_for_event(set->env, record),
	    .stdin_fd = make_payload_file(record)};
	struct err err;
	int ok;

	if (plan.stdin_fd == -1)
		ok = err_sys(&err, STATUS_CONFIG, "create a file for the payload");
	else {
		ok = child_start(&runner->child, &plan, &err);
		close(plan.stdin_fd);
	}
	job_clear_entry(job);
	if (ok == -1) {
		finish_unstarted(set->handle, job, &err);
		return;
	}
	runner->job = job;
	runner->at_fault = runner->stopped = false;
	if (set->plan->cmd_timeout > 0)
		runner->deadline = clock_mono() + set->plan->cmd_timeout;
}

/* Returns whether the reader of stdout is gone. The command shares stdout, so its failure is then
 * not the event's. */
static bool
is_stdout_gone(void)
{
	struct pollfd p = {.fd = STDOUT_FILENO};

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLERR | POLLHUP)) != 0;
}

static void
finish_command(struct runner *runner, struct job *job, int status)
{
	struct handle *handle = runner->set->handle;
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	enum outcome outcome = OUTCOME_FAILED;
	struct err err;
	char word[32];

	child_status_text(status, word);
	if (code == 0)
		outcome = OUTCOME_DONE;
	else if (runner->stopped || code == 126 || code == 127 || is_stdout_gone())
		outcome = OUTCOME_UNDONE;
	else if (code == STATUS_AGAIN && !runner->at_fault)
		outcome = OUTCOME_POSTPONED;
	else if (code == STATUS_DATA && !runner->at_fault)
		outcome = OUTCOME_DEAD;
	attempt_finish(handle, job, outcome, runner->at_fault ? "timeout" : word,
	    (struct slice){runner->child.tail.p, runner->child.tail.len});
	if (code == 126 || code == 127) { /* of a shell that cannot run a command */
		err_set(&err, STATUS_CONFIG, "run '%s': exit %d: %s", handle->plan->argv[0], code,
		    code == 127 ? "command not found" : "cannot be executed");
		loop_fail(&handle->loop, &err);
	}
}

/* Ends what is overdue or has exited. Returns whether an attempt ended. */
static bool
process_command(struct runner *runner)
{
	struct job *job = runner->job;
	int status;

	if (runner->child.pid == 0)
		return false;
	if (runner->deadline != -1 && clock_mono() >= runner->deadline && !runner->at_fault &&
	    !runner->stopped) {
		runner->at_fault = true;
		child_terminate(&runner->child, RUNNER_KILL_GRACE);
	}
	if (!runner->set->check_children || !child_reap(&runner->child, &status))
		return false;
	runner->job = NULL;
	runner->deadline = -1;
	finish_command(runner, job, status);
	child_destroy(&runner->child);
	return true;
}

/* --- all runners --------------------------------------------------------------------- */

int
runners_start(struct loop *loop, struct err *err)
{
	struct runners *set = handle_of(loop)->runners;

	if ((set->child_fd = child_watch()) == -1)
		return err_sys(err, STATUS_SOME, "pipe");
	set->env = childenv_new();
	set->all = mem_alloc(set->plan->runners * sizeof(*set->all));
	for (size_t i = 0; i < set->plan->runners; i++)
		set->all[i] = (struct runner){.set = set,
		    .child = {.stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1},
		    .deadline = -1};
	for (size_t i = 0; i < set->plan->runners && set->plan->worker; i++)
		if (worker_spawn(&set->all[i], err) == -1)
			return -1;
	return 0;
}

void
runners_free(struct runners *set)
{
	for (size_t i = 0; set->all != NULL && i < set->plan->runners; i++) {
		child_destroy(&set->all[i].child);
		bytes_free(&set->all[i].out);
		bytes_free(&set->all[i].in);
	}
	if (set->all != NULL)
		close(set->child_fd);
	free(set->all);
	childenv_free(set->env);
}

struct runner *
runners_pick(struct runners *set, const struct job *job)
{
	struct runner *best = NULL;

	for (size_t i = 0; i < set->plan->runners; i++) {
		struct runner *runner = &set->all[i];

		if ((best == NULL || runner->load < best->load) &&
		    (set->plan->worker ? worker_has_room(runner, job) : runner->load == 0))
			best = runner;
	}
	return best;
}

void
runner_reserve(struct runner *runner, struct job *job)
{
	job->runner = runner;
	runner->load++;
	runner->alone = runner->set->plan->worker && job->attempts > 0;
}

void
runner_release(struct job *job)
{
	if (--job->runner->load == 0)
		job->runner->alone = false;
}

size_t
runners_capacity(const struct runners *set)
{
	size_t n = 0;

	for (size_t i = 0; i < set->plan->runners; i++)
		n += set->plan->worker ? 2 * set->all[i].window : 1;
	return n;
}

void
runner_start(struct job *job, const struct event_entry *record)
{
	struct runner *runner = job->runner;

	(runner->set->plan->worker ? worker_send : start_command)(runner, job, record);
}

bool
runners_process(struct runners *set, int64_t *wake)
{
	bool worked = false;

	for (size_t i = 0; i < set->plan->runners; i++) {
		struct runner *runner = &set->all[i];

		child_kill_overdue(&runner->child);
		worked = (set->plan->worker ? worker_process : process_command)(runner) || worked;
		if (runner->load > 0 && !runner->at_fault)
			clock_earliest(wake, runner->deadline);
		if (runner->child.kill_at != 0)
			clock_earliest(wake, runner->child.kill_at);
		if (set->plan->worker && runner->child.pid == 0 && !set->handle->loop.ending)
			clock_earliest(wake, runner->next_start);
	}
	set->check_children = false;
	return worked;
}

void
runners_stop(struct runners *set)
{
	for (size_t i = 0; i < set->plan->runners; i++)
		if (set->all[i].child.pid != 0) {
			set->all[i].stopped = true;
			child_terminate(&set->all[i].child, STOP_GRACE);
		}
}

bool
runners_idle(const struct runners *set)
{
	for (size_t i = 0; i < set->plan->runners; i++)
		if (set->all[i].load > 0 || set->all[i].child.pid != 0)
			return false;
	return true;
}

void
runners_fill_pollfds(struct loop *loop, struct pollfd *p)
{
	const struct runners *set = handle_of(loop)->runners;

	*p++ = (struct pollfd){.fd = set->child_fd, .events = POLLIN};
	for (size_t i = 0; i < set->plan->runners; i++) {
		const struct runner *runner = &set->all[i];
		bool writes = runner->out.len > runner->written;

		*p++ = (struct pollfd){.fd = runner->child.stderr_fd, .events = POLLIN};
		*p++ = (struct pollfd){.fd = runner->child.stdout_fd, .events = POLLIN};
		*p++ =
		    (struct pollfd){.fd = writes ? runner->child.stdin_fd : -1, .events = POLLOUT};
	}
}

void
runners_read_pollfds(struct loop *loop, const struct pollfd *p)
{
	struct runners *set = handle_of(loop)->runners;

	if (p->revents != 0) {
		child_watch_drain(set->child_fd);
		set->check_children = true;
	}
	for (size_t i = 0; i < set->plan->runners; i++)
		if (p[1 + 3 * i].revents != 0)
			child_read_stderr(&set->all[i].child);
}
