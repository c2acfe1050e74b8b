/*
 * job: one entry that this process holds, until it is handled, set aside, or no longer ours. Pure:
 * no Redis, no processes.
 *
 * Entries stand in one list of their queue, in the order of their IDs, or in the heap of those that
 * wait. The jobs own what they point to.
 */
#ifndef HANDLE_JOB_H
#define HANDLE_JOB_H

#include "base/backoff.h"
#include "event/id.h"
#include "redis/conn.h"
#include "redis/stream.h"

enum job_state {
	JOB_READY, /* to be begun; in the list `ready` */
	/* the server is being told of the attempt, or asked what became of the entry */
	JOB_CLAIMING,
	JOB_RUNNING, /* a command has it */
	JOB_WAITING, /* for `when`; in the heap */
	/* to be set aside; in the list `dead`, or being asked for */
	JOB_DEAD,
	/* handled; in the list `done`, or its acknowledgement is unanswered */
	JOB_DONE,
	JOB_STATES
};

/* A reply and how many jobs still need something of it. */
struct shared_reply;

struct job {
	struct jobqueue *queue;
	struct stream_id id;
	enum job_state state;
	/* held too long without renewal: it may be another's by now */
	bool stale;
	bool dead_when_due; /* JOB_WAITING: for being set aside */
	uint64_t attempts;  /* begun, this one included */
	size_t runner;      /* BEGINNING, RUNNING: which hand it is for */
	int64_t due;        /* JOB_WAITING: CLOCK_MONOTONIC ms */
	/* when it was first put off (status 75), CLOCK_MONOTONIC ms; 0: never */
	int64_t postponed_at;
	struct backoff backoff;
	struct shared_reply *shared;
	const struct reply *entry; /* of body; NULL: the next attempt's claim brings it */
	/* how the last attempt ended, the end of its stderr; or NULL */
	char *status, *stderr_tail;
	struct job *prev, *next; /* in a list */
	struct job *hash_next;
	size_t heap_at; /* in the heap */
};

struct jobs {
	struct job *first, *last;
	size_t n;
};

/* All that are held. */
struct jobset {
	struct job **bucket;
	size_t buckets, n;
	size_t in[JOB_STATES]; /* how many are in each state */
	struct job **heap;     /* the soonest first */
	size_t heap_n, heap_room;
	struct job *spare;
};

/* What is held of one stream. `salt` tells the queues apart in the buckets. */
struct jobqueue {
	struct jobs ready, done, dead;
	/* begun and not over: BEGINNING, RUNNING, WAITING, DEAD */
	size_t busy;
	size_t salt;
};

/* A new one, READY, in its place in the queue; NULL when it is held already. */
struct job *jobset_add(
    struct jobset *set, struct jobqueue *queue, struct stream_id id, uint64_t attempts);
struct job *jobset_find(
    const struct jobset *set, const struct jobqueue *queue, struct stream_id id);
/* whatever its state: out of everything, freed */
void jobset_remove(struct jobset *set, struct job *j);

/* From one state to another, with what lists and heap that means. For JOB_WAITING set `when`
 * before. */
void job_set_state(struct jobset *set, struct job *j, enum job_state state);
/* Out of its list without leaving its state: it is being asked for. job_set_state the same state
 * puts it back. */
void job_unlist(struct job *j);
/* one that has waited long enough, or NULL */
struct job *jobset_due(const struct jobset *set, int64_t now);
int64_t jobset_next_due(const struct jobset *set); /* -1: none waits */

/* body takes the reply. Each job that keeps an entry of it has a part; the reply goes with the
 * last. */
struct shared_reply *shared_reply_new(struct reply *r);
const struct reply *shared_reply_get(const struct shared_reply *shared);
/* the part of whoever made it */
void shared_reply_unref(struct shared_reply *shared);
void job_set_entry(struct job *j, struct shared_reply *shared, const struct reply *entry);
void job_clear_entry(struct job *j); /* its entry, once it is handed on */

void job_set_failure(struct job *j, const char *status, struct slice words);

/* fn may let it go */
void jobset_each(struct jobset *set, void (*fn)(void *arg, struct job *j), void *arg);
void jobset_free(struct jobset *set);

#endif
