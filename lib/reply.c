/* What error replies mean: the table of bus.h and its statuses. */
#include <string.h>

#include "bus.h"
#include "status.h"

static const struct {
	const char *start;
	enum bus_why why;
} table[] = {
	{"LOADING ", BUS_LATER},
	{"MASTERDOWN ", BUS_LATER},
	{"CLUSTERDOWN ", BUS_LATER},
	{"TRYAGAIN ", BUS_LATER},
	{"BUSY ", BUS_LATER},
	{"NOREPLICAS ", BUS_LATER},
	{"MISCONF ", BUS_LATER},
	{"OOM ", BUS_LATER},
	{"ERR max number of clients", BUS_LATER},
	{"READONLY ", BUS_READONLY},
	{"NOAUTH ", BUS_DENIED},
	{"WRONGPASS ", BUS_DENIED},
	{"DENIED ", BUS_DENIED},		/* protected mode */
	{"ERR invalid password", BUS_DENIED},
	{"ERR AUTH <password> called without", BUS_DENIED},
	{"ERR Client sent AUTH, but", BUS_DENIED},
	{"NOPERM ", BUS_NOPERM},
	{"WRONGTYPE ", BUS_WRONGTYPE},
	{"ERR The stream has exhausted", BUS_FULL},
	{"ERR Protocol error: invalid bulk length", BUS_TOOBIG},
	{"ERR Protocol error: invalid multibulk length", BUS_TOOBIG},
	{"ERR Elements are too large", BUS_TOOBIG},
	{"NOGROUP ", BUS_NOGROUP},
	{"MOVED ", BUS_MOVED},
	{"ASK ", BUS_MOVED},
	{"CROSSSLOT ", BUS_MOVED},
	{"ERR SELECT is not allowed in cluster mode", BUS_MOVED},
	{"UNBLOCKED ", BUS_UNBLOCKED},
};

enum bus_why
reply_why(const struct reply *r)
{
	struct slice t = reply_text(r);

	if (!reply_is_error(r))
		return BUS_FINE;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		size_t n = strlen(table[i].start);

		if (t.n >= n && memcmp(t.p, table[i].start, n) == 0)
			return table[i].why;
	}
	return BUS_OTHER;
}

int
reply_fail(struct fail *f, const struct reply *r, const char *what)
{
	struct slice t = reply_text(r);

	return fail_set(f, bus_status(reply_why(r)), "%s: %.*s", what, (int)t.n, t.n > 0 ? t.p : "");
}

const struct reply *
reply_member(const struct reply *r, const char *name)
{
	for (size_t i = 0; i + 1 < reply_count(r); i += 2)
		if (slice_eq(reply_text(reply_at(r, i)), name))
			return reply_at(r, i + 1);
	return NULL;
}

int
bus_status(enum bus_why why)
{
	switch (why) {
	case BUS_FINE:
		return STATUS_OK;
	case BUS_DENIED:
	case BUS_NOPERM:
		return STATUS_DENIED;
	case BUS_MOVED:
		return STATUS_CONFIG;
	case BUS_REFUSED:
	case BUS_TIMEOUT:
	case BUS_CUT:
	case BUS_GARBAGE:
		return STATUS_UNREACHABLE;
	case BUS_LATER:
	case BUS_READONLY:
		return STATUS_AGAIN;
	default:
		return STATUS_SOME;
	}
}
