/*
 * child: starts a program, passes its stderr on, and ends it.
 *
 * The program has a process group of its own, the umask that ebsub was started with, SIGPIPE and
 * SIGXFSZ at their defaults, and of ebsub's descriptors only stdout. Its stderr is a pipe; what it
 * writes there is copied to ebsub's stderr, and the end of it is kept. Signals of the terminal do
 * not reach it; SIGTERM and SIGKILL go to its whole process group.
 */
#ifndef HANDLE_CHILD_H
#define HANDLE_CHILD_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "event/provenance.h"

/* Blocks SIGCHLD. Returns a descriptor that is readable after it, until child_watch_drain; or -1
 * with errno. The caller closes it. */
int child_watch(void);
/* Makes the descriptor unreadable until the next SIGCHLD. */
void child_watch_drain(int fd);

struct child {
	pid_t pid;               /* 0: none */
	int stdin_fd, stdout_fd; /* our ends of its pipes, non-blocking; -1: none */
	int stderr_fd;           /* -1: closed */
	struct bytes tail;       /* the end of its stderr, at most PROVENANCE_STDERR bytes */
	/* when SIGKILL follows SIGTERM, CLOCK_MONOTONIC ms; 0: no SIGTERM was sent */
	int64_t kill_at;
};

struct child_plan {
	char **argv; /* argv[0] is looked up in PATH */
	char **env;
	/* becomes the child's stdin; -1: a pipe from child.stdin_fd does */
	int stdin_fd;
	bool pipe_stdout; /* its stdout is a pipe to child.stdout_fd */
};

/* Starts the program. Returns 0; or -1 with err, whose sys is errno. */
int child_start(struct child *child, const struct child_plan *plan, struct err *err);
/* Returns whether the errno means that the machine is short of a resource now. */
bool child_is_shortage(const struct err *err);
/* Looks a program up as child_start does. Returns 0, or -1 with err (78). */
int child_find(const char *name, struct err *err);

/* Closes our end of a pipe, if it is open. */
void child_close_pipe(int *fd);
/* Copies to our stderr what has come on the child's. */
void child_read_stderr(struct child *child);
/* Sends SIGTERM; child_kill_overdue sends SIGKILL `grace` ms later. */
void child_terminate(struct child *child, int64_t grace);
void child_kill_overdue(struct child *child);
/* Returns whether the child has ended; then *status is that of wait(2), and its whole stderr was
 * copied. The pipes stay open until child_destroy. */
bool child_reap(struct child *child, int *status);
/* Kills the child and waits for it if it still runs, and closes its pipes. */
void child_destroy(struct child *child);

/* Writes "exit 1" or "signal 9". */
void child_status_text(int status, char out[32]);

#endif
