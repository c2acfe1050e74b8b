/*
 * idset: a set of identities, each with a counter. Add all, sort once, then find.
 */
#ifndef BUFFER_IDSET_H
#define BUFFER_IDSET_H

#include <stddef.h>

#include "base/bytes.h"

struct idset {
	struct idset_entry {
		char *id;
		size_t count;
	} * entry;
	size_t n;
};

/* Adds a copy of id with the counter 0. Sort before the next idset_find. */
void idset_add(struct idset *s, struct slice id);
void idset_sort(struct idset *s);
/* Returns the counter of id; NULL when it is not in the set. */
size_t *idset_find(const struct idset *s, struct slice id);
void idset_free(struct idset *s);

#endif
