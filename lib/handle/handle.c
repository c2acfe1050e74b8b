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
handle_status(const struct handle_count *c, int status)
{
	if (c->unacked > 0)
		status = status_worse(status, STATUS_AGAIN);
	return c->dead + c->stuck + c->lost > 0 ? status_worse(status, STATUS_SOME) : status;
}

void
handle_summary(struct bytes *out, const struct handle_count *c)
{
	bytes_addf(out,
	    "%" PRIu64 " handled, %" PRIu64 " failed attempts, %" PRIu64 " put off, %" PRIu64
	    " set aside, %" PRIu64 " lost, %" PRIu64 " taken over from others",
	    c->handled, c->failed, c->later, c->dead, c->lost, c->taken);
}

#define BLOCK 1000       /* ms of one blocking read */
#define BLOCK_SHARED 100 /* when types share a limit */
#define BUSY 8           /* turns with something to do, after which all descriptors are looked at */
#define ASK_AGAIN 100    /* ms: with `to_end`, while something runs */

void
handle_plan_init(struct handle_plan *p)
{
	*p = (struct handle_plan){.runners = 1,
	    .cmd_timeout = -1,
	    .claim_idle = 60000,
	    .retry_base = 1000,
	    .retry_max = 300000,
	    .retry_for = 3600000,
	    .max_deliveries = 5,
	    .stop_timeout = 30000};
}

void
handle_note(struct handle *w, enum sub_note kind, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err_clean(text);
	w->plan->note(w->plan->arg, kind, text);
}

void
handle_end(struct handle *w, enum consume_end end)
{
	if (w->ending)
		return;
	w->ending = true;
	w->end = end;
	w->stop_at = clock_mono() + w->plan->stop_timeout;
}

void
handle_fail(struct handle *w, const struct err *err)
{
	if (w->ending && w->end == CONSUME_FAILED)
		return;
	handle_end(w, CONSUME_FAILED);
	w->end = CONSUME_FAILED;
	w->err = *err;
}

void
handle_release(struct handle *w, struct job *j)
{
	jobset_remove(&w->jobs, j);
	w->released++;
}

/* Those held that the limit may still count. */
static size_t
open_ended(const struct handle *w)
{
	return w->jobs.n - w->jobs.in[JOB_DONE];
}

size_t
handle_room(const struct handle *w)
{
	const size_t *in = w->jobs.in;
	size_t most = pool_capacity(w), busy = in[JOB_READY] + in[JOB_CLAIMING] + in[JOB_RUNNING],
	       asked = 0;

	for (size_t i = 0; i < w->plan->n; i++)
		asked += sub_requested(w->posts[i].sub) + w->posts[i].expected;
	if (w->plan->limit >= 0) {
		uint64_t past = w->count->handled + w->count->dead + open_ended(w) + asked;

		if (past >= (uint64_t)w->plan->limit)
			return 0;
		if ((uint64_t)w->plan->limit - past < most)
			most = busy + asked + (size_t)((uint64_t)w->plan->limit - past);
		if (most > pool_capacity(w))
			most = pool_capacity(w);
	}
	if (in[JOB_WAITING] >= HANDLE_WAITING)
		return 0;
	return most > busy + asked ? most - busy - asked : 0;
}

/* --- connections --------------------------------------------------------------- */

static void
lost(struct handle *w, size_t i, enum conn_why why, const struct err *err)
{
	if (!reconnect_lost(&w->reconnect, i, why, err))
		handle_fail(w, err);
}

static int
open_one(struct handle *w, size_t i, enum conn_why *why, struct err *err)
{
	if (i == w->plan->n) {
		if (control_open(&w->control, why, err) == -1)
			return -1;
		w->next_renewal = clock_mono();
		return 0;
	}
	if (sub_open(w->posts[i].sub, why, err) == -1)
		return -1;
	lease_relist_own(&w->posts[i]); /* what the old connection was given and we never saw */
	return 0;
}

static bool
is_down(const struct handle *w, size_t i)
{
	return i == w->plan->n ? w->control.conn == NULL : sub_state(w->posts[i].sub) == SUB_DOWN;
}

static void
reopen(struct handle *w)
{
	enum conn_why why;
	struct err err;
	bool all = true;

	for (size_t i = 0; i <= w->plan->n && all; i++) {
		if (!is_down(w, i) || (w->ending && i < w->plan->n))
			continue;
		if (!reconnect_due(&w->reconnect))
			return;
		if (open_one(w, i, &why, &err) == 0)
			continue;
		all = false;
		if (!reconnect_failed(&w->reconnect, i, why, &err))
			handle_fail(w, &err);
	}
	if (all)
		reconnect_opened(&w->reconnect);
}

/* The first time there is no patience. */
static void
open_first(struct handle *w)
{
	enum conn_why why;
	struct err err;

	for (size_t i = 0; i <= w->plan->n && !w->ending; i++)
		if (open_one(w, i, &why, &err) == -1)
			handle_fail(w, &err);
}

/* --- reading --------------------------------------------------------------------- */

static int64_t
idle_left(const struct handle *w)
{
	int64_t left = w->last_event + w->plan->idle_ms - clock_mono();

	return left > 0 ? left : 0;
}

static int64_t
block_ms(const struct handle *w, const struct handle_stream *p)
{
	bool shared = w->plan->n > 1 && (w->plan->limit >= 0 || pool_capacity(w) < w->plan->n);
	int64_t ms = shared ? BLOCK_SHARED : BLOCK;

	if (w->plan->to_end || p->stage == STAGE_TAKEOVER)
		return -1;
	if (w->plan->idle_ms >= 0 && idle_left(w) < ms)
		ms = idle_left(w) > 0 ? idle_left(w) : 1;
	return ms;
}

/* With `to_end`: whether a tap that had nothing is worth another question. */
static bool
worth_asking(const struct handle *w, const struct handle_stream *p)
{
	if (!w->plan->to_end || !sub_at_end(p->sub))
		return true;
	if (w->jobs.n > 0)
		return clock_mono() >= p->next_ask;
	return p->asked_at != w->released;
}

static void
ask(struct handle *w)
{
	size_t idle = 0;

	for (size_t i = 0; i < w->plan->n; i++)
		idle += sub_state(w->posts[i].sub) == SUB_IDLE;
	for (size_t k = 0, first = w->turn; k < w->plan->n && !w->ending; k++) {
		size_t i = (first + k) % w->plan->n, room = handle_room(w);
		struct handle_stream *p = &w->posts[i];

		if (sub_state(p->sub) != SUB_IDLE || p->stage == STAGE_OWN ||
		    (p->stage == STAGE_TAKEOVER && p->their_turn) || room == 0 ||
		    !worth_asking(w, p))
			continue;
		p->asked_at = w->released;
		w->turn = i + 1;
		/* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): this tap is idle too */
		sub_request(p->sub, room / idle > 0 ? room / idle : 1, block_ms(w, p));
		idle -= idle > 1;
	}
}

/* XREADGROUP's [[key, [entry, ...]]], whose shape the tap has looked at. */
static void
take_batch(struct handle *w, struct handle_stream *p)
{
	struct shared_reply *b = shared_reply_new(sub_take_reply(p->sub));
	const struct reply *entries = reply_at(reply_at(shared_reply_get(b), 0), 1);

	for (size_t i = 0; i < reply_count(entries); i++) {
		const struct reply *e = reply_at(entries, i);
		struct stream_id id;
		struct job *j;

		if (id_parse(reply_text(reply_at(e, 0)), &id) == 0 &&
		    (j = jobset_add(&w->jobs, &p->queue, id, 0)) != NULL)
			job_set_entry(j, b, e);
	}
	shared_reply_unref(b);
}

/* true when there was something to do, so that there may be more. */
static bool
move_tap(struct handle *w, size_t i)
{
	struct handle_stream *p = &w->posts[i];
	enum sub_state before = sub_state(p->sub);
	enum conn_why why;
	struct err err;

	if (sub_conn(p->sub) == NULL)
		return false;
	if (sub_process(p->sub, &why, &err) == -1)
		lost(w, i, why, &err);
	else if (before == SUB_REQUESTED && sub_state(p->sub) != SUB_REQUESTED) {
		reconnect_reset_backoff(&w->reconnect, i);
		reconnect_answered(&w->reconnect);
		p->their_turn = true;
		p->next_ask = clock_mono() + ASK_AGAIN;
	}
	if (sub_state(p->sub) == SUB_READY)
		take_batch(w, p);
	return sub_state(p->sub) != before;
}

static bool
move(struct handle *w)
{
	bool some = false;
	enum conn_why why;
	struct err err;
	int r;

	if (w->control.conn != NULL) {
		if ((r = control_process(&w->control, &why, &err)) == -1)
			lost(w, w->plan->n, why, &err);
		else if (r == 1) {
			reconnect_reset_backoff(&w->reconnect, w->plan->n);
			reconnect_answered(&w->reconnect);
		}
		some = r != 0;
	}
	for (size_t i = 0; i < w->plan->n; i++)
		some = move_tap(w, i) || some;
	return pool_process(w) || some;
}

/* --- the loop ------------------------------------------------------------------------ */

static void
sooner(int64_t *by, int64_t t)
{
	if (t != -1 && (*by == -1 || t < *by))
		*by = t;
}

static int
poll_ms(const struct handle *w)
{
	int64_t by = lease_next_due(w), left;

	for (size_t i = 0; i < w->plan->n; i++) {
		if (sub_conn(w->posts[i].sub) != NULL)
			sooner(&by, conn_deadline(sub_conn(w->posts[i].sub)));
		if (w->plan->to_end && !w->ending && sub_at_end(w->posts[i].sub) && w->jobs.n > 0 &&
		    handle_room(w) > 0)
			sooner(&by, w->posts[i].next_ask);
	}
	if (w->control.conn != NULL)
		sooner(&by, conn_deadline(w->control.conn));
	sooner(&by, reconnect_next_try(&w->reconnect));
	sooner(&by, pool_next_due(w));
	sooner(&by, jobset_next_due(&w->jobs));
	if (w->plan->idle_ms >= 0 && !w->ending)
		sooner(&by, w->last_event + w->plan->idle_ms);
	if (w->ending)
		sooner(&by, w->stop_at);
	left = by != -1 ? by - clock_mono() : 60000;
	return left < 0 ? 0 : (int)(left > 60000 ? 60000 : left);
}

/* ms -1: until it is time. */
static void
wait_for_news(struct handle *w, struct pollfd *p, int ms)
{
	nfds_t n = 0, hands;

	p[n++] = (struct pollfd){.fd = w->ending ? -1 : w->plan->stop, .events = POLLIN};
	p[n++] = (struct pollfd){.fd = w->plan->worker || w->ending ? -1 : STDOUT_FILENO};
	p[n++] = (struct pollfd){.fd = w->child_fd, .events = POLLIN};
	if (w->control.conn != NULL)
		p[n++] = (struct pollfd){
		    .fd = conn_fd(w->control.conn), .events = conn_events(w->control.conn)};
	for (size_t i = 0; i < w->plan->n; i++)
		if (sub_conn(w->posts[i].sub) != NULL)
			p[n++] = (struct pollfd){.fd = conn_fd(sub_conn(w->posts[i].sub)),
			    .events = conn_events(sub_conn(w->posts[i].sub))};
	hands = n;
	n += pool_fill_pollfds(w, p + n);
	if (poll(p, n, ms == -1 ? poll_ms(w) : ms) <= 0) {
		/* should it not have come through the pipe */
		w->child_news = w->child_news || ms == -1;
		return;
	}
	pool_read_pollfds(w, p + hands);
	if (p[0].revents != 0)
		handle_end(w, CONSUME_STOPPED);
	if ((p[1].revents & (POLLERR | POLLHUP)) != 0) {
		struct err err;

		w->out_gone = true;
		errno = EPIPE;
		err_sys(&err, STATUS_UNSAFE, "write to stdout");
		handle_fail(w, &err);
	}
	if (p[2].revents != 0) {
		child_watch_drain();
		w->child_news = true;
	}
}

static void
wake(struct handle *w)
{
	struct job *j;

	while (!w->ending && (j = jobset_due(&w->jobs, clock_mono())) != NULL) {
		job_set_state(&w->jobs, j, j->doomed ? JOB_DEAD : JOB_READY);
		j->doomed = false;
	}
}

static bool
all_read(const struct handle *w)
{
	for (size_t i = 0; i < w->plan->n; i++) {
		const struct handle_stream *p = &w->posts[i];

		if (sub_state(p->sub) != SUB_IDLE || !sub_at_end(p->sub) ||
		    p->asked_at != w->released || !p->swept || p->expected > 0 ||
		    p->stage != STAGE_IDLE)
			return false;
	}
	return w->jobs.n == 0;
}

static void
judge(struct handle *w)
{
	const struct handle_plan *p = w->plan;

	if (w->ending)
		return;
	if (w->reconnect.down_since != 0 &&
	    ((p->idle_ms >= 0 && idle_left(w) == 0) ||
	        (p->to_end && clock_mono() - w->reconnect.down_since >= p->timeout_ms)))
		handle_fail(w, &w->reconnect.outage);
	else if (p->limit >= 0 && w->count->handled + w->count->dead >= (uint64_t)p->limit)
		handle_end(w, CONSUME_LIMIT);
	else if (p->to_end && all_read(w))
		handle_end(w, CONSUME_END);
	else if (p->idle_ms >= 0 && idle_left(w) == 0 && w->jobs.n == w->jobs.in[JOB_WAITING])
		handle_end(w, CONSUME_IDLE);
}

/* What ran is told, and what is told is answered; or it is not to be. */
static bool
over(struct handle *w)
{
	bool settled = w->control.asked == 0 && w->jobs.in[JOB_DONE] == 0 &&
	    w->jobs.in[JOB_DEAD] == 0 && w->jobs.in[JOB_CLAIMING] == 0;

	if (!w->ending)
		return false;
	if (clock_mono() >= w->stop_at)
		pool_stop(w);
	if (!pool_idle(w))
		return false;
	return settled || (w->control.conn == NULL && clock_mono() >= w->stop_at) ||
	    (w->end == CONSUME_FAILED && w->control.conn == NULL);
}

static void
loop(struct handle *w)
{
	struct pollfd *fds = mem_alloc((4 + w->plan->n + 3 * w->plan->runners) * sizeof(*fds));
	unsigned busy = 0;

	for (judge(w); !over(w); judge(w)) {
		reopen(w);
		wake(w);
		lease_restore(w);
		lease_renew(w);
		lease_list_pending(w);
		attempt_begin_ready(w);
		attempt_ack_done(w);
		deadletter_send(w);
		ask(w);
		if (move(w) || over(w)) {
			if (++busy % BUSY == 0) /* signals and children count too */
				wait_for_news(w, fds, 0);
		} else
			wait_for_news(w, fds, -1);
	}
	free(fds);
}

static int
begin(struct handle *w, struct err *err)
{
	if ((w->child_fd = child_watch()) == -1)
		return err_sys(err, STATUS_SOME, "pipe");
	w->posts = mem_alloc(w->plan->n * sizeof(*w->posts));
	for (size_t i = 0; i < w->plan->n; i++) {
		struct handle_stream *p = &w->posts[i];

		p->w = w;
		p->queue.salt = i * 7919;
		p->sub = w->plan->subs[i];
		p->dead_key = names_dlq(w->plan->prefix, sub_type(p->sub));
	}
	control_init(&w->control, w->plan->url, w->plan->timeout_ms);
	reconnect_init(&w->reconnect, w->plan->n + 1, w->plan->note, w->plan->arg);
	w->last_event = w->renewed = w->next_renewal = clock_mono();
	open_first(w);
	if (!w->ending && pool_init(w, err) == -1) {
		handle_fail(w, err);
		return -1;
	}
	return 0;
}

enum consume_end
handle_run(const struct handle_plan *p, struct handle_count *count, struct err *err)
{
	struct handle w = {.plan = p, .count = count};

	*count = (struct handle_count){0};
	if (begin(&w, err) == -1)
		handle_fail(&w, err);
	else if (w.runners != NULL)
		loop(&w);
	count->unacked = w.jobs.in[JOB_DONE];
	for (size_t i = 0; w.posts != NULL && i < p->n; i++) {
		sub_close(w.posts[i].sub);
		free(w.posts[i].dead_key);
	}
	control_close(&w.control);
	pool_free(&w);
	jobset_free(&w.jobs);
	reconnect_free(&w.reconnect);
	free(w.posts);
	if (w.end == CONSUME_FAILED)
		*err = w.err;
	return w.end;
}
