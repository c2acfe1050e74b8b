/*
 * child: a program that is started, fed, listened to and ended.
 *
 * It has a process group of its own, the umask that we were started with, SIGPIPE and SIGXFSZ at
 * their defaults, and of our descriptors only stdout, and stderr by way of a pipe: what it writes
 * there goes on to our stderr, and its end is kept. A signal of the terminal does not reach it;
 * child_kill reaches all of its group.
 */
#ifndef HANDLE_CHILD_H
#define HANDLE_CHILD_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "event/provenance.h"

/* A descriptor that is readable when a child may have ended (child_watch_drain empties it). SIGCHLD
 * is caught from then on. -1: errno. */
int child_watch(void);
void child_watch_drain(void);

struct child {
	pid_t pid;                    /* 0: none */
	int stdin_fd, stdout_fd;      /* pipes, non-blocking, or -1 */
	int stderr_fd;                /* its stderr; -1 when closed */
	char tail[PROVENANCE_STDERR]; /* the end of what came there: a ring */
	uint64_t stderr_bytes;        /* bytes of it */
	/* clock_mono ms of SIGKILL, once it was asked to end; 0: not asked */
	int64_t kill_at;
};

struct child_plan {
	char **argv; /* argv[0] is looked up in PATH */
	char **env;
	/* becomes its stdin; -1: a pipe, whose other end is child.stdin_fd */
	int stdin_fd;
	bool pipe_stdout; /* its stdout is a pipe, whose other end is child.stdout_fd */
};

/*
 * 0; -1: f, whose sys is errno. ENOENT, EACCES, ENOEXEC, ENOTDIR: no such program; EAGAIN, ENOMEM:
 * none can be started just now.
 */
int child_start(struct child *c, const struct child_plan *plan, struct err *err);
/* Whether such a program would be found: 0, or -1 with f (78). */
int child_find(const char *name, struct err *err);

void child_read_stderr(struct child *c); /* passes on what came on its stderr */
/* Asks its group to end, and has it killed `grace` ms later (child_kill_overdue). */
void child_terminate(struct child *c, int64_t grace);
void child_kill_overdue(struct child *c); /* kills what is overdue */
/* true when it has ended: *status is wait(2)'s, all it wrote to stderr was passed on. child_destroy
 * closes what is left open. */
bool child_reap(struct child *c, int *status);
void child_destroy(struct child *c); /* kills and waits, if need be; closes */

/* "exit 1", "signal 9" */
void child_status_text(int status, char out[32]);
/* Appends the end of what it wrote to stderr. */
void child_tail(const struct child *c, struct bytes *out);

#endif
