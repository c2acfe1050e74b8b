/*
 * consume: reads subscriptions into a sink until there is a reason to stop.
 *
 * Runs one poll(2) loop over all subscriptions. A batch is acknowledged after the sink has written
 * it (G6, eventbus(7)). The requests of all subscriptions together never exceed what is left of the
 * limit. A connection that cannot be opened at the start ends the run; a connection lost later is
 * reopened (consume/reconnect.h).
 */
#ifndef CONSUME_CONSUME_H
#define CONSUME_CONSUME_H

#include "consume/sink.h"
#include "consume/subscription.h"

struct consume {
	struct subscription **subs;
	size_t n;
	struct sink *sink;
	int stop;      /* descriptor: readable when it is time to stop */
	int64_t limit; /* events; -1: no limit */
	bool to_end;   /* stop when every subscription is at its end */
	bool in_turn;  /* read one subscription after the other; needs to_end */
	/* stop after so long without an event, once every subscription has been read; -1: never */
	int64_t idle_ms;
	/* with to_end: a longer outage is a failure */
	int64_t timeout_ms;
	sub_note_fn *note;
	void *arg;

	uint64_t count; /* result: events written */
};

enum consume_end {
	CONSUME_LIMIT,
	CONSUME_END, /* every subscription was at its end */
	CONSUME_IDLE,
	/* by `stop`; batches in flight were written and acknowledged */
	CONSUME_STOPPED,
	CONSUME_FAILED /* *err is set */
};

enum consume_end consume_run(struct consume *c, struct err *err);

/*
 * Returns the exit status of a run of count events that did not fail: 124 when it was idle, or
 * to_end ended it, before the limit; 124 when it was idle without any event; else 0.
 */
int consume_status(enum consume_end end, uint64_t count, int64_t limit, bool to_end);

#endif
