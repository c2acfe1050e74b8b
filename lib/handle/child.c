#include "handle/child.h"

#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/process.h"
#include "base/status.h"

#define BURST 32 /* reads of 4 KiB in a row: more than a pipe holds */

int
child_watch(void)
{
	sigset_t ended;

	sigemptyset(&ended);
	sigaddset(&ended, SIGCHLD);
	signal(SIGCHLD, SIG_DFL); /* in case it is ignored: then there is nothing to wait for */
	if (sigprocmask(SIG_BLOCK, &ended, NULL) == -1)
		return -1;
	return signalfd(-1, &ended, SFD_CLOEXEC | SFD_NONBLOCK);
}

void
child_watch_drain(int fd)
{
	struct signalfd_siginfo ended;

	while (read(fd, &ended, sizeof(ended)) > 0)
		;
}

/* --- starting ------------------------------------------------------------------------ */

void
child_close_pipe(int *fd)
{
	if (*fd != -1)
		close(*fd);
	*fd = -1;
}

/* Starts the program with pipes as its descriptors 0 to 2; -1: none. Returns an errno. */
static int
spawn_child(pid_t *pid, const struct child_plan *plan, const int pipes[3])
{
	posix_spawn_file_actions_t acts;
	posix_spawnattr_t attr;
	sigset_t plain, none;
	mode_t ours = umask(process_initial_umask());
	int error;

	sigemptyset(&none);
	sigemptyset(&plain);
	sigaddset(&plain, SIGPIPE);
	sigaddset(&plain, SIGXFSZ);
	sigaddset(&plain, SIGCHLD);
	posix_spawn_file_actions_init(&acts);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigdefault(&attr, &plain);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setflags(
	    &attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	if (plan->stdin_fd != -1)
		posix_spawn_file_actions_adddup2(&acts, plan->stdin_fd, 0);
	for (int i = 0; i < 3; i++)
		if (pipes[i] != -1)
			posix_spawn_file_actions_adddup2(&acts, pipes[i], i);
	error = posix_spawnp(pid, plan->argv[0], &acts, &attr, plan->argv, plan->env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&acts);
	umask(ours);
	return error;
}

/* Creates a pipe. *ours, which does not block, is its end 0 or 1. Returns 0, or -1 with errno. */
static int
make_pipe(int *theirs, int *ours, int our_end)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) == -1)
		return -1;
	*ours = ends[our_end];
	*theirs = ends[1 - our_end];
	fcntl(*ours, F_SETFL, O_NONBLOCK);
	return 0;
}

/* Creates the pipes that the plan needs; theirs[] gets the child's ends. Returns 0, or -1 with
 * errno, and then the caller closes those that were created. */
static int
make_pipes(struct child *child, const struct child_plan *plan, int theirs[3])
{
	if (plan->stdin_fd == -1 && make_pipe(&theirs[0], &child->stdin_fd, 1) == -1)
		return -1;
	if (plan->pipe_stdout && make_pipe(&theirs[1], &child->stdout_fd, 0) == -1)
		return -1;
	return make_pipe(&theirs[2], &child->stderr_fd, 0);
}

static void
close_pipes(struct child *child)
{
	child_close_pipe(&child->stdin_fd);
	child_close_pipe(&child->stdout_fd);
	child_close_pipe(&child->stderr_fd);
}

int
child_start(struct child *child, const struct child_plan *plan, struct err *err)
{
	int theirs[3] = {-1, -1, -1}, error;

	*child = (struct child){.stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
	error =
	    make_pipes(child, plan, theirs) == -1 ? errno : spawn_child(&child->pid, plan, theirs);
	for (int i = 0; i < 3; i++)
		child_close_pipe(&theirs[i]);
	if (error == 0)
		return 0;
	child->pid = 0;
	close_pipes(child);
	errno = error;
	return err_sys(err, STATUS_CONFIG, "run '%s'", plan->argv[0]);
}

bool
child_is_shortage(const struct err *err)
{
	return err->sys == EAGAIN || err->sys == ENOMEM || err->sys == EMFILE ||
	    err->sys == ENFILE || err->sys == ENOSPC;
}

int
child_find(const char *name, struct err *err)
{
	const char *path = strchr(name, '/') != NULL ? "" : getenv("PATH");
	struct bytes file = {0};
	bool found = false;
	size_t n;

	errno = ENOENT;
	for (path = path != NULL ? path : "/bin:/usr/bin"; *name != '\0' && !found; path += n + 1) {
		n = strcspn(path, ":");
		file.len = 0;
		bytes_addf(&file, "%.*s%s%s", (int)n, path, n > 0 ? "/" : "", name);
		found = access(bytes_str(&file), X_OK) == 0;
		if (path[n] == '\0')
			break;
	}
	bytes_free(&file);
	return found ? 0 : err_sys(err, STATUS_CONFIG, "run '%s'", name);
}

/* --- reading stderr and ending ------------------------------------------------------- */

void
child_read_stderr(struct child *child)
{
	char chunk[4096];
	ssize_t n;

	for (int i = 0; i < BURST && child->stderr_fd != -1; i++) {
		n = read(child->stderr_fd, chunk, sizeof(chunk));
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN)
			return;
		if (n <= 0) {
			child_close_pipe(&child->stderr_fd);
			return;
		}
		bytes_add(&child->tail, chunk, (size_t)n);
		if (child->tail.len > PROVENANCE_STDERR)
			bytes_drop(&child->tail, child->tail.len - PROVENANCE_STDERR);
		/* our stderr may be closed; the tail is kept */
		(void)io_write_all(STDERR_FILENO, chunk, (size_t)n);
	}
}

void
child_terminate(struct child *child, int64_t grace)
{
	if (child->pid == 0 || child->kill_at != 0)
		return;
	kill(-child->pid, SIGTERM);
	child->kill_at = clock_mono() + grace;
}

void
child_kill_overdue(struct child *child)
{
	if (child->pid != 0 && child->kill_at != 0 && clock_mono() >= child->kill_at)
		kill(-child->pid, SIGKILL);
}

bool
child_reap(struct child *child, int *status)
{
	if (child->pid == 0 || waitpid(child->pid, status, WNOHANG) != child->pid)
		return false;
	child->pid = 0;
	child->kill_at = 0;
	child_read_stderr(child);
	return true;
}

void
child_destroy(struct child *child)
{
	int status;

	if (child->pid != 0) {
		kill(-child->pid, SIGKILL);
		while (waitpid(child->pid, &status, 0) == -1 && errno == EINTR)
			;
		child->pid = 0;
	}
	close_pipes(child);
	bytes_free(&child->tail);
}

void
child_status_text(int status, char out[32])
{
	if (WIFSIGNALED(status))
		snprintf(out, 32, "signal %d", WTERMSIG(status));
	else
		snprintf(out, 32, "exit %d", WEXITSTATUS(status));
}
