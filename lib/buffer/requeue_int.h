/*
 * requeue_int: what the parts of requeue share. A part of requeue; nobody else's.
 */
#ifndef BUFFER_REQUEUE_INT_H
#define BUFFER_REQUEUE_INT_H

#include "buffer/requeue.h"

#define REQUEUE_STRANGE "no record of ours"	/* the reason of a line that is none */

int requeue_dir(struct buffer *buf, struct err *err);	/* a descriptor of quarantine/; f->sys ENOENT: there is none */
/* The files that are meant: those named, each of which must be there, or all. Fresh; *list NULL on failure. */
int requeue_names(struct buffer *buf, int dir, const struct requeue_names *names, char ***list, size_t *n, struct err *err);
void requeue_free(char **list, size_t n);
int requeue_whole(const char *name);	/* 1: a segment that was moved whole */

#endif
