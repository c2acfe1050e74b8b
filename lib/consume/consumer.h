/*
 * consumer: a name for a reader that a restart finds again.
 *
 * eb-HOST-N, N from 1 the lowest whose lock is free: consumers/NAME.lock below the state directory,
 * held by flock(2) for the life of the process, for all groups alike. The files stay; an empty one
 * means nothing. Names are made of what is legal in a type; other bytes of the host name become
 * '_'.
 */
#ifndef CONSUME_CONSUMER_H
#define CONSUME_CONSUMER_H

#include "base/err.h"

struct consumer {
	char name[256];
	char host_prefix[256]; /* of all such names of this host: "eb-HOST-" */
	int fd;                /* the lock; -1 for none */
};

/* Directories are made with mode 0700. state may be NULL. 0; -1 and err: then the name is
 * eb-HOST-PID, which no restart takes up. */
int consumer_take(struct consumer *c, const char *state, struct err *err);
void consumer_release(struct consumer *c);
/* Of a name that somebody gave behind `option`: 1 to 200 printable bytes without space. 0, or -1
 * with status 64. */
int consumer_check(const char *option, const char *name, struct err *err);

#endif
