/*
 * breaker: a circuit breaker, shared by all processes that use one buffer through its file .probe
 * (G8, eventbus(7)).
 *
 * A time-out opens it: for BREAKER_OPEN_MS breaker_enter returns false for this address in every
 * process. After that it is half-open: one process may connect, and breaker_enter returns false to
 * the others until it has. While it is closed processes connect one at a time, so that a thousand
 * publishers that start against a stopped server make one connection. A refused connection fails at
 * once, so it does not open the breaker.
 */
#ifndef BUFFER_BREAKER_H
#define BUFFER_BREAKER_H

#include <stdbool.h>

#include "buffer/buffer.h"

#define BREAKER_OPEN_MS 5000

/* Returns whether this process may connect now. If true, the caller must call breaker_leave. Waits
 * at most ms for another process that is connecting. */
bool breaker_enter(struct buffer *buf, const char *address, int64_t ms);
/* Ends the attempt: opens the breaker if it timed out, else closes it. Also for a process that did
 * not enter: the server answered it, or a command on an established connection timed out. */
void breaker_leave(struct buffer *buf, const char *address, bool timed_out);

#endif
