/*
 * consume: taps read into a sink until there is a reason to stop.
 *
 * One poll(2) loop. A batch is written, then acknowledged. Never more is asked for than the limit
 * still wants, over all taps together. After the first success a lost connection is opened again
 * for as long as the plan allows, with exponential backoff and jitter; said once when it goes and
 * once when it is back.
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
	int64_t limit; /* events; -1 for no limit */
	bool to_end;   /* stop when nothing is left, of each tap */
	bool in_turn;  /* one tap after the other; with to_end */
	/* stop after that long without an event, each tap having been asked; -1 never */
	int64_t idle_ms;
	/* with to_end: an outage that lasts longer is a failure */
	int64_t timeout_ms;
	sub_note_fn *note;
	void *arg;

	uint64_t count; /* result: events that were written */
};

enum consume_end {
	CONSUME_LIMIT, /* reached */
	CONSUME_END,   /* nothing left */
	CONSUME_IDLE,
	/* by the descriptor: what was under way is written and acknowledged */
	CONSUME_STOPPED,
	CONSUME_FAILED /* f */
};

enum consume_end consume_run(struct consume *c, struct err *err);

/*
 * The exit status of an end that is no failure, after count events: 124 when the end, which was
 * asked for, or being idle came before the limit, or when it was idle without any event.
 */
int consume_status(enum consume_end end, uint64_t count, int64_t limit, bool to_end);

#endif
