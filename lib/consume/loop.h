/*
 * loop: the poll(2) loop of a reader. It polls the connections of all subscriptions, and opens them
 * again when they are lost.
 *
 * A struct loop_user decides what is done with an entry: consume/print.h prints it, handle/handle.h
 * runs a command for it. The loop ends at the limits of struct loop_plan.
 *
 * A connection that cannot be opened at the start ends the run. One that is lost later is reopened,
 * with exponential backoff and jitter. A warning is printed when the first connection is lost and
 * when all are back. An outage ends with the first reply, not with a successful connect(2).
 */
#ifndef CONSUME_LOOP_H
#define CONSUME_LOOP_H

#include <poll.h>

#include "base/backoff.h"
#include "consume/control.h"
#include "consume/subscription.h"

struct loop_plan {
	const struct sub_plan *sub; /* of all subscriptions */
	struct subscription **subs;
	size_t n;
	int stop;      /* descriptor: readable when it is time to stop */
	int out;       /* descriptor: the run fails when its reader is gone; -1: none */
	int64_t limit; /* events; -1: no limit */
	bool to_end;   /* stop when nothing is left to do; a longer outage than sub->timeout_ms is a
	                  failure */
	bool in_turn;  /* read one subscription after the other; needs to_end */
	/* stop after so long without an event, once every subscription has been read; -1: never */
	int64_t idle_ms;
};

enum loop_end {
	LOOP_LIMIT,
	LOOP_END, /* to_end: nothing was left */
	LOOP_IDLE,
	LOOP_STOPPED, /* by `stop`; what was in flight was finished */
	LOOP_FAILED
};

enum loop_read { LOOP_READ_NOT, LOOP_READ_NOW, LOOP_READ_WAIT /* for new entries */ };

struct loop;

/* What a user of the loop does. Its own state begins with a struct loop. */
struct loop_user {
	bool controlled; /* it needs the control connection */
	/* Returns how many entries all reads may still ask for. */
	size_t (*room)(struct loop *loop);
	/* Returns how to read an idle subscription, for which there is room. */
	enum loop_read (*choose_read)(struct loop *loop, size_t i);
	/* Takes the batch of a SUB_READY subscription. It may leave the subscription SUB_READY, and
	 * is called again in each turn. */
	void (*take)(struct loop *loop, size_t i);
	/* Does what is due besides reading, and lowers loop->wake to when there will be work again.
	 * Returns whether something happened, so that there may be more to do now. */
	bool (*work)(struct loop *loop);
	/* With to_end: returns whether nothing is left. */
	bool (*is_done)(struct loop *loop);
	/* Returns whether idle_ms may end the run. */
	bool (*is_quiet)(struct loop *loop);
	/* After the end: returns whether the run may return. */
	bool (*finish)(struct loop *loop);
	/* These may be NULL. */
	int (*start)(struct loop *loop, struct err *err); /* once all connections are open */
	void (*opened)(struct loop *loop, size_t i);      /* i == plan->n: the control connection */
	/* Descriptors to poll, always loop->nfds, and after poll(2) its result. */
	void (*fill_pollfds)(struct loop *loop, struct pollfd *p);
	void (*read_pollfds)(struct loop *loop, const struct pollfd *p);
};

struct loop {
	const struct loop_plan *plan;
	const struct loop_user *user;
	struct control control;
	bool ending; /* no more entries are requested */
	enum loop_end end;
	struct err err;     /* for LOOP_FAILED */
	bool out_gone;      /* LOOP_FAILED because the reader of plan->out is gone */
	int64_t ended_at;   /* CLOCK_MONOTONIC ms, as all times here */
	int64_t last_event; /* the user sets it */
	int64_t wake;       /* -1: not at a known time; set anew in each turn */
	uint64_t count;     /* events that count against the limit; the user counts them */
	size_t nfds;        /* the user sets it before loop_run */

	/* of loop.c */
	struct pollfd *fds;
	size_t next_sub;     /* the subscription that may request first */
	struct err last_err; /* of the last attempt to connect */
	int64_t down_since;  /* 0: no outage */
	bool unconfirmed;    /* all are open again, and no reply has come */
	int64_t next_try;
	/* one per connection; a reply resets it, a new connection does not */
	struct backoff *backoff;
};

/* Runs until there is a reason to end and the user has finished. Returns the end, and with
 * LOOP_FAILED err. Closes the control connection. */
enum loop_end loop_run(
    struct loop *loop, const struct loop_plan *plan, const struct loop_user *user, struct err *err);

/* Ends the run, unless it is ending already. */
void loop_end(struct loop *loop, enum loop_end end);
/* Ends the run with LOOP_FAILED, and the first reason given. */
void loop_fail(struct loop *loop, const struct err *err);

/*
 * Returns the exit status of a run of count events that did not fail: 124 when it was idle, or
 * to_end ended it, before the limit; 124 when it was idle without any event; else 0.
 */
int loop_status(enum loop_end end, uint64_t count, int64_t limit, bool to_end);

#endif
