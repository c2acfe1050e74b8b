/*
 * err: why something failed, in words for people.
 *
 * The one convention of this library: a function that can fail returns 0/-1 or
 * pointer/NULL and, where it takes a `struct err *`, leaves there one line
 * without a newline ("open 'x': Permission denied") and the exit status that
 * fits. It never prints and never exits. The pointer may not be NULL. What is
 * in it counts only after a failure. Passwords never get into it.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

struct err {
	int status; /* an enum status */
	int sys;    /* errno of the cause, or 0 */
	/* never overrun: of a longer one the middle is "..."; unprintable bytes as '?' */
	char text[768];
};

/* Both return -1, so that a caller can `return err_set(...)`. */
int err_set(struct err *err, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with ": strerror(errno)" behind it; keeps errno. */
int err_sys(struct err *err, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Words for a terminal: each control character, and each byte where s is not UTF-8, becomes '?'.
 * The texts above are clean. */
void err_clean(char *s);

#endif
