/*
 * drain: sends the events of the disk buffer to Redis, in order per type, each once (G3, G4 and G7
 * in eventbus(7)).
 *
 * The unit of work is a batch. drain.c runs its steps; each file owns its part of the state:
 *
 *  1. batch.c takes lines in order from readahead.c. It leaves out lines that are delivered, held
 * or bad (delivery.c), and measures the room in each stream (trim.c).
 *  2. send.c fences the connections of lines in doubt and looks these up in their streams
 *     (indoubt.c).
 *  3. intent.c stores the checkpoint with the intent: up to where lines are about to be sent, of
 *     which types, and the stream ID to look above. Quarantined lines are synced before that. The
 *     step is left out when the stored intent covers the batch already (step 5).
 *  4. send.c queues one XADD a line.
 *  5. While the server works, readahead.c reads the next lines, intent.c stores an intent that
 *     covers them too, and reclaim.c unlinks the segments that the stored positions have passed.
 *  6. send.c takes the replies.
 *  7. delivery.c advances the positions in memory. The next intent, or the end, makes them durable.
 *
 * So a batch costs one fdatasync, and the server need not wait for the disk between two batches.
 *
 * What is durable before what: a quarantined line before the position that passes it, the intent
 * before the XADD of any line that it covers, the positions that pass a segment before the unlink
 * of that segment. A run that is killed at any point leaves an intent, and the next run looks up
 * the lines that it covers.
 *
 * The caller holds the replay lock and an open connection, and has checked the target of the buffer
 * under the lock. A dead connection ends the run. The next
 * run, on a new connection, continues.
 */
#ifndef DRAIN_DRAIN_H
#define DRAIN_DRAIN_H

#include "drain/options.h"

/* Returns 0, or -1 with err: the connection is dead, a reply had an unexpected form (CONN_GARBAGE:
 * the connection must not be used again), the server refuses all commands, or the disk failed.
 * Fills in *res in both cases. */
int drain_run(struct buffer *buf, struct conn *conn, const struct drain_options *o,
    struct drain_result *res, struct err *err);
/* Appends the message about foreign files (buffer/segment.h), which every run reports. Returns
 * whether there are any. */
bool drain_describe_foreign(struct buffer *buf, struct bytes *text);

#endif
