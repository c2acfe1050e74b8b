/*
 * status: the exit statuses of all commands, one place.
 *
 * The table that users rely on stands in eventbus(7). Values 64 to 78 follow
 * sysexits.h(3head); ebhealth alone uses 0 to 3 in the manner of monitoring
 * plugins.
 */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

enum status {
	STATUS_OK = 0,   /* all done; every event safe */
	STATUS_SOME = 1, /* some items failed and are kept */
	STATUS_USAGE = 64,
	STATUS_DATA = 65, /* a payload or line was refused */
	STATUS_UNREACHABLE = 69,
	STATUS_UNSAFE = 74, /* an event is not safe; output not written */
	STATUS_AGAIN = 75,  /* not finished, try again */
	STATUS_DENIED = 77, /* authentication or permission */
	STATUS_CONFIG = 78,
	STATUS_ENDED = 124 /* ebsub: ended by -W or -e before -n */
};

/* The worse of two: the higher, except that 74 wins over all. */
static inline int
status_worse(int a, int b)
{
	if (a == STATUS_UNSAFE || b == STATUS_UNSAFE)
		return STATUS_UNSAFE;
	return a > b ? a : b;
}

#endif
