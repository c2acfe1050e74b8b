#include "redis/reply.h"

#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "base/status.h"

static const redisReply *
as_type(const struct reply *r, int type)
{
	const redisReply *rr = (const void *)r;

	return rr != NULL && rr->type == type ? rr : NULL;
}

bool
reply_is_error(const struct reply *r)
{
	return as_type(r, REDIS_REPLY_ERROR) != NULL;
}

bool
reply_is_null(const struct reply *r)
{
	return as_type(r, REDIS_REPLY_NIL) != NULL;
}

bool
reply_is_array(const struct reply *r)
{
	return as_type(r, REDIS_REPLY_ARRAY) != NULL;
}

bool
reply_is_text(const struct reply *r)
{
	return as_type(r, REDIS_REPLY_STRING) != NULL || as_type(r, REDIS_REPLY_STATUS) != NULL;
}

static bool
is_int(const struct reply *r)
{
	return as_type(r, REDIS_REPLY_INTEGER) != NULL;
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
	const redisReply *rr = as_type(r, REDIS_REPLY_INTEGER);
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
	const redisReply *rr = as_type(r, REDIS_REPLY_ARRAY);

	return rr != NULL ? (size_t)rr->elements : 0;
}

const struct reply *
reply_at(const struct reply *r, size_t i)
{
	const redisReply *rr = as_type(r, REDIS_REPLY_ARRAY);

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

/* --- error replies --- */

bool
reply_starts(const struct reply *r, const char *start)
{
	struct slice t = reply_text(r);
	size_t n = strlen(start);

	return reply_is_error(r) && t.n >= n && memcmp(t.p, start, n) == 0;
}

static const struct {
	const char *start;
	enum conn_why why;
} meanings[] = {
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
    /* a command in a script: Redis 7.0, */
    {"ERR The user executing the script ", CONN_NOPERM},
    {"ERR ACL failure in script: ", CONN_NOPERM}, /* and later */
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

/* EXEC puts this before the reason of a refused command. */
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
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
		size_t n = strlen(meanings[i].start);

		if (t.n >= n && memcmp(t.p, meanings[i].start, n) == 0)
			return meanings[i].why;
	}
	return CONN_OTHER;
}

bool
reply_is_eval_refused(const struct reply *r)
{
	struct slice t = reply_text(r);

	if (!reply_is_error(r) || memmem(t.p, t.n, "script: ", 8) != NULL)
		return false;
	return reply_why(r) == CONN_NOPERM || memmem(t.p, t.n, "unknown command", 15) != NULL ||
	    memmem(t.p, t.n, "can't run this command", 22) != NULL;
}

int
reply_fail(struct err *err, const struct reply *r, const char *what)
{
	struct slice t = reply_text(r);

	return conn_fail(err, reply_why(r), "%s: %.*s", what, (int)t.n, t.n > 0 ? t.p : "");
}

int
reply_unexpected(struct err *err, const struct reply *r, const char *what)
{
	if (reply_is_error(r))
		return reply_fail(err, r, what);
	return conn_fail(err, CONN_GARBAGE, "%s: the reply has an unexpected form", what);
}

struct reply *
reply_await(struct conn *conn, reply_form_fn *form, const char *what, struct err *err)
{
	struct reply *r = conn_wait(conn, err);

	if (r == NULL || (form != NULL ? form(r) : !reply_is_error(r)))
		return r;
	reply_unexpected(err, r, what);
	reply_free(r);
	return NULL;
}

int
reply_await_int(struct conn *conn, const char *what, uint64_t *n, struct err *err)
{
	struct reply *r = reply_await(conn, is_int, what, err);

	if (r == NULL)
		return -1;
	*n = (uint64_t)reply_int(r);
	reply_free(r);
	return 0;
}

/* --- memory ---
 *
 * A reply owns a chain of blocks: the first holds the outermost value, and the values inside it are
 * carved from the following ones. Each block is twice as large as the one before, up to BLOCK_MAX;
 * a larger value gets a block of its own.
 */

#define FIRST_BLOCK 1024 /* bytes for an array's elements */
#define BLOCK_MAX (60UL * 1024)
#define ELEMENTS_MAX (1 << 24) /* of one array: an entry may have millions of fields */

struct block {
	struct block *next;
	size_t used, size;
	alignas(redisReply) char bytes[];
};

/* A whole reply. It lies in the first block, the last of the chain. */
struct root {
	redisReply reply;
	struct block *blocks;
};

#if HIREDIS_MAJOR >= 1
typedef size_t element_count;
#else
typedef int element_count;
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
carve_bytes(struct root *root, size_t n)
{
	struct block *block = root->blocks;
	void *p;

	n = (n + alignof(redisReply) - 1) & ~(alignof(redisReply) - 1);
	if (n > block->size - block->used) {
		size_t size = block->size < BLOCK_MAX ? 2 * block->size : block->size;

		if ((block = new_block(block, n > size ? n : size)) == NULL)
			return NULL;
		if (n > BLOCK_MAX) { /* the block being filled stays in front */
			block->next = root->blocks->next;
			root->blocks->next = block;
		} else {
			root->blocks = block;
		}
	}
	p = block->bytes + block->used;
	block->used += n;
	return p;
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

/* Returns a value with `more` bytes after it; an element is entered into its array. `first` bytes
 * at least are reserved for the elements of an outermost one. NULL: no memory. */
static redisReply *
new_value(const redisReadTask *task, int type, size_t more, size_t first)
{
	void **unfinished = task->privdata;
	struct root *root;
	struct block *block;
	redisReply *r;

	if (task->parent == NULL) {
		if ((block = new_block(NULL, sizeof(*root) + (first > more ? first : more))) ==
		    NULL)
			return NULL;
		block->used = sizeof(*root) + more;
		*unfinished = root = (void *)block->bytes;
		root->blocks = block;
		r = &root->reply;
	} else {
		redisReply *parent = task->parent->obj;

		if ((r = carve_bytes(*unfinished, sizeof(*r) + more)) == NULL)
			return NULL;
		/* -Wanalyzer-malloc-leak is wrong here: the root owns the block */
		parent->element[task->idx] = r;
	}
	*r = (redisReply){.type = type};
	return r;
}

/* Returns the bytes that new_value() reserved after a value. */
static void *
bytes_after(const redisReadTask *task, redisReply *r)
{
	return (char *)r + (task->parent == NULL ? sizeof(struct root) : sizeof(*r));
}

static void *
make_text(const redisReadTask *task, char *text, size_t n)
{
	redisReply *r = new_value(task, task->type, n + 1, 0);

	if (r == NULL)
		return NULL;
	r->str = bytes_after(task, r);
	memcpy(r->str, text, n);
	r->str[n] = '\0';
	r->len = n;
	return r;
}

/* A server may announce any length: allocate for ELEMENTS_MAX elements at most. */
static void *
make_array(const redisReadTask *task, element_count n)
{
	redisReply *r;

	if ((size_t)n > ELEMENTS_MAX ||
	    (r = new_value(task, task->type, (size_t)n * sizeof(void *), FIRST_BLOCK)) == NULL)
		return NULL;
	r->elements = (size_t)n;
	r->element = bytes_after(task, r);
	return r;
}

static void *
make_integer(const redisReadTask *task, long long n)
{
	redisReply *r = new_value(task, REDIS_REPLY_INTEGER, 0, 0);

	if (r != NULL)
		r->integer = n;
	return r;
}

static void *
make_nil(const redisReadTask *task)
{
	return new_value(task, REDIS_REPLY_NIL, 0, 0);
}

static void
free_blocks(void *reply)
{
	struct root *root = reply;
	struct block *b, *next;

	for (b = root->blocks; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
}

/* RESP3 is never requested, but a peer may send it. */
#if HIREDIS_MAJOR >= 1
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
reply_reader_new(void **unfinished)
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
		.freeObject = free_blocks,
	};
	redisReader *r = redisReaderCreateWithFunctions(&functions);

	if (r != NULL)
		r->privdata = unfinished;
	return r;
}

void
reply_free(struct reply *r)
{
	if (r != NULL)
		free_blocks(r);
}
