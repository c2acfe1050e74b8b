/*
 * pace: how many entries to ask for, so that a reply stays small whatever the size of the entries. Pure.
 */
#ifndef PACE_H
#define PACE_H

#include <stddef.h>

#define PACE_MOST 500	/* entries */
#define PACE_BYTES (512 * 1024)		/* wanted at most, of field names and values, in one reply */

struct pace {
	size_t count;			/* to ask for next */
	size_t most;
};

struct pace pace_start(size_t most);
/* After a reply of `got` entries: doubles while replies are full, and shrinks at once when entries are large. */
void pace_learn(struct pace *p, size_t got, size_t bytes);

#endif
