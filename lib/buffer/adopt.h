/*
 * adopt: plain writers' files taken over for delivery, by rename.
 *
 * A claimed file is to rest before it is read, for its writer may have opened it just before. Files
 * that are no regular files of one link are left alone. Under the replay lock.
 */
#ifndef BUFFER_ADOPT_H
#define BUFFER_ADOPT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "buffer/buffer.h"
#include "buffer/checkpoint.h"

#define ADOPT_SETTLE 1000 /* ms */

/* *claimed counts the files, p->claims moves. *rest_ms says how long resting takes, 0 when all have
 * rested. */
int adopt_files(
    struct buffer *buf, struct checkpoint *cp, int64_t *rest_ms, size_t *claimed, struct err *err);

#endif
