/*
 * intent: stores the checkpoint with what is about to be sent (struct intent): up to where lines
 * are sent, of which types, and the stream ID to look above. Durable before the first of their
 * XADDs.
 */
#ifndef DRAIN_INTENT_H
#define DRAIN_INTENT_H

#include "drain/batch.h"

/* Stores the positions and, if `sending`, the intent of the batch. Returns 0, or -1 with err. */
int intent_store(struct batch *b, bool sending, struct err *err);
/* Stores the checkpoint with an intent that also covers the lines that were read ahead. Called
 * while the batch is in flight; the positions stay. Returns 1, 0 when these lines cannot be
 * covered, or -1 with err. */
int intent_store_ahead(struct batch *b, struct err *err);

#endif
