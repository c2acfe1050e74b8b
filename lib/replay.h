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

/*
 * The same again and again, with growing pauses, until nothing is left for which that would help, o->stop is set, or wait_ms
 * are over. When something went into quarantine or out of order in any of the attempts, it is at least status 1.
 *
 * Why an attempt did not drain is said too (o->say), that another replay is running only when `watched`. With a wait_ms the same things
 * are found again at each attempt: they are said once.
 */
int replay_within(struct spool *sp, const struct drain_options *o, struct drain_result *sum, int64_t wait_ms, bool watched);

/* Whether there is anything to do: a segment, or an outage to be ended. Without a lock. 0 or -1. */
int replay_due(struct spool *sp, bool *due, struct fail *f);

/* Appends, in words, how far it is after ms (> 0). */
void replay_tick_text(struct buf *out, uint64_t done, uint64_t total, int64_t ms);
/* Appends the sum as words. */
void replay_text(struct buf *out, const struct drain_result *r, int64_t ms);
/* Appends the JSON object that ebreplay -j prints (ebreplay(1)). */
void replay_json(struct buf *out, const struct drain_result *r, int status);

#endif
