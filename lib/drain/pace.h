/*
 * pace: how far a run may go: its limit of events, its rate, and the signal that ends it.
 */
#ifndef DRAIN_PACE_H
#define DRAIN_PACE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pace {
	volatile sig_atomic_t *stop; /* set by a signal handler; may be NULL */
	uint64_t limit;              /* events; 0: no limit */
	uint64_t rate;               /* events a second; 0: no limit */
	int64_t started;             /* CLOCK_MONOTONIC ms */
	uint64_t done;               /* events so far */
};

/* Returns whether a signal has arrived. */
bool pace_is_stopped(const struct pace *pace);
/* Returns whether the limit is reached. */
bool pace_is_used_up(const struct pace *pace);
/* Returns how many of n events may be sent at once now. */
size_t pace_most(const struct pace *pace, size_t n);
/* Sleeps until the rate permits more events, or a signal arrives. */
void pace_keep_rate(const struct pace *pace);
/* Sleeps for ms, or until a signal arrives. */
void pace_sleep(const struct pace *pace, int64_t ms);

#endif
