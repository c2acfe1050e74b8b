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
reply_texts(const struct reply *r, struct bytes *slices)
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

/* --- what error replies mean: the table of conn.h --- */

static const struct {
	const char *start;
	enum conn_why why;
} table[] = {
	{"LOADING ", CONN_LATER},
	{"MASTERDOWN ", CONN_LATER},
	{"CLUSTERDOWN ", CONN_LATER},
	{"TRYAGAIN ", CONN_LATER},
	{"BUSY ", CONN_LATER},
	{"NOREPLICAS ", CONN_LATER},
	{"MISCONF ", CONN_LATER},
	{"OOM ", CONN_LATER},
	{"ERR max number of clients", CONN_LATER},
	{"READONLY ", CONN_READONLY},
	{"NOAUTH ", CONN_DENIED},
	{"WRONGPASS ", CONN_DENIED},
	{"DENIED ", CONN_DENIED},		/* protected mode */
	{"ERR invalid password", CONN_DENIED},
	{"ERR AUTH <password> called without", CONN_DENIED},
	{"ERR Client sent AUTH, but", CONN_DENIED},
	{"NOPERM ", CONN_NOPERM},
	{"ERR The user executing the script ", CONN_NOPERM},	/* Redis 7.0, of a command in a script; */
	{"ERR ACL failure in script: ", CONN_NOPERM},		/* later ones */
	{"WRONGTYPE ", CONN_WRONGTYPE},
	{"ERR The stream has exhausted", CONN_FULL},
	{"ERR Protocol error: invalid bulk length", CONN_TOOBIG},
	{"ERR Protocol error: invalid multibulk length", CONN_TOOBIG},
	{"ERR Elements are too large", CONN_TOOBIG},
	{"NOGROUP ", CONN_NOGROUP},
	{"MOVED ", CONN_MOVED},
	{"ASK ", CONN_MOVED},
	{"CROSSSLOT ", CONN_MOVED},
	{"ERR SELECT is not allowed in cluster mode", CONN_MOVED},
	{"UNBLOCKED ", CONN_UNBLOCKED},
};

/* What EXEC says of a refusal has the reason behind this. */
static const char aborted[] = "EXECABORT Transaction discarded because of: ";

enum conn_why
reply_why(const struct reply *r)
{
	struct slice t = reply_text(r);
	size_t skip = sizeof(aborted) - 1;

	if (!reply_is_error(r))
		return CONN_FINE;
	if (t.n > skip && memcmp(t.p, aborted, skip) == 0)
		t = (struct slice){t.p + skip, t.n - skip};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		size_t n = strlen(table[i].start);

		if (t.n >= n && memcmp(t.p, table[i].start, n) == 0)
			return table[i].why;
	}
	return CONN_OTHER;
}

int
reply_fail(struct err *err, const struct reply *r, const char *what)
{
	struct slice t = reply_text(r);

	return err_set(err, conn_status(reply_why(r)), "%s: %.*s", what, (int)t.n, t.n > 0 ? t.p : "");
}
