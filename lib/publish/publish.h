/*
 * publish: events to Redis, else durably to the buffer, in the order in which they were given.
 *
 * Events go through a window: what was sent and is not answered is kept here, so that when the
 * connection goes, the rest goes to the buffer in order, with what is needed to find out later
 * whether it was executed (contract, G1 to G4). Answers come through a callback in the order of the
 * events, each exactly once.
 *
 * An event is sent directly only when the buffer holds no undelivered one of its type; else a
 * bounded part of the buffer is drained first, and where that is not enough the event is appended.
 *
 * For a caller with a poll loop: publish_begin_batch when input has come, publish_event for each,
 * publish_end_batch behind the last; then poll publish_fd for publish_poll_events, at most
 * publish_timeout_ms ms, and publish_work. For a caller without: publish_begin_batch,
 * publish_event, publish_finish.
 */
#ifndef PUBLISH_PUBLISH_H
#define PUBLISH_PUBLISH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "buffer/append.h"
#include "conf/conf.h"
#include "event/event.h"

enum publish_answer {
	PUBLISH_ADDED,    /* text is the stream ID */
	PUBLISH_BUFFERED, /* durably on disk */
	/* by the caller (publish_refused_line), or by the server for good: in quarantine */
	PUBLISH_REFUSED,
	PUBLISH_UNSAFE /* neither Redis nor the buffer took it; text says why */
};

struct publish_options {
	const struct conf *conf;
	struct append_limits limits;
	int64_t maxlen; /* -1: as configured for the type */
	bool no_buffer, unordered;
	/* In the order of the events. n counts them from 1. */
	void (*answer)(void *arg, unsigned long long n, enum publish_answer what, const char *text);
	/* Words for people; important ones say what the user has to know even without -v. */
	void (*say)(void *arg, bool important, const char *text);
	void *arg;
};

struct publish;

/* Opens the buffer, not the connection. NULL: f (78: unsafe directory, or it belongs to another
 * target). o is borrowed. */
struct publish *publish_open(const struct publish_options *o, struct err *err);
/* Waits until everything is answered, looks whether trimming pushed out what was unread, and
 * returns the exit status (contract, section 6) of all that happened. */
int publish_finish(struct publish *p);
void publish_close(struct publish *p);

void publish_begin_batch(struct publish *p);
/* Takes one event (its bytes are copied). Waits when the window is full. */
void publish_event(struct publish *p, const struct event *e);
/* Keeps the place of a line that the caller refused in the order of the answers. */
void publish_refused_line(struct publish *p);
void publish_end_batch(struct publish *p);

int publish_fd(const struct publish *p); /* -1 when not connected */
short publish_poll_events(const struct publish *p);
/* ms until publish_work wants to be called; -1: never */
int publish_timeout_ms(const struct publish *p);
void publish_work(struct publish *p);

#endif
