/* exec: runs one command for each event, with the payload on stdin. Declared in handle_int.h. */
#include <sys/mman.h>
#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/status.h"
#include "event/event.h"
#include "handle/handle_int.h"

static const struct slice none;

/* Creates a memory file with the payload. Returns its descriptor, or -1 with errno. */
static int
make_payload_file(const struct record *r)
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

/* Returns whether an errno means that the machine is short of a resource now. */
static bool
is_shortage(int sys)
{
	return sys == EAGAIN || sys == ENOMEM || sys == EMFILE || sys == ENFILE || sys == ENOSPC;
}

static void
finish_unstarted(struct runner *runner, struct job *job, const struct err *err)
{
	struct handle_loop *loop = runner->loop;

	if (err->sys == E2BIG)
		attempt_finish(loop, job, OUTCOME_FAILED, err->text, none);
	else if (is_shortage(err->sys)) {
		handle_note(loop, SUB_WARNING, "%s; trying again", err->text);
		attempt_finish(loop, job, OUTCOME_UNDONE, "", none);
	} else {
		attempt_finish(loop, job, OUTCOME_UNDONE, "", none);
		handle_fail(loop, err);
	}
}

void
exec_start(struct runner *runner, struct job *job, const struct record *record)
{
	struct handle_loop *loop = runner->loop;
	struct child_plan plan = {.argv = loop->plan->argv,
	    .env = childenv_for_event(loop->env, record),
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
		finish_unstarted(runner, job, &err);
		return;
	}
	runner->job = job;
	runner->at_fault = runner->stopped = false;
	runner->deadline =
	    loop->plan->cmd_timeout > 0 ? clock_mono() + loop->plan->cmd_timeout : -1;
}

/* Ends the run: a shell exits with 126 or 127 when it cannot run a command. */
static void
fail_unrunnable(struct handle_loop *loop, int status)
{
	struct err err;

	err_set(&err, STATUS_CONFIG, "run '%s': exit %d: %s", loop->plan->argv[0],
	    WEXITSTATUS(status),
	    WEXITSTATUS(status) == 127 ? "command not found" : "cannot be executed");
	handle_fail(loop, &err);
}

/* Returns whether the reader of stdout is gone. The command shares stdout, so its failure is then
 * not the event's. */
static bool
is_stdout_gone(const struct handle_loop *loop)
{
	struct pollfd p = {.fd = STDOUT_FILENO};

	return loop->stdout_gone || (poll(&p, 1, 0) == 1 && (p.revents & (POLLERR | POLLHUP)) != 0);
}

static void
finish_command(struct runner *runner, struct job *job, int status)
{
	bool exited = WIFEXITED(status);
	int code = exited ? WEXITSTATUS(status) : -1;
	enum outcome outcome = OUTCOME_FAILED;
	struct bytes tail = {0};
	char word[32];

	child_status_text(status, word);
	if (code == 0)
		outcome = OUTCOME_DONE;
	else if (runner->stopped || code == 126 || code == 127 || is_stdout_gone(runner->loop))
		outcome = OUTCOME_UNDONE;
	else if (code == STATUS_AGAIN && !runner->at_fault)
		outcome = OUTCOME_POSTPONED;
	else if (code == STATUS_DATA && !runner->at_fault)
		outcome = OUTCOME_DEAD;
	child_tail(&runner->child, &tail);
	attempt_finish(runner->loop, job, outcome, runner->at_fault ? "timeout" : word,
	    (struct slice){tail.p, tail.len});
	bytes_free(&tail);
	if (code == 126 || code == 127)
		fail_unrunnable(runner->loop, status);
}

bool
exec_process(struct runner *runner)
{
	struct job *job = runner->job;
	int status;

	if (runner->child.pid == 0)
		return false;
	if (runner->deadline != -1 && clock_mono() >= runner->deadline && !runner->at_fault &&
	    !runner->stopped) {
		runner->at_fault = true;
		child_terminate(&runner->child, HANDLE_KILL_GRACE);
	}
	if (!runner->loop->check_children || !child_reap(&runner->child, &status))
		return false;
	runner->job = NULL;
	runner->deadline = -1;
	finish_command(runner, job, status);
	child_destroy(&runner->child);
	return true;
}
