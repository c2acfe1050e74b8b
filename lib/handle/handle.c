#include "handle/handle.h"

#include <sys/stat.h>

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/status.h"
#include "event/id.h"
#include "event/names.h"
#include "handle/handle_int.h"

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

#define BLOCK 1000       /* ms a read blocks on the server */
#define BLOCK_SHARED 100 /* ms, when types share a limit */
#define BUSY 8           /* busy turns in a row before the loop polls all descriptors */
#define ASK_AGAIN 100    /* ms between requests with to_end while jobs are held */

void
handle_plan_init(struct handle_plan *plan)
{
	*plan = (struct handle_plan){.runners = 1,
	    .cmd_timeout = -1,
	    .claim_idle = 60000,
	    .retry_base = 1000,
	    .retry_max = 300000,
	    .retry_for = 3600000,
	    .max_deliveries = 5,
	    .stop_timeout = 30000};
}

void
handle_note(struct handle_loop *loop, enum sub_note kind, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err_clean(text);
	loop->plan->note(loop->plan->arg, kind, text);
}

static void
end_run(struct handle_loop *loop, enum consume_end end)
{
	if (loop->ending)
		return;
	loop->ending = true;
	loop->end = end;
	loop->stop_at = clock_mono() + loop->plan->stop_timeout;
}

void
handle_fail(struct handle_loop *loop, const struct err *err)
{
	if (loop->ending && loop->end == CONSUME_FAILED)
		return;
	end_run(loop, CONSUME_FAILED);
	loop->end = CONSUME_FAILED;
	loop->err = *err;
}

void
handle_release(struct handle_loop *loop, struct job *job)
{
	jobset_remove(&loop->jobs, job);
	loop->released++;
}

/* Returns how many held jobs may still count against the limit. */
static size_t
count_unfinished(const struct handle_loop *loop)
{
	return loop->jobs.n - loop->jobs.in[JOB_DONE];
}

size_t
handle_room(const struct handle_loop *loop)
{
	const size_t *in = loop->jobs.in;
	size_t most = runners_capacity(loop),
	       busy = in[JOB_READY] + in[JOB_CLAIMING] + in[JOB_RUNNING], asked = 0;

	for (size_t i = 0; i < loop->plan->n; i++)
		asked += sub_requested(loop->streams[i].sub) + loop->streams[i].expected;
	if (loop->plan->limit >= 0) {
		uint64_t past =
		    loop->count->handled + loop->count->dead + count_unfinished(loop) + asked;

		if (past >= (uint64_t)loop->plan->limit)
			return 0;
		if ((uint64_t)loop->plan->limit - past < most)
			most = busy + asked + (size_t)((uint64_t)loop->plan->limit - past);
		if (most > runners_capacity(loop))
			most = runners_capacity(loop);
	}
	if (in[JOB_WAITING] >= HANDLE_WAITING)
		return 0;
	return most > busy + asked ? most - busy - asked : 0;
}

/* --- connections --------------------------------------------------------------------- */

static void
lose_connection(struct handle_loop *loop, size_t i, const struct err *err)
{
	if (!reconnect_note_loss(&loop->reconnect, i, err))
		handle_fail(loop, err);
}

static int
open_connection(struct handle_loop *loop, size_t i, struct err *err)
{
	if (i == loop->plan->n) {
		if (control_open(&loop->control, err) == -1)
			return -1;
		loop->next_renewal = clock_mono();
		return 0;
	}
	if (sub_open(loop->streams[i].sub, err) == -1)
		return -1;
	lease_relist_own(&loop->streams[i]); /* entries whose delivery the old connection lost */
	return 0;
}

static bool
is_connection_down(const struct handle_loop *loop, size_t i)
{
	return i == loop->plan->n ? loop->control.conn == NULL
	                          : sub_state(loop->streams[i].sub) == SUB_DOWN;
}

static void
reopen_connections(struct handle_loop *loop)
{
	struct err err;
	bool all = true;

	for (size_t i = 0; i <= loop->plan->n && all; i++) {
		if (!is_connection_down(loop, i) || (loop->ending && i < loop->plan->n))
			continue;
		if (!reconnect_is_due(&loop->reconnect))
			return;
		if (open_connection(loop, i, &err) == 0)
			continue;
		all = false;
		if (!reconnect_note_failure(&loop->reconnect, i, &err))
			handle_fail(loop, &err);
	}
	if (all)
		reconnect_note_open(&loop->reconnect);
}

/* Opens the connections at the start, where any failure is final. */
static void
open_connections(struct handle_loop *loop)
{
	struct err err;

	for (size_t i = 0; i <= loop->plan->n && !loop->ending; i++)
		if (open_connection(loop, i, &err) == -1)
			handle_fail(loop, &err);
}

/* --- reading ------------------------------------------------------------------------- */

static int64_t
find_run_idle_left(const struct handle_loop *loop)
{
	int64_t left = loop->last_event + loop->plan->idle_ms - clock_mono();

	return left > 0 ? left : 0;
}

static int64_t
choose_read_block_ms(const struct handle_loop *loop, const struct handle_stream *stream)
{
	bool shared =
	    loop->plan->n > 1 && (loop->plan->limit >= 0 || runners_capacity(loop) < loop->plan->n);
	int64_t ms = shared ? BLOCK_SHARED : BLOCK;

	if (loop->plan->to_end || stream->stage == STAGE_TAKEOVER)
		return -1;
	if (loop->plan->idle_ms >= 0 && find_run_idle_left(loop) < ms)
		ms = find_run_idle_left(loop) > 0 ? find_run_idle_left(loop) : 1;
	return ms;
}

/* With to_end: returns whether a subscription that had nothing should be read again. */
static bool
is_worth_requesting(const struct handle_loop *loop, const struct handle_stream *stream)
{
	if (!loop->plan->to_end || !sub_at_end(stream->sub))
		return true;
	if (loop->jobs.n > 0)
		return clock_mono() >= stream->next_request;
	return stream->released_at_request != loop->released;
}

static void
request_entries(struct handle_loop *loop)
{
	size_t idle = 0;

	for (size_t i = 0; i < loop->plan->n; i++)
		idle += sub_state(loop->streams[i].sub) == SUB_IDLE;
	for (size_t turn = 0, first = loop->next_stream; turn < loop->plan->n && !loop->ending;
	     turn++) {
		size_t i = (first + turn) % loop->plan->n, room = handle_room(loop);
		struct handle_stream *stream = &loop->streams[i];

		if (sub_state(stream->sub) != SUB_IDLE || stream->stage == STAGE_OWN ||
		    (stream->stage == STAGE_TAKEOVER && stream->takeover_turn) || room == 0 ||
		    !is_worth_requesting(loop, stream))
			continue;
		stream->released_at_request = loop->released;
		loop->next_stream = i + 1;
		/* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): this subscription is idle */
		sub_request(stream->sub, room / idle > 0 ? room / idle : 1,
		    choose_read_block_ms(loop, stream));
		idle -= idle > 1;
	}
}

/* Holds the entries of XREADGROUP's [[key, [entry, ...]]]. The subscription has checked the form.
 */
static void
hold_batch(struct handle_loop *loop, struct handle_stream *stream)
{
	struct shared_reply *shared = shared_reply_new(sub_take_reply(stream->sub));
	const struct reply *entries = reply_at(reply_at(shared_reply_get(shared), 0), 1);

	for (size_t i = 0; i < reply_count(entries); i++) {
		const struct reply *e = reply_at(entries, i);
		struct stream_id id;
		struct job *job;

		if (id_parse(reply_text(reply_at(e, 0)), &id) == 0 &&
		    (job = jobset_add(&loop->jobs, &stream->queue, id, 0)) != NULL)
			job_set_entry(job, shared, e);
	}
	shared_reply_unref(shared);
}

/* Returns whether the state changed, so there may be more to do. */
static bool
process_sub(struct handle_loop *loop, size_t i)
{
	struct handle_stream *stream = &loop->streams[i];
	enum sub_state before = sub_state(stream->sub);
	struct err err;

	if (sub_conn(stream->sub) == NULL)
		return false;
	if (sub_process(stream->sub, &err) == -1)
		lose_connection(loop, i, &err);
	else if (before == SUB_REQUESTED && sub_state(stream->sub) != SUB_REQUESTED) {
		reconnect_reset_backoff(&loop->reconnect, i);
		reconnect_note_reply(&loop->reconnect);
		stream->takeover_turn = true;
		stream->next_request = clock_mono() + ASK_AGAIN;
	}
	if (sub_state(stream->sub) == SUB_READY)
		hold_batch(loop, stream);
	return sub_state(stream->sub) != before;
}

/* Returns whether something happened, so there may be more to do. */
static bool
process_connections_and_runners(struct handle_loop *loop)
{
	bool worked = false;
	struct err err;
	int r;

	if (loop->control.conn != NULL) {
		if ((r = control_process(&loop->control, &err)) == -1)
			lose_connection(loop, loop->plan->n, &err);
		else if (r == 1) {
			reconnect_reset_backoff(&loop->reconnect, loop->plan->n);
			reconnect_note_reply(&loop->reconnect);
		}
		worked = r != 0;
	}
	for (size_t i = 0; i < loop->plan->n; i++)
		worked = process_sub(loop, i) || worked;
	return runners_process(loop) || worked;
}

/* --- the loop ------------------------------------------------------------------------ */

static int
find_run_poll_ms(const struct handle_loop *loop)
{
	int64_t by = lease_next_due(loop), now = clock_mono(), left;

	for (size_t i = 0; i < loop->plan->n; i++) {
		if (sub_conn(loop->streams[i].sub) != NULL)
			clock_earliest(&by, conn_due(sub_conn(loop->streams[i].sub)));
		if (loop->plan->to_end && !loop->ending && sub_at_end(loop->streams[i].sub) &&
		    loop->jobs.n > 0 && handle_room(loop) > 0)
			clock_earliest(&by, loop->streams[i].next_request);
	}
	if (loop->control.conn != NULL)
		clock_earliest(&by, conn_due(loop->control.conn));
	clock_earliest(&by, reconnect_next_try(&loop->reconnect));
	clock_earliest(&by, runners_next_due(loop));
	clock_earliest(&by, jobset_next_due(&loop->jobs));
	if (loop->plan->idle_ms >= 0 && !loop->ending)
		clock_earliest(&by, loop->last_event + loop->plan->idle_ms);
	if (loop->ending) /* after stop_at: look whether the children have ended, without spinning
	                   */
		clock_earliest(&by, loop->stop_at > now ? loop->stop_at : now + 10);
	left = by != -1 ? by - now : 60000;
	return left < 0 ? 0 : (int)(left > 60000 ? 60000 : left);
}

/* Waits for a descriptor or a signal, for ms; -1: until the next timer is due. */
static void
poll_descriptors(struct handle_loop *loop, struct pollfd *fds, int ms)
{
	nfds_t n = 0, runner_fds;

	fds[n++] = (struct pollfd){.fd = loop->ending ? -1 : loop->plan->stop, .events = POLLIN};
	fds[n++] = (struct pollfd){.fd = loop->plan->worker || loop->ending ? -1 : STDOUT_FILENO};
	fds[n++] = (struct pollfd){.fd = loop->child_fd, .events = POLLIN};
	if (loop->control.conn != NULL)
		fds[n++] = conn_pollfd(loop->control.conn);
	for (size_t i = 0; i < loop->plan->n; i++)
		if (sub_conn(loop->streams[i].sub) != NULL)
			fds[n++] = conn_pollfd(sub_conn(loop->streams[i].sub));
	runner_fds = n;
	n += runners_fill_pollfds(loop, fds + n);
	if (poll(fds, n, ms == -1 ? find_run_poll_ms(loop) : ms) <= 0) {
		/* in case the signal handler's write failed */
		loop->check_children = loop->check_children || ms == -1;
		return;
	}
	runners_read_pollfds(loop, fds + runner_fds);
	if (fds[0].revents != 0)
		end_run(loop, CONSUME_STOPPED);
	if ((fds[1].revents & (POLLERR | POLLHUP)) != 0) {
		struct err err;

		loop->stdout_gone = true;
		errno = EPIPE;
		err_sys(&err, STATUS_UNSAFE, "write to stdout");
		handle_fail(loop, &err);
	}
	if (fds[2].revents != 0) {
		child_watch_drain();
		loop->check_children = true;
	}
}

static void
wake_due_jobs(struct handle_loop *loop)
{
	struct job *job;

	while (!loop->ending && (job = jobset_due(&loop->jobs, clock_mono())) != NULL) {
		job_set_state(&loop->jobs, job, job->dead_when_due ? JOB_DEAD : JOB_READY);
		job->dead_when_due = false;
	}
}

static bool
is_everything_read(const struct handle_loop *loop)
{
	for (size_t i = 0; i < loop->plan->n; i++) {
		const struct handle_stream *stream = &loop->streams[i];

		if (sub_state(stream->sub) != SUB_IDLE || !sub_at_end(stream->sub) ||
		    stream->released_at_request != loop->released || !stream->takeover_listed ||
		    stream->expected > 0 || stream->stage != STAGE_IDLE)
			return false;
	}
	return loop->jobs.n == 0;
}

static void
end_run_if_done(struct handle_loop *loop)
{
	const struct handle_plan *plan = loop->plan;

	if (loop->ending)
		return;
	if (loop->reconnect.down_since != 0 &&
	    ((plan->idle_ms >= 0 && find_run_idle_left(loop) == 0) ||
	        (plan->to_end && clock_mono() - loop->reconnect.down_since >= plan->timeout_ms)))
		handle_fail(loop, &loop->reconnect.last_err);
	else if (plan->limit >= 0 &&
	    loop->count->handled + loop->count->dead >= (uint64_t)plan->limit)
		end_run(loop, CONSUME_LIMIT);
	else if (plan->to_end && is_everything_read(loop))
		end_run(loop, CONSUME_END);
	else if (plan->idle_ms >= 0 && find_run_idle_left(loop) == 0 &&
	    loop->jobs.n == loop->jobs.in[JOB_WAITING])
		end_run(loop, CONSUME_IDLE);
}

/* Stops what still runs at stop_at. Returns whether the run may return: nothing runs, and every
 * result is confirmed or cannot be. */
static bool
finish_run(struct handle_loop *loop)
{
	bool settled = loop->control.unanswered == 0 && loop->jobs.in[JOB_DONE] == 0 &&
	    loop->jobs.in[JOB_DEAD] == 0 && loop->jobs.in[JOB_CLAIMING] == 0;

	if (!loop->ending)
		return false;
	if (clock_mono() >= loop->stop_at)
		runners_stop(loop);
	if (!runners_idle(loop))
		return false;
	return settled || (loop->control.conn == NULL && clock_mono() >= loop->stop_at) ||
	    (loop->end == CONSUME_FAILED && loop->control.conn == NULL);
}

static void
run_loop(struct handle_loop *loop)
{
	struct pollfd *fds =
	    mem_alloc((4 + loop->plan->n + 3 * loop->plan->runners) * sizeof(*fds));
	unsigned busy = 0;

	for (end_run_if_done(loop); !finish_run(loop); end_run_if_done(loop)) {
		reopen_connections(loop);
		wake_due_jobs(loop);
		lease_restore(loop);
		lease_renew(loop);
		lease_list_pending(loop);
		attempt_begin_ready(loop);
		attempt_ack_done(loop);
		deadletter_send(loop);
		request_entries(loop);
		if (process_connections_and_runners(loop) || finish_run(loop)) {
			/* notices signals and children while replies keep coming */
			if (++busy % BUSY == 0)
				poll_descriptors(loop, fds, 0);
		} else
			poll_descriptors(loop, fds, -1);
	}
	free(fds);
}

static int
start_loop(struct handle_loop *loop, struct err *err)
{
	if ((loop->child_fd = child_watch()) == -1)
		return err_sys(err, STATUS_SOME, "pipe");
	loop->streams = mem_alloc(loop->plan->n * sizeof(*loop->streams));
	for (size_t i = 0; i < loop->plan->n; i++) {
		struct handle_stream *stream = &loop->streams[i];

		stream->loop = loop;
		stream->queue.salt = i * 7919;
		stream->sub = loop->plan->subs[i];
		stream->dead_key = names_dlq(loop->plan->prefix, sub_type(stream->sub));
	}
	control_init(&loop->control, loop->plan->url, loop->plan->timeout_ms);
	reconnect_init(&loop->reconnect, loop->plan->n + 1, loop->plan->note, loop->plan->arg);
	loop->last_event = loop->renewed_at = loop->next_renewal = clock_mono();
	open_connections(loop);
	if (!loop->ending && runners_init(loop, err) == -1) {
		handle_fail(loop, err);
		return -1;
	}
	return 0;
}

enum consume_end
handle_run(const struct handle_plan *plan, struct handle_count *count, struct err *err)
{
	struct handle_loop loop = {.plan = plan, .count = count};

	*count = (struct handle_count){0};
	if (start_loop(&loop, err) == -1)
		handle_fail(&loop, err);
	else if (loop.runners != NULL)
		run_loop(&loop);
	count->unacked = loop.jobs.in[JOB_DONE];
	for (size_t i = 0; loop.streams != NULL && i < plan->n; i++) {
		sub_close(loop.streams[i].sub);
		free(loop.streams[i].dead_key);
	}
	control_close(&loop.control);
	runners_free(&loop);
	jobset_free(&loop.jobs);
	reconnect_free(&loop.reconnect);
	free(loop.streams);
	if (loop.end == CONSUME_FAILED)
		*err = loop.err;
	return loop.end;
}
