/*
 * process: the environment, signal handlers and umask of this process.
 */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <sys/types.h>

#include <signal.h>

/*
 * Must be the first call in main(). Opens closed descriptors among 0-2, so that no other file gets
 * their numbers; ignores SIGPIPE and SIGXFSZ; sets umask 077.
 */
void process_init(void);
/* Returns the umask that process_init found. */
mode_t process_initial_umask(void);
/* Returns an environment variable, or NULL when it is unset or empty. */
const char *process_env(const char *name);
/* Installs a handler without SA_RESTART, so that the signal interrupts system calls. A signal that
 * is ignored (nohup, a background job) stays ignored. */
void process_on_signal(int sig, void (*fn)(int));
/* How many signals asked this process to stop; counted by the handlers. One that comes while a
 * connection is made ends that attempt. */
extern volatile sig_atomic_t process_stop_signals;
/* So long a wait may last before the count is looked at again, ms: a signal that comes just before
 * the wait does not interrupt it. */
#define PROCESS_STOP_MS 200

#endif
