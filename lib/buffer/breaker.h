/*
 * breaker: a circuit breaker that the processes of one buffer share in its file .probe (G8,
 * eventbus(7)).
 *
 * A time-out opens it: for BREAKER_OPEN_MS no process that asks here tries this server. Then one
 * process tries while the others are still refused. While it is closed processes connect one at a
 * time, so that a thousand publishers that start against a stopped server make one connection.
 * A refused connection costs nothing and does not open it.
 */
#ifndef BUFFER_BREAKER_H
#define BUFFER_BREAKER_H

#include <stdbool.h>

#include "buffer/buffer.h"

#define BREAKER_OPEN_MS 5000

/* Returns whether this process may connect now; then breaker_leave must follow. Waits at most ms
 * for another process that is connecting. */
bool breaker_enter(struct buffer *buf, const char *address, int64_t ms);
void breaker_leave(struct buffer *buf, const char *address, bool timed_out);
/* Closes the breaker: the server answered a process that had not entered. */
void breaker_reset(struct buffer *buf, const char *address);
/* Opens the breaker: a command on an established connection timed out. */
void breaker_trip(struct buffer *buf, const char *address);

#endif
