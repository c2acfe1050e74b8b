/*
 * publish: adds events to Redis, or appends them durably to the disk buffer, in the given order.
 *
 * Events that were sent and not answered are kept in flight (inflight.h). When the connection is
 * lost they go to the buffer in order, with the facts that a drain needs to find out whether the
 * server executed them (G1 to G4, eventbus(7)). The answer callback is called once for each event,
 * in the order of the events.
 *
 * An event is sent directly only while the buffer holds no undelivered event of its type. Otherwise
 * a bounded part of the buffer is drained first, and where that is not enough the event is appended
 * to the buffer. With `unordered`, and where there is no buffer, this condition does not apply.
 * Events that were to be appended are sent all the same in two cases: after a failover, to the new
 * primary, when only the old one refused them (connect_follow_failover); and when nothing can be
 * appended although Redis is up, once the buffer is drained of their type (fallback_bypass).
 *
 * With a poll loop: call publish_begin_batch when input has arrived, publish_event for each event,
 * and publish_end_batch after the last. Then poll publish_pollfd for at most publish_timeout_ms,
 * and call publish_work. Without one: call publish_begin_batch, publish_event, publish_finish.
 */
#ifndef PUBLISH_PUBLISH_H
#define PUBLISH_PUBLISH_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "buffer/append.h"
#include "conf/conf.h"
#include "event/event.h"

enum publish_answer {
	PUBLISH_ADDED,    /* text is the stream ID */
	PUBLISH_BUFFERED, /* durably on disk */
	/* refused by the caller (publish_refused_line), or permanently by the server; then it is in
	 * quarantine */
	PUBLISH_REFUSED,
	PUBLISH_UNSAFE /* neither Redis nor the buffer took it; text is the reason */
};

struct publish_options {
	const struct conf *conf;
	struct append_limits limits;
	int64_t maxlen; /* entries; 0: no limit; -1: as configured for the type */
	bool no_buffer, unordered;
	/* Called in the order of the events; n counts them from 1. */
	void (*answer)(void *arg, unsigned long long n, enum publish_answer what, const char *text);
	/* Receives messages for the user; important ones are shown without -v too. */
	void (*say)(void *arg, bool important, const char *text);
	void *arg;
};

struct publish;

/* Opens the buffer, not the connection. Borrows o. Returns NULL with err, status 78, when
 * the buffer belongs to another target. One that cannot be opened or written is reported: events
 * then go to Redis only. */
struct publish *publish_open(const struct publish_options *o, struct err *err);
/* Waits until every event is answered, checks whether trimming removed unread entries, and returns
 * the worst exit status of all events (ebpub(1)). */
int publish_finish(struct publish *p);
void publish_close(struct publish *p);

/* Forgets what the buffer lacked if it has changed since. */
void publish_begin_batch(struct publish *p);
/* Accepts one event and copies its bytes. Waits while too many are in flight. */
void publish_event(struct publish *p, const struct event *e);
/* Counts a line that the caller refused; its answer comes in its place. */
void publish_refused_line(struct publish *p);
/* Sends, takes the replies that have arrived, appends to the buffer, and gives the answers. */
void publish_end_batch(struct publish *p);

/* Returns what to poll(2) for; fd -1 when not connected. */
struct pollfd publish_pollfd(const struct publish *p);
/* Returns the ms until publish_work is due; -1: never. */
int publish_timeout_ms(const struct publish *p);
/* publish_end_batch; then, with nothing in flight, drains a part of the buffer. */
void publish_work(struct publish *p);

#endif
