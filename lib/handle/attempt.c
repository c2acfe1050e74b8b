/* attempt: claims entries for attempts, retries, acknowledges. Declared in handle_int.h. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "handle/handle.h"
#include "handle/handle_int.h"
#include "redis/group.h"
#include "redis/stream.h"

/* --- beginning ----------------------------------------------------------------------- */

/* Makes the job wait for its next attempt, longer each time. Returns how many ms. */
static int64_t
make_job_wait(struct handle *handle, struct job *job)
{
	int64_t ms;

	if (job->backoff.first == 0)
		job->backoff = (struct backoff){
		    .first = handle->plan->retry_base, .max = handle->plan->retry_max};
	ms = backoff_next(&job->backoff);
	job->due = clock_mono() + ms;
	job_set_state(&handle->jobs, job, JOB_WAITING);
	return ms;
}

static void
run_attempt(struct handle *handle, struct job *job)
{
	const struct subscription *sub = handle_stream_of(job)->sub;
	struct event_entry r = {.stream = slice_of(sub->key), .type = slice_of(sub->type)};
	struct bytes kv = {0};
	bool gone;

	job->attempts++;
	if (job->entry == NULL || stream_parse_entry(job->entry, &r.id, &kv, &gone) == -1 || gone) {
		runner_release(job);
		lease_release_not_ours(job);
	} else {
		r.kv = (const void *)kv.p;
		r.nkv = kv.len / sizeof(*r.kv);
		r.deliveries = (int64_t)job->attempts;
		job_set_state(&handle->jobs, job, JOB_RUNNING);
		if (handle->loop.ending)
			attempt_finish(handle, job, OUTCOME_UNDONE, "", (struct slice){0});
		else
			runner_start(job, &r);
	}
	bytes_free(&kv);
}

/*
 * Handles a job that may not be attempted: the claim did not return it, or it became stale before
 * the reply came. Without a reply it is READY again. When the group is missing or was just created
 * again, it waits until lease_restore has made it pending there. Otherwise it was acknowledged by
 * hand, claimed by another consumer, or is gone from the stream.
 */
static void
resolve_unrunnable(struct handle *handle, struct job *job, const struct reply *reply)
{
	runner_release(job);
	if (reply == NULL)
		job_set_state(&handle->jobs, job, JOB_READY);
	else if (!job->stale && (reply_is_error(reply) || handle_stream_of(job)->forcing > 0))
		make_job_wait(handle, job);
	else
		lease_release_not_ours(job);
}

/* Runs the jobs that the claim returned, and holds their entries if it has them. */
static void
on_claimed(struct control_request *req, struct reply *reply)
{
	struct handle_stream *stream = req->arg;
	struct handle *handle = stream->handle;
	struct shared_reply *shared = NULL;
	size_t at = 0;

	if (reply != NULL && req->whole) {
		shared = shared_reply_new(reply);
		req->keep_reply = true;
	}
	for (size_t i = 0; i < req->n; i++) {
		const struct reply *entry = pending_next_claimed(reply, &at, req->ids[i]);
		struct job *job = jobset_find(&handle->jobs, &stream->queue, req->ids[i]);

		if (entry != NULL && shared != NULL)
			job_set_entry(job, shared, entry);
		if (entry == NULL || job->stale)
			resolve_unrunnable(handle, job, reply);
		else
			run_attempt(handle, job);
	}
	shared_reply_unref(shared);
}

/* Claims ready jobs with one XCLAIM: those at the head of the queue that have the same attempt
 * count and can run now. Returns false when none can. */
static bool
claim_ready_jobs(struct handle_stream *stream)
{
	struct handle *handle = stream->handle;
	struct job *job = stream->queue.ready.first;
	uint64_t attempts = job->attempts;
	/* the delivery count in the group: 1 + attempts, with this one */
	struct pending_claim how = {
	    .deliveries = (int64_t)attempts + 2, .bodies = job->entry == NULL};
	struct stream_id ids[HANDLE_PAGE];
	struct runner *runner;
	size_t n = 0;

	for (; n < HANDLE_PAGE && (job = stream->queue.ready.first) != NULL; ids[n++] = job->id) {
		if (job->attempts != attempts || (job->entry == NULL) != how.bodies ||
		    (handle->plan->ordered && stream->queue.busy > 0) ||
		    (runner = runners_pick(handle->runners, job)) == NULL)
			break;
		runner_reserve(runner, job);
		job_set_state(&handle->jobs, job, JOB_CLAIMING);
	}
	if (n > 0)
		handle_claim(stream, how, ids, n, on_claimed);
	return n > 0;
}

void
attempt_begin_ready(struct handle *handle)
{
	for (size_t i = 0; i < handle->n && !handle->loop.ending; i++)
		while (handle->streams[i].queue.ready.first != NULL &&
		    claim_ready_jobs(&handle->streams[i]))
			;
}

/* --- ending -------------------------------------------------------------------------- */

/* Sets the group's delivery count back to 1 + the attempts before this one. If that command is
 * lost, the entry has one attempt less. */
static void
undo_attempt(struct handle *handle, struct job *job)
{
	struct pending_claim how = {.deliveries = (int64_t)job->attempts};

	job->attempts--;
	if (handle_conn(handle) == NULL || job->stale)
		return;
	handle_claim(handle_stream_of(job), how, &job->id, 1, NULL);
}

/* Schedules the next attempt and reports it. */
static void
schedule_retry(struct handle *handle, struct job *job, const char *what, const char *status)
{
	const struct subscription *sub = handle_stream_of(job)->sub;
	int64_t ms = make_job_wait(handle, job);
	char id[ID_SIZE], span[32];

	id_format(job->id, id);
	if (ms < 1000)
		snprintf(span, sizeof(span), "%d ms", (int)ms);
	else
		clock_format_span(ms, span, sizeof(span));
	sub_notef(sub->plan, SUB_INFO, "'%s' %s: %s: %s; retrying in %s", sub->type, id, what,
	    status, span);
}

/* Returns whether status 75 is no failure yet. */
static bool
may_postpone(const struct handle *handle, struct job *job)
{
	if (job->postponed_at == 0)
		job->postponed_at = clock_mono();
	return clock_mono() - job->postponed_at < handle->plan->retry_for;
}

static void
fail_attempt(
    struct handle *handle, struct job *job, bool last, const char *status, struct slice stderr_tail)
{
	char what[64];

	handle->count->failed++;
	job_set_failure(job, status, stderr_tail);
	if (last || job->attempts >= handle->plan->max_deliveries) {
		job_set_state(&handle->jobs, job, JOB_DEAD);
		return;
	}
	snprintf(what, sizeof(what), "attempt %" PRIu64 " of %" PRIu64 " failed", job->attempts,
	    handle->plan->max_deliveries);
	schedule_retry(handle, job, what, status);
}

void
attempt_finish(struct handle *handle, struct job *job, enum outcome outcome, const char *status,
    struct slice stderr_tail)
{
	runner_release(job);
	handle->loop.last_event = clock_mono();
	if (outcome == OUTCOME_DONE) {
		handle->count->handled++;
		handle->loop.count++;
		job_set_state(&handle->jobs, job, JOB_DONE);
	} else if (job->stale) {
		/* its new owner handles it */
		lease_release_not_ours(job);
	} else if (outcome == OUTCOME_UNDONE) {
		undo_attempt(handle, job);
		make_job_wait(handle, job);
	} else if (outcome == OUTCOME_POSTPONED && may_postpone(handle, job)) {
		handle->count->postponed++;
		undo_attempt(handle, job);
		schedule_retry(handle, job, "postponed", status);
	} else
		fail_attempt(handle, job, outcome == OUTCOME_DEAD, status, stderr_tail);
}

/* --- acknowledging ------------------------------------------------------------------- */

static void
on_acknowledged(struct control_request *req,
    struct reply *r) /* cppcheck-suppress constParameter ; a control_reply_fn */
{
	struct handle_stream *stream = req->arg;
	struct handle *handle = stream->handle;

	for (size_t i = 0; i < req->n; i++) {
		struct job *job = jobset_find(&handle->jobs, &stream->queue, req->ids[i]);

		if (r == NULL)
			job_set_state(&handle->jobs, job, JOB_DONE); /* to be sent again */
		else
			handle_release(handle, job);
	}
}

static void
ack_done_jobs(struct handle_stream *stream)
{
	struct stream_id done[HANDLE_PAGE];
	char text[HANDLE_PAGE][ID_SIZE];
	struct slice ids[HANDLE_PAGE];
	size_t n = 0;

	for (struct job *job; n < HANDLE_PAGE && (job = stream->queue.done.first) != NULL; n++) {
		job_unlist(job);
		done[n] = job->id;
		id_format(job->id, text[n]);
		ids[n] = slice_of(text[n]);
	}
	group_put_ack(handle_conn(stream->handle), stream->sub->key, stream->sub->group, ids, n);
	control_expect(&stream->handle->loop.control, on_acknowledged, stream, done, n);
}

void
attempt_ack_done(struct handle *handle)
{
	for (size_t i = 0; i < handle->n; i++)
		while (handle->streams[i].queue.done.first != NULL)
			ack_done_jobs(&handle->streams[i]);
}
