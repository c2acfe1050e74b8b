/*
 * send: sends a batch: looks up lines in doubt, stores the intent, queues the XADDs, takes the
 * replies (steps 2 to 6 in drain.h).
 */
#ifndef DRAIN_SEND_H
#define DRAIN_SEND_H

#include "drain/drain_int.h"

#define SEND_CHUNK 32 /* lines that are sent with one system call */

/* Fences the connections of the batch's lines in doubt, then looks up which of these lines were
 * added. Returns 0, or -1 with err. */
int send_resolve(struct drain *d, struct err *err);
/* Notes the entries of the lines that were in doubt as matched (struct matched_entry). Called after
 * a batch, before the next checkpoint. */
void send_note_matched(struct drain *d);
/* Stores the checkpoint: the positions and, if `sending`, the intent of the batch. Syncs the
 * quarantine first. Returns 0, or -1 with err. */
int send_store_checkpoint(struct drain *d, bool sending, struct err *err);
/* Queues the XADDs of the batch's new lines and sends what the socket accepts. A dead connection
 * shows in send_await_replies. */
void send_queue(struct drain *d);
/* Stores the checkpoint with an intent that also covers the lines that were read ahead. Called
 * while the batch is in flight; the positions stay. Returns 1, 0 when these lines cannot be
 * covered, or -1 with err. */
int send_store_checkpoint_ahead(struct drain *d, struct err *err);
/* Waits for all replies. Returns -1 with err when the connection is dead. Sets *worst and err when
 * the server refuses all commands, else leaves them. */
int send_await_replies(struct drain *d, enum conn_why *worst, struct err *err);

#endif
