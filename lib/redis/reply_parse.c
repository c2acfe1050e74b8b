/*
 * The half of reply.h that makes replies, for hiredis' reader: each with all that is in it from a few blocks of memory, because an
 * answer with a thousand entries has twenty thousand parts. hiredis' own way takes and gives back each of them alone, which is
 * half of the time that reading takes.
 */
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "redis/reply.h"

#define FIRST 1024		/* a reply that is an array begins with so many bytes, */
#define MOST (60UL * 1024)	/* and takes twice as many each time, up to this; a part that is larger has a block of its own */
#define ELEMENTS_MAX (1 << 24)	/* of one array: an entry may have millions of fields */

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
	struct block *b = malloc(sizeof *b + size);

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
		if (n > MOST) {		/* behind the one that is being filled */
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
		if ((b = new_block(NULL, sizeof *root + (first > more ? first : more))) == NULL)
			return NULL;
		b->used = sizeof *root + more;
		*now = root = (void *)b->bytes;
		root->blocks = b;
		r = &root->reply;
	} else {
		redisReply *parent = task->parent->obj;

		if ((r = take(*now, sizeof *r + more)) == NULL)
			return NULL;
		parent->element[task->idx] = r;		/* -Wanalyzer-malloc-leak is wrong here: the block hangs at the root */
	}
	*r = (redisReply){.type = type};
	return r;
}

/* What make() left room for. */
static void *
behind(const redisReadTask *task, redisReply *r)
{
	return (char *)r + (task->parent == NULL ? sizeof(struct root) : sizeof *r);
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

	if ((size_t)n > ELEMENTS_MAX || (r = make(task, task->type, (size_t)n * sizeof(void *), FIRST)) == NULL)
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

#if HIREDIS_MAJOR >= 1	/* nobody asks for RESP3; who sends it all the same gets no answer believed */
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
reply_reader(void **now)
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
