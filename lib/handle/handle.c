#include "handle/handle.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/status.h"
#include "event/names.h"
#include "handle/handle_int.h"

#define ASK_AGAIN 100 /* ms between requests with to_end while jobs are held */
#define WAITING 10000 /* jobs that wait for another attempt; with more, reading pauses */

int
handle_status(const struct handle_count *count, int status)
{
	if (count->unacked > 0)
		status = status_worse(status, STATUS_AGAIN);
	return count->dead + count->stuck + count->lost > 0 ? status_worse(status, STATUS_SOME)
	                                                    : status;
}

void
handle_summary(struct bytes *out, const struct handle_count *count)
{
	bytes_addf(out,
	    "%" PRIu64 " handled, %" PRIu64 " failed attempts, %" PRIu64 " postponed, %" PRIu64
	    " dead letters, %" PRIu64 " lost, %" PRIu64 " taken over from others",
	    count->handled, count->failed, count->postponed, count->dead, count->lost,
	    count->taken_over);
}

void
handle_plan_init(struct handle_plan *plan)
{
	*plan = (struct handle_plan){.runners = 1,
	    .cmd_timeout = -1,
	    .retry_base = 1000,
	    .retry_max = 300000,
	    .retry_for = 3600000,
	    .max_deliveries = 5,
	    .stop_timeout = 30000};
}

void
handle_release(struct handle *handle, struct job *job)
{
	jobset_remove(&handle->jobs, job);
	handle->released++;
}

void
handle_claim(struct handle_stream *stream, struct pending_claim how, const struct stream_id *ids,
    size_t n, control_reply_fn *on_reply)
{
	how.key = stream->sub->key;
	how.group = stream->sub->group;
	how.consumer = stream->sub->plan->consumer;
	pending_put_claim(handle_conn(stream->handle), &how, ids, n);
	control_expect(&stream->handle->loop.control, on_reply, stream, ids, n)->whole = how.bodies;
}

/* --- reading ------------------------------------------------------------------------- */

size_t
handle_room(struct loop *loop)
{
	const struct handle *handle = handle_of(loop);
	const size_t *in = handle->jobs.in;
	int64_t limit = loop->plan->limit;
	size_t busy = in[JOB_READY] + in[JOB_CLAIMING] + in[JOB_RUNNING], asked = 0, room,
	       capacity = runners_capacity(handle->runners);

	for (size_t i = 0; i < handle->n; i++)
		asked += sub_requested(handle->streams[i].sub) + handle->streams[i].expected;
	room = capacity > busy + asked ? capacity - busy - asked : 0;
	if (limit >= 0) {
		/* what is counted, and what may still be counted */
		uint64_t past = loop->count + handle->jobs.n - in[JOB_DONE] + asked;
		uint64_t left = past < (uint64_t)limit ? (uint64_t)limit - past : 0;

		if (left < room)
			room = (size_t)left;
	}
	return in[JOB_WAITING] >= WAITING ? 0 : room;
}

/* With to_end: returns whether a subscription that had nothing should be read again. */
static bool
is_worth_requesting(struct handle *handle, const struct handle_stream *stream)
{
	if (!handle->loop.plan->to_end || !stream->sub->at_end)
		return true;
	if (handle->jobs.n == 0)
		return stream->released_at_request != handle->released;
	if (clock_mono() >= stream->next_request)
		return true;
	clock_earliest(&handle->loop.wake, stream->next_request);
	return false;
}

static enum loop_read
choose_handle_read(struct loop *loop, size_t i)
{
	struct handle *handle = handle_of(loop);
	struct handle_stream *stream = &handle->streams[i];

	if (stream->stage == STAGE_OWN ||
	    (stream->stage == STAGE_TAKEOVER && stream->takeover_turn))
		return LOOP_READ_NOT;
	if (!is_worth_requesting(handle, stream)) {
		/* the list goes on without a read in between */
		if (stream->stage == STAGE_TAKEOVER) {
			stream->takeover_turn = true;
			loop->wake = clock_mono();
		}
		return LOOP_READ_NOT;
	}
	stream->takeover_turn = true;
	stream->released_at_request = handle->released;
	stream->next_request = clock_mono() + ASK_AGAIN;
	return stream->stage == STAGE_TAKEOVER ? LOOP_READ_NOW : LOOP_READ_WAIT;
}

/* Holds the entries of XREADGROUP's [[key, [entry, ...]]]. The subscription has checked the form.
 */
static void
hold_batch(struct loop *loop, size_t i)
{
	struct handle *handle = handle_of(loop);
	struct handle_stream *stream = &handle->streams[i];
	struct shared_reply *shared = shared_reply_new(sub_take_reply(stream->sub));
	const struct reply *entries = reply_at(reply_at(shared->reply, 0), 1);

	for (size_t k = 0; k < reply_count(entries); k++) {
		const struct reply *e = reply_at(entries, k);
		struct stream_id id;
		struct job *job;

		if (id_parse(reply_text(reply_at(e, 0)), &id) == 0 &&
		    (job = jobset_add(&handle->jobs, &stream->queue, id, 0)) != NULL)
			job_set_entry(job, shared, e);
	}
	shared_reply_unref(shared);
}

/* --- the loop ------------------------------------------------------------------------ */

static int64_t
find_stop_time(const struct handle *handle)
{
	return handle->loop.ended_at + handle->plan->stop_timeout;
}

static void
wake_due_jobs(struct handle *handle)
{
	struct job *job;

	while ((job = handle->jobs.waiting.first) != NULL && job->due <= clock_mono()) {
		job_set_state(&handle->jobs, job, job->dead_when_due ? JOB_DEAD : JOB_READY);
		job->dead_when_due = false;
	}
}

static bool
work_on_jobs(struct loop *loop)
{
	struct handle *handle = handle_of(loop);
	uint64_t released = handle->released;
	bool worked = runners_process(handle->runners, &loop->wake);
	int64_t now = clock_mono(), stop_at = find_stop_time(handle);

	if (loop->ending) /* to stop what runs; then to look whether it has ended */
		clock_earliest(&loop->wake, stop_at > now ? stop_at : now + 10);
	else
		wake_due_jobs(handle);
	if (handle_conn(handle) != NULL) {
		lease_restore(handle);
		lease_renew(handle);
		lease_list_pending(handle);
		attempt_begin_ready(handle);
		attempt_ack_done(handle);
		deadletter_send(handle);
	}
	if (!loop->ending && handle->jobs.waiting.first != NULL)
		clock_earliest(&loop->wake, handle->jobs.waiting.first->due);
	return worked || handle->released != released;
}

static void
note_opened(struct loop *loop, size_t i)
{
	struct handle *handle = handle_of(loop);

	if (i == handle->n)
		handle->lease.next = 0;
	else /* entries whose delivery the old connection lost */
		lease_relist_own(&handle->streams[i]);
}

static bool
is_everything_handled(struct loop *loop)
{
	const struct handle *handle = handle_of(loop);

	for (size_t i = 0; i < handle->n; i++) {
		const struct handle_stream *stream = &handle->streams[i];

		if (stream->sub->state != SUB_IDLE || !stream->sub->at_end ||
		    stream->released_at_request != handle->released || !stream->takeover_listed ||
		    stream->stage != STAGE_IDLE)
			return false;
	}
	return handle->jobs.n == 0;
}

static bool
is_only_waiting(struct loop *loop)
{
	const struct jobset *jobs = &handle_of(loop)->jobs;

	return jobs->n == jobs->in[JOB_WAITING];
}

/* Stops what still runs after the stop time. Returns whether nothing runs, and every result is
 * confirmed or cannot be. */
static bool
finish_handling(struct loop *loop)
{
	struct handle *handle = handle_of(loop);
	const size_t *in = handle->jobs.in;
	bool late = clock_mono() >= find_stop_time(handle);

	if (late)
		runners_stop(handle->runners);
	if (!runners_idle(handle->runners))
		return false;
	if (handle_conn(handle) == NULL && (late || loop->end == LOOP_FAILED))
		return true;
	return loop->control.first == NULL && in[JOB_DONE] == 0 && in[JOB_DEAD] == 0 &&
	    in[JOB_CLAIMING] == 0;
}

static void
init_streams(struct handle *handle, const struct loop_plan *read)
{
	handle->n = read->n;
	handle->streams = mem_alloc(read->n * sizeof(*handle->streams));
	for (size_t i = 0; i < read->n; i++) {
		struct handle_stream *stream = &handle->streams[i];

		stream->handle = handle;
		stream->queue.salt = i * 7919;
		stream->sub = read->subs[i];
		stream->dead_key = names_dlq(handle->plan->prefix, stream->sub->type);
	}
}

enum loop_end
handle_run(const struct loop_plan *read, const struct handle_plan *plan, struct handle_count *count,
    struct err *err)
{
	static const struct loop_user user = {.controlled = true,
	    .room = handle_room,
	    .choose_read = choose_handle_read,
	    .take = hold_batch,
	    .work = work_on_jobs,
	    .is_done = is_everything_handled,
	    .is_quiet = is_only_waiting,
	    .finish = finish_handling,
	    .start = runners_start,
	    .opened = note_opened,
	    .fill_pollfds = runners_fill_pollfds,
	    .read_pollfds = runners_read_pollfds};
	struct runners runners = {.plan = plan};
	struct handle handle = {.plan = plan, .count = count, .runners = &runners};
	enum loop_end end;

	*count = (struct handle_count){0};
	runners.handle = &handle;
	handle.loop.nfds = 1 + 3 * plan->runners;
	handle.lease.renewed_at = clock_mono();
	init_streams(&handle, read);
	end = loop_run(&handle.loop, read, &user, err);
	count->unacked = handle.jobs.in[JOB_DONE];
	for (size_t i = 0; i < handle.n; i++) {
		sub_close(handle.streams[i].sub);
		free(handle.streams[i].dead_key);
	}
	jobset_free(&handle.jobs);
	runners_free(&runners);
	free(handle.streams);
	return end;
}
