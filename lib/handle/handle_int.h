/*
 * handle_int: what the parts of handle share.
 *
 *     handle   the loop                        hands    the commands or workers that run
 *     attempt  beginnings and ends             crew     a command for each event
 *     bury     dead letters                    worker   one command for many
 *     rescue   what is pending already         desk     questions and answers
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

#define HANDLE_PAGE 500      /* entries in one command */
#define HANDLE_WAITING 10000 /* entries that wait at most; then reading pauses */

enum stage {
	STAGE_OWN,     /* listing what is pending with us */
	STAGE_IDLE,    /* nothing to list until next_sweep */
	STAGE_TAKEOVER /* listing what others left */
};

/* One type. */
struct handle_stream {
	struct jobqueue queue; /* first: a job's queue is its post's */
	struct handle_loop *loop;
	struct subscription *sub;
	char *dead_key;
	enum stage stage;
	bool listing; /* a page is asked for */
	/* of listing: an answer of an earlier one means nothing */
	unsigned round;
	unsigned group_recreations; /* of its group, as far as we have seen to it */
	/* entries that are being made pending with us again in a group that was made again */
	size_t forcing;
	/* entries that unanswered questions of rescue may bring */
	size_t expected;
	bool takeover_listed; /* once at least, to the end */
	/* between what others left and what is new, when there is room for only one */
	bool takeover_turn;
	struct stream_id cursor; /* listed up to here */
	int64_t next_takeover;
	/* to_end: not asked again before, while something runs */
	int64_t next_request;
	uint64_t released_at_request; /* w->released when its tap was asked last */
};

/* How an attempt ended. */
enum outcome {
	OUTCOME_DONE,
	OUTCOME_POSTPONED,
	OUTCOME_DEAD,
	OUTCOME_FAILED,
	OUTCOME_UNDONE /* nobody's fault: as if it had not begun */
};

/* What runs, or may: one command, or one worker. */
struct runner {
	struct handle_loop *loop;
	struct child child;
	bool stderr_ready; /* there is something on its stderr */
	size_t load;       /* attempts begun for it that are not over */
	/* it has one that failed before: nothing else meanwhile */
	bool alone;
	/* told to end: cmd_timeout, or what it said is no answer */
	bool at_fault;
	const char *fault; /* of a worker: why it is overdue */
	bool stopped;      /* told to end: we stop */
	int64_t deadline;  /* of what runs; -1 none */

	struct job *job; /* of a command */

	/* Of a worker. */
	struct job **unanswered; /* ring: what it has not answered, oldest first */
	size_t first, count, room;
	struct bytes out; /* not written yet */
	size_t written;
	struct bytes in; /* not read as a line yet */
	bool answered;   /* since it was started */
	/* how much it is given at once; how much it answered since inflight_at */
	size_t window, answers;
	int64_t window_since;
	int64_t next_start;
	struct backoff backoff;
};

struct handle_loop {
	const struct handle_plan *plan;
	struct handle_count *count;
	struct handle_stream *streams;
	struct jobset jobs;
	struct control control;
	struct reconnect reconnect; /* the taps, then the desk */
	struct runner *runners;
	struct childenv *env;
	int child_fd;        /* readable when a child may have ended */
	bool check_children; /* it was */
	bool no_eval;        /* EVAL is not permitted */
	bool stdout_gone;    /* the reader of our stdout is gone */

	bool ending;
	enum consume_end end;
	struct err err;  /* for CONSUME_FAILED */
	int64_t stop_at; /* ending: when running commands are told to end */
	int64_t last_event;
	/* whose tap is asked next, where there is not room for all */
	size_t next_stream;
	uint64_t released;  /* entries that were let go, ever */
	int64_t renewed_at; /* what is held was renewed then, or later */
	int64_t renew_sent_at;
	size_t renewals_in_flight; /* unanswered */
	int64_t next_renewal;
};

static inline struct handle_stream *
handle_stream_of(const struct job *j)
{
	return (void *)j->queue;
}

/* --- work ----------------------------------------------------------------------- */

void handle_note(struct handle_loop *loop, enum sub_note kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void handle_end(struct handle_loop *loop, enum consume_end end);
void handle_fail(struct handle_loop *loop, const struct err *err);
void handle_release(struct handle_loop *loop, struct job *j); /* jobset_remove, counted */
/* How many more entries may be held for running soon. */
size_t handle_room(const struct handle_loop *loop);

/* --- attempt ----------------------------------------------------------------------- */

void attempt_begin_ready(struct handle_loop *loop); /* for whatever is ready and free */
void attempt_finish(struct handle_loop *loop, struct job *j, enum outcome what, const char *status,
    struct slice words);
void attempt_ack_done(struct handle_loop *loop); /* what is done */

/* --- bury --------------------------------------------------------------------------- */

void deadletter_send(struct handle_loop *loop); /* what is to be set aside */

/* --- rescue ---------------------------------------------------------------------------- */

void lease_list_pending(struct handle_loop *loop); /* own entries, and what others left */
void lease_renew(struct handle_loop *loop);
/* list what is pending with us (again) */
void lease_relist_own(struct handle_stream *stream);
void lease_restore(struct handle_loop *loop); /* what is held of groups that had vanished */
/* Entries that are not pending with us any more: lost when they are gone from the stream. */
void lease_check_lost(
    struct handle_loop *loop, struct handle_stream *stream, const struct stream_id *ids, size_t n);
int64_t lease_next_due(const struct handle_loop *loop); /* when it wants to be called; -1 */

/* --- hands ------------------------------------------------------------------------------ */

int pool_init(struct handle_loop *loop, struct err *err);
void pool_free(struct handle_loop *loop);
/* Which one could take this entry now, or NULL. */
struct runner *pool_pick(struct handle_loop *loop, const struct job *j);
void runner_reserve(struct runner *runner, const struct job *j); /* an attempt is begun for it */
void runner_release(struct runner *runner);                      /* ... and is over */
size_t pool_capacity(const struct handle_loop *loop); /* entries that run soon, all together */
void runner_start(struct runner *runner, struct job *j, const struct record *r);
/* what they wrote, answered, how they ended; true when there was something */
bool pool_process(struct handle_loop *loop);
void pool_stop(struct handle_loop *loop); /* it is time to stop */
bool pool_idle(const struct handle_loop *loop);
size_t pool_fill_pollfds(const struct handle_loop *loop, struct pollfd *p); /* at most 3 each */
void pool_read_pollfds(struct handle_loop *loop, const struct pollfd *p);   /* what came of it */
int64_t pool_next_due(const struct handle_loop *loop);

void exec_start(struct runner *runner, struct job *j, const struct record *r);
bool exec_process(struct runner *runner);

int worker_spawn(struct runner *runner, struct err *err);
bool worker_has_room(struct runner *runner, const struct job *j);
void worker_send(struct runner *runner, struct job *j, const struct record *r);
bool worker_process(struct runner *runner);

#endif
