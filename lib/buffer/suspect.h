/*
 * suspect: finds which lines of a suspect segment, one whose fdatasync failed, are in a later one
 * too.
 *
 * Their publisher wrote them again before it reported them as accepted (append.h), so they are
 * delivered from the later segment. Reads one suspect segment, of limited size, into memory and
 * passes once through the later ones.
 */
#ifndef BUFFER_SUSPECT_H
#define BUFFER_SUSPECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "buffer/buffer.h"
#include "event/event.h"

struct suspect;

/* Takes the writers' lock for a moment (waits lock_ms). NULL on failure. */
struct suspect *suspect_open(
    struct buffer *buf, const char *stem, int64_t lock_ms, struct err *err);
void suspect_close(struct suspect *s); /* NULL is fine */
const char *suspect_stem(const struct suspect *s);
/* Returns whether this event is in a later segment. */
bool suspect_is_repeated(const struct suspect *s, const struct event *e);

#endif
