/*
 * handle_int: the state of a run, and the functions that the files of this room offer each other.
 * handle.c is what the loop asks for: room, reads, the end.
 */
#ifndef HANDLE_HANDLE_INT_H
#define HANDLE_HANDLE_INT_H

#include "consume/loop.h"
#include "event/format.h"
#include "handle/child.h"
#include "handle/childenv.h"
#include "handle/job.h"
#include "redis/group.h"

#define HANDLE_PAGE 500        /* entries in one command */
#define RUNNER_KILL_GRACE 5000 /* ms between SIGTERM and SIGKILL, while the run goes on */

/* What lease.c lists of a stream. */
enum list_stage {
	STAGE_OWN,     /* this consumer's pending entries */
	STAGE_IDLE,    /* nothing until a takeover is due */
	STAGE_TAKEOVER /* pending entries of other consumers */
};

/* One stream. */
struct handle_stream {
	struct jobqueue queue; /* first, so that handle_stream_of works */
	struct handle *handle;
	struct subscription *sub;
	char *dead_key;

	/* of lease.c */
	enum list_stage stage;
	/* with room for one: the next page is of the takeover, else a read of new entries */
	bool takeover_turn;
	bool takeover_listed; /* to the end, since the last lease_relist_own */
	bool relist;          /* begin with own entries again, after the page in flight */
	size_t expected;      /* entries that the page in flight may bring; 0: none is */
	/* of sub, those that lease_restore has handled */
	unsigned group_recreations;
	/* jobs that XCLAIM FORCE is making pending in a group that was created again */
	size_t forcing;

	/* of handle.c */
	int64_t next_request;         /* to_end: not before it while jobs are held */
	uint64_t released_at_request; /* handle->released at the last request */
};

struct lease {
	int64_t renewed_at; /* all held jobs were renewed at that time or later */
	int64_t sent_at;
	size_t in_flight;
	int64_t next;
};

struct handle {
	struct loop loop; /* first, so that handle_of works */
	const struct handle_plan *plan;
	struct handle_count *count;
	struct handle_stream *streams; /* one per subscription */
	size_t n;
	struct jobset jobs;
	uint64_t released; /* jobs ever released */
	struct runners *runners;
	struct lease lease;
	bool no_eval; /* of deadletter.c: EVAL is not permitted */
};

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

static inline struct handle *
handle_of(struct loop *loop)
{
	return (void *)loop;
}

static inline struct handle_stream *
handle_stream_of(const struct job *job)
{
	return (void *)job->queue;
}

/* Returns the control connection; NULL when it is down. */
static inline struct conn *
handle_conn(const struct handle *handle)
{
	return handle->loop.control.conn;
}

/* Removes a job and counts it in handle->released. */
void handle_release(struct handle *handle, struct job *job);
/* Returns how many more entries may be held so that all can run soon. */
size_t handle_room(struct loop *loop);
/* Claims entries for this consumer: XCLAIM, with key, group and consumer filled in. */
void handle_claim(struct handle_stream *stream, struct pending_claim how,
    const struct stream_id *ids, size_t n, control_reply_fn *on_reply);

/* --- attempt.c: claims, results, XACK ------------------------------------------------ */

/* Claims ready jobs for runners that are free. */
void attempt_begin_ready(struct handle *handle);
/* Ends the attempt of a JOB_RUNNING. status and stderr_tail go into a dead letter. */
void attempt_finish(struct handle *handle, struct job *job, enum outcome outcome,
    const char *status, struct slice stderr_tail);
/* Acknowledges the jobs in JOB_DONE. */
void attempt_ack_done(struct handle *handle);

/* --- deadletter.c -------------------------------------------------------------------- */

/* Moves the jobs in JOB_DEAD to the dead letters. */
void deadletter_send(struct handle *handle);

/* --- lease.c: pending entries, renewal ----------------------------------------------- */

/* Requests the next page of pending entries where one is due and there is room. */
void lease_list_pending(struct handle *handle);
/* Renews held jobs every third of claim_idle, and gives up those not renewed for longer than it. */
void lease_renew(struct handle *handle);
/* Lists the consumer's own pending entries from the start, and then others'. */
void lease_relist_own(struct handle_stream *stream);
/* Makes held jobs pending again in groups that were created again. */
void lease_restore(struct handle *handle);
/* Releases a job that is not pending with this consumer. Gone from the stream, it counts as lost.
 */
void lease_release_not_ours(struct job *job);

/* --- runner.c: commands, and what workers share with them ---------------------------- */

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
/* The descriptors to poll, always 1 + 3 * plan->runners, and after poll(2) its result. */
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
