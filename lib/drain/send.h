/*
 * send: sends a batch: looks up lines in doubt, queues the XADDs, takes the replies.
 */
#ifndef DRAIN_SEND_H
#define DRAIN_SEND_H

#include "drain/batch.h"

#define SEND_CHUNK 32 /* lines that are sent with one system call */

/* Fences the connections of the batch's lines in doubt, then looks up which of these lines were
 * added. Returns 0, or -1 with err. */
int send_resolve(struct batch *b, struct err *err);
/* Queues the XADDs of the batch's new lines and sends what the socket accepts. A dead connection
 * shows in send_await_replies. */
void send_queue(struct batch *b);
/* Waits for all replies. Returns -1 with err when the connection is dead. Sets r->server of the run
 * and err when the server refuses all commands, else leaves them. */
int send_await_replies(struct batch *b, struct err *err);

#endif
