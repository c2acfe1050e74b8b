#include "consume/loop.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/status.h"

#define BLOCK 1000 /* ms a read blocks on the server: the longest delay of a stop */
/* ms, when a blocked read would withhold its share of the room from other subscriptions */
#define BLOCK_SHARED 100
#define BUSY 8         /* busy turns in a row before the loop polls all descriptors */
#define POLL_MAX 60000 /* ms */

/* --- the end ------------------------------------------------------------------------- */

void
loop_end(struct loop *loop, enum loop_end end)
{
	if (loop->ending)
		return;
	loop->ending = true;
	loop->end = end;
	loop->ended_at = clock_mono();
}

void
loop_fail(struct loop *loop, const struct err *err)
{
	if (loop->ending && loop->end == LOOP_FAILED)
		return;
	loop_end(loop, LOOP_FAILED);
	loop->end = LOOP_FAILED;
	loop->err = *err;
}

int
loop_status(enum loop_end end, uint64_t count, int64_t limit, bool to_end)
{
	bool short_of = limit >= 0 && count < (uint64_t)limit;

	if (end == LOOP_END && short_of && to_end)
		return STATUS_ENDED;
	if (end == LOOP_IDLE && (short_of || count == 0))
		return STATUS_ENDED;
	return STATUS_OK;
}

static int64_t
find_idle_left(const struct loop *loop)
{
	int64_t left = loop->last_event + loop->plan->idle_ms - clock_mono();

	return left > 0 ? left : 0;
}

static void
end_if_done(struct loop *loop)
{
	const struct loop_plan *plan = loop->plan;
	bool idle = plan->idle_ms >= 0 && find_idle_left(loop) == 0;

	if (loop->ending)
		return;
	if (loop->down_since != 0 &&
	    (idle || (plan->to_end && clock_mono() - loop->down_since >= plan->sub->timeout_ms)))
		loop_fail(loop, &loop->last_err);
	else if (plan->limit >= 0 && loop->count >= (uint64_t)plan->limit)
		loop_end(loop, LOOP_LIMIT);
	else if (plan->to_end && loop->user->is_done(loop))
		loop_end(loop, LOOP_END);
	else if (idle && loop->user->is_quiet(loop))
		loop_end(loop, LOOP_IDLE);
}

/* --- connections: one per subscription, then the control connection ------------------ */

static bool
is_transient(int why)
{
	switch ((enum conn_why)why) {
	case CONN_REFUSED:
	case CONN_TIMEOUT:
	case CONN_CUT:
	case CONN_GARBAGE:
	case CONN_LATER:
	case CONN_READONLY:
	case CONN_UNBLOCKED:
	case CONN_NOGROUP: return true;
	default: return false;
	}
}

/* Notes that connection i is lost. Ends the run when trying again cannot help; otherwise an outage
 * begins, unless one has begun already. */
static void
lose_connection(struct loop *loop, size_t i, const struct err *err)
{
	if (!is_transient(err->why)) {
		loop_fail(loop, err);
		return;
	}
	if (loop->down_since != 0 && !loop->unconfirmed)
		return;
	if (loop->down_since == 0) {
		sub_notef(loop->plan->sub, SUB_WARNING, "%s; trying again", err->text);
		loop->last_err = *err;
		loop->down_since = clock_mono();
	}
	loop->unconfirmed = false;
	loop->next_try = clock_mono() + backoff_next(&loop->backoff[i]);
}

static void
note_reply(struct loop *loop)
{
	char span[32];

	if (!loop->unconfirmed)
		return;
	clock_format_span(clock_mono() - loop->down_since, span, sizeof(span));
	sub_notef(loop->plan->sub, SUB_WARNING, "connected again after %s", span);
	loop->down_since = 0;
	loop->unconfirmed = false;
}

/* Returns whether a connection is down and should not be. With in_turn those before it are closed
 * first. At the end only the control connection is of use. */
static bool
is_missing(const struct loop *loop, size_t i)
{
	struct subscription **subs = loop->plan->subs;

	if (i == loop->plan->n)
		return loop->user->controlled && loop->control.conn == NULL;
	return subs[i]->state == SUB_DOWN && !loop->ending &&
	    (!loop->plan->in_turn || i == 0 || subs[i - 1]->state == SUB_CLOSED);
}

static int
open_connection(struct loop *loop, size_t i, struct err *err)
{
	if ((i == loop->plan->n ? control_open(&loop->control, err)
	                        : sub_open(loop->plan->subs[i], err)) == -1)
		return -1;
	if (loop->user->opened != NULL)
		loop->user->opened(loop, i);
	return 0;
}

static void
reopen_connections(struct loop *loop)
{
	struct err err;

	for (size_t i = 0; i <= loop->plan->n; i++) {
		if (!is_missing(loop, i))
			continue;
		if (loop->down_since != 0 && clock_mono() < loop->next_try)
			return;
		if (open_connection(loop, i, &err) == 0)
			continue;
		lose_connection(loop, i, &err);
		loop->last_err = err;
		loop->next_try = clock_mono() + backoff_next(&loop->backoff[i]);
		return;
	}
	loop->unconfirmed = loop->down_since != 0;
}

static void
open_connections(struct loop *loop)
{
	struct err err;

	for (size_t i = 0; i <= loop->plan->n && !loop->ending; i++)
		if (is_missing(loop, i) && open_connection(loop, i, &err) == -1)
			loop_fail(loop, &err);
}

/* --- reading ------------------------------------------------------------------------- */

/* Returns how long a read may block; -1: not at all. When subscriptions share the room, only one
 * that had nothing may block, and for a shorter time: so that each of n has its turn within BLOCK
 * when `at_once` of them may read at the same time (0: there is room for all). */
static int64_t
choose_block_ms(const struct loop *loop, const struct subscription *sub, size_t at_once)
{
	int64_t ms = BLOCK, n = (int64_t)loop->plan->n;

	if (loop->plan->to_end || (at_once > 0 && !sub->at_end))
		return -1;
	if (at_once > 0 && (ms = (int64_t)at_once * BLOCK / n) > BLOCK_SHARED)
		ms = BLOCK_SHARED;
	if (ms == 0)
		ms = 1;
	if (loop->plan->idle_ms >= 0 && find_idle_left(loop) < ms)
		ms = find_idle_left(loop) > 0 ? find_idle_left(loop) : 1;
	return ms;
}

/* Requests for the idle subscriptions, which share the room. Starts behind the one that requested
 * last, so that little room goes round. */
static void
request_entries(struct loop *loop)
{
	const struct loop_plan *plan = loop->plan;
	size_t idle = 0, reading = 0, first = loop->next_sub;

	for (size_t i = 0; i < plan->n; i++) {
		idle += plan->subs[i]->state == SUB_IDLE;
		reading += plan->subs[i]->state == SUB_REQUESTED;
	}
	for (size_t turn = 0; turn < plan->n && idle > 0 && !loop->ending; turn++) {
		size_t i = (first + turn) % plan->n, room;
		struct subscription *sub = plan->subs[i];
		enum loop_read how;
		size_t at_once = 0;

		if (sub->state != SUB_IDLE || (room = loop->user->room(loop)) == 0 ||
		    (how = loop->user->choose_read(loop, i)) == LOOP_READ_NOT)
			continue;
		if (plan->n > 1 && (plan->limit >= 0 || room < idle))
			at_once = reading + (room < idle ? room : idle);
		sub_request(sub, room / idle > 0 ? room / idle : 1,
		    how == LOOP_READ_NOW ? -1 : choose_block_ms(loop, sub, at_once));
		reading++;
		idle -= idle > 1;
		loop->next_sub = i + 1;
	}
}

/* Returns whether the state changed, so there may be more to do. */
static bool
process_sub(struct loop *loop, size_t i)
{
	struct subscription *sub = loop->plan->subs[i];
	enum sub_state before = sub->state;
	bool settled = sub_settled(sub);
	struct err err;

	if (sub->conn == NULL)
		return false;
	if (sub_process(sub, &err) == -1)
		lose_connection(loop, i, &err);
	else if (before == SUB_REQUESTED && (sub->state == SUB_READY || sub->at_end))
		backoff_reset(&loop->backoff[i]);
	if (sub->state == SUB_READY)
		loop->user->take(loop, i);
	if (sub_settled(sub) == settled && sub->state == before)
		return false;
	if (sub->state != SUB_DOWN && !loop->ending)
		note_reply(loop);
	return true;
}

static bool
process_control(struct loop *loop)
{
	struct err err;
	int came;

	if (loop->control.conn == NULL || (came = control_process(&loop->control, &err)) == 0)
		return false;
	if (came == -1)
		lose_connection(loop, loop->plan->n, &err);
	else {
		backoff_reset(&loop->backoff[loop->plan->n]);
		note_reply(loop);
	}
	return true;
}

/* --- waiting ------------------------------------------------------------------------- */

static int
find_poll_ms(struct loop *loop)
{
	const struct loop_plan *plan = loop->plan;
	int64_t by = loop->wake, left;

	for (size_t i = 0; i < plan->n; i++)
		if (plan->subs[i]->conn != NULL)
			clock_earliest(&by, conn_due(plan->subs[i]->conn));
	if (loop->control.conn != NULL)
		clock_earliest(&by, conn_due(loop->control.conn));
	for (size_t i = 0; i <= plan->n; i++)
		if (is_missing(loop, i))
			clock_earliest(&by, loop->next_try);
	if (plan->idle_ms >= 0 && !loop->ending && find_idle_left(loop) > 0)
		clock_earliest(&by, loop->last_event + plan->idle_ms);
	if (loop->down_since != 0 && !loop->ending && plan->to_end)
		clock_earliest(&by, loop->down_since + plan->sub->timeout_ms);
	left = by != -1 ? by - clock_mono() : POLL_MAX;
	return left < 0 ? 0 : (int)(left > POLL_MAX ? POLL_MAX : left);
}

static size_t
add_conn(struct pollfd *p, const struct conn *conn)
{
	if (conn == NULL)
		return 0;
	*p = conn_pollfd(conn);
	return 1;
}

/* Waits for a descriptor or a signal, for ms; -1: until the next timer is due. */
static void
poll_descriptors(struct loop *loop, int ms)
{
	const struct loop_plan *plan = loop->plan;
	struct pollfd *p = loop->fds;
	size_t n = 2 + loop->nfds;
	struct err err;

	p[0] = (struct pollfd){.fd = loop->ending ? -1 : plan->stop, .events = POLLIN};
	p[1] = (struct pollfd){.fd = loop->ending ? -1 : plan->out};
	if (loop->nfds > 0)
		loop->user->fill_pollfds(loop, p + 2);
	n += add_conn(p + n, loop->control.conn);
	for (size_t i = 0; i < plan->n; i++)
		n += add_conn(p + n, plan->subs[i]->conn);
	if (poll(p, n, ms == -1 ? find_poll_ms(loop) : ms) <= 0)
		return;
	if (p[0].revents != 0)
		loop_end(loop, LOOP_STOPPED);
	if ((p[1].revents & (POLLERR | POLLHUP)) != 0) { /* without waiting for the next event */
		loop->out_gone = true;
		errno = EPIPE;
		err_sys(&err, STATUS_UNSAFE, "write to stdout");
		loop_fail(loop, &err);
	}
	if (loop->nfds > 0)
		loop->user->read_pollfds(loop, p + 2);
}

static void
take_turns(struct loop *loop)
{
	const struct loop_plan *plan = loop->plan;
	unsigned busy = 0;

	for (end_if_done(loop); !loop->ending || !loop->user->finish(loop); end_if_done(loop)) {
		bool worked;

		reopen_connections(loop);
		loop->wake = -1;
		worked = loop->user->work(loop);
		request_entries(loop);
		worked = process_control(loop) || worked;
		for (size_t i = 0; i < plan->n; i++)
			worked = process_sub(loop, i) || worked;
		if (!worked)
			poll_descriptors(loop, -1);
		/* notices signals and children while replies keep coming */
		else if (++busy % BUSY == 0)
			poll_descriptors(loop, 0);
	}
}

enum loop_end
loop_run(
    struct loop *loop, const struct loop_plan *plan, const struct loop_user *user, struct err *err)
{
	loop->plan = plan;
	loop->user = user;
	control_init(&loop->control, plan->sub->url, plan->sub->timeout_ms);
	loop->backoff = mem_alloc((plan->n + 1) * sizeof(*loop->backoff));
	for (size_t i = 0; i <= plan->n; i++)
		loop->backoff[i] = (struct backoff){.first = 50, .max = 5000};
	loop->fds = mem_alloc((3 + loop->nfds + plan->n) * sizeof(*loop->fds));
	open_connections(loop);
	loop->last_event = clock_mono();
	if (!loop->ending && user->start != NULL && user->start(loop, err) == -1)
		loop_fail(loop, err);
	if (!loop->ending)
		take_turns(loop);
	control_close(&loop->control);
	free(loop->backoff);
	free(loop->fds);
	if (loop->end == LOOP_FAILED)
		*err = loop->err;
	return loop->end;
}
