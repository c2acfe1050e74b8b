/*
 * suspect: lines of a segment whose fdatasync failed, that stand in a later one too.
 *
 * Their publisher wrote them again before it reported them as accepted (append.h), so they are
 * delivered from there. Reads one suspect segment (its size is bounded) and passes once through the
 * later ones.
 */
#ifndef BUFFER_SUSPECT_H
#define BUFFER_SUSPECT_H

#include "base/err.h"
#include "buffer/buffer.h"
#include "buffer/segment.h"
#include "event/event.h"

struct suspect;

/* list: the chain in order of age, see segment_list. NULL on failure. */
struct suspect *suspect_open(
    struct buffer *buf, const char *stem, const struct segment *list, size_t n, struct err *err);
void suspect_close(struct suspect *s); /* NULL is fine */
const char *suspect_stem(const struct suspect *s);
/* 1 when this event stands in a later segment. */
int suspect_is_repeated(const struct suspect *s, const struct event *e);

#endif
