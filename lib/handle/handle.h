/*
 * handle: reads entries through groups and runs commands for them until there is a reason to stop.
 *
 * An attempt begins with XCLAIM to the same consumer, which records it in the group. For a consumer
 * whose name begins with "eb-":
 *
 *     delivery count in the group = 1 + attempts begun
 *
 * So an attempt that ends with the death of this process counts; reads and takeovers do not.
 * Entries taken over from consumers of other programs (names without eb-) begin with 0 attempts.
 *
 * No more is read than can run soon: for commands one entry per free runner, for workers four times
 * what they answered in the last 20 ms.
 */
#ifndef HANDLE_HANDLE_H
#define HANDLE_HANDLE_H

#include "consume/loop.h"

/* Besides what and how long to read: the subscriptions' plan has manual_ack. */
struct handle_plan {
	const char *prefix;
	char **argv;                   /* the command; ends with NULL */
	bool worker;                   /* the command is started once and reads JSON lines */
	bool ordered;                  /* one event of a type at a time, retries included */
	size_t runners;                /* commands or workers that run at once */
	int64_t cmd_timeout;           /* ms an attempt may take; -1: no limit */
	int64_t retry_base, retry_max; /* ms: the first and the longest pause between attempts */
	int64_t retry_for;             /* ms during which exit status 75 is no failure */
	/* attempts until the dead letter: one less than the group's delivery count then */
	uint64_t max_deliveries;
	int64_t stop_timeout; /* ms that running commands have when the run ends */
};

struct handle_count {
	uint64_t handled;    /* acknowledged, or will be */
	uint64_t failed;     /* attempts */
	uint64_t postponed;  /* attempts that ended with 75 */
	uint64_t dead;       /* became dead letters */
	uint64_t stuck;      /* could not become dead letters: still pending */
	uint64_t lost;       /* gone from the stream before they were handled */
	uint64_t taken_over; /* claimed from other consumers */
	uint64_t unacked;    /* handled but not acknowledged: will be redelivered */
};

/* Sets the defaults of ebsub(1), and 0 for the rest. */
void handle_plan_init(struct handle_plan *plan);

/* Runs until the plan ends it; what counts against the limit is handled or a dead letter. Closes
 * the subscriptions. With LOOP_FAILED, err has the reason. */
enum loop_end handle_run(const struct loop_plan *read, const struct handle_plan *plan,
    struct handle_count *count, struct err *err);

/* Returns the exit status of a run that ended with `status`, raised by what the counts show. */
int handle_status(const struct handle_count *count, int status);
/* Appends the counts in words. */
void handle_summary(struct bytes *out, const struct handle_count *count);

#endif
