/*
 * lockowner: who holds the writers' lock and does not let go: a process that was stopped, say.
 */
#ifndef BUFFER_LOCKOWNER_H
#define BUFFER_LOCKOWNER_H

#include <stdint.h>

#include "buffer/buffer.h"

/*
 * "PID (COMMAND)", a fresh string, when one and the same process is seen with the lock of .lock all
 * through ms; else NULL, also where /proc/locks (proc_locks(5)) does not tell. Has the lock itself,
 * shared, for a moment; costs the time only when somebody else has it.
 */
char *lockowner_stuck(struct buffer *buf, int64_t ms);

#endif
