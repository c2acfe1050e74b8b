/* attempt: begins attempts by claiming entries, schedules retries, acknowledges. Declared in
 * handle_int.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/status.h"
#include "event/id.h"
#include "event/names.h"
#include "handle/handle_int.h"
#include "redis/group.h"
#include "redis/stream.h"

static struct pending_claim
make_claim(const struct handle_stream *stream, int64_t deliveries, bool bodies)
{
	return (struct pending_claim){.key = sub_key(stream->sub),
	    .group = sub_group(stream->sub),
	    .consumer = stream->loop->plan->consumer,
	    .deliveries = deliveries,
	    .bodies = bodies};
}

static void
format_entry(const struct job *job, char out[NAMES_MAX + ID_SIZE + 8])
{
	char id[ID_SIZE];

	id_format(job->id, id);
	snprintf(out, NAMES_MAX + ID_SIZE + 8, "'%s' %s", sub_type(handle_stream_of(job)->sub), id);
}

/* --- beginning ----------------------------------------------------------------------- */

/* Makes the job wait for its next attempt, longer each time. Returns how many ms. */
static int64_t
make_job_wait(struct handle_loop *loop, struct job *job)
{
	int64_t ms;

	if (job->backoff.first == 0)
		job->backoff =
		    (struct backoff){.first = loop->plan->retry_base, .max = loop->plan->retry_max};
	ms = backoff_next(&job->backoff);
	job->due = clock_mono() + ms;
	job_set_state(&loop->jobs, job, JOB_WAITING);
	return ms;
}

/* Makes the record of a job's entry. Returns false when the entry is gone from the stream. */
static bool
make_record(const struct job *job, struct record *r, struct bytes *kv)
{
	const struct handle_stream *stream = handle_stream_of(job);
	bool gone;

	*r = (struct record){
	    .stream = slice_of(sub_key(stream->sub)), .type = slice_of(sub_type(stream->sub))};
	if (job->entry == NULL || stream_parse_entry(job->entry, &r->id, kv, &gone) == -1 || gone)
		return false;
	r->kv = (const void *)kv->p;
	r->nkv = kv->len / sizeof(*r->kv);
	r->deliveries = (int64_t)job->attempts;
	return true;
}

static void
run_attempt(struct handle_loop *loop, struct job *job)
{
	struct runner *runner = &loop->runners[job->runner];
	struct bytes kv = {0};
	struct record r;

	job->attempts++;
	if (!make_record(job, &r, &kv)) {
		runner_release(runner);
		lease_check_lost(loop, handle_stream_of(job), &job->id, 1);
		handle_release(loop, job);
	} else {
		job_set_state(&loop->jobs, job, JOB_RUNNING);
		if (loop->ending)
			attempt_finish(loop, job, OUTCOME_UNDONE, "", (struct slice){0});
		else
			runner_start(runner, job, &r);
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
resolve_unrunnable(struct handle_loop *loop, struct job *job, const struct reply *reply)
{
	struct handle_stream *stream = handle_stream_of(job);

	runner_release(&loop->runners[job->runner]);
	if (reply == NULL)
		job_set_state(&loop->jobs, job, JOB_READY);
	else if (!job->stale && (reply_is_error(reply) || stream->forcing > 0))
		make_job_wait(loop, job);
	else {
		lease_check_lost(loop, stream, &job->id, 1);
		handle_release(loop, job);
	}
}

/* Runs the jobs that the claim returned: XCLAIM's reply has whole entries in order, or with JUSTID
 * their IDs. */
static void
on_claimed(struct control_request *req, struct reply *reply)
{
	struct handle_stream *stream = req->arg;
	struct handle_loop *loop = stream->loop;
	struct shared_reply *shared = NULL;
	size_t at = 0;

	if (reply != NULL && req->tag != 0) {
		shared = shared_reply_new(reply);
		req->keep_reply = true;
	}
	for (size_t i = 0; i < req->n; i++) {
		struct job *job = req->jobs[i];
		const struct reply *entry = reply_at(reply, at);
		struct stream_id id;

		if (id_parse(reply_text(shared != NULL ? reply_at(entry, 0) : entry), &id) == -1 ||
		    id_cmp(id, job->id) != 0) {
			resolve_unrunnable(loop, job, reply);
			continue;
		}
		at++;
		if (shared != NULL)
			job_set_entry(job, shared, entry);
		if (job->stale)
			resolve_unrunnable(loop, job, reply);
		else
			run_attempt(loop, job);
	}
	shared_reply_unref(shared);
}

/* Claims ready jobs with one XCLAIM: those at the head of the queue that have the same attempt
 * count and can run now. Returns false when none can. */
static bool
claim_ready_jobs(struct handle_stream *stream)
{
	struct handle_loop *loop = stream->loop;
	struct job *first = stream->queue.ready.first,
	           **jobs = mem_alloc(HANDLE_PAGE * sizeof(*jobs));
	struct stream_id *ids = mem_alloc(HANDLE_PAGE * sizeof(*ids));
	bool bodies = first->entry == NULL;
	uint64_t attempts = first->attempts;
	struct pending_claim claim;
	size_t n = 0;

	for (struct job *job; n < HANDLE_PAGE && (job = stream->queue.ready.first) != NULL; n++) {
		struct runner *runner = job->attempts == attempts &&
		        (job->entry == NULL) == bodies &&
		        !(loop->plan->ordered && stream->queue.busy > 0)
		    ? runners_pick(loop, job)
		    : NULL;

		if (runner == NULL)
			break;
		runner_reserve(runner, job);
		job->runner = (size_t)(runner - loop->runners);
		job_set_state(&loop->jobs, job, JOB_CLAIMING);
		jobs[n] = job;
		ids[n] = job->id;
	}
	if (n == 0) {
		free(jobs);
		free(ids);
		return false;
	}
	/* the delivery count in the group: 1 + attempts, with this one */
	claim = make_claim(stream, (int64_t)attempts + 2, bodies);
	pending_put_claim(loop->control.conn, &claim, ids, n);
	control_expect(&loop->control,
	    (struct control_request){.on_reply = on_claimed,
	        .arg = stream,
	        .jobs = jobs,
	        .ids = ids,
	        .n = n,
	        .tag = bodies});
	return true;
}

void
attempt_begin_ready(struct handle_loop *loop)
{
	if (loop->control.conn == NULL || loop->ending)
		return;
	for (size_t i = 0; i < loop->plan->n; i++)
		while (loop->streams[i].queue.ready.first != NULL &&
		    claim_ready_jobs(&loop->streams[i]))
			;
}

/* --- ending -------------------------------------------------------------------------- */

static void
ignore_reply(struct control_request *req, struct reply *r)
{
	(void)req;
	(void)r;
}

/* Sets the group's delivery count back to 1 + the attempts before this one. If that command is
 * lost, the entry has one attempt less. */
static void
undo_attempt(struct handle_loop *loop, struct job *job)
{
	struct pending_claim claim =
	    make_claim(handle_stream_of(job), (int64_t)job->attempts, false);

	job->attempts--;
	if (loop->control.conn == NULL || job->stale)
		return;
	pending_put_claim(loop->control.conn, &claim, &job->id, 1);
	control_expect(&loop->control, (struct control_request){.on_reply = ignore_reply});
}

static void
format_pause(int64_t ms, char out[32])
{
	if (ms < 1000)
		snprintf(out, 32, "%d ms", (int)ms);
	else
		clock_format_span(ms, out, 32);
}

/* Schedules the next attempt and reports it. */
static void
schedule_retry(struct handle_loop *loop, struct job *job, const char *what, const char *status)
{
	char word[NAMES_MAX + ID_SIZE + 8], span[32];

	format_entry(job, word);
	format_pause(make_job_wait(loop, job), span);
	handle_note(loop, SUB_INFO, "%s: %s: %s; retrying in %s", word, what, status, span);
}

static void
fail_attempt(
    struct handle_loop *loop, struct job *job, const char *status, struct slice stderr_tail)
{
	char what[64];

	loop->count->failed++;
	job_set_failure(job, status, stderr_tail);
	if (job->attempts >= loop->plan->max_deliveries) {
		job_set_state(&loop->jobs, job, JOB_DEAD);
		return;
	}
	snprintf(what, sizeof(what), "attempt %" PRIu64 " of %" PRIu64 " failed", job->attempts,
	    loop->plan->max_deliveries);
	schedule_retry(loop, job, what, status);
}

static void
postpone_attempt(
    struct handle_loop *loop, struct job *job, const char *status, struct slice stderr_tail)
{
	if (job->postponed_at == 0)
		job->postponed_at = clock_mono();
	if (clock_mono() - job->postponed_at >= loop->plan->retry_for) {
		fail_attempt(loop, job, status, stderr_tail);
		return;
	}
	loop->count->postponed++;
	undo_attempt(loop, job);
	schedule_retry(loop, job, "postponed", status);
}

void
attempt_finish(struct handle_loop *loop, struct job *job, enum outcome outcome, const char *status,
    struct slice stderr_tail)
{
	runner_release(&loop->runners[job->runner]);
	loop->last_event = clock_mono();
	if (outcome == OUTCOME_DONE) {
		loop->count->handled++;
		job_set_state(&loop->jobs, job, JOB_DONE);
	} else if (job->stale) {
		lease_check_lost(loop, handle_stream_of(job), &job->id, 1);
		/* its new owner handles it */
		handle_release(loop, job);
	} else if (outcome == OUTCOME_POSTPONED) {
		postpone_attempt(loop, job, status, stderr_tail);
	} else if (outcome == OUTCOME_DEAD) {
		loop->count->failed++;
		job_set_failure(job, status, stderr_tail);
		job_set_state(&loop->jobs, job, JOB_DEAD);
	} else if (outcome == OUTCOME_FAILED) {
		fail_attempt(loop, job, status, stderr_tail);
	} else {
		undo_attempt(loop, job);
		make_job_wait(loop, job);
	}
}

/* --- acknowledging ------------------------------------------------------------------- */

static void
on_acknowledged(struct control_request *req,
    struct reply *r) /* cppcheck-suppress constParameter ; a control_reply_fn */
{
	struct handle_loop *loop = ((struct handle_stream *)req->arg)->loop;

	for (size_t i = 0; i < req->n; i++) {
		if (r == NULL)
			job_set_state(&loop->jobs, req->jobs[i], JOB_DONE); /* to be sent again */
		else
			handle_release(loop, req->jobs[i]);
	}
}

static void
ack_done_jobs(struct handle_stream *stream)
{
	struct job **jobs = mem_alloc(HANDLE_PAGE * sizeof(*jobs));
	char(*text)[ID_SIZE] = mem_alloc(HANDLE_PAGE * sizeof(*text));
	struct slice *ids = mem_alloc(HANDLE_PAGE * sizeof(*ids));
	size_t n = 0;

	for (struct job *job; n < HANDLE_PAGE && (job = stream->queue.done.first) != NULL; n++) {
		job_unlist(job);
		jobs[n] = job;
		id_format(job->id, text[n]);
		ids[n] = slice_of(text[n]);
	}
	group_put_ack(
	    stream->loop->control.conn, sub_key(stream->sub), sub_group(stream->sub), ids, n);
	control_expect(&stream->loop->control,
	    (struct control_request){
	        .on_reply = on_acknowledged, .arg = stream, .jobs = jobs, .n = n});
	free(text);
	free(ids);
}

void
attempt_ack_done(struct handle_loop *loop)
{
	if (loop->control.conn == NULL)
		return;
	for (size_t i = 0; i < loop->plan->n; i++)
		while (loop->streams[i].queue.done.first != NULL)
			ack_done_jobs(&loop->streams[i]);
}
