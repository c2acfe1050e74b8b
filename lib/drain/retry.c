#include "drain/retry.h"

#include <errno.h>
#include <string.h>

#include "base/backoff.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/status.h"
#include "buffer/backlog.h"
#include "buffer/breaker.h"
#include "drain/outage.h"
#include "drain/pace.h"
#include "redis/pool.h"

#define FILTER_BYTES 65536 /* of messages that are remembered */

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
	int status = conn_why(conn) != CONN_OK || err->status == STATUS_UNREACHABLE ? STATUS_AGAIN
	                                                                            : err->status;

	return status_worse(
	    status_worse(r->status, status), r->quarantined || r->disordered ? STATUS_SOME : 0);
}

/* Drains over a new connection, under the replay lock. When the server is a replica, does so once
 * more: its name may resolve to another server now. Returns the exit status; err->text is "" when
 * the run was complete. */
static int
attempt_drain(
    struct buffer *buf, const struct drain_options *o, struct drain_result *sum, struct err *err)
{
	struct drain_result result = {.server = CONN_READONLY};
	struct pool pool = {.url = &o->conf->url, .timeout_ms = o->conf->timeout_ms};
	struct conn *conn;
	int status = 0;

	for (int i = 0; i < 2 && result.server == CONN_READONLY; i++) {
		if ((conn = pool_get(&pool, NULL, err)) == NULL) {
			sum->left = true;
			status = conn_exit_status(err->why);
			return status == STATUS_DENIED || status == STATUS_CONFIG ? status
			                                                          : STATUS_AGAIN;
		}
		breaker_leave(buf, o->conf->address, false);
		if (drain_run(buf, conn, o, &result, err) == 0) {
			status = result.status;
			err->text[0] = '\0';
			pool_close(&pool);
		} else {
			status = status_of_failed_run(&result, conn, err);
			result.left = true;
			pool_drop(&pool, conn);
		}
		add_to_drain_sum(sum, &result);
	}
	return status;
}

/* Takes the replay lock and checks the target. Returns 0, or an exit status with err. */
static int
lock_buffer(struct buffer *buf, const struct drain_options *o, struct err *err)
{
	if (buffer_replay_lock(buf, err) == -1)
		return err->status;
	if (buffer_check_target(buf, o->conf->target, err) != -1)
		return 0;
	buffer_replay_unlock(buf);
	return err->status;
}

/* Drops messages that earlier attempts reported. */
struct message_filter {
	const struct drain_options *o;
	bool drop_repeated; /* because there may be several attempts */
	struct bytes seen;  /* the messages, each with its NUL */
};

static void
forward_message(void *arg, const char *text)
{
	struct message_filter *filter = arg;
	size_t n = strlen(text) + 1;

	if (filter->drop_repeated && filter->seen.len >= n &&
	    memmem(filter->seen.p, filter->seen.len, text, n) != NULL)
		return;
	if (filter->seen.len + n <= FILTER_BYTES)
		bytes_add(&filter->seen, text, n);
	filter->o->say(filter->o->arg, text);
}

static void
forward_progress(void *arg, uint64_t delivered)
{
	const struct message_filter *filter = arg;

	filter->o->progress(filter->o->arg, delivered);
}

int
retry_drain(struct buffer *buf, const struct drain_options *o, struct drain_result *sum,
    int64_t wait_ms, bool watched)
{
	struct backoff pause = {.first = 100, .max = 10000};
	struct message_filter filter = {.o = o, .drop_repeated = wait_ms > 0};
	struct drain_options each = *o;
	const struct pace pace = {.stop = o->stop};
	int64_t until = clock_mono() + wait_ms, left, ms;
	int status;

	each.say = forward_message;
	each.progress = o->progress != NULL ? forward_progress : NULL;
	each.arg = &filter;
	for (;; ms = backoff_next(&pause), pace_sleep(&pace, ms < left ? ms : left)) {
		struct err err = {.text = ""};

		sum->left = true;
		if ((status = lock_buffer(buf, &each, &err)) == 0) {
			status = attempt_drain(buf, &each, sum, &err);
			buffer_replay_unlock(buf);
		}
		if (*err.text != '\0' && (watched || err.sys != EWOULDBLOCK))
			each.say(each.arg, err.text);
		if (status != STATUS_AGAIN || pace_is_stopped(&pace) ||
		    (left = until - clock_mono()) <= 0)
			break;
	}
	bytes_free(&filter.seen);
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
