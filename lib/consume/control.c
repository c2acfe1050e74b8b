#include "consume/control.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

void
control_init(struct control *control, const struct url *url, int64_t timeout_ms)
{
	*control = (struct control){.pool = {.url = url, .timeout_ms = timeout_ms}};
	control->last = &control->first;
}

int
control_open(struct control *control, struct err *err)
{
	control->conn = pool_get(&control->pool, NULL, err);
	return control->conn == NULL ? -1 : 0;
}

void
control_expect(struct control *control, struct control_request req)
{
	struct control_request *mine = mem_alloc(sizeof(*mine));

	*mine = req;
	mine->next = NULL;
	*control->last = mine;
	control->last = &mine->next;
	control->unanswered++;
}

void
control_expect_id(struct control *control, control_reply_fn *on_reply, void *arg,
    struct stream_id id, bool wants_errors)
{
	struct stream_id *ids = mem_alloc(sizeof(*ids));

	*ids = id;
	control_expect(control,
	    (struct control_request){.on_reply = on_reply,
	        .arg = arg,
	        .ids = ids,
	        .n = 1,
	        .wants_errors = wants_errors});
}

static struct control_request *
pop_request(struct control *control)
{
	struct control_request *req = control->first;

	control->first = req->next;
	if (control->first == NULL)
		control->last = &control->first;
	control->unanswered--;
	return req;
}

static void
answer_request(struct control_request *req, struct reply *r)
{
	req->on_reply(req, r);
	if (!req->keep_reply)
		reply_free(r);
	free(req->ids);
	free(req);
}

void
control_close(struct control *control)
{
	pool_close(&control->pool);
	control->conn = NULL;
	while (control->first != NULL)
		answer_request(pop_request(control), NULL);
}

/* Closes the connection after an error reply that no request expects, such as a missing permission.
 */
static int
fail_on_error_reply(struct control *control, struct reply *r, struct err *err)
{
	reply_fail(err, r, "claim or acknowledge entries");
	reply_free(r);
	control_close(control);
	return -1;
}

int
control_process(struct control *control, struct err *err)
{
	struct reply *r;
	struct err dead;
	int alive = conn_io(control->conn, &dead), came = 0;

	while ((r = conn_take(control->conn)) != NULL) {
		if (reply_is_error(r) && !control->first->wants_errors &&
		    reply_why(r) != CONN_NOGROUP)
			return fail_on_error_reply(control, r, err);
		came = 1;
		answer_request(pop_request(control), r);
	}
	if (alive == 0)
		return came;
	*err = dead;
	control_close(control);
	return -1;
}
