/*
 * id: a place in a stream, as people type it.
 *
 *     0 or -          the beginning
 *     $               the end, as it is at that moment
 *     1764844200123-0, 1764844200123      an ID; without its second part, all of that millisecond
 *     2025-12-04T10:30:00Z                a time (clock_parse)
 *     10m, 2h, 1.5d, 250ms                so long ago (num_ms with a unit)
 */
#ifndef EVENT_ID_H
#define EVENT_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "redis/stream.h"

struct id_place {
	bool end;			/* "$"; low and high then mean nothing */
	struct stream_id low, high;	/* the first and the last ID that it covers */
};

/* now: wall clock, us. `option` is named in the text. 0, or -1 with status 64. */
int id_parse_place(const char *s, int64_t now, const char *option, struct id_place *out, struct err *err);
/* The highest ID below: what reading "after" takes so that id itself is read. 0-0 stays. */
struct stream_id id_before(struct stream_id id);

#endif
