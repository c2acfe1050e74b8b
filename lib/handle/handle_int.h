/*
 * handle_int: the state of a run, shared by the files of handle, and the functions that they offer
 * each other.
 *
 *     handle.c      the loop, reading
 *     attempt.c     claims, results, XACK
 *     lease.c       pending entries, renewal
 *     deadletter.c  dead letters
 *     runner.c        the runners, commands and workers alike
 *     exec.c        a command for each event
 *     worker.c      a command that handles many events
 */
#ifndef HANDLE_HANDLE_INT_H
#define HANDLE_HANDLE_INT_H

#include <poll.h>

#include "base/lines.h"
#include "consume/reconnect.h"
#include "event/id.h"
#include "handle/child.h"
#include "handle/childenv.h"
#include "handle/control.h"
#include "handle/handle.h"
#include "handle/job.h"
#include "redis/pending.h"

#define HANDLE_PAGE 500        /* entries in one command */
#define HANDLE_KILL_GRACE 5000 /* ms between SIGTERM and SIGKILL, while the run goes on */
#define HANDLE_WAITING 10000   /* jobs that wait for another attempt; with more, reading pauses */

/* What lease.c lists of a stream. */
enum list_stage {
	STAGE_OWN,     /* this consumer's pending entries */
	STAGE_IDLE,    /* nothing until next_takeover */
	STAGE_TAKEOVER /* pending entries of other consumers */
};

/* One stream. */
struct handle_stream {
	struct jobqueue queue; /* first, so that handle_stream_of works */
	struct handle_loop *loop;
	struct subscription *sub;
	char *dead_key;
	enum list_stage stage;
	bool listing; /* a page is requested */
	/* counts the listings: the reply to an earlier one is ignored */
	unsigned round;
	unsigned group_recreations; /* of sub, those that lease_restore has handled */
	/* jobs that XCLAIM FORCE is making pending in a group that was created again */
	size_t forcing;
	/* entries that the lists and claims in flight may bring */
	size_t expected;
	bool takeover_listed; /* to the end, at least once */
	/* with room for one: the next page is of the takeover, else a read of new entries */
	bool takeover_turn;
	struct stream_id cursor; /* listed up to here */
	int64_t next_takeover;   /* CLOCK_MONOTONIC ms */
	/* to_end: no request before it while jobs are held; CLOCK_MONOTONIC ms */
	int64_t next_request;
	uint64_t released_at_request; /* loop->released at the last request */
};

/* How an attempt ended. */
enum outcome {
	OUTCOME_DONE,
	OUTCOME_POSTPONED,
	OUTCOME_DEAD,
	OUTCOME_FAILED,
	OUTCOME_UNDONE /* not the event's doing: the attempt does not count */
};

/* A slot for one command, or one worker. */
struct runner {
	struct handle_loop *loop;
	struct child child;
	bool stderr_ready;
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
	struct job **unanswered; /* ring, the oldest at `first` */
	size_t first, count, room;
	struct bytes out; /* event lines; `written` bytes of them are written */
	size_t written;
	struct bytes in; /* an incomplete answer line */
	bool answered;   /* since it was started */
	/* how many events may be unanswered; how many were answered since window_since */
	size_t window, answers;
	int64_t window_since;
	int64_t next_start; /* CLOCK_MONOTONIC ms */
	struct backoff backoff;
};

struct handle_loop {
	const struct handle_plan *plan;
	struct handle_count *count;
	struct handle_stream *streams; /* plan->n */
	struct jobset jobs;
	struct control control;
	struct reconnect reconnect; /* of the subscriptions, then the control connection */
	struct runner *runners;     /* plan->runners */
	struct childenv *env;
	int child_fd;        /* readable after SIGCHLD */
	bool check_children; /* SIGCHLD came */
	bool no_eval;        /* EVAL is not permitted */
	bool stdout_gone;    /* the reader of stdout is gone */

	bool ending;
	enum consume_end end;
	struct err err;  /* for CONSUME_FAILED */
	int64_t stop_at; /* ending: when running commands get SIGTERM */
	int64_t last_event;
	/* the stream that requests first, since there may be no room for all */
	size_t next_stream;
	uint64_t released;  /* jobs ever released */
	int64_t renewed_at; /* all held jobs were renewed at that time or later */
	int64_t renew_sent_at;
	size_t renewals_in_flight;
	int64_t next_renewal;
};

static inline struct handle_stream *
handle_stream_of(const struct job *job)
{
	return (void *)job->queue;
}

/* --- handle.c ------------------------------------------------------------------------ */

void handle_note(struct handle_loop *loop, enum sub_note kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Ends the run with CONSUME_FAILED. */
void handle_fail(struct handle_loop *loop, const struct err *err);
/* Removes a job and counts it in loop->released. */
void handle_release(struct handle_loop *loop, struct job *job);
/* Returns how many more entries may be held so that all can run soon. */
size_t handle_room(const struct handle_loop *loop);

/* --- attempt.c ----------------------------------------------------------------------- */

/* Claims ready jobs for runners that are free. */
void attempt_begin_ready(struct handle_loop *loop);
/* Ends the attempt of a JOB_RUNNING. status and stderr_tail go into a dead letter. */
void attempt_finish(struct handle_loop *loop, struct job *job, enum outcome outcome,
    const char *status, struct slice stderr_tail);
/* Acknowledges the jobs in JOB_DONE. */
void attempt_ack_done(struct handle_loop *loop);

/* --- deadletter.c -------------------------------------------------------------------- */

/* Moves the jobs in JOB_DEAD to the dead letters. */
void deadletter_send(struct handle_loop *loop);

/* --- lease.c ------------------------------------------------------------------------- */

/* Requests the next page of pending entries where one is due and there is room. */
void lease_list_pending(struct handle_loop *loop);
/* Renews held jobs every third of claim_idle, and gives up those not renewed for longer than it. */
void lease_renew(struct handle_loop *loop);
/* Lists the consumer's own pending entries from the start. */
void lease_relist_own(struct handle_stream *stream);
/* Makes held jobs pending again in groups that were created again. */
void lease_restore(struct handle_loop *loop);
/* Asks about entries that are no longer pending with this consumer. Those gone from the stream
 * count as lost. */
void lease_check_lost(
    struct handle_loop *loop, struct handle_stream *stream, const struct stream_id *ids, size_t n);
/* Returns when the next renewal or takeover is due, in CLOCK_MONOTONIC ms; -1: never. */
int64_t lease_next_due(const struct handle_loop *loop);

/* --- runner.c -------------------------------------------------------------------------- */

int runners_init(struct handle_loop *loop, struct err *err);
void runners_free(struct handle_loop *loop);
/* Returns the runner with the least load that can take this job now, or NULL. */
struct runner *runners_pick(struct handle_loop *loop, const struct job *job);
/* Adds a job to the runner's load until runner_release. */
void runner_reserve(struct runner *runner, const struct job *job);
/* Takes a job off the runner's load. */
void runner_release(struct runner *runner);
/* Returns how many entries all runners together handle soon. */
size_t runners_capacity(const struct handle_loop *loop);
/* Starts an attempt of a job in JOB_RUNNING. */
void runner_start(struct runner *runner, struct job *job, const struct record *record);
/* Reads stderr and answers, reaps children, kills what is overdue. Returns true when there was
 * something to do. */
bool runners_process(struct handle_loop *loop);
/* Sends SIGTERM to everything that runs; SIGKILL follows. */
void runners_stop(struct handle_loop *loop);
/* Returns whether no command or worker runs and no job is reserved. */
bool runners_idle(const struct handle_loop *loop);
/* Appends at most 3 descriptors per runner; returns how many. */
size_t runners_fill_pollfds(const struct handle_loop *loop, struct pollfd *p);
/* Takes the results of poll(2) for the same descriptors. */
void runners_read_pollfds(struct handle_loop *loop, const struct pollfd *p);
/* Returns when the next deadline is, in CLOCK_MONOTONIC ms; -1: none. */
int64_t runners_next_due(const struct handle_loop *loop);

/* --- exec.c -------------------------------------------------------------------------- */

void exec_start(struct runner *runner, struct job *job, const struct record *record);
/* Ends what is overdue or has exited. Returns whether an attempt ended. */
bool exec_process(struct runner *runner);

/* --- worker.c ------------------------------------------------------------------------ */

int worker_spawn(struct runner *runner, struct err *err);
bool worker_has_room(struct runner *runner, const struct job *job);
void worker_send(struct runner *runner, struct job *job, const struct record *record);
/* Writes events, reads answers, restarts a worker that ended. Returns whether something happened.
 */
bool worker_process(struct runner *runner);

#endif
