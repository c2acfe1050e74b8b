/*
 * job: one entry that this process holds, until it is handled, becomes a dead letter, or is no
 * longer this consumer's. Uses neither Redis nor processes.
 *
 * Each job of a stream's queue is in one of the queue's lists, in order of ID, or in the list of
 * those that wait, or in neither while it runs or a request about it is in flight.
 */
#ifndef HANDLE_JOB_H
#define HANDLE_JOB_H

#include "base/backoff.h"
#include "event/id.h"
#include "redis/conn.h"
#include "redis/stream.h"

enum job_state {
	JOB_READY,    /* for an attempt; in the list `ready` */
	JOB_CLAIMING, /* XCLAIM, which records the attempt, is in flight */
	JOB_RUNNING,  /* a runner has it */
	JOB_WAITING,  /* until `due`; in the set's list */
	JOB_DEAD,     /* becomes a dead letter; in the list `dead`, or its move is in flight */
	JOB_DONE,     /* handled; in the list `done`, or its XACK is in flight */
	JOB_STATES
};

/* How an attempt ended. */
enum outcome {
	OUTCOME_DONE,
	OUTCOME_POSTPONED,
	OUTCOME_DEAD,
	OUTCOME_FAILED,
	OUTCOME_UNDONE /* not the event's doing: the attempt does not count */
};

/* A reply whose entries belong to several jobs, and how many references to it there are. */
struct shared_reply {
	struct reply *reply;
	size_t parts;
};

struct runner;

struct job {
	struct jobqueue *queue;
	struct stream_id id;
	enum job_state state;
	/* not renewed in time: another consumer may have claimed it */
	bool stale;
	bool dead_when_due;    /* JOB_WAITING: becomes JOB_DEAD then, not JOB_READY */
	uint64_t attempts;     /* begun, the current one included */
	struct runner *runner; /* JOB_CLAIMING, JOB_RUNNING */
	int64_t due;           /* JOB_WAITING: CLOCK_MONOTONIC ms */
	/* when it ended with status 75 first, CLOCK_MONOTONIC ms; 0: never */
	int64_t postponed_at;
	struct backoff backoff;
	struct shared_reply *shared;
	const struct reply *entry; /* in shared; NULL: the next claim fetches it */
	/* of the last failed attempt, or NULL; owned */
	char *status, *stderr_tail;
	struct jobs *list; /* the one it is in; NULL: none */
	struct job *prev, *next;
	struct job *hash_next;
};

struct jobs {
	struct job *first, *last;
	size_t n;
};

/* All held jobs. */
struct jobset {
	struct job **bucket;
	size_t buckets, n;
	size_t in[JOB_STATES]; /* jobs in each state */
	struct jobs waiting;   /* JOB_WAITING, the one due first in front */
};

/* The held jobs of one stream. `salt` spreads the queues over the buckets. */
struct jobqueue {
	struct jobs ready, done, dead;
	size_t busy; /* jobs in JOB_CLAIMING, JOB_RUNNING, JOB_WAITING or JOB_DEAD */
	size_t salt;
};

/* Adds a job in JOB_READY. Returns NULL when the entry is held already. */
struct job *jobset_add(
    struct jobset *set, struct jobqueue *queue, struct stream_id id, uint64_t attempts);
struct job *jobset_find(
    const struct jobset *set, const struct jobqueue *queue, struct stream_id id);
/* Removes a job in any state, and frees it. */
void jobset_remove(struct jobset *set, struct job *job);

/* Changes the state, and with it the list. Set `due` before JOB_WAITING. */
void job_set_state(struct jobset *set, struct job *job, enum job_state state);
/* Takes a job off its list while a request about it is in flight. job_set_state to the same state
 * puts it back. */
void job_unlist(struct job *job);
/* Appends a job to a list outside its queue. The job must be in no list (job_unlist). */
void jobs_append(struct jobs *l, struct job *job);
/* Takes the reply; the caller has the first reference. */
struct shared_reply *shared_reply_new(struct reply *r);
/* Drops a reference; the last frees the reply. shared may be NULL. */
void shared_reply_unref(struct shared_reply *shared);
/* Gives a job its entry, and a reference to the reply that has it. */
void job_set_entry(struct job *job, struct shared_reply *shared, const struct reply *entry);
/* Drops the entry, once a runner has a copy. */
void job_clear_entry(struct job *job);

/* Records how the last attempt failed; copies both. */
void job_set_failure(struct job *job, const char *status, struct slice stderr_tail);

/* Returns the job after `job` in no particular order, NULL after the last; job NULL: the first. */
struct job *jobset_next(const struct jobset *set, const struct job *job);
void jobset_free(struct jobset *set);

#endif
