/*
 * retry: the buffer drained by whoever wants it: whose it is, the replay lock, a connection, the
 * drain; again and again.
 */
#ifndef DRAIN_RETRY_H
#define DRAIN_RETRY_H

#include "drain/drain.h"

/*
 * Attempts with growing pauses, until nothing is left for which another would help, o->stop is set,
 * or wait_ms are over; with a wait_ms of 0 one. Returns an exit status (contract, section 6), at
 * least 1 when something went into quarantine or out of order in any of them; *sum is added to, its
 * `held` and `left` are those of the last.
 *
 * Why an attempt did not drain is said (o->say), that another replay is running only when
 * `watched`. With a wait_ms the same things are found again at each attempt: they are said once.
 */
int retry_drain(struct buffer *buf, const struct drain_options *o, struct drain_result *sum,
    int64_t wait_ms, bool watched);

/* Whether there is anything to do: a segment, or an outage to be ended. Without a lock. 0 or -1. */
int retry_has_work(struct buffer *buf, bool *due, struct err *err);

#endif
