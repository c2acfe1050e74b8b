/*
 * control: the connection on which commands' entries are claimed, listed and acknowledged. Reads
 * have connections of their own, since they block.
 *
 * Each reply goes to the function of its request, in the order of the requests. When the connection
 * is lost every unanswered request gets the reply NULL: the server may have executed it or not.
 * Therefore only commands that may be executed twice are sent here.
 */
#ifndef CONSUME_CONTROL_H
#define CONSUME_CONTROL_H

#include "event/id.h"
#include "redis/pool.h"
#include "redis/reply.h"

struct control_request;
/* Receives the reply to a request; r NULL: unanswered. After the call the request is freed, and r
 * too unless the function set req->keep_reply. */
typedef void control_reply_fn(struct control_request *req, struct reply *r);

struct control_request {
	control_reply_fn *on_reply; /* NULL: the reply is ignored */
	void *arg;
	bool whole; /* for on_reply: whole entries were requested */
	/* on_reply takes error replies; else they close the connection, except NOGROUP */
	bool wants_errors;
	bool keep_reply; /* set by on_reply: it keeps the reply */
	struct control_request *next;
	size_t n;
	struct stream_id ids[]; /* n of them */
};

struct control {
	struct pool pool;
	struct conn *conn;                     /* of the pool; NULL when down */
	struct control_request *first, **last; /* without a reply yet */
};

void control_init(struct control *control, const struct url *url, int64_t timeout_ms);
int control_open(struct control *control, struct err *err);
void control_close(struct control *control);
/* Registers the request about these entries whose command was appended last to control->conn. The
 * caller may set its flags. */
struct control_request *control_expect(struct control *control, control_reply_fn *on_reply,
    void *arg, const struct stream_id *ids, size_t n);
/* Writes, reads and handles replies without blocking. Returns 1 when replies came, 0 when none, -1
 * with err when the connection was closed. */
int control_process(struct control *control, struct err *err);

#endif
