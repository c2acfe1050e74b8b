#include "handle/job.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "event/id.h"
#include "redis/reply.h"

/* --- lists ---------------------------------------------------------------- */

static struct jobs *
list_of(struct job *j)
{
	switch (j->state) {
	case JOB_READY: return &j->queue->ready;
	case JOB_DONE: return &j->queue->done;
	case JOB_DEAD: return &j->queue->dead;
	default: return NULL;
	}
}

static bool
listed(const struct job *j, const struct jobs *l)
{
	return j->prev != NULL || j->next != NULL || l->first == j;
}

static void
unlist(struct job *j)
{
	struct jobs *l = list_of(j);

	if (l == NULL || !listed(j, l))
		return;
	*(j->prev != NULL ? &j->prev->next : &l->first) = j->next;
	*(j->next != NULL ? &j->next->prev : &l->last) = j->prev;
	j->prev = j->next = NULL;
	l->n--;
}

/* In its place by ID, from the end, where nearly all belong. */
static void
enlist(struct job *j)
{
	struct jobs *l = list_of(j);
	struct job *before;

	if (l == NULL || listed(j, l))
		return;
	for (before = l->last; before != NULL && id_cmp(before->id, j->id) > 0;
	     before = before->prev)
		;
	j->prev = before;
	j->next = before != NULL ? before->next : l->first;
	*(j->prev != NULL ? &j->prev->next : &l->first) = j;
	*(j->next != NULL ? &j->next->prev : &l->last) = j;
	l->n++;
}

/* --- the heap --------------------------------------------------------------- */

static void
place(struct jobset *h, struct job *j, size_t at)
{
	h->heap[at] = j;
	j->place = at;
}

static void
rise(struct jobset *h, struct job *j, size_t at)
{
	while (at > 0 && h->heap[(at - 1) / 2]->when > j->when) {
		place(h, h->heap[(at - 1) / 2], at);
		at = (at - 1) / 2;
	}
	place(h, j, at);
}

static void
fall(struct jobset *h, struct job *j, size_t at)
{
	size_t child;

	while ((child = 2 * at + 1) < h->waiting) {
		if (child + 1 < h->waiting && h->heap[child + 1]->when < h->heap[child]->when)
			child++;
		if (h->heap[child]->when >= j->when)
			break;
		place(h, h->heap[child], at);
		at = child;
	}
	place(h, j, at);
}

static void
heap_add(struct jobset *h, struct job *j)
{
	if (h->waiting == h->room) {
		h->room = h->room > 0 ? 2 * h->room : 64;
		h->heap = mem_realloc(h->heap, h->room * sizeof(*h->heap));
	}
	h->waiting++;
	rise(h, j, h->waiting - 1);
}

static void
heap_remove(struct jobset *h, struct job *j)
{
	struct job *last = h->heap[--h->waiting];
	size_t at = j->place;

	if (last == j)
		return;
	fall(h, last, at);
	rise(h, last, last->place);
}

struct job *
jobset_due(const struct jobset *h, int64_t now)
{
	return h->waiting > 0 && h->heap[0]->when <= now ? h->heap[0] : NULL;
}

int64_t
jobset_next_due(const struct jobset *h)
{
	return h->waiting > 0 ? h->heap[0]->when : -1;
}

/* --- all of them -------------------------------------------------------------- */

static struct job **
bucket_of(const struct jobset *h, const struct jobqueue *q, struct stream_id id)
{
	uint64_t x = (id.ms * 1000003 + id.seq + q->salt) * UINT64_C(0x9e3779b97f4a7c15);

	return &h->bucket[(x >> 32) & (h->buckets - 1)];
}

static void
grow(struct jobset *h)
{
	struct jobset more = {.buckets = h->buckets > 0 ? 4 * h->buckets : 256};

	if (h->n < h->buckets)
		return;
	more.bucket = mem_alloc(more.buckets * sizeof(*more.bucket));
	for (size_t i = 0; i < h->buckets; i++)
		for (struct job *j = h->bucket[i], *next; j != NULL; j = next) {
			struct job **b = bucket_of(&more, j->queue, j->id);

			next = j->chain;
			j->chain = *b;
			*b = j;
		}
	free(h->bucket);
	h->bucket = more.bucket;
	h->buckets = more.buckets;
}

struct job *
jobset_find(const struct jobset *h, const struct jobqueue *q, struct stream_id id)
{
	struct job *j = h->buckets > 0 ? *bucket_of(h, q, id) : NULL;

	while (j != NULL && (j->queue != q || id_cmp(j->id, id) != 0))
		j = j->chain;
	return j;
}

struct job *
jobset_add(struct jobset *h, struct jobqueue *q, struct stream_id id, uint64_t attempts)
{
	struct job *j = h->spare, **b;

	if (jobset_find(h, q, id) != NULL)
		return NULL;
	if (j != NULL)
		h->spare = j->chain;
	else
		j = mem_alloc(sizeof(*j));
	*j = (struct job){.queue = q, .id = id, .state = JOB_READY, .attempts = attempts};
	grow(h);
	b = bucket_of(h, q, id);
	j->chain = *b;
	*b = j;
	h->n++;
	h->in[JOB_READY]++;
	enlist(j);
	return j;
}

static bool
busy(enum job_state s)
{
	return s == JOB_CLAIMING || s == JOB_RUNNING || s == JOB_WAITING || s == JOB_DEAD;
}

static void
leave(struct jobset *h, struct job *j)
{
	if (j->state == JOB_WAITING)
		heap_remove(h, j);
	else
		unlist(j);
	j->queue->busy -= busy(j->state);
	h->in[j->state]--;
}

void
job_set_state(struct jobset *h, struct job *j, enum job_state state)
{
	leave(h, j);
	j->state = state;
	j->queue->busy += busy(state);
	h->in[state]++;
	if (state == JOB_WAITING)
		heap_add(h, j);
	else
		enlist(j);
}

void
job_unlist(struct job *j)
{
	unlist(j);
}

void
jobset_remove(struct jobset *h, struct job *j)
{
	struct job **b = bucket_of(h, j->queue, j->id);

	leave(h, j);
	while (*b != j)
		b = &(*b)->chain;
	*b = j->chain;
	h->n--;
	job_clear_entry(j);
	free(j->status);
	free(j->words);
	j->chain = h->spare;
	h->spare = j;
}

void
jobset_each(struct jobset *h, void (*fn)(void *arg, struct job *j), void *arg)
{
	for (size_t i = 0; i < h->buckets; i++)
		for (struct job *j = h->bucket[i], *next; j != NULL; j = next) {
			next = j->chain;
			fn(arg, j);
		}
}

static void
let_go(void *arg, struct job *j)
{
	jobset_remove(arg, j);
}

void
jobset_free(struct jobset *h)
{
	jobset_each(h, let_go, h);
	for (struct job *j = h->spare, *next; j != NULL; j = next) {
		next = j->chain;
		free(j);
	}
	free(h->bucket);
	free(h->heap);
	*h = (struct jobset){0};
}

/* --- what they point to ----------------------------------------------------------- */

struct shared_reply {
	struct reply *reply;
	size_t parts;
};

struct shared_reply *
shared_reply_new(struct reply *r)
{
	struct shared_reply *b = mem_alloc(sizeof(*b));

	b->reply = r;
	b->parts = 1;
	return b;
}

const struct reply *
shared_reply_get(const struct shared_reply *b)
{
	return b->reply;
}

void
shared_reply_unref(struct shared_reply *b)
{
	if (b == NULL || --b->parts > 0)
		return;
	reply_free(b->reply);
	free(b);
}

void
job_set_entry(struct job *j, struct shared_reply *b, const struct reply *entry)
{
	job_clear_entry(j);
	b->parts++;
	j->body = b;
	j->entry = entry;
}

void
job_clear_entry(struct job *j)
{
	shared_reply_unref(j->body);
	j->body = NULL;
	j->entry = NULL;
}

void
job_set_failure(struct job *j, const char *status, struct slice words)
{
	free(j->status);
	free(j->words);
	j->status = mem_strdup(status);
	j->words = mem_strndup(words.p != NULL ? words.p : "", words.n);
}
