/*
 * ship: a batch to Redis: settle what is in doubt, record the intent, send, take the answers.
 */
#ifndef SHIP_H
#define SHIP_H

#include "drain/run.h"

#define SHIP_PUSH 32	/* lines that are worth a system call */

/* Fences the connections whose requests are in doubt and finds out which of the batch's lines were added. */
int ship_settle(struct run *d, struct fail *f);
/* After a batch, before its record: which entries account for the lines that had been in doubt (struct spent). */
void ship_spend(struct run *d);
/* Stores the marks and, when sending, what is about to be sent (progress.h); what is in quarantine is durable before that. */
int ship_record(struct run *d, bool sending, struct fail *f);
/* Queues what is new in the batch and sends what the connection takes. One that is dead shows when the answers are taken. */
void ship_send(struct run *d);
/* While it is under way: stores what waits behind it as what may be sent too; the marks stay. 1, 0 not with what waits there now, -1. */
int ship_record_more(struct run *d, struct fail *f);
/* Waits for every answer. -1: the connection is dead. *worst: a refusal by the whole server (f), else untouched. */
int ship_take(struct run *d, enum bus_why *worst, struct fail *f);

#endif
