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

#define GRACE 5000 /* ms between being told to end and being killed */

static const struct slice none;

/* The payload as a file that has no name. -1: errno. */
static int
payload_file(const struct record *r)
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

/* Whether the machine has no room for one more just now. */
static bool
passes(int sys)
{
	return sys == EAGAIN || sys == ENOMEM || sys == EMFILE || sys == ENFILE || sys == ENOSPC;
}

static void
not_started(struct runner *h, struct job *j, const struct err *err)
{
	struct handle *w = h->w;

	if (err->sys == E2BIG)
		attempt_finish(w, j, OUTCOME_FAILED, err->text, none);
	else if (passes(err->sys)) {
		handle_note(w, SUB_WARNING, "%s; trying again", err->text);
		attempt_finish(w, j, OUTCOME_UNDONE, "", none);
	} else {
		attempt_finish(w, j, OUTCOME_UNDONE, "", none);
		handle_fail(w, err);
	}
}

void
exec_start(struct runner *h, struct job *j, const struct record *r)
{
	struct handle *w = h->w;
	struct child_plan plan = {
	    .argv = w->plan->argv, .env = childenv_for_event(w->env, r), .in = payload_file(r)};
	struct err err;
	int ok;

	if (plan.in == -1)
		ok = err_sys(&err, STATUS_CONFIG, "make a file of the payload");
	else {
		ok = child_start(&h->child, &plan, &err);
		close(plan.in);
	}
	job_clear_entry(j);
	if (ok == -1) {
		not_started(h, j, &err);
		return;
	}
	h->job = j;
	h->overdue = h->cut_short = false;
	h->deadline = w->plan->cmd_timeout > 0 ? clock_mono() + w->plan->cmd_timeout : -1;
}

/* 126 and 127 are the shell's words for a command that it could not run. */
static void
cannot_run(struct handle *w, int status)
{
	struct err err;

	err_set(&err, STATUS_CONFIG, "run '%s': exit %d: %s", w->plan->argv[0], WEXITSTATUS(status),
	    WEXITSTATUS(status) == 127 ? "command not found" : "cannot be executed");
	handle_fail(w, &err);
}

/* Nobody reads our stdout any more, and it is the command's: of SIGPIPE it died, or of having
 * ignored it. */
static bool
stdout_gone(const struct handle *w)
{
	struct pollfd p = {.fd = STDOUT_FILENO};

	return w->out_gone || (poll(&p, 1, 0) == 1 && (p.revents & (POLLERR | POLLHUP)) != 0);
}

static void
judge(struct runner *h, struct job *j, int status)
{
	bool exited = WIFEXITED(status);
	int code = exited ? WEXITSTATUS(status) : -1;
	enum outcome what = OUTCOME_FAILED;
	struct bytes tail = {0};
	char word[32];

	child_status_text(status, word);
	if (code == 0)
		what = OUTCOME_DONE;
	else if (h->cut_short || code == 126 || code == 127 || stdout_gone(h->w))
		what = OUTCOME_UNDONE;
	else if (code == STATUS_AGAIN && !h->overdue)
		what = OUTCOME_POSTPONED;
	else if (code == STATUS_DATA && !h->overdue)
		what = OUTCOME_DEAD;
	child_tail(&h->child, &tail);
	attempt_finish(
	    h->w, j, what, h->overdue ? "timeout" : word, (struct slice){tail.p, tail.len});
	bytes_free(&tail);
	if (code == 126 || code == 127)
		cannot_run(h->w, status);
}

bool
exec_process(struct runner *h)
{
	struct job *j = h->job;
	int status;

	if (h->child.pid == 0)
		return false;
	if (h->deadline != -1 && clock_mono() >= h->deadline && !h->overdue && !h->cut_short) {
		h->overdue = true;
		child_terminate(&h->child, GRACE);
	}
	if (!h->w->child_news || !child_reap(&h->child, &status))
		return false;
	h->job = NULL;
	h->deadline = -1;
	judge(h, j, status);
	child_destroy(&h->child);
	return true;
}
