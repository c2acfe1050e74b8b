/*
 * holder: who holds the writers' lock and does not let go: a process that was stopped, say.
 */
#ifndef HOLDER_H
#define HOLDER_H

#include <stdint.h>

#include "buffer/spool.h"

/*
 * "PID (COMMAND)", a fresh string, when one and the same process is seen with the lock of .lock all through ms; else NULL, also where
 * /proc/locks (proc_locks(5)) does not tell. Has the lock itself, shared, for a moment; costs the time only when somebody else has it.
 */
char *holder_stuck(struct spool *sp, int64_t ms);

#endif
