/*
 * process: the surroundings of this process: its environment, signals, umask.
 */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <sys/types.h>

/*
 * The first call of main(): opens missing descriptors 0-2 on /dev/null, ignores SIGPIPE and
 * SIGXFSZ, sets umask 077.
 */
void process_init(void);
mode_t process_initial_umask(void); /* the umask before process_init */
/* an environment variable; NULL when unset or empty */
const char *process_env(const char *name);
/* Calls fn on a signal, without restarting the system call that it interrupts. A signal that is
 * ignored (nohup, a background job) stays ignored. */
void process_on_signal(int sig, void (*fn)(int));

#endif
