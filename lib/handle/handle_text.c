/* The part of handle.h that says what came of it. */
#include <inttypes.h>

#include "handle/handle.h"
#include "base/status.h"

int
handle_status(const struct handle_count *c, int status)
{
	if (c->unsaid > 0)
		status = status_worse(status, STATUS_AGAIN);
	return c->dead + c->stuck + c->lost > 0 ? status_worse(status, STATUS_SOME) : status;
}

void
handle_text(struct bytes *out, const struct handle_count *c)
{
	bytes_addf(out, "%" PRIu64 " handled, %" PRIu64 " failed attempts, %" PRIu64 " put off, %" PRIu64 " set aside, %" PRIu64
	    " lost, %" PRIu64 " taken over from others", c->handled, c->failed, c->later, c->dead, c->lost, c->taken);
}
