/*
 * handle: entries read through groups and handed to commands until there is a reason to stop.
 *
 * One poll(2) loop over the taps, which bring new entries, the desk, on which all else is asked,
 * and the children. An entry is held by this process (job.h) from the moment it is read or taken
 * over until it is acknowledged or set aside; while it is held it is renewed, so that nobody else
 * takes it. An attempt begins with XCLAIM to ourselves, which writes down that it began:
 *
 *     the group's count of deliveries = 1 + the attempts that were begun, of a consumer whose name
 * begins with "eb-"
 *
 * so that a crash of this process counts, and reading or taking over does not. What others'
 * consumers leave begins at 0.
 *
 * Not more is fetched than can run soon: for commands as many as are free, for workers what they
 * answer in a moment.
 */
#ifndef HANDLE_HANDLE_H
#define HANDLE_HANDLE_H

#include "consume/consume.h"
#include "consume/subscription.h"

struct handle_plan {
	struct subscription **subs; /* of a plan with manual_ack */
	size_t n;
	const struct url *url;
	int64_t timeout_ms;
	const char *consumer, *prefix;
	char **argv;                   /* the command, up to NULL */
	bool worker;                   /* it is started once, and is given lines */
	bool ordered;                  /* of a type one at a time, retries included */
	size_t runners;                /* how many run at once */
	int64_t cmd_timeout;           /* ms an attempt may take; -1 for ever */
	int64_t claim_idle;            /* ms; 0: what others left is left alone */
	int64_t retry_base, retry_max; /* ms between attempts: the first pause, the longest */
	int64_t retry_for;             /* ms during which "later" (75) is no failure */
	uint64_t max_deliveries;       /* attempts */
	/* ms that running commands have when it is time to stop */
	int64_t stop_timeout;
	int stop;      /* descriptor: readable when it is time to stop */
	int64_t limit; /* events handled or set aside; -1 for no limit */
	/* stop when nothing is unread, nothing pending with us, nothing left by others */
	bool to_end;
	int64_t idle_ms; /* stop when nothing ran for so long; -1 never */
	sub_note_fn *note;
	void *arg;
};

struct handle_count {
	uint64_t handled;    /* acknowledged, or about to be */
	uint64_t failed;     /* attempts */
	uint64_t postponed;  /* put off (75) */
	uint64_t dead;       /* set aside */
	uint64_t stuck;      /* could not be set aside: still pending */
	uint64_t lost;       /* gone from the stream before they were handled */
	uint64_t taken_over; /* taken over from other consumers */
	/* handled, and the server could not be told: they will come again */
	uint64_t unacked;
};

/* Of a plan: what ebsub(1) says of who says nothing. The rest is 0. */
void handle_plan_init(struct handle_plan *plan);

enum consume_end handle_run(
    const struct handle_plan *plan, struct handle_count *count, struct err *err);

/* The exit status of what was left, when the run itself ended with `status`. */
int handle_status(const struct handle_count *count, int status);
/* Appends the counts as words. */
void handle_summary(struct bytes *out, const struct handle_count *count);

#endif
