/*
 * replay: one attempt to drain the buffer: whose it is, the replay lock, a connection, the drain.
 */
#ifndef REPLAY_H
#define REPLAY_H

#include "drain.h"

/*
 * Returns an exit status (contract, section 6); *sum is added to, its `held` and `left` are those of this attempt. Where the
 * buffer was not drained for a reason of the server, the disk, or the lock (f->sys EWOULDBLOCK: another replay is running),
 * f->text says so; else it is "".
 */
int replay_once(struct spool *sp, const struct drain_options *o, struct drain_result *sum, struct fail *f);

#endif
