/*
 * status: the exit statuses of all commands.
 *
 * eventbus(7) documents the table. Values 64 to 78 follow sysexits.h(3head); ebhealth alone uses 0
 * to 3, as monitoring plugins do.
 */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

enum status {
	STATUS_OK = 0,   /* done; every event is safe */
	STATUS_SOME = 1, /* some items failed and are kept */
	STATUS_USAGE = 64,
	STATUS_DATA = 65, /* a payload or line was refused */
	STATUS_UNREACHABLE = 69,
	STATUS_UNSAFE = 74, /* an event is not safe, or output was not written */
	STATUS_AGAIN = 75,  /* not finished, try again */
	STATUS_DENIED = 77, /* authentication or permission */
	STATUS_CONFIG = 78,
	STATUS_ENDED = 124 /* ebsub: ended by -W or -e before -n */
};

/* Returns the status to exit with when both apply: the higher, except that 74 wins over all. */
static inline int
status_worse(int a, int b)
{
	if (a == STATUS_UNSAFE || b == STATUS_UNSAFE)
		return STATUS_UNSAFE;
	return a > b ? a : b;
}

#endif
