/*
 * id: stream entry IDs, and places in a stream as users type them.
 *
 *     0 or -                  the beginning
 *     $                       the end at the time of use
 *     1764844200123-0         an entry ID
 *     1764844200123           all entry IDs of that millisecond
 *     2025-12-04 10:30, today a time (clock_parse_typed)
 *     10m, 2h, 1.5d, 250ms    an age (num_parse_ms with a unit)
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

/* Parses exactly "ms-seq", as Redis prints it. Returns 0 or -1. */
int id_parse(struct slice s, struct stream_id *id);
void id_format(struct stream_id id, char out[ID_SIZE]);
int id_cmp(struct stream_id a, struct stream_id b); /* <0 0 >0 */
/* Returns the next higher ID; the highest ID stays. */
struct stream_id id_next(struct stream_id id);
/* Returns the next lower ID, from which XREAD returns id itself; 0-0 stays. */
struct stream_id id_before(struct stream_id id);

struct id_place {
	bool end;                   /* "$"; low and high are then unused */
	struct stream_id low, high; /* the first and the last ID at this place */
};

/* Parses a place; now is the wall clock in us. Returns 0, or -1 with status 64 and a text that
 * begins with `option`. */
int id_parse_place(
    const char *s, int64_t now, const char *option, struct id_place *out, struct err *err);

#endif
