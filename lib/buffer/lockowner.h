/*
 * lockowner: finds a process that holds the writers' lock and does not release it, such as one that
 * was stopped.
 */
#ifndef BUFFER_LOCKOWNER_H
#define BUFFER_LOCKOWNER_H

#include <stdint.h>

#include "buffer/buffer.h"

/*
 * Returns "PID (COMMAND)", to be freed, when the same process holds the lock of .lock for all of
 * ms; else NULL, also when /proc/locks (proc_locks(5)) does not show the process. Takes the lock
 * itself, shared, for a moment. Waits only when another process holds it.
 */
char *lockowner_stuck(struct buffer *buf, int64_t ms);

#endif
