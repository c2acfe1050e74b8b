#include "drain/retry.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/status.h"
#include "buffer/backlog.h"
#include "buffer/breaker.h"
#include "drain/outage.h"
#include "redis/pool.h"

#define FILTER_MESSAGES 64 /* messages that are remembered */

static void
add_to_drain_sum(struct drain_result *sum, const struct drain_result *r)
{
	sum->replayed += r->replayed;
	sum->found += r->found;
	sum->quarantined += r->quarantined;
	sum->possible_duplicates += r->possible_duplicates;
	sum->trimmed += r->trimmed;
	sum->disordered += r->disordered;
	sum->held = r->held;
	sum->left = r->left;
}

/* Returns the exit status of a run that ended early. Most reasons are temporary. */
static int
status_of_failed_run(const struct drain_result *r, const struct conn *conn, const struct err *err)
{
	int status = conn_why(conn) != CONN_OK || r->garbage || err->status == STATUS_UNREACHABLE
	    ? STATUS_AGAIN
	    : err->status;

	return status_worse(
	    status_worse(r->status, status), r->quarantined || r->disordered ? STATUS_SOME : 0);
}

/* Drains over one new connection. Sets *retry_now when the server is a replica: its name may
 * resolve to another server now. */
static int
connect_and_drain(struct buffer *buf, const struct drain_options *o, struct drain_result *sum,
    bool *retry_now, struct err *err)
{
	struct drain_result result;
	struct pool pool = {.url = &o->conf->url, .timeout_ms = o->conf->timeout_ms};
	struct conn *conn = pool_get(&pool, NULL, err);
	int status;

	*retry_now = false;
	if (conn == NULL) {
		sum->left = true;
		status = conn_exit_status(err->why);
		return status == STATUS_DENIED || status == STATUS_CONFIG ? status : STATUS_AGAIN;
	}
	breaker_reset(buf, o->conf->address);
	if (drain_run(buf, conn, o, &result, err) == 0) {
		status = result.status;
		err->text[0] = '\0';
		pool_close(&pool);
	} else {
		status = status_of_failed_run(&result, conn, err);
		*retry_now = result.server == CONN_READONLY;
		result.left = true;
		pool_drop(&pool, conn);
	}
	add_to_drain_sum(sum, &result);
	return status;
}

static int
drain_with_failover(
    struct buffer *buf, const struct drain_options *o, struct drain_result *sum, struct err *err)
{
	bool retry_now;
	int status = connect_and_drain(buf, o, sum, &retry_now, err);

	return retry_now ? connect_and_drain(buf, o, sum, &retry_now, err) : status;
}

/*
 * Makes one attempt under the replay lock and returns its exit status. err->text gives the reason
 * when the server, the disk or the lock prevented the drain (err->sys EWOULDBLOCK: another replay
 * is running), else "".
 */
static int
lock_and_drain(
    struct buffer *buf, const struct drain_options *o, struct drain_result *sum, struct err *err)
{
	int status;

	if (buffer_check_target(buf, o->target, err) == -1 && err->status == STATUS_CONFIG) {
		sum->left = true;
		return STATUS_CONFIG;
	}
	err->text[0] = '\0';
	err->sys = 0;
	if (buffer_replay_lock(buf, err) == -1) {
		sum->left = true;
		return err->status;
	}
	status = drain_with_failover(buf, o, sum, err);
	buffer_replay_unlock(buf);
	return status;
}

static bool
is_retry_stopped(const struct drain_options *o)
{
	return o->stop != NULL && *o->stop;
}

static void
sleep_unless_stopped(const struct drain_options *o, int64_t ms)
{
	for (; ms > 0 && !is_retry_stopped(o); ms -= 50)
		nanosleep(&(struct timespec){0, (ms > 50 ? 50 : ms) * 1000000}, NULL);
}

/* Drops messages that earlier attempts reported. */
struct message_filter {
	const struct drain_options *o;
	bool drop_repeated; /* because there may be several attempts */
	char *text[FILTER_MESSAGES];
	size_t n;
};

/* Remembers a message. Returns whether it was remembered before. */
static bool
remember_message(struct message_filter *filter, const char *text)
{
	for (size_t i = 0; i < filter->n; i++)
		if (strcmp(filter->text[i], text) == 0)
			return true;
	if (filter->n < FILTER_MESSAGES)
		filter->text[filter->n++] = mem_strdup(text);
	return false;
}

static void
forward_message(void *arg, const char *text)
{
	struct message_filter *filter = arg;

	if (!filter->drop_repeated || !remember_message(filter, text))
		filter->o->say(filter->o->arg, text);
}

static void
forward_progress(void *arg, uint64_t delivered)
{
	const struct message_filter *filter = arg;

	filter->o->progress(filter->o->arg, delivered);
}

static int
attempt_drain(
    struct buffer *buf, const struct drain_options *o, struct drain_result *sum, bool watched)
{
	struct err err;
	int status;

	sum->left = false;
	status = lock_and_drain(buf, o, sum, &err);
	if (*err.text != '\0' && (watched || err.sys != EWOULDBLOCK))
		o->say(o->arg, err.text);
	return status;
}

int
retry_drain(struct buffer *buf, const struct drain_options *o, struct drain_result *sum,
    int64_t wait_ms, bool watched)
{
	struct backoff pause = {.first = 100, .max = 10000};
	struct message_filter filter = {.o = o, .drop_repeated = wait_ms > 0};
	struct drain_options each = *o;
	int64_t until = clock_mono() + wait_ms, left, ms;
	int status;

	each.say = forward_message;
	each.progress = o->progress != NULL ? forward_progress : NULL;
	each.arg = &filter;
	status = attempt_drain(buf, &each, sum, watched);
	while (
	    status == STATUS_AGAIN && !is_retry_stopped(o) && (left = until - clock_mono()) > 0) {
		ms = backoff_next(&pause);
		sleep_unless_stopped(o, ms < left ? ms : left);
		status = attempt_drain(buf, &each, sum, watched);
	}
	while (filter.n > 0)
		free(filter.text[--filter.n]);
	return status_worse(status, sum->quarantined || sum->disordered ? STATUS_SOME : 0);
}

int
retry_has_work(struct buffer *buf, bool *due, struct err *err)
{
	bool holds;

	if (backlog_has_work(buf, &holds, err) == -1)
		return -1;
	*due = holds || outage_is_due(buf);
	return 0;
}
