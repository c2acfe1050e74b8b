/*
 * runner: the slots in which a run's commands or workers run. A command handles one event; a worker
 * stays and handles many.
 */
#ifndef HANDLE_RUNNER_H
#define HANDLE_RUNNER_H

#include <poll.h>

#include "base/backoff.h"
#include "event/format.h"
#include "handle/child.h"
#include "handle/childenv.h"
#include "handle/job.h"

#define RUNNER_KILL_GRACE 5000 /* ms between SIGTERM and SIGKILL, while the run goes on */

struct handle;
struct handle_plan;
struct loop;

/* A slot for one command, or one worker. */
struct runner {
	struct runners *set;
	struct child child;
	size_t load; /* jobs claimed for it or running */
	/* its job failed before, so it takes no other */
	bool alone;
	/* got SIGTERM for exceeding cmd_timeout or for a bad answer */
	bool at_fault;
	const char *fault; /* of a worker, with at_fault: the reason */
	bool stopped;      /* got SIGTERM because the run ends */
	int64_t deadline;  /* of what runs, CLOCK_MONOTONIC ms; -1: none */

	struct job *job; /* of a command */

	/* of a worker */
	struct jobs unanswered; /* in the order they were sent */
	struct bytes out;       /* event lines; `written` bytes of them are written */
	size_t written;
	struct bytes in; /* an incomplete answer line */
	bool answered;   /* since it was started */
	/* how many events may be unanswered; how many were answered since window_since */
	size_t window, answers;
	int64_t window_since;
	int64_t next_start; /* CLOCK_MONOTONIC ms */
	struct backoff backoff;
};

struct runners {
	struct handle *handle;
	const struct handle_plan *plan;
	struct runner *all; /* plan->runners of them */
	struct childenv *env;
	int child_fd;        /* readable after SIGCHLD */
	bool check_children; /* SIGCHLD came */
};

/* Starts the workers, if they are workers. The caller has set handle and plan. */
int runners_start(struct loop *loop, struct err *err);
void runners_free(struct runners *set);
/* Returns the runner with the least load that can take this job now, or NULL. */
struct runner *runners_pick(struct runners *set, const struct job *job);
/* Returns how many entries all runners together handle soon. */
size_t runners_capacity(const struct runners *set);
/* Adds a job to the runner's load until runner_release. */
void runner_reserve(struct runner *runner, struct job *job);
/* Takes a job off the load of its runner. */
void runner_release(struct job *job);
/* Starts an attempt of a job in JOB_RUNNING. */
void runner_start(struct job *job, const struct event_entry *record);
/* Reads answers, reaps children, kills what is overdue. Lowers *wake to the next deadline. Returns
 * true when there was something to do. */
bool runners_process(struct runners *set, int64_t *wake);
/* Sends SIGTERM to everything that runs; SIGKILL follows. */
void runners_stop(struct runners *set);
/* Returns whether no command or worker runs and no job is reserved. */
bool runners_idle(const struct runners *set);
/* The descriptors to poll, always 1 + 3 * plan->runners, and what poll(2) said of them. */
void runners_fill_pollfds(struct loop *loop, struct pollfd *p);
void runners_read_pollfds(struct loop *loop, const struct pollfd *p);

/* --- worker.c ------------------------------------------------------------------------ */

int worker_spawn(struct runner *runner, struct err *err);
bool worker_has_room(const struct runner *runner, const struct job *job);
void worker_send(struct runner *runner, struct job *job, const struct event_entry *record);
/* Writes events, reads answers, restarts a worker that ended. Returns whether something happened.
 */
bool worker_process(struct runner *runner);

#endif
