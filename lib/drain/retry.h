/*
 * retry: drains the buffer in one or more attempts. Each checks the buffer's target, takes the
 * replay lock, connects, and runs the drain.
 */
#ifndef DRAIN_RETRY_H
#define DRAIN_RETRY_H

#include "drain/drain.h"

/*
 * Makes attempts with growing pauses until another would not help, o->stop is set, or wait_ms have
 * passed; a single attempt if wait_ms is 0. Returns an exit status, at least 1 when any attempt
 * quarantined lines or put events out of order. Adds the results to *sum; its `held` and `left` are
 * those of the last attempt.
 *
 * Reports through o->say why an attempt failed; that another replay is running only if `watched`.
 * With wait_ms, a message that repeats is reported once.
 */
int retry_drain(struct buffer *buf, const struct drain_options *o, struct drain_result *sum,
    int64_t wait_ms, bool watched);

/* Sets *due when there is a segment to drain or an outage's event to append. Takes no lock. Returns
 * 0, or -1 with err. */
int retry_has_work(struct buffer *buf, bool *due, struct err *err);

#endif
