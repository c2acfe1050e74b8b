#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "redis/reply.h"

static const redisReply *
real(const struct reply *r, int type)
{
	const redisReply *rr = (const void *)r;

	return rr != NULL && rr->type == type ? rr : NULL;
}

bool
reply_is_error(const struct reply *r)
{
	return real(r, REDIS_REPLY_ERROR) != NULL;
}

bool
reply_is_null(const struct reply *r)
{
	return real(r, REDIS_REPLY_NIL) != NULL;
}

bool
reply_is_array(const struct reply *r)
{
	return real(r, REDIS_REPLY_ARRAY) != NULL;
}

bool
reply_is_text(const struct reply *r)
{
	return real(r, REDIS_REPLY_STRING) != NULL || real(r, REDIS_REPLY_STATUS) != NULL;
}

struct slice
reply_text(const struct reply *r)
{
	const redisReply *rr = (const void *)r;

	if (!reply_is_text(r) && !reply_is_error(r))
		return (struct slice){0};
	return (struct slice){rr->str, (size_t)rr->len};
}

int64_t
reply_int(const struct reply *r)
{
	const redisReply *rr = real(r, REDIS_REPLY_INTEGER);
	long long n;
	char *end;

	if (rr != NULL)
		return rr->integer;
	if (!reply_is_text(r) || reply_text(r).n == 0)
		return 0;
	errno = 0;
	n = strtoll(reply_text(r).p, &end, 10);
	return errno == 0 && end == reply_text(r).p + reply_text(r).n ? n : 0;
}

size_t
reply_count(const struct reply *r)
{
	const redisReply *rr = real(r, REDIS_REPLY_ARRAY);

	return rr != NULL ? (size_t)rr->elements : 0;
}

const struct reply *
reply_at(const struct reply *r, size_t i)
{
	const redisReply *rr = real(r, REDIS_REPLY_ARRAY);

	return rr != NULL && i < (size_t)rr->elements ? (const void *)rr->element[i] : NULL;
}

void
reply_texts(const struct reply *r, struct buf *slices)
{
	size_t n = reply_count(r), i;
	struct slice *s;

	if (n == 0)
		return;
	buf_reserve(slices, n * sizeof *s);
	s = (void *)(slices->p + slices->len);
	for (i = 0; i < n; i++)
		s[i] = reply_text((const void *)((const redisReply *)(const void *)r)->element[i]);
	slices->len += n * sizeof *s;
}

const struct reply *
reply_member(const struct reply *r, const char *name)
{
	for (size_t i = 0; i + 1 < reply_count(r); i += 2)
		if (slice_eq(reply_text(reply_at(r, i)), name))
			return reply_at(r, i + 1);
	return NULL;
}

/* --- what error replies mean: the table of bus.h --- */

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
	{"ERR The user executing the script ", BUS_NOPERM},	/* Redis 7.0, of a command in a script; */
	{"ERR ACL failure in script: ", BUS_NOPERM},		/* later ones */
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

/* What EXEC says of a refusal has the reason behind this. */
static const char aborted[] = "EXECABORT Transaction discarded because of: ";

enum bus_why
reply_why(const struct reply *r)
{
	struct slice t = reply_text(r);
	size_t skip = sizeof(aborted) - 1;

	if (!reply_is_error(r))
		return BUS_FINE;
	if (t.n > skip && memcmp(t.p, aborted, skip) == 0)
		t = (struct slice){t.p + skip, t.n - skip};
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
