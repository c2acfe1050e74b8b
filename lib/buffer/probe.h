/*
 * probe: a server that is silent is asked by one process for all (contract, G8).
 *
 * After a time-out nobody who asks here tries that target for 5 s; then one does, while the others go without.
 * With no time-out on record, connecting is done one at a time, so that a thousand publishers that start
 * against a stopped server cost it one connection. A refusal costs nothing and leaves no record.
 */
#ifndef PROBE_H
#define PROBE_H

#include <stdbool.h>

#include "buffer/spool.h"

#define PROBE_MS 5000

/* 1: try now, then call probe_leave; 0: do not try. Waits at most ms for others that are just trying. */
int probe_enter(struct spool *sp, const char *place, int64_t ms);
void probe_leave(struct spool *sp, const char *place, bool timed_out);
/* The place answered somebody who asks for himself: forgets the record. */
void probe_answered(struct spool *sp, const char *place);
/* Leaves the record without entering: an exchange on an open connection timed out. */
void probe_silent(struct spool *sp, const char *place);

#endif
