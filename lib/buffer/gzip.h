/*
 * gzip: closed segments of the chain as .jsonl.gz.
 */
#ifndef BUFFER_GZIP_H
#define BUFFER_GZIP_H

#include <stddef.h>

#include "base/err.h"
#include "buffer/buffer.h"

/*
 * Compresses every chain segment but the last, under the replay lock. The new file is whole and
 * durable before the old one goes; cut off in between, the old one counts. *done counts them.
 */
int gzip_segments(struct buffer *buf, size_t *done, struct err *err);

#endif
