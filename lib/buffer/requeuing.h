/*
 * requeuing: what the parts of requeue share. A part of requeue; nobody else's.
 */
#ifndef REQUEUING_H
#define REQUEUING_H

#include "buffer/requeue.h"

#define REQUEUING_STRANGE "no record of ours"	/* the reason of a line that is none */

int requeuing_dir(struct spool *sp, struct fail *f);	/* a descriptor of quarantine/; f->sys ENOENT: there is none */
/* The files that are meant: those named, each of which must be there, or all. Fresh; *list NULL on failure. */
int requeuing_names(struct spool *sp, int dir, const struct requeue_names *names, char ***list, size_t *n, struct fail *f);
void requeuing_free(char **list, size_t n);
int requeuing_whole(const char *name);	/* 1: a segment that was moved whole */

#endif
