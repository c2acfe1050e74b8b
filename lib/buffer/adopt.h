/*
 * adopt: takes over the files of plain writers for delivery, by rename.
 *
 * NAME.jsonl becomes NAME.claimed-N.jsonl ("claimed" is an earlier name, kept for compatibility).
 * Its writer may still have it open: a drain reads it only after it was unchanged for ADOPT_SETTLE.
 * Files that are not regular files with one link, owned by the caller, are ignored.
 */
#ifndef BUFFER_ADOPT_H
#define BUFFER_ADOPT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "buffer/buffer.h"
#include "buffer/checkpoint.h"

#define ADOPT_SETTLE 1000 /* ms */

/* Adopts all foreign files. *adopted: their count; cp->adopted grows by at least that. *settle_ms:
 * how long the caller has to wait before reading, 0 when all adopted files have settled. Returns 1
 * with err when one could not be adopted; the others were. Under the replay lock. */
int adopt_files(struct buffer *buf, struct checkpoint *cp, int64_t *settle_ms, size_t *adopted,
    struct err *err);

#endif
