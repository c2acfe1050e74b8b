/*
 * err: the error object: an exit status and one line of text.
 *
 * Functions that can fail return 0/-1 or a pointer/NULL. Those that take a `struct err *`, which
 * must not be NULL, fill it on failure; after success its contents are undefined. The text has no
 * newline ("open 'x': Permission denied") and never contains a password. The library itself
 * never prints and never exits, except when memory runs out (mem.h).
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>

#include "base/bytes.h"

struct err {
	int status; /* an enum status */
	int sys;    /* errno of the cause, or 0 */
	int why;    /* an enum conn_why (redis/conn.h) when a connection or a reply failed, or 0 */
	/* A longer text has its middle replaced by "...". Unprintable bytes are '?'. */
	char text[768];
};

/* All return -1, so that a caller can `return err_set(...)`. */
int err_set(struct err *err, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int err_setv(struct err *err, int status, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));
/* Appends ": " and strerror(errno) to the text. Preserves errno. */
int err_sys(struct err *err, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Makes a text safe for a terminal, and NUL-terminated: control characters become '?', and so does
 * each byte beyond ASCII when the text is not UTF-8. Characters that turn the direction of writing
 * become \u202E and the like. err_set and err_sys have done this already. */
void err_clean(struct bytes *text);

#endif
