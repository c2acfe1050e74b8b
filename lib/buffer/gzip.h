/*
 * gzip: compresses closed segments of the chain into .jsonl.gz.
 */
#ifndef BUFFER_GZIP_H
#define BUFFER_GZIP_H

#include <stddef.h>

#include "base/err.h"
#include "buffer/buffer.h"

/*
 * Compresses every segment of the chain but the last. The caller holds the replay lock. The new
 * file is whole and durable before the old one is removed; while both exist, the old one counts.
 * *done: how many were compressed.
 */
int gzip_segments(struct buffer *buf, size_t *done, struct err *err);

#endif
