/*
 * consumer: a consumer name that the next run on this host takes again.
 *
 * The name is eb-HOST-N with the lowest N from 1 whose lock is free. The lock is flock(2) on
 * consumers/NAME.lock below the state directory, held for the life of the process and shared by all
 * groups. The files are empty and are never deleted. Bytes of the host name that are not legal in
 * an event type become '_'.
 */
#ifndef CONSUME_CONSUMER_H
#define CONSUME_CONSUMER_H

#include "base/err.h"

struct consumer {
	char name[256];
	char host_prefix[80]; /* "eb-HOST-", which all such names of this host begin with */
	int fd;               /* the lock; -1: none */
};

/*
 * Locks a name, and creates the directories with mode 0700. state may be NULL. Returns 0; or -1
 * with err, and then the name is eb-HOST-PID, which no later run takes.
 */
int consumer_take(struct consumer *consumer, const char *state, struct err *err);
void consumer_release(struct consumer *consumer);
/* Checks a name given with `option`: 1 to 200 printable ASCII characters without space. Returns 0,
 * or -1 with status 64. */
int consumer_check(const char *option, const char *name, struct err *err);

#endif
