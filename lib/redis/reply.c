#include "redis/reply.h"

#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

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
reply_add_texts(const struct reply *r, struct bytes *slices)
{
	size_t n = reply_count(r), i;
	struct slice *s;

	if (n == 0)
		return;
	bytes_reserve(slices, n * sizeof(*s));
	s = (void *)(slices->p + slices->len);
	for (i = 0; i < n; i++)
		s[i] = reply_text((const void *)((const redisReply *)(const void *)r)->element[i]);
	slices->len += n * sizeof(*s);
}

const struct reply *
reply_member(const struct reply *r, const char *name)
{
	for (size_t i = 0; i + 1 < reply_count(r); i += 2)
		if (slice_is(reply_text(reply_at(r, i)), name))
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
    {"DENIED ", CONN_DENIED}, /* protected mode */
    {"ERR invalid password", CONN_DENIED},
    {"ERR AUTH <password> called without", CONN_DENIED},
    {"ERR Client sent AUTH, but", CONN_DENIED},
    {"NOPERM ", CONN_NOPERM},
    /* Redis 7.0, of a command in a script; */
    {"ERR The user executing the script ", CONN_NOPERM},
    {"ERR ACL failure in script: ", CONN_NOPERM}, /* later ones */
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
		return CONN_OK;
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

	return err_set(
	    err, conn_exit_status(reply_why(r)), "%s: %.*s", what, (int)t.n, t.n > 0 ? t.p : "");
}

#define FIRST 1024 /* a reply that is an array begins with so many bytes, */
#define MOST \
	(60UL * 1024) /* and takes twice as many each time, up to this; a part that is larger has \
	                 a block of its own */
#define ELEMENTS_MAX (1 << 24) /* of one array: an entry may have millions of fields */

struct block {
	struct block *next;
	size_t used, size;
	alignas(redisReply) char bytes[];
};

/* What a reply is: the last block is the one that it is in. */
struct root {
	redisReply reply;
	struct block *blocks;
};

#if HIREDIS_MAJOR >= 1
typedef size_t count;
#else
typedef int count;
#endif

static struct block *
new_block(struct block *next, size_t size)
{
	struct block *b = malloc(sizeof(*b) + size);

	if (b != NULL)
		*b = (struct block){.next = next, .size = size};
	return b;
}

static void *
take(struct root *root, size_t n)
{
	struct block *b = root->blocks;
	void *p;

	n = (n + alignof(redisReply) - 1) & ~(alignof(redisReply) - 1);
	if (n > b->size - b->used) {
		size_t size = b->size < MOST ? 2 * b->size : b->size;

		if ((b = new_block(b, n > size ? n : size)) == NULL)
			return NULL;
		if (n > MOST) { /* behind the one that is being filled */
			b->next = root->blocks->next;
			root->blocks->next = b;
		} else {
			root->blocks = b;
		}
	}
	p = b->bytes + b->used;
	b->used += n;
	return p;
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

/* Room for a reply and `more` bytes behind it; a part is put in its place. NULL: no memory. */
static redisReply *
make(const redisReadTask *task, int type, size_t more, size_t first)
{
	void **now = task->privdata;
	struct root *root;
	struct block *b;
	redisReply *r;

	if (task->parent == NULL) {
		if ((b = new_block(NULL, sizeof(*root) + (first > more ? first : more))) == NULL)
			return NULL;
		b->used = sizeof(*root) + more;
		*now = root = (void *)b->bytes;
		root->blocks = b;
		r = &root->reply;
	} else {
		redisReply *parent = task->parent->obj;

		if ((r = take(*now, sizeof(*r) + more)) == NULL)
			return NULL;
		/* -Wanalyzer-malloc-leak is wrong here: the block hangs at the root */
		parent->element[task->idx] = r;
	}
	*r = (redisReply){.type = type};
	return r;
}

/* What make() left room for. */
static void *
behind(const redisReadTask *task, redisReply *r)
{
	return (char *)r + (task->parent == NULL ? sizeof(struct root) : sizeof(*r));
}

static void *
make_text(const redisReadTask *task, char *text, size_t n)
{
	redisReply *r = make(task, task->type, n + 1, 0);

	if (r == NULL)
		return NULL;
	r->str = behind(task, r);
	memcpy(r->str, text, n);
	r->str[n] = '\0';
	r->len = n;
	return r;
}

/* An announced length must not be believed: memory for its elements would be taken. */
static void *
make_array(const redisReadTask *task, count n)
{
	redisReply *r;

	if ((size_t)n > ELEMENTS_MAX ||
	    (r = make(task, task->type, (size_t)n * sizeof(void *), FIRST)) == NULL)
		return NULL;
	r->elements = (size_t)n;
	r->element = behind(task, r);
	return r;
}

static void *
make_integer(const redisReadTask *task, long long n)
{
	redisReply *r = make(task, REDIS_REPLY_INTEGER, 0, 0);

	if (r != NULL)
		r->integer = n;
	return r;
}

static void *
make_nil(const redisReadTask *task)
{
	return make(task, REDIS_REPLY_NIL, 0, 0);
}

static void
unmake(void *reply)
{
	struct root *root = reply;
	struct block *b, *next;

	for (b = root->blocks; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
}

#if HIREDIS_MAJOR >= \
    1 /* nobody asks for RESP3; who sends it all the same gets no answer believed */
static void *
make_double(const redisReadTask *task, double d, char *text, size_t n)
{
	(void)d;
	return make_text(task, text, n);
}

static void *
make_bool(const redisReadTask *task, int n)
{
	return make_integer(task, n);
}
#endif

struct redisReader *
reply_reader_new(void **now)
{
	static redisReplyObjectFunctions functions = {
		.createString = make_text,
		.createArray = make_array,
		.createInteger = make_integer,
#if HIREDIS_MAJOR >= 1
		.createDouble = make_double,
		.createBool = make_bool,
#endif
		.createNil = make_nil,
		.freeObject = unmake,
	};
	redisReader *r = redisReaderCreateWithFunctions(&functions);

	if (r != NULL)
		r->privdata = now;
	return r;
}

void
reply_free(struct reply *r)
{
	if (r != NULL)
		unmake(r);
}
