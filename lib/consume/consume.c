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

#define BLOCK 1000 /* ms of one blocking read: how long a stop may take */
#define SLOW \
	1000 /* ms; a reader who takes longer for a batch leaves the next one to others meanwhile \
	      */
#define BUSY 8 /* turns with something to do, after which all descriptors are looked at */
#define BLOCK_SHARED \
	100 /* when others wait for what it holds of the limit; with many of them less */

/* What is going on in one consume_run. */
struct consume_loop {
	struct consume *w;
	struct pollfd *fds;
	/* the sink's descriptor can tell that its reader is gone */
	bool pipe;
	size_t current; /* in_turn: the tap that has its turn */
	size_t first;   /* the tap that may ask first */
	bool ending;    /* nothing is asked any more */
	enum consume_end end;
	struct err fail; /* for CONSUME_FAILED */
	int64_t last_event;
	bool slow; /* what was written last took its time */
	struct reconnect mend;
};

static void
finish(struct consume_loop *r, enum consume_end end)
{
	if (!r->ending)
		r->end = end;
	r->ending = true;
}

static void
failed(struct consume_loop *r, const struct err *err)
{
	if (r->ending && r->end == CONSUME_FAILED)
		return;
	r->ending = true;
	r->end = CONSUME_FAILED;
	r->fail = *err;
}

/* --- outages ------------------------------------------------------------------- */

static void
lost(struct consume_loop *r, size_t tap, enum conn_why why, const struct err *err)
{
	if (!reconnect_lost(&r->mend, tap, why, err))
		failed(r, err);
}

/* Not open yet, or lost. With in_turn only the current tap is opened. */
static bool
wants_open(const struct consume_loop *r, size_t i)
{
	return sub_state(r->w->subs[i]) == SUB_DOWN && (!r->w->in_turn || i == r->current);
}

static void
reopen(struct consume_loop *r)
{
	enum conn_why why;
	struct err err;
	bool all = true;

	for (size_t i = 0; i < r->w->n && all && !r->ending; i++) {
		if (!wants_open(r, i))
			continue;
		if (!reconnect_due(&r->mend))
			return;
		if (sub_open(r->w->subs[i], &why, &err) == 0)
			continue;
		all = false;
		if (!reconnect_failed(&r->mend, i, why, &err))
			failed(r, &err);
	}
	if (all)
		reconnect_opened(&r->mend);
}

/* The first time there is no patience. With in_turn the first tap stands for all. */
static void
open_first(struct consume_loop *r)
{
	enum conn_why why;
	struct err err;

	for (size_t i = 0; i < r->w->n && !r->ending && wants_open(r, i); i++)
		if (sub_open(r->w->subs[i], &why, &err) == -1)
			failed(r, &err);
}

/* --- asking ------------------------------------------------------------------------ */

static int64_t
idle_left(const struct consume_loop *r)
{
	int64_t left = r->last_event + r->w->idle_ms - clock_mono();

	return left > 0 ? left : 0;
}

/* Where others may wait for its share of the limit a tap is asked at once, and waits only when it
 * had nothing. */
static int64_t
block_ms(const struct consume_loop *r, const struct subscription *sub)
{
	bool shared = r->w->limit >= 0 && r->w->n > 1;
	int64_t ms = shared ? BLOCK_SHARED : BLOCK;

	if (r->w->to_end || (shared && !sub_at_end(sub)))
		return -1;
	if (shared && r->w->n > BLOCK / BLOCK_SHARED)
		ms = BLOCK / (int64_t)r->w->n > 0 ? BLOCK / (int64_t)r->w->n : 1;
	if (r->w->idle_ms >= 0 && idle_left(r) < ms)
		ms = idle_left(r) > 0 ? idle_left(r) : 1;
	return ms;
}

/* What the limit leaves for one more question: an equal share for each tap that could ask. */
static size_t
share(const struct consume_loop *r, size_t idle)
{
	uint64_t left;

	if (r->w->limit < 0)
		return SIZE_MAX;
	left = (uint64_t)r->w->limit - r->w->count;
	for (size_t i = 0; i < r->w->n; i++)
		left -= sub_requested(r->w->subs[i]);
	/* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): the tap that asks is idle too */
	return left == 0 ? 0 : (size_t)(left / idle > 0 ? left / idle : 1);
}

/* A tap with nothing left is closed once its acknowledgements are answered. */
static bool
close_dry(struct consume_loop *r, size_t i)
{
	struct subscription *sub = r->w->subs[i];

	if (!r->w->to_end || !sub_at_end(sub))
		return false;
	if (sub_settled(sub)) {
		sub_close(sub);
		if (r->w->in_turn)
			r->current++;
	}
	return true;
}

/* Begins behind the tap that asked last, so that a small limit goes round. true when a tap was
 * closed. */
static bool
ask(struct consume_loop *r)
{
	size_t idle = 0, many, first = r->first;
	bool closed = false;

	for (size_t i = 0; i < r->w->n; i++)
		idle += sub_state(r->w->subs[i]) == SUB_IDLE;
	for (size_t k = 0; k < r->w->n && !r->ending; k++) {
		size_t i = (first + k) % r->w->n;

		if (sub_state(r->w->subs[i]) != SUB_IDLE)
			continue;
		if (close_dry(r, i)) {
			closed = closed || sub_state(r->w->subs[i]) == SUB_CLOSED;
			continue;
		}
		if ((many = share(r, idle)) == 0)
			continue;
		sub_request(r->w->subs[i], many, block_ms(r, r->w->subs[i]));
		idle--;
		r->first = (i + 1) % r->w->n;
	}
	return closed;
}

/* --- batches --------------------------------------------------------------------------- */

struct consume_batch {
	struct sink *sink;
	size_t n;
};

static int
add_record(void *arg, const struct record *rec)
{
	struct consume_batch *b = arg;

	sink_add(b->sink, rec);
	b->n++;
	return 0;
}

static void
deliver(struct consume_loop *r, struct subscription *sub)
{
	struct consume_batch b = {r->w->sink, 0};
	int64_t began = clock_mono();
	struct err err;

	if (!r->ending && !r->slow)
		sub_prefetch(sub, share(r, 1));
	sink_begin(b.sink);
	sub_batch_each(sub_batch(sub), add_record, &b);
	if (sink_flush(b.sink, &err) == -1) {
		b.n = b.sink->whole;
		failed(r, &err);
	}
	r->slow = clock_mono() - began > SLOW;
	sub_finish_batch(sub, b.n);
	r->w->count += b.n;
	if (b.n > 0)
		r->last_event = clock_mono();
}

/* true when there was something to do, so that there may be more. */
static bool
move(struct consume_loop *r)
{
	bool some = false;
	enum conn_why why;
	struct err err;

	for (size_t i = 0; i < r->w->n; i++) {
		struct subscription *sub = r->w->subs[i];
		enum sub_state before = sub_state(sub);
		bool settled = sub_settled(sub);

		if (sub_conn(sub) == NULL)
			continue;
		if (sub_process(sub, &why, &err) == -1)
			lost(r, i, why, &err);
		else if (before == SUB_REQUESTED &&
		    (sub_state(sub) == SUB_READY || sub_at_end(sub)))
			reconnect_reset_backoff(&r->mend, i);
		if (sub_state(sub) == SUB_READY && !r->w->sink->broken)
			deliver(r, sub);
		if (sub_settled(sub) == settled && sub_state(sub) == before)
			continue;
		some = true;
		if (sub_state(sub) != SUB_DOWN && !r->ending)
			reconnect_answered(&r->mend);
	}
	return some;
}

/* --- the loop ---------------------------------------------------------------------------- */

static void
sooner(int64_t *by, int64_t t)
{
	if (t != -1 && (*by == -1 || t < *by))
		*by = t;
}

static int
poll_ms(const struct consume_loop *r)
{
	int64_t by = -1, left;

	for (size_t i = 0; i < r->w->n; i++)
		if (sub_conn(r->w->subs[i]) != NULL)
			sooner(&by, conn_deadline(sub_conn(r->w->subs[i])));
	if (r->w->idle_ms >= 0 && !r->ending && idle_left(r) > 0)
		sooner(&by, r->last_event + r->w->idle_ms);
	if (!r->ending)
		sooner(&by, reconnect_next_try(&r->mend));
	if (r->mend.down_since != 0 && !r->ending && r->w->to_end)
		sooner(&by, r->mend.down_since + r->w->timeout_ms);
	if (by == -1)
		return -1;
	left = by - clock_mono();
	return left < 0 ? 0 : (int)(left > 60000 ? 60000 : left);
}

/* The reader of our pipe is gone, and nobody would notice until the next event. */
static void
check_reader(struct consume_loop *r, const struct pollfd *p)
{
	struct err err;

	if ((p->revents & POLLERR) == 0 || r->ending)
		return;
	r->w->sink->broken = errno = EPIPE;
	err_sys(&err, STATUS_UNSAFE, "write to stdout");
	failed(r, &err);
}

/* ms -1: until it is time. */
static void
wait_for_news(struct consume_loop *r, int ms)
{
	struct pollfd *p = r->fds;
	nfds_t n = 0;

	p[n++] = (struct pollfd){.fd = r->ending ? -1 : r->w->stop, .events = POLLIN};
	p[n++] = (struct pollfd){.fd = r->pipe && !r->ending ? r->w->sink->fd : -1};
	for (size_t i = 0; i < r->w->n; i++) {
		const struct conn *conn = sub_conn(r->w->subs[i]);

		if (conn != NULL)
			p[n++] = (struct pollfd){.fd = conn_fd(conn), .events = conn_events(conn)};
	}
	if (poll(p, n, ms == -1 ? poll_ms(r) : ms) <= 0)
		return;
	if (p[0].revents != 0)
		finish(r, CONSUME_STOPPED);
	check_reader(r, &p[1]);
}

/* An outage that the plan has no more patience with. */
static void
judge_outage(struct consume_loop *r)
{
	int64_t since = r->mend.down_since;

	if (since != 0 && !r->ending)
		if ((r->w->idle_ms >= 0 && idle_left(r) == 0) ||
		    (r->w->to_end && clock_mono() - since >= r->w->timeout_ms))
			failed(r, &r->mend.outage);
}

static void
judge(struct consume_loop *r)
{
	const struct consume *w = r->w;
	bool open = false, dry = true;

	for (size_t i = 0; i < w->n; i++) {
		bool closed = sub_state(w->subs[i]) == SUB_CLOSED;

		open = open || !closed;
		dry = dry && (closed || sub_at_end(w->subs[i]));
	}
	judge_outage(r);
	if (w->limit >= 0 && w->count >= (uint64_t)w->limit)
		finish(r, CONSUME_LIMIT);
	else if (!open)
		finish(r, CONSUME_END);
	else if (dry && w->idle_ms >= 0 && idle_left(r) == 0)
		finish(r, CONSUME_IDLE);
}

/* At the end a tap is waited for while it reads or acknowledges; after a failure only for what it
 * acknowledges. */
static bool
over(struct consume_loop *r)
{
	bool all = true;

	for (size_t i = 0; i < r->w->n && r->ending; i++) {
		struct subscription *sub = r->w->subs[i];

		if (sub_conn(sub) == NULL || sub_settled(sub))
			continue;
		if (r->w->sink->broken && sub_state(sub) != SUB_IDLE && sub_acknowledged(sub))
			sub_close(sub);
		else
			all = false;
	}
	return r->ending && all;
}

enum consume_end
consume_run(struct consume *w, struct err *err)
{
	struct stat st;
	struct consume_loop r = {.w = w};
	unsigned busy = 0;

	r.pipe = fstat(w->sink->fd, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
	r.fds = mem_alloc((w->n + 2) * sizeof(*r.fds));
	reconnect_init(&r.mend, w->n, w->note, w->arg);
	open_first(&r);
	r.last_event = clock_mono();
	for (judge(&r); !over(&r); judge(&r)) {
		reopen(&r);
		if (ask(&r) || move(&r) || over(&r)) {
			if (++busy % BUSY == 0) /* a stop counts in the midst of a flood too */
				wait_for_news(&r, 0);
		} else
			wait_for_news(&r, -1);
	}
	free(r.fds);
	reconnect_free(&r.mend);
	if (r.end == CONSUME_FAILED)
		*err = r.fail;
	return r.end;
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
