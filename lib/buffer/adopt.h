/*
 * adopt: takes over the files of plain writers for delivery, by rename.
 *
 * buffer_NAME.jsonl becomes buffer_NAME.claimed-N.jsonl ("claimed" is an earlier name, kept for
 * compatibility). Its writer may still have it open: a drain reads it for the first time when it
 * was unchanged for ADOPT_SETTLE, and it is not removed while a process can still write to it. What
 * is appended to it later is read later. Files that cannot be used (segment.h) are ignored.
 */
#ifndef BUFFER_ADOPT_H
#define BUFFER_ADOPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "buffer/buffer.h"
#include "buffer/checkpoint.h"
#include "buffer/segment.h"

#define ADOPT_SETTLE 1000 /* ms */

/* Adopts all files of plain writers, empty ones only with `empty`. *adopted: their count;
 * cp->adopted grows by at least that. *settle_ms: how long the caller has to wait before reading, 0
 * when all adopted files have settled. Returns 1 with err when one could not be adopted; the others
 * were. Under the replay lock. */
int adopt_files(struct buffer *buf, struct checkpoint *cp, bool empty, int64_t *settle_ms,
    size_t *adopted, struct err *err);
/* Adopts one file, whatever its name and its directory, on the user's command; durable on return.
 * -1 with status 64 when it is not a file that can be adopted. Under the replay lock. */
int adopt_named_file(struct buffer *buf, const char *path, struct err *err);

/* Returns whether a process may still write to this adopted file. Where the file system does not
 * tell, it may until the file was unchanged for a minute. */
bool adopt_is_written(struct buffer *buf, const struct segment *seg);
/* Removes the empty files of plain writers that were not written to for ADOPT_SETTLE, for which it
 * waits, and are not open for writing. Does nothing while a drain runs. */
int adopt_remove_empty(struct buffer *buf, struct err *err);

#endif
