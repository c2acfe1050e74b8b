/*
 * control: one connection on which a reader of groups asks for what is not reading, and each answer
 * finds who asked.
 *
 * Answers come in the order of the questions. When the connection goes, everything unanswered is
 * told so (reply NULL): nobody knows whether it was executed, so only what may be executed twice is
 * asked here.
 */
#ifndef HANDLE_CONTROL_H
#define HANDLE_CONTROL_H

#include "event/id.h"
#include "handle/job.h"
#include "redis/conn.h"
#include "redis/reply.h"

struct control_request;
/* r NULL: not answered. The ask and what it points to are freed behind the call; r too, unless
 * shared_reply_new took it (then *r is none of theirs). */
typedef void control_reply_fn(struct control_request *req, struct reply *r);

struct control_request {
	control_reply_fn *on_reply;
	void *arg;
	struct jobqueue *queue;
	/* n of them, each in a state in which nobody lets it go; or NULL */
	struct job **jobs;
	struct stream_id *ids; /* n of them, or NULL */
	size_t n;
	int64_t number; /* what the asker wants to remember */
	/* error replies are for `answer`; else they end the connection, except NOGROUP */
	bool wants_errors;
	bool keep_reply; /* set by `answer`: the reply has another owner now */
	struct control_request *next;
};

struct control {
	const struct url *url;
	int64_t timeout_ms;
	struct conn *conn; /* NULL when down */
	struct control_request *first, **last;
	size_t unanswered;
};

void control_init(struct control *control, const struct url *url, int64_t timeout_ms);
int control_open(struct control *control, enum conn_why *why, struct err *err);
void control_close(struct control *control);
/* For the command that was put last on d->bus. The ask takes what it points to. */
void control_expect(struct control *control, struct control_request req);
/* Moves what can be moved without waiting. 1: answers came; 0; -1: the connection is gone, *why and
 * f. */
int control_process(struct control *control, enum conn_why *why, struct err *err);

#endif
