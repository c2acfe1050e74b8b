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
format_entry(const struct job *j, char out[NAMES_MAX + ID_SIZE + 8])
{
	char id[ID_SIZE];

	id_format(j->id, id);
	snprintf(out, NAMES_MAX + ID_SIZE + 8, "'%s' %s", sub_type(handle_stream_of(j)->sub), id);
}

/* --- beginning ----------------------------------------------------------------------- */

/* Makes the job wait for its next attempt, longer each time. Returns how many ms. */
static int64_t
make_job_wait(struct handle_loop *loop, struct job *j)
{
	int64_t ms;

	if (j->backoff.first == 0)
		j->backoff =
		    (struct backoff){.first = loop->plan->retry_base, .max = loop->plan->retry_max};
	ms = backoff_next(&j->backoff);
	j->due = clock_mono() + ms;
	job_set_state(&loop->jobs, j, JOB_WAITING);
	return ms;
}

/* Makes the record of a job's entry. Returns false when the entry is gone from the stream. */
static bool
make_record(const struct job *j, struct record *r, struct bytes *kv)
{
	const struct handle_stream *stream = handle_stream_of(j);
	bool gone;

	*r = (struct record){
	    .stream = slice_of(sub_key(stream->sub)), .type = slice_of(sub_type(stream->sub))};
	if (j->entry == NULL || stream_parse_entry(j->entry, &r->id, kv, &gone) == -1 || gone)
		return false;
	r->kv = (const void *)kv->p;
	r->nkv = kv->len / sizeof(*r->kv);
	r->deliveries = (int64_t)j->attempts;
	return true;
}

static void
run_attempt(struct handle_loop *loop, struct job *j)
{
	struct runner *runner = &loop->runners[j->runner];
	struct bytes kv = {0};
	struct record r;

	j->attempts++;
	if (!make_record(j, &r, &kv)) {
		runner_release(runner);
		lease_check_lost(loop, handle_stream_of(j), &j->id, 1);
		handle_release(loop, j);
	} else {
		job_set_state(&loop->jobs, j, JOB_RUNNING);
		if (loop->ending)
			attempt_finish(loop, j, OUTCOME_UNDONE, "", (struct slice){0});
		else
			runner_start(runner, j, &r);
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
resolve_unrunnable(struct handle_loop *loop, struct job *j, const struct reply *r)
{
	struct handle_stream *stream = handle_stream_of(j);

	runner_release(&loop->runners[j->runner]);
	if (r == NULL)
		job_set_state(&loop->jobs, j, JOB_READY);
	else if (!j->stale && (reply_is_error(r) || stream->forcing > 0))
		make_job_wait(loop, j);
	else {
		lease_check_lost(loop, stream, &j->id, 1);
		handle_release(loop, j);
	}
}

/* Runs the jobs that the claim returned: XCLAIM's reply has whole entries in order, or with JUSTID
 * their IDs. */
static void
on_claimed(struct control_request *req, struct reply *r)
{
	struct handle_stream *stream = req->arg;
	struct handle_loop *loop = stream->loop;
	struct shared_reply *shared = NULL;
	size_t at = 0;

	if (r != NULL && req->tag != 0) {
		shared = shared_reply_new(r);
		req->keep_reply = true;
	}
	for (size_t i = 0; i < req->n; i++) {
		struct job *j = req->jobs[i];
		const struct reply *e = reply_at(r, at);
		struct stream_id id;

		if (id_parse(reply_text(shared != NULL ? reply_at(e, 0) : e), &id) == -1 ||
		    id_cmp(id, j->id) != 0) {
			resolve_unrunnable(loop, j, r);
			continue;
		}
		at++;
		if (shared != NULL)
			job_set_entry(j, shared, e);
		if (j->stale)
			resolve_unrunnable(loop, j, r);
		else
			run_attempt(loop, j);
	}
	shared_reply_unref(shared);
}

/* Claims ready jobs with one XCLAIM: those at the head of the queue that have the same attempt
 * count and can run now. */
static bool
claim_ready_jobs(struct handle_stream *stream)
{
	struct handle_loop *loop = stream->loop;
	struct job *first = stream->queue.ready.first,
	           **jobs = mem_alloc(HANDLE_PAGE * sizeof(*jobs));
	struct stream_id *ids = mem_alloc(HANDLE_PAGE * sizeof(*ids));
	bool bodies = first->entry == NULL;
	uint64_t attempts = first->attempts;
	struct pending_claim c;
	size_t n = 0;

	for (struct job *j; n < HANDLE_PAGE && (j = stream->queue.ready.first) != NULL; n++) {
		struct runner *runner = j->attempts == attempts && (j->entry == NULL) == bodies &&
		        !(loop->plan->ordered && stream->queue.busy > 0)
		    ? pool_pick(loop, j)
		    : NULL;

		if (runner == NULL)
			break;
		runner_reserve(runner, j);
		j->runner = (size_t)(runner - loop->runners);
		job_set_state(&loop->jobs, j, JOB_CLAIMING);
		jobs[n] = j;
		ids[n] = j->id;
	}
	if (n == 0) {
		free(jobs);
		free(ids);
		return false;
	}
	/* the delivery count in the group: 1 + attempts, with this one */
	c = make_claim(stream, (int64_t)attempts + 2, bodies);
	pending_put_claim(loop->control.conn, &c, ids, n);
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
undo_attempt(struct handle_loop *loop, struct job *j)
{
	struct pending_claim c = make_claim(handle_stream_of(j), (int64_t)j->attempts, false);

	j->attempts--;
	if (loop->control.conn == NULL || j->stale)
		return;
	pending_put_claim(loop->control.conn, &c, &j->id, 1);
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
schedule_retry(struct handle_loop *loop, struct job *j, const char *what, const char *status)
{
	char word[NAMES_MAX + ID_SIZE + 8], span[32];

	format_entry(j, word);
	format_pause(make_job_wait(loop, j), span);
	handle_note(loop, SUB_INFO, "%s: %s: %s; retrying in %s", word, what, status, span);
}

static void
fail_attempt(struct handle_loop *loop, struct job *j, const char *status, struct slice stderr_tail)
{
	char what[64];

	loop->count->failed++;
	job_set_failure(j, status, stderr_tail);
	if (j->attempts >= loop->plan->max_deliveries) {
		job_set_state(&loop->jobs, j, JOB_DEAD);
		return;
	}
	snprintf(what, sizeof(what), "attempt %" PRIu64 " of %" PRIu64 " failed", j->attempts,
	    loop->plan->max_deliveries);
	schedule_retry(loop, j, what, status);
}

static void
postpone_attempt(
    struct handle_loop *loop, struct job *j, const char *status, struct slice stderr_tail)
{
	if (j->postponed_at == 0)
		j->postponed_at = clock_mono();
	if (clock_mono() - j->postponed_at >= loop->plan->retry_for) {
		fail_attempt(loop, j, status, stderr_tail);
		return;
	}
	loop->count->postponed++;
	undo_attempt(loop, j);
	schedule_retry(loop, j, "postponed", status);
}

void
attempt_finish(struct handle_loop *loop, struct job *j, enum outcome outcome, const char *status,
    struct slice stderr_tail)
{
	runner_release(&loop->runners[j->runner]);
	loop->last_event = clock_mono();
	if (outcome == OUTCOME_DONE) {
		loop->count->handled++;
		job_set_state(&loop->jobs, j, JOB_DONE);
	} else if (j->stale) {
		lease_check_lost(loop, handle_stream_of(j), &j->id, 1);
		/* its new owner handles it */
		handle_release(loop, j);
	} else if (outcome == OUTCOME_POSTPONED) {
		postpone_attempt(loop, j, status, stderr_tail);
	} else if (outcome == OUTCOME_DEAD) {
		loop->count->failed++;
		job_set_failure(j, status, stderr_tail);
		job_set_state(&loop->jobs, j, JOB_DEAD);
	} else if (outcome == OUTCOME_FAILED) {
		fail_attempt(loop, j, status, stderr_tail);
	} else {
		undo_attempt(loop, j);
		make_job_wait(loop, j);
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

	for (struct job *j; n < HANDLE_PAGE && (j = stream->queue.done.first) != NULL; n++) {
		job_unlist(j);
		jobs[n] = j;
		id_format(j->id, text[n]);
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
