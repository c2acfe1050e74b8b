#include <stdlib.h>

#include "redis/consumers.h"
#include "redis/reply.h"
#include "base/status.h"
#include "base/mem.h"

static void
take_one(const struct reply *r, struct group_consumer *out)
{
	const struct reply *inactive = reply_member(r, "inactive");

	out->name = reply_text(reply_member(r, "name"));
	out->pending = (uint64_t)reply_int(reply_member(r, "pending"));
	out->idle = reply_int(reply_member(r, "idle"));
	out->inactive = inactive != NULL ? reply_int(inactive) : -1;
}

int
group_consumers(struct conn *conn, const char *key, const char *group, struct group_consumers *out, enum conn_why *why, struct err *err)
{
	struct reply *r = conn_call(conn, err, "XINFO", "CONSUMERS", key, group, NULL);

	*out = (struct group_consumers){0};
	*why = r == NULL ? conn_why(conn) : reply_why(r);
	if (r == NULL)
		return -1;
	if (!reply_is_array(r)) {
		if (reply_is_error(r))
			reply_fail(err, r, "XINFO CONSUMERS");
		else {
			*why = CONN_GARBAGE;
			err_set(err, STATUS_UNREACHABLE, "XINFO CONSUMERS: the answer has not the shape that Redis gives it");
		}
		reply_free(r);
		return -1;
	}
	*out = (struct group_consumers){.r = r, .n = reply_count(r)};
	out->at = mem_alloc((out->n + 1) * sizeof(*out->at));
	for (size_t i = 0; i < out->n; i++)
		take_one(reply_at(r, i), &out->at[i]);
	return 0;
}

void
group_consumers_free(struct group_consumers *c)
{
	free(c->at);
	reply_free(c->r);
	*c = (struct group_consumers){0};
}
