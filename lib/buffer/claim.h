/*
 * claim: plain writers' files taken over for delivery, by rename.
 *
 * A claimed file is to rest before it is read, for its writer may have opened it just before. Files that are no regular files of one
 * link are left alone. Under the replay lock.
 */
#ifndef CLAIM_H
#define CLAIM_H

#include <stddef.h>
#include <stdint.h>

#include "base/fail.h"
#include "buffer/progress.h"
#include "buffer/spool.h"

#define CLAIM_SETTLE 1000	/* ms */

/* *claimed counts the files, p->claims moves. *rest_ms says how long resting takes, 0 when all have rested. */
int claim_files(struct spool *sp, struct progress *p, int64_t *rest_ms, size_t *claimed, struct fail *f);

#endif
