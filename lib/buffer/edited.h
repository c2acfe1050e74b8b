/*
 * edited: notices that a segment was changed by hand.
 *
 * A position of the checkpoint has the mark of the line before it. When another line, or none,
 * stands there now, the position means nothing: the lines of this segment are looked up in their
 * streams, from its start. Compressed segments are left out; they have a checksum of their own.
 */
#ifndef BUFFER_EDITED_H
#define BUFFER_EDITED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "buffer/buffer.h"
#include "buffer/checkpoint.h"

/* The mark of a line: tells it from its neighbours. Of a line of ebpub the digits of its crc. */
uint64_t edited_mark(struct slice line);
/* Adds the segments in which a position is wrong to cp->edited, and returns all positions in them
 * to the start. Changes cp only. */
void edited_check(struct buffer *buf, struct checkpoint *cp);
/* Returns whether each line of this segment has to be looked up before it is sent: it was edited,
 * or vanished and came back, or the checkpoint was lost. */
bool edited_needs_lookup(const struct checkpoint *cp, const char *stem);

#endif
