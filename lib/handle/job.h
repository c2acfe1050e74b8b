/*
 * job: one entry that this process holds, until it is handled, set aside, or no longer ours. Pure: no Redis, no processes.
 *
 * Entries stand in one list of their queue, in the order of their IDs, or in the heap of those that wait. The jobs own what they point to.
 */
#ifndef JOB_H
#define JOB_H

#include "base/backoff.h"
#include "redis/bus.h"
#include "redis/stream.h"

enum job_state {
	JOB_READY,			/* to be begun; in the list `ready` */
	JOB_BEGINNING,			/* the server is being told of the attempt, or asked what became of the entry */
	JOB_RUNNING,			/* a command has it */
	JOB_WAITING,			/* for `when`; in the heap */
	JOB_DEAD,			/* to be set aside; in the list `dead`, or being asked for */
	JOB_DONE,			/* handled; in the list `done`, or its acknowledgement is unanswered */
	JOB_STATES
};

/* A reply and how many jobs still need something of it. */
struct body;

struct job {
	struct queue *queue;
	struct stream_id id;
	enum job_state state;
	bool stale;			/* held too long without renewal: it may be another's by now */
	bool doomed;			/* JOB_WAITING: for being set aside */
	uint64_t attempts;		/* begun, this one included */
	size_t hand;			/* BEGINNING, RUNNING: which hand it is for */
	int64_t when;			/* JOB_WAITING: CLOCK_MONOTONIC ms */
	int64_t put_off;		/* when it was first put off (status 75), CLOCK_MONOTONIC ms; 0: never */
	struct backoff pause;
	struct body *body;
	const struct reply *entry;	/* of body; NULL: the next attempt's claim brings it */
	char *status, *words;		/* how the last attempt ended, the end of its stderr; or NULL */
	struct job *prev, *next;	/* in a list */
	struct job *chain;
	size_t place;			/* in the heap */
};

struct jobs {
	struct job *first, *last;
	size_t n;
};

/* All that are held. */
struct held {
	struct job **bucket;
	size_t buckets, n;
	size_t in[JOB_STATES];		/* how many are in each state */
	struct job **heap;		/* the soonest first */
	size_t waiting, room;
	struct job *spare;
};

/* What is held of one stream. `salt` tells the queues apart in the buckets. */
struct queue {
	struct jobs ready, done, dead;
	size_t busy;			/* begun and not over: BEGINNING, RUNNING, WAITING, DEAD */
	size_t salt;
};

/* A new one, READY, in its place in the queue; NULL when it is held already. */
struct job *job_hold(struct held *h, struct queue *q, struct stream_id id, uint64_t attempts);
struct job *job_find(const struct held *h, const struct queue *q, struct stream_id id);
void job_let_go(struct held *h, struct job *j);	/* whatever its state: out of everything, freed */

/* From one state to another, with what lists and heap that means. For JOB_WAITING set `when` before. */
void job_to(struct held *h, struct job *j, enum job_state state);
/* Out of its list without leaving its state: it is being asked for. job_to the same state puts it back. */
void job_asked(struct job *j);
struct job *job_due(const struct held *h, int64_t now);	/* one that has waited long enough, or NULL */
int64_t job_next_due(const struct held *h);		/* -1: none waits */

/* body takes the reply. Each job that keeps an entry of it has a part; the reply goes with the last. */
struct body *body_of(struct reply *r);
const struct reply *body_reply(const struct body *b);
void body_drop(struct body *b);			/* the part of whoever made it */
void job_keep(struct job *j, struct body *b, const struct reply *entry);
void job_forget(struct job *j);			/* its entry, once it is handed on */

void job_say(struct job *j, const char *status, struct slice words);

void held_each(struct held *h, void (*fn)(void *arg, struct job *j), void *arg);	/* fn may let it go */
void held_free(struct held *h);

#endif
