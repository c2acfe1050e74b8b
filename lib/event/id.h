/*
 * id: the ID of a stream entry, and a place in a stream as people type it.
 *
 *     0 or -          the beginning
 *     $               the end, as it is at that moment
 *     1764844200123-0, 1764844200123      an ID; without its second part, all of that millisecond
 *     2025-12-04T10:30:00Z                a time (clock_parse)
 *     10m, 2h, 1.5d, 250ms                so long ago (num_parse_ms with a unit)
 */
#ifndef EVENT_ID_H
#define EVENT_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct stream_id {
	uint64_t ms, seq;
};
#define ID_SIZE 48

int id_parse(struct slice s, struct stream_id *id); /* "ms-seq" exactly; 0 or -1 */
void id_format(struct stream_id id, char out[ID_SIZE]);
int id_cmp(struct stream_id a, struct stream_id b); /* <0 0 >0 */
struct stream_id id_next(struct stream_id id);      /* the lowest ID above */
/* The highest ID below: reading "after" it reads id itself. 0-0 stays. */
struct stream_id id_before(struct stream_id id);

struct id_place {
	bool end;                   /* "$"; low and high then mean nothing */
	struct stream_id low, high; /* the first and the last ID that it covers */
};

/* now: wall clock, us. The text of a failure names `option`. 0, or -1 with status 64. */
int id_parse_place(
    const char *s, int64_t now, const char *option, struct id_place *out, struct err *err);

#endif
