#include "consume/control.h"

#include <stdlib.h>
#include <string.h>

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

struct control_request *
control_expect(struct control *control, control_reply_fn *on_reply, void *arg,
    const struct stream_id *ids, size_t n)
{
	struct control_request *req = mem_alloc(sizeof(*req) + n * sizeof(*ids));

	req->on_reply = on_reply;
	req->arg = arg;
	req->n = n;
	if (n > 0)
		memcpy(req->ids, ids, n * sizeof(*ids));
	*control->last = req;
	control->last = &req->next;
	return req;
}

static void
answer_first(struct control *control, struct reply *r)
{
	struct control_request *req = control->first;

	control->first = req->next;
	if (control->first == NULL)
		control->last = &control->first;
	if (req->on_reply != NULL)
		req->on_reply(req, r);
	if (!req->keep_reply)
		reply_free(r);
	free(req);
}

void
control_close(struct control *control)
{
	pool_close(&control->pool);
	control->conn = NULL;
	while (control->first != NULL)
		answer_first(control, NULL);
}

int
control_process(struct control *control, struct err *err)
{
	struct reply *r;
	struct err dead;
	int alive = conn_io(control->conn, &dead), came = 0;

	while ((r = conn_take(control->conn)) != NULL) {
		if (reply_is_error(r) && !control->first->wants_errors &&
		    reply_why(r) != CONN_NOGROUP) {
			alive = reply_fail(&dead, r, "claim or acknowledge entries");
			reply_free(r);
			break;
		}
		came = 1;
		answer_first(control, r);
	}
	if (alive == 0)
		return came;
	*err = dead;
	control_close(control);
	return -1;
}
