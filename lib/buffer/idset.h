/*
 * idset: identities, each with a counter. Filled first, then sorted once, then asked.
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

/* its counter is 0; to be sorted before the next idset_find */
void idset_add(struct idset *s, struct slice id);
void idset_sort(struct idset *s);
/* NULL when it is not among them */
size_t *idset_find(const struct idset *s, struct slice id);
void idset_free(struct idset *s);

#endif
