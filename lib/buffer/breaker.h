/*
 * breaker: a server that is silent is asked by one process for all (contract, G8).
 *
 * After a time-out nobody who asks here tries that target for 5 s; then one does, while the others
 * go without. With no time-out on record, connecting is done one at a time, so that a thousand
 * publishers that start against a stopped server cost it one connection. A refusal costs nothing
 * and leaves no record.
 */
#ifndef BUFFER_BREAKER_H
#define BUFFER_BREAKER_H

#include <stdbool.h>

#include "buffer/buffer.h"

#define BREAKER_OPEN_MS 5000

/* 1: try now, then call breaker_leave; 0: do not try. Waits at most ms for others that are just
 * trying. */
int breaker_enter(struct buffer *buf, const char *place, int64_t ms);
void breaker_leave(struct buffer *buf, const char *place, bool timed_out);
/* The place answered somebody who asks for himself: forgets the record. */
void breaker_reset(struct buffer *buf, const char *place);
/* Leaves the record without entering: an exchange on an open connection timed out. */
void breaker_trip(struct buffer *buf, const char *place);

#endif
