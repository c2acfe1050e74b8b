/*
 * mem: the floor. Checked memory, whole writes, numbers as people type them.
 *
 * Running out of memory is the one condition on which this library ends the
 * process: one line on stderr and status 74. By then every accepted event is
 * in Redis or on disk, and one that is not has not been reported as accepted.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <sys/types.h>

#include <stddef.h>
#include <stdint.h>

void *mem_alloc(size_t n);			/* zeroed; never NULL */
void *mem_realloc(void *p, size_t n);		/* never NULL */
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t n);

const char *process_env(const char *name);		/* an environment variable; NULL when unset or empty */

/*
 * What main() does first: opens missing descriptors 0-2 on /dev/null, ignores
 * SIGPIPE and SIGXFSZ, sets umask 077.
 */
void process_start(void);
mode_t process_umask(void);	/* the one before */

/* Calls fn on a signal, without restarting what it interrupts; a signal that is ignored (nohup, a background job) stays ignored. */
void process_on_signal(int sig, void (*fn)(int));

/* Writes all n bytes, through short writes, EINTR and (by poll) EAGAIN.
 * 0, or -1 with errno. */
int io_write(int fd, const void *p, size_t n);

/* An exclusive flock(2) with a deadline: the system call has none. 0, or -1 with errno, EWOULDBLOCK when the holder did not let go within ms. */
int io_flock(int fd, int64_t ms);

/* Reads a whole small file (at most max bytes) relative to dirfd (AT_FDCWD for
 * the working directory) into a fresh NUL-terminated string that the caller
 * frees; *n gets the length when n is not NULL. NULL with errno (EFBIG when larger). */
char *io_slurp(int dirfd, const char *path, size_t max, size_t *n);

/* Writes a number in decimal, without a NUL; returns its end. */
#define NUM_DIGITS 20
char *num_digits(char *out, uint64_t n);
/* Eight hex digits in lower case, without a NUL. */
void num_hex8(char *out, uint32_t n);
int num_hex(char c);				/* value of a hex digit, or -1 */

/* Numbers. All of s must be one; 0, or -1 and *out untouched. */
int num_u64(const char *s, uint64_t *out);
int num_size(const char *s, uint64_t *bytes);	/* 4096, 8M, 8MiB, 1.5G: 1024-based */
int num_ms(const char *s, int64_t *ms);	/* seconds: 2, 0.5; or 250ms 10s 5m 1h 2d */

#endif
