/*
 * desk: one connection on which a reader of groups asks for what is not reading, and each answer finds who asked.
 *
 * Answers come in the order of the questions. When the connection goes, everything unanswered is told so (reply NULL): nobody
 * knows whether it was executed, so only what may be executed twice is asked here.
 */
#ifndef DESK_H
#define DESK_H

#include "redis/bus.h"
#include "redis/reply.h"
#include "handle/job.h"

struct ask;
/* r NULL: not answered. The ask and what it points to are freed behind the call; r too, unless body_of took it (then *r is none of theirs). */
typedef void desk_fn(struct ask *a, struct reply *r);

struct ask {
	desk_fn *answer;
	void *arg;
	struct queue *queue;
	struct job **jobs;		/* n of them, each in a state in which nobody lets it go; or NULL */
	struct stream_id *ids;		/* n of them, or NULL */
	size_t n;
	int64_t number;			/* what the asker wants to remember */
	bool takes_errors;		/* error replies are for `answer`; else they end the connection, except NOGROUP */
	bool kept;			/* set by `answer`: the reply has another owner now */
	struct ask *next;
};

struct desk {
	const struct url *url;
	int64_t timeout_ms;
	struct bus *bus;		/* NULL when down */
	struct ask *first, **last;
	size_t asked;
};

void desk_init(struct desk *d, const struct url *url, int64_t timeout_ms);
int desk_open(struct desk *d, enum bus_why *why, struct fail *f);
void desk_close(struct desk *d);
/* For the command that was put last on d->bus. The ask takes what it points to. */
void desk_asked(struct desk *d, struct ask a);
/* Moves what can be moved without waiting. 1: answers came; 0; -1: the connection is gone, *why and f. */
int desk_move(struct desk *d, enum bus_why *why, struct fail *f);

#endif
