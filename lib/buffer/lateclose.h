/*
 * lateclose: gives the blocks of removed files back, in a thread.
 *
 * The last close of a removed file frees its blocks. On a file system that tells the device of them
 * (ext4 with -o discard), or one of many extents, that takes as long as the server takes for a
 * batch or more: 2.3 ms for each 10 MB were measured. Whoever removes a large file holds it before
 * and hands it over afterwards, so that nothing but a close is ever left to the thread: what is
 * durable, and when, is not its business.
 */
#ifndef BUFFER_LATECLOSE_H
#define BUFFER_LATECLOSE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct lateclose { /* all zero at first */
	pthread_t thread;
	int fd; /* what it closes */
	bool busy;
};

/* Before the file is removed: a descriptor for lateclose_start; -1 when it is small or cannot be
 * had, and then removing it frees it. */
int lateclose_hold(int dirfd, const char *name, uint64_t bytes);

/* Afterwards. Takes fd, which may be -1. Waits for the one before. */
void lateclose_start(struct lateclose *lc, int fd);

/* Waits until everything is given back. */
void lateclose_wait(struct lateclose *lc);

#endif
