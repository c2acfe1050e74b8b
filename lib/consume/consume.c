#include "consume/consume.h"

#include <sys/stat.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/status.h"
#include "consume/reconnect.h"

#define BLOCK 1000 /* ms a read blocks on the server: the longest delay of a stop */
/* ms; a sink that takes longer for a batch gets no prefetch, so other consumers may have it */
#define SLOW 1000
#define BUSY 8 /* busy turns in a row before the loop polls all descriptors */
/* ms, when a blocked read would withhold its share of the limit from other subscriptions */
#define BLOCK_SHARED 100

/* The state of one consume_run. */
struct consume_loop {
	struct consume *c;
	struct pollfd *fds;
	/* poll(2) reports when the sink's reader is gone */
	bool is_pipe;
	size_t current;  /* in_turn: the subscription that is read now */
	size_t next_sub; /* the subscription that may request first */
	bool ending;     /* no more requests are sent */
	enum consume_end end;
	struct err err; /* for CONSUME_FAILED */
	int64_t last_event;
	bool slow; /* the last batch took longer than SLOW */
	struct reconnect reconnect;
};

static void
end_loop(struct consume_loop *loop, enum consume_end end)
{
	if (!loop->ending)
		loop->end = end;
	loop->ending = true;
}

static void
fail_loop(struct consume_loop *loop, const struct err *err)
{
	if (loop->ending && loop->end == CONSUME_FAILED)
		return;
	loop->ending = true;
	loop->end = CONSUME_FAILED;
	loop->err = *err;
}

/* --- outages ------------------------------------------------------------------------- */

static void
lose_sub(struct consume_loop *loop, size_t i, const struct err *err)
{
	if (!reconnect_note_loss(&loop->reconnect, i, err))
		fail_loop(loop, err);
}

/* Returns whether a subscription is down and wanted: with in_turn only the current one is. */
static bool
wants_open(const struct consume_loop *loop, size_t i)
{
	return sub_state(loop->c->subs[i]) == SUB_DOWN && (!loop->c->in_turn || i == loop->current);
}

static void
reopen_subs(struct consume_loop *loop)
{
	struct err err;
	bool all = true;

	for (size_t i = 0; i < loop->c->n && all && !loop->ending; i++) {
		if (!wants_open(loop, i))
			continue;
		if (!reconnect_is_due(&loop->reconnect))
			return;
		if (sub_open(loop->c->subs[i], &err) == 0)
			continue;
		all = false;
		if (!reconnect_note_failure(&loop->reconnect, i, &err))
			fail_loop(loop, &err);
	}
	if (all)
		reconnect_note_open(&loop->reconnect);
}

/* Opens the connections at the start, where any failure is final. With in_turn it opens only the
 * first. */
static void
open_subs(struct consume_loop *loop)
{
	struct err err;

	for (size_t i = 0; i < loop->c->n && !loop->ending && wants_open(loop, i); i++)
		if (sub_open(loop->c->subs[i], &err) == -1)
			fail_loop(loop, &err);
}

/* --- requests ------------------------------------------------------------------------ */

static int64_t
find_loop_idle_left(const struct consume_loop *loop)
{
	int64_t left = loop->last_event + loop->c->idle_ms - clock_mono();

	return left > 0 ? left : 0;
}

/* Returns how long a read may block; -1: not at all. When subscriptions share a limit, only one
 * that had nothing may block, and for a shorter time. */
static int64_t
choose_block_ms(const struct consume_loop *loop, const struct subscription *sub)
{
	bool shared = loop->c->limit >= 0 && loop->c->n > 1;
	int64_t ms = shared ? BLOCK_SHARED : BLOCK;

	if (loop->c->to_end || (shared && !sub_at_end(sub)))
		return -1;
	if (shared && loop->c->n > BLOCK / BLOCK_SHARED)
		ms = BLOCK / (int64_t)loop->c->n > 0 ? BLOCK / (int64_t)loop->c->n : 1;
	if (loop->c->idle_ms >= 0 && find_loop_idle_left(loop) < ms)
		ms = find_loop_idle_left(loop) > 0 ? find_loop_idle_left(loop) : 1;
	return ms;
}

/* Returns how many entries the next request may ask for: what is left of the limit, divided by the
 * number of idle subscriptions. */
static size_t
share_of_limit(const struct consume_loop *loop, size_t idle)
{
	uint64_t left;

	if (loop->c->limit < 0)
		return SIZE_MAX;
	left = (uint64_t)loop->c->limit - loop->c->count;
	for (size_t i = 0; i < loop->c->n; i++)
		left -= sub_requested(loop->c->subs[i]);
	/* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): the caller's subscription is idle */
	return left == 0 ? 0 : (size_t)(left / idle > 0 ? left / idle : 1);
}

/* With to_end, closes a subscription at its end as soon as its acknowledgements are confirmed.
 * Returns whether it is at its end. */
static bool
close_at_end(struct consume_loop *loop, size_t i)
{
	struct subscription *sub = loop->c->subs[i];

	if (!loop->c->to_end || !sub_at_end(sub))
		return false;
	if (sub_settled(sub)) {
		sub_close(sub);
		if (loop->c->in_turn)
			loop->current++;
	}
	return true;
}

/* Requests for the idle subscriptions. Starts behind the one that requested last, so that a small
 * limit goes round. Returns whether one was closed. */
static bool
request_batches(struct consume_loop *loop)
{
	size_t idle = 0, many, first = loop->next_sub;
	bool closed = false;

	for (size_t i = 0; i < loop->c->n; i++)
		idle += sub_state(loop->c->subs[i]) == SUB_IDLE;
	for (size_t turn = 0; turn < loop->c->n && !loop->ending; turn++) {
		size_t i = (first + turn) % loop->c->n;

		if (sub_state(loop->c->subs[i]) != SUB_IDLE)
			continue;
		if (close_at_end(loop, i)) {
			closed = closed || sub_state(loop->c->subs[i]) == SUB_CLOSED;
			continue;
		}
		if ((many = share_of_limit(loop, idle)) == 0)
			continue;
		sub_request(loop->c->subs[i], many, choose_block_ms(loop, loop->c->subs[i]));
		idle--;
		loop->next_sub = (i + 1) % loop->c->n;
	}
	return closed;
}

/* --- batches ------------------------------------------------------------------------- */

struct consume_batch {
	struct sink *sink;
	size_t n;
};

static int
add_record_to_sink(void *arg, const struct record *rec)
{
	struct consume_batch *b = arg;

	sink_add(b->sink, rec);
	b->n++;
	return 0;
}

static void
deliver_batch(struct consume_loop *loop, struct subscription *sub)
{
	struct consume_batch b = {loop->c->sink, 0};
	int64_t began = clock_mono();
	struct err err;

	if (!loop->ending && !loop->slow)
		sub_prefetch(sub, share_of_limit(loop, 1));
	sink_begin(b.sink);
	sub_batch_each(sub_batch(sub), add_record_to_sink, &b);
	if (sink_flush(b.sink, &err) == -1) {
		b.n = b.sink->written;
		fail_loop(loop, &err);
	}
	loop->slow = clock_mono() - began > SLOW;
	sub_finish_batch(sub, b.n);
	loop->c->count += b.n;
	if (b.n > 0)
		loop->last_event = clock_mono();
}

/* Returns whether something happened, so there may be more to do. */
static bool
process_subs(struct consume_loop *loop)
{
	bool worked = false;
	struct err err;

	for (size_t i = 0; i < loop->c->n; i++) {
		struct subscription *sub = loop->c->subs[i];
		enum sub_state before = sub_state(sub);
		bool settled = sub_settled(sub);

		if (sub_conn(sub) == NULL)
			continue;
		if (sub_process(sub, &err) == -1)
			lose_sub(loop, i, &err);
		else if (before == SUB_REQUESTED &&
		    (sub_state(sub) == SUB_READY || sub_at_end(sub)))
			reconnect_reset_backoff(&loop->reconnect, i);
		if (sub_state(sub) == SUB_READY && !loop->c->sink->broken)
			deliver_batch(loop, sub);
		if (sub_settled(sub) == settled && sub_state(sub) == before)
			continue;
		worked = true;
		if (sub_state(sub) != SUB_DOWN && !loop->ending)
			reconnect_note_reply(&loop->reconnect);
	}
	return worked;
}

/* --- the loop ------------------------------------------------------------------------ */

static int
find_loop_poll_ms(const struct consume_loop *loop)
{
	int64_t by = -1, left;

	for (size_t i = 0; i < loop->c->n; i++)
		if (sub_conn(loop->c->subs[i]) != NULL)
			clock_earliest(&by, conn_due(sub_conn(loop->c->subs[i])));
	if (loop->c->idle_ms >= 0 && !loop->ending && find_loop_idle_left(loop) > 0)
		clock_earliest(&by, loop->last_event + loop->c->idle_ms);
	if (!loop->ending)
		clock_earliest(&by, reconnect_next_try(&loop->reconnect));
	if (loop->reconnect.down_since != 0 && !loop->ending && loop->c->to_end)
		clock_earliest(&by, loop->reconnect.down_since + loop->c->timeout_ms);
	if (by == -1)
		return -1;
	left = by - clock_mono();
	return left < 0 ? 0 : (int)(left > 60000 ? 60000 : left);
}

/* Fails when the reader of the pipe is gone, without waiting for the next event. */
static void
check_pipe_reader(struct consume_loop *loop, const struct pollfd *p)
{
	struct err err;

	if ((p->revents & POLLERR) == 0 || loop->ending)
		return;
	loop->c->sink->broken = errno = EPIPE;
	err_sys(&err, STATUS_UNSAFE, "write to stdout");
	fail_loop(loop, &err);
}

/* Waits for a descriptor or a signal, for ms; -1: until the next timer is due. */
static void
poll_subs(struct consume_loop *loop, int ms)
{
	struct pollfd *p = loop->fds;
	nfds_t n = 0;

	p[n++] = (struct pollfd){.fd = loop->ending ? -1 : loop->c->stop, .events = POLLIN};
	p[n++] = (struct pollfd){.fd = loop->is_pipe && !loop->ending ? loop->c->sink->fd : -1};
	for (size_t i = 0; i < loop->c->n; i++) {
		const struct conn *conn = sub_conn(loop->c->subs[i]);

		if (conn != NULL)
			p[n++] = conn_pollfd(conn);
	}
	if (poll(p, n, ms == -1 ? find_loop_poll_ms(loop) : ms) <= 0)
		return;
	if (p[0].revents != 0)
		end_loop(loop, CONSUME_STOPPED);
	check_pipe_reader(loop, &p[1]);
}

/* Fails when an outage outlasts idle_ms, or timeout_ms with to_end. */
static void
fail_long_outage(struct consume_loop *loop)
{
	int64_t since = loop->reconnect.down_since;

	if (since != 0 && !loop->ending)
		if ((loop->c->idle_ms >= 0 && find_loop_idle_left(loop) == 0) ||
		    (loop->c->to_end && clock_mono() - since >= loop->c->timeout_ms))
			fail_loop(loop, &loop->reconnect.last_err);
}

static void
end_loop_if_done(struct consume_loop *loop)
{
	const struct consume *c = loop->c;
	bool open = false, dry = true;

	for (size_t i = 0; i < c->n; i++) {
		bool closed = sub_state(c->subs[i]) == SUB_CLOSED;

		open = open || !closed;
		dry = dry && (closed || sub_at_end(c->subs[i]));
	}
	fail_long_outage(loop);
	if (c->limit >= 0 && c->count >= (uint64_t)c->limit)
		end_loop(loop, CONSUME_LIMIT);
	else if (!open)
		end_loop(loop, CONSUME_END);
	else if (dry && c->idle_ms >= 0 && find_loop_idle_left(loop) == 0)
		end_loop(loop, CONSUME_IDLE);
}

/* With a broken sink, closes the subscriptions that only read. Returns whether the run may return:
 * no subscription reads or acknowledges. */
static bool
finish_subs(struct consume_loop *loop)
{
	bool all = true;

	for (size_t i = 0; i < loop->c->n && loop->ending; i++) {
		struct subscription *sub = loop->c->subs[i];

		if (sub_conn(sub) == NULL || sub_settled(sub))
			continue;
		if (loop->c->sink->broken && sub_state(sub) != SUB_IDLE && sub_acknowledged(sub))
			sub_close(sub);
		else
			all = false;
	}
	return loop->ending && all;
}

enum consume_end
consume_run(struct consume *c, struct err *err)
{
	struct stat st;
	struct consume_loop loop = {.c = c};
	unsigned busy = 0;

	loop.is_pipe =
	    fstat(c->sink->fd, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
	loop.fds = mem_alloc((c->n + 2) * sizeof(*loop.fds));
	reconnect_init(&loop.reconnect, c->n, c->note, c->arg);
	open_subs(&loop);
	loop.last_event = clock_mono();
	for (end_loop_if_done(&loop); !finish_subs(&loop); end_loop_if_done(&loop)) {
		reopen_subs(&loop);
		if (request_batches(&loop) || process_subs(&loop) || finish_subs(&loop)) {
			/* notices a stop while entries keep coming */
			if (++busy % BUSY == 0)
				poll_subs(&loop, 0);
		} else
			poll_subs(&loop, -1);
	}
	free(loop.fds);
	reconnect_free(&loop.reconnect);
	if (loop.end == CONSUME_FAILED)
		*err = loop.err;
	return loop.end;
}

int
consume_status(enum consume_end end, uint64_t count, int64_t limit, bool to_end)
{
	bool short_of = limit >= 0 && count < (uint64_t)limit;

	if (end == CONSUME_END && short_of && to_end)
		return STATUS_ENDED;
	if (end == CONSUME_IDLE && (short_of || count == 0))
		return STATUS_ENDED;
	return STATUS_OK;
}
