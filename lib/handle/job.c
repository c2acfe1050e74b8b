#include "handle/job.h"

#include <stdlib.h>

#include "base/mem.h"
#include "redis/reply.h"

/* --- lists --------------------------------------------------------------------------- */

static struct jobs *
list_of_state(struct jobset *set, struct job *job)
{
	switch (job->state) {
	case JOB_READY: return &job->queue->ready;
	case JOB_WAITING: return &set->waiting;
	case JOB_DONE: return &job->queue->done;
	case JOB_DEAD: return &job->queue->dead;
	default: return NULL;
	}
}

/* Inserts a job behind `before`; NULL: at the front. */
static void
insert_behind(struct jobs *l, struct job *before, struct job *job)
{
	job->list = l;
	job->prev = before;
	job->next = before != NULL ? before->next : l->first;
	*(job->prev != NULL ? &job->prev->next : &l->first) = job;
	*(job->next != NULL ? &job->next->prev : &l->last) = job;
	l->n++;
}

/* Inserts in the order of the list: by the time when it is due, or by ID. Searches from the end,
 * where nearly all belong; those that wait are bounded in number. */
static void
insert_in_order(struct jobset *set, struct job *job)
{
	struct jobs *l = list_of_state(set, job);
	struct job *before;

	if (l == NULL)
		return;
	for (before = l->last; before != NULL; before = before->prev)
		if (l == &set->waiting ? before->due <= job->due : id_cmp(before->id, job->id) < 0)
			break;
	insert_behind(l, before, job);
}

void
jobs_append(struct jobs *l, struct job *job)
{
	insert_behind(l, l->last, job);
}

void
job_unlist(struct job *job)
{
	struct jobs *l = job->list;

	if (l == NULL)
		return;
	*(job->prev != NULL ? &job->prev->next : &l->first) = job->next;
	*(job->next != NULL ? &job->next->prev : &l->last) = job->prev;
	job->prev = job->next = NULL;
	job->list = NULL;
	l->n--;
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
		for (struct job *job = set->bucket[i], *next; job != NULL; job = next) {
			struct job **b = find_bucket(&more, job->queue, job->id);

			next = job->hash_next;
			job->hash_next = *b;
			*b = job;
		}
	free(set->bucket);
	set->bucket = more.bucket;
	set->buckets = more.buckets;
}

struct job *
jobset_find(const struct jobset *set, const struct jobqueue *queue, struct stream_id id)
{
	struct job *job = set->buckets > 0 ? *find_bucket(set, queue, id) : NULL;

	while (job != NULL && (job->queue != queue || id_cmp(job->id, id) != 0))
		job = job->hash_next;
	return job;
}

struct job *
jobset_add(struct jobset *set, struct jobqueue *queue, struct stream_id id, uint64_t attempts)
{
	struct job *job, **b;

	if (jobset_find(set, queue, id) != NULL)
		return NULL;
	job = mem_alloc(sizeof(*job));
	*job = (struct job){.queue = queue, .id = id, .state = JOB_READY, .attempts = attempts};
	grow_buckets(set);
	b = find_bucket(set, queue, id);
	job->hash_next = *b;
	*b = job;
	set->n++;
	set->in[JOB_READY]++;
	insert_in_order(set, job);
	return job;
}

static bool
is_busy_state(enum job_state s)
{
	return s == JOB_CLAIMING || s == JOB_RUNNING || s == JOB_WAITING || s == JOB_DEAD;
}

static void
leave_state(struct jobset *set, struct job *job)
{
	job_unlist(job);
	job->queue->busy -= is_busy_state(job->state);
	set->in[job->state]--;
}

void
job_set_state(struct jobset *set, struct job *job, enum job_state state)
{
	leave_state(set, job);
	job->state = state;
	job->queue->busy += is_busy_state(state);
	set->in[state]++;
	insert_in_order(set, job);
}

void
jobset_remove(struct jobset *set, struct job *job)
{
	struct job **b = find_bucket(set, job->queue, job->id);

	leave_state(set, job);
	while (*b != job)
		b = &(*b)->hash_next;
	*b = job->hash_next;
	set->n--;
	job_clear_entry(job);
	free(job->status);
	free(job->stderr_tail);
	free(job);
}

struct job *
jobset_next(const struct jobset *set, const struct job *job)
{
	size_t i = 0;

	if (job != NULL && job->hash_next != NULL)
		return job->hash_next;
	if (job != NULL)
		i = (size_t)(find_bucket(set, job->queue, job->id) - set->bucket) + 1;
	while (i < set->buckets && set->bucket[i] == NULL)
		i++;
	return i < set->buckets ? set->bucket[i] : NULL;
}

void
jobset_free(struct jobset *set)
{
	for (struct job *job = jobset_next(set, NULL), *next; job != NULL; job = next) {
		next = jobset_next(set, job);
		jobset_remove(set, job);
	}
	free(set->bucket);
	*set = (struct jobset){0};
}

/* --- entries and failures ------------------------------------------------------------ */

struct shared_reply *
shared_reply_new(struct reply *r)
{
	struct shared_reply *shared = mem_alloc(sizeof(*shared));

	shared->reply = r;
	shared->parts = 1;
	return shared;
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
job_set_entry(struct job *job, struct shared_reply *shared, const struct reply *entry)
{
	job_clear_entry(job);
	shared->parts++;
	job->shared = shared;
	job->entry = entry;
}

void
job_clear_entry(struct job *job)
{
	shared_reply_unref(job->shared);
	job->shared = NULL;
	job->entry = NULL;
}

void
job_set_failure(struct job *job, const char *status, struct slice stderr_tail)
{
	free(job->status);
	free(job->stderr_tail);
	job->status = mem_strdup(status);
	job->stderr_tail = mem_strndup(stderr_tail.p != NULL ? stderr_tail.p : "", stderr_tail.n);
}
