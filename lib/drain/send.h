/*
 * send: a batch to Redis: settle what is in doubt, record the intent, send, take the answers.
 */
#ifndef DRAIN_SEND_H
#define DRAIN_SEND_H

#include "drain/drain_int.h"

#define SEND_CHUNK 32 /* lines that are worth a system call */

/* Fences the connections whose requests are in doubt and finds out which of the batch's lines were
 * added. */
int send_resolve(struct drain *d, struct err *err);
/* After a batch, before its record: which entries account for the lines that had been in doubt
 * (struct matched_entry). */
void send_note_spent(struct drain *d);
/* Stores the marks and, when sending, what is about to be sent (checkpoint.h); what is in
 * quarantine is durable before that. */
int send_checkpoint(struct drain *d, bool sending, struct err *err);
/* Queues what is new in the batch and sends what the connection takes. One that is dead shows when
 * the answers are taken. */
void send_queue(struct drain *d);
/* While it is under way: stores what waits behind it as what may be sent too; the marks stay. 1, 0
 * not with what waits there now, -1. */
int send_checkpoint_ahead(struct drain *d, struct err *err);
/* Waits for every answer. -1: the connection is dead. *worst: a refusal by the whole server (f),
 * else untouched. */
int send_await_replies(struct drain *d, enum conn_why *worst, struct err *err);

#endif
