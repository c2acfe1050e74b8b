/*
 * tidy: takes away what processes that were killed left half made in the buffer.
 *
 * That are temporary files only (.NAME.PID, .own-PID, .compressing): what was not renamed was never part of the
 * buffer. The owner of one may be alive in another PID namespace, so they go by age.
 */
#ifndef BUFFER_TIDY_H
#define BUFFER_TIDY_H

#include "buffer/buffer.h"

#define TIDY_AGE 3600	/* seconds */

/* Best effort; needs no lock. */
void buffer_tidy(struct buffer *buf);

#endif
