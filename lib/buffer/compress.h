/*
 * compress: closed segments of the chain as .jsonl.gz.
 */
#ifndef COMPRESS_H
#define COMPRESS_H

#include <stddef.h>

#include "base/fail.h"
#include "buffer/spool.h"

/*
 * Compresses every chain segment but the last, under the replay lock. The new file is whole and durable before the old one goes; cut off in
 * between, the old one counts. *done counts them.
 */
int compress_closed(struct spool *sp, size_t *done, struct fail *f);

#endif
