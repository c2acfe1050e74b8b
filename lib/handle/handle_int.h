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
	struct handle *w;
	struct subscription *sub;
	char *dead_key;
	enum stage stage;
	bool listing; /* a page is asked for */
	/* of listing: an answer of an earlier one means nothing */
	unsigned round;
	unsigned remade; /* of its group, as far as we have seen to it */
	/* entries that are being made pending with us again in a group that was made again */
	size_t forcing;
	/* entries that unanswered questions of rescue may bring */
	size_t expected;
	bool swept; /* once at least, to the end */
	/* between what others left and what is new, when there is room for only one */
	bool their_turn;
	struct stream_id cursor; /* listed up to here */
	int64_t next_sweep;
	/* to_end: not asked again before, while something runs */
	int64_t next_ask;
	uint64_t asked_at; /* w->released when its tap was asked last */
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
	struct handle *w;
	struct child child;
	bool heard;  /* there is something on its stderr */
	size_t load; /* attempts begun for it that are not over */
	/* it has one that failed before: nothing else meanwhile */
	bool alone;
	/* told to end: cmd_timeout, or what it said is no answer */
	bool overdue;
	const char *fault; /* of a worker: why it is overdue */
	bool cut_short;    /* told to end: we stop */
	int64_t deadline;  /* of what runs; -1 none */

	struct job *job; /* of a command */

	/* Of a worker. */
	struct job **given; /* ring: what it has not answered, oldest first */
	size_t first, count, room;
	struct bytes out; /* not written yet */
	size_t written;
	struct bytes in; /* not read as a line yet */
	bool answered;   /* since it was started */
	/* how much it is given at once; how much it answered since inflight_at */
	size_t window, answers;
	int64_t inflight_at;
	int64_t next_start;
	struct backoff pause;
};

struct handle {
	const struct handle_plan *plan;
	struct handle_count *count;
	struct handle_stream *posts;
	struct jobset jobs;
	struct control control;
	struct reconnect reconnect; /* the taps, then the desk */
	struct runner *runners;
	struct childenv *env;
	int child_fd;    /* readable when a child may have ended */
	bool child_news; /* it was */
	bool no_eval;    /* EVAL is not permitted */
	bool out_gone;   /* the reader of our stdout is gone */

	bool ending;
	enum consume_end end;
	struct err err;  /* for CONSUME_FAILED */
	int64_t stop_at; /* ending: when running commands are told to end */
	int64_t last_event;
	/* whose tap is asked next, where there is not room for all */
	size_t turn;
	uint64_t released; /* entries that were let go, ever */
	int64_t renewed;   /* what is held was renewed then, or later */
	int64_t renew_sent;
	size_t renewing; /* unanswered */
	int64_t next_renewal;
};

static inline struct handle_stream *
handle_stream_of(const struct job *j)
{
	return (void *)j->queue;
}

/* --- work ----------------------------------------------------------------------- */

void handle_note(struct handle *w, enum sub_note kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void handle_end(struct handle *w, enum consume_end end);
void handle_fail(struct handle *w, const struct err *err);
void handle_release(struct handle *w, struct job *j); /* jobset_remove, counted */
/* How many more entries may be held for running soon. */
size_t handle_room(const struct handle *w);

/* --- attempt ----------------------------------------------------------------------- */

void attempt_begin_ready(struct handle *w); /* for whatever is ready and free */
void attempt_finish(
    struct handle *w, struct job *j, enum outcome what, const char *status, struct slice words);
void attempt_ack_done(struct handle *w); /* what is done */

/* --- bury --------------------------------------------------------------------------- */

void deadletter_send(struct handle *w); /* what is to be set aside */

/* --- rescue ---------------------------------------------------------------------------- */

void lease_list_pending(struct handle *w); /* own entries, and what others left */
void lease_renew(struct handle *w);
/* list what is pending with us (again) */
void lease_relist_own(struct handle_stream *p);
void lease_restore(struct handle *w); /* what is held of groups that had vanished */
/* Entries that are not pending with us any more: lost when they are gone from the stream. */
void lease_check_lost(
    struct handle *w, struct handle_stream *p, const struct stream_id *ids, size_t n);
int64_t lease_next_due(const struct handle *w); /* when it wants to be called; -1 */

/* --- hands ------------------------------------------------------------------------------ */

int pool_init(struct handle *w, struct err *err);
void pool_free(struct handle *w);
/* Which one could take this entry now, or NULL. */
struct runner *pool_pick(struct handle *w, const struct job *j);
void runner_reserve(struct runner *h, const struct job *j); /* an attempt is begun for it */
void runner_release(struct runner *h);                      /* ... and is over */
size_t pool_capacity(const struct handle *w); /* entries that run soon, all together */
void runner_start(struct runner *h, struct job *j, const struct record *r);
/* what they wrote, answered, how they ended; true when there was something */
bool pool_process(struct handle *w);
void pool_stop(struct handle *w); /* it is time to stop */
bool pool_idle(const struct handle *w);
size_t pool_fill_pollfds(const struct handle *w, struct pollfd *p); /* at most 3 each */
void pool_read_pollfds(struct handle *w, const struct pollfd *p);   /* what came of it */
int64_t pool_next_due(const struct handle *w);

void exec_start(struct runner *h, struct job *j, const struct record *r);
bool exec_process(struct runner *h);

int worker_spawn(struct runner *h, struct err *err);
bool worker_has_room(struct runner *h, const struct job *j);
void worker_send(struct runner *h, struct job *j, const struct record *r);
bool worker_process(struct runner *h);

#endif
