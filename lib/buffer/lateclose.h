/*
 * lateclose: closes removed files in a thread.
 *
 * The last close of a removed file frees its blocks. On a file system that sends discards for freed
 * blocks (ext4 with -o discard), or for a file of many extents, this takes as long as Redis takes
 * for a batch, or longer: 2.3 ms for each 10 MB were measured. The caller opens a large file before
 * it unlinks it and closes it here afterwards. The thread does nothing but the close: durability
 * does not depend on it.
 */
#ifndef BUFFER_LATECLOSE_H
#define BUFFER_LATECLOSE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct lateclose { /* all zero at first */
	pthread_t thread;
	int fd; /* being closed */
	bool busy;
};

/* Before the unlink: opens a descriptor for lateclose_start. -1 when the file is small or cannot be
 * opened: the unlink then frees the blocks. */
int lateclose_hold(int dirfd, const char *name, uint64_t bytes);

/* After the unlink: closes fd, which may be -1, in a thread. Waits for the previous one first. */
void lateclose_start(struct lateclose *lc, int fd);

void lateclose_wait(struct lateclose *lc);

#endif
