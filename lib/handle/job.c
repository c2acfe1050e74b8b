#include "handle/job.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "event/id.h"
#include "redis/reply.h"

/* --- lists --------------------------------------------------------------------------- */

static struct jobs *
list_of_state(struct job *j)
{
	switch (j->state) {
	case JOB_READY: return &j->queue->ready;
	case JOB_DONE: return &j->queue->done;
	case JOB_DEAD: return &j->queue->dead;
	default: return NULL;
	}
}

static bool
is_listed(const struct job *j, const struct jobs *l)
{
	return j->prev != NULL || j->next != NULL || l->first == j;
}

static void
remove_from_list(struct job *j)
{
	struct jobs *l = list_of_state(j);

	if (l == NULL || !is_listed(j, l))
		return;
	*(j->prev != NULL ? &j->prev->next : &l->first) = j->next;
	*(j->next != NULL ? &j->next->prev : &l->last) = j->prev;
	j->prev = j->next = NULL;
	l->n--;
}

/* Inserts in order of ID. Searches from the end, where nearly all belong. */
static void
insert_by_id(struct job *j)
{
	struct jobs *l = list_of_state(j);
	struct job *before;

	if (l == NULL || is_listed(j, l))
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

/* --- the heap ------------------------------------------------------------------------ */

static void
heap_put(struct jobset *set, struct job *j, size_t at)
{
	set->heap[at] = j;
	j->heap_at = at;
}

static void
heap_sift_up(struct jobset *set, struct job *j, size_t at)
{
	while (at > 0 && set->heap[(at - 1) / 2]->due > j->due) {
		heap_put(set, set->heap[(at - 1) / 2], at);
		at = (at - 1) / 2;
	}
	heap_put(set, j, at);
}

static void
heap_sift_down(struct jobset *set, struct job *j, size_t at)
{
	size_t child;

	while ((child = 2 * at + 1) < set->heap_n) {
		if (child + 1 < set->heap_n && set->heap[child + 1]->due < set->heap[child]->due)
			child++;
		if (set->heap[child]->due >= j->due)
			break;
		heap_put(set, set->heap[child], at);
		at = child;
	}
	heap_put(set, j, at);
}

static void
heap_add(struct jobset *set, struct job *j)
{
	if (set->heap_n == set->heap_room) {
		set->heap_room = set->heap_room > 0 ? 2 * set->heap_room : 64;
		set->heap = mem_realloc(set->heap, set->heap_room * sizeof(*set->heap));
	}
	set->heap_n++;
	heap_sift_up(set, j, set->heap_n - 1);
}

static void
heap_remove(struct jobset *set, struct job *j)
{
	struct job *last = set->heap[--set->heap_n];
	size_t at = j->heap_at;

	if (last == j)
		return;
	heap_sift_down(set, last, at);
	heap_sift_up(set, last, last->heap_at);
}

struct job *
jobset_due(const struct jobset *set, int64_t now)
{
	return set->heap_n > 0 && set->heap[0]->due <= now ? set->heap[0] : NULL;
}

int64_t
jobset_next_due(const struct jobset *set)
{
	return set->heap_n > 0 ? set->heap[0]->due : -1;
}

/* --- the set ------------------------------------------------------------------------- */

static struct job **
find_bucket(const struct jobset *set, const struct jobqueue *queue, struct stream_id id)
{
	uint64_t x = (id.ms * 1000003 + id.seq + queue->salt) * UINT64_C(0x9e3779b97f4a7c15);

	return &set->bucket[(x >> 32) & (set->buckets - 1)];
}

static void
grow_buckets(struct jobset *set)
{
	struct jobset more = {.buckets = set->buckets > 0 ? 4 * set->buckets : 256};

	if (set->n < set->buckets)
		return;
	more.bucket = mem_alloc(more.buckets * sizeof(*more.bucket));
	for (size_t i = 0; i < set->buckets; i++)
		for (struct job *j = set->bucket[i], *next; j != NULL; j = next) {
			struct job **b = find_bucket(&more, j->queue, j->id);

			next = j->hash_next;
			j->hash_next = *b;
			*b = j;
		}
	free(set->bucket);
	set->bucket = more.bucket;
	set->buckets = more.buckets;
}

struct job *
jobset_find(const struct jobset *set, const struct jobqueue *queue, struct stream_id id)
{
	struct job *j = set->buckets > 0 ? *find_bucket(set, queue, id) : NULL;

	while (j != NULL && (j->queue != queue || id_cmp(j->id, id) != 0))
		j = j->hash_next;
	return j;
}

struct job *
jobset_add(struct jobset *set, struct jobqueue *queue, struct stream_id id, uint64_t attempts)
{
	struct job *j = set->spare, **b;

	if (jobset_find(set, queue, id) != NULL)
		return NULL;
	if (j != NULL)
		set->spare = j->hash_next;
	else
		j = mem_alloc(sizeof(*j));
	*j = (struct job){.queue = queue, .id = id, .state = JOB_READY, .attempts = attempts};
	grow_buckets(set);
	b = find_bucket(set, queue, id);
	j->hash_next = *b;
	*b = j;
	set->n++;
	set->in[JOB_READY]++;
	insert_by_id(j);
	return j;
}

static bool
is_busy_state(enum job_state s)
{
	return s == JOB_CLAIMING || s == JOB_RUNNING || s == JOB_WAITING || s == JOB_DEAD;
}

static void
leave_state(struct jobset *set, struct job *j)
{
	if (j->state == JOB_WAITING)
		heap_remove(set, j);
	else
		remove_from_list(j);
	j->queue->busy -= is_busy_state(j->state);
	set->in[j->state]--;
}

void
job_set_state(struct jobset *set, struct job *j, enum job_state state)
{
	leave_state(set, j);
	j->state = state;
	j->queue->busy += is_busy_state(state);
	set->in[state]++;
	if (state == JOB_WAITING)
		heap_add(set, j);
	else
		insert_by_id(j);
}

void
job_unlist(struct job *j)
{
	remove_from_list(j);
}

void
jobset_remove(struct jobset *set, struct job *j)
{
	struct job **b = find_bucket(set, j->queue, j->id);

	leave_state(set, j);
	while (*b != j)
		b = &(*b)->hash_next;
	*b = j->hash_next;
	set->n--;
	job_clear_entry(j);
	free(j->status);
	free(j->stderr_tail);
	j->hash_next = set->spare;
	set->spare = j;
}

void
jobset_each(struct jobset *set, void (*fn)(void *arg, struct job *j), void *arg)
{
	for (size_t i = 0; i < set->buckets; i++)
		for (struct job *j = set->bucket[i], *next; j != NULL; j = next) {
			next = j->hash_next;
			fn(arg, j);
		}
}

static void
remove_job(void *arg, struct job *j)
{
	jobset_remove(arg, j);
}

void
jobset_free(struct jobset *set)
{
	jobset_each(set, remove_job, set);
	for (struct job *j = set->spare, *next; j != NULL; j = next) {
		next = j->hash_next;
		free(j);
	}
	free(set->bucket);
	free(set->heap);
	*set = (struct jobset){0};
}

/* --- entries and failures ------------------------------------------------------------ */

struct shared_reply {
	struct reply *reply;
	size_t parts;
};

struct shared_reply *
shared_reply_new(struct reply *r)
{
	struct shared_reply *shared = mem_alloc(sizeof(*shared));

	shared->reply = r;
	shared->parts = 1;
	return shared;
}

const struct reply *
shared_reply_get(const struct shared_reply *shared)
{
	return shared->reply;
}

void
shared_reply_unref(struct shared_reply *shared)
{
	if (shared == NULL || --shared->parts > 0)
		return;
	reply_free(shared->reply);
	free(shared);
}

void
job_set_entry(struct job *j, struct shared_reply *shared, const struct reply *entry)
{
	job_clear_entry(j);
	shared->parts++;
	j->shared = shared;
	j->entry = entry;
}

void
job_clear_entry(struct job *j)
{
	shared_reply_unref(j->shared);
	j->shared = NULL;
	j->entry = NULL;
}

void
job_set_failure(struct job *j, const char *status, struct slice stderr_tail)
{
	free(j->status);
	free(j->stderr_tail);
	j->status = mem_strdup(status);
	j->stderr_tail = mem_strndup(stderr_tail.p != NULL ? stderr_tail.p : "", stderr_tail.n);
}
