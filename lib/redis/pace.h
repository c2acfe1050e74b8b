/*
 * pace: how many entries to ask for, so that a reply stays small whatever the size of the entries. Pure.
 *
 * It begins with few, since nothing is known of them: an entry may have hundreds of MiB. What was learned holds only as long
 * as entries stay alike; who may not hold a reply that is larger says so to the bus (bus_most) and begins again, with one.
 */
#ifndef PACE_H
#define PACE_H

#include <stddef.h>

#define PACE_MOST 500	/* entries */
#define PACE_FIRST 4
#define PACE_BYTES (512UL * 1024)		/* wanted at most, of field names and values, in one reply */
#define PACE_HELD (32 << 20)		/* held at most, of a reply of more than one entry */

struct pace {
	size_t count;			/* to ask for next */
	size_t most;
};

struct pace pace_start(size_t first, size_t most);	/* most 0: PACE_MOST */
/* After a reply of `got` entries: four times as many while replies are full, and fewer at once when entries are large. */
void pace_learn(struct pace *p, size_t got, size_t bytes);

#endif
