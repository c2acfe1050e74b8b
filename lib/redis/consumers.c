#include <stdlib.h>

#include "redis/consumers.h"
#include "redis/reply.h"
#include "base/status.h"
#include "base/util.h"

static void
take_one(const struct reply *r, struct consumers_one *out)
{
	const struct reply *inactive = reply_member(r, "inactive");

	out->name = reply_text(reply_member(r, "name"));
	out->pending = (uint64_t)reply_int(reply_member(r, "pending"));
	out->idle = reply_int(reply_member(r, "idle"));
	out->inactive = inactive != NULL ? reply_int(inactive) : -1;
}

int
consumers_list(struct bus *b, const char *key, const char *group, struct consumers *out, enum bus_why *why, struct fail *f)
{
	struct reply *r = bus_call(b, f, "XINFO", "CONSUMERS", key, group, NULL);

	*out = (struct consumers){0};
	*why = r == NULL ? bus_why(b) : reply_why(r);
	if (r == NULL)
		return -1;
	if (!reply_is_array(r)) {
		if (reply_is_error(r))
			reply_fail(f, r, "XINFO CONSUMERS");
		else {
			*why = BUS_GARBAGE;
			fail_set(f, STATUS_UNREACHABLE, "XINFO CONSUMERS: the answer has not the shape that Redis gives it");
		}
		reply_free(r);
		return -1;
	}
	*out = (struct consumers){.r = r, .n = reply_count(r)};
	out->at = util_alloc((out->n + 1) * sizeof(*out->at));
	for (size_t i = 0; i < out->n; i++)
		take_one(reply_at(r, i), &out->at[i]);
	return 0;
}

void
consumers_free(struct consumers *c)
{
	free(c->at);
	reply_free(c->r);
	*c = (struct consumers){0};
}
