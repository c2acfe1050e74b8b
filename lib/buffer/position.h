/*
 * position: a place in a source of lines, and a set of places, one for each source (walk.h).
 *
 * The chain is one source over all its segments and has one position. Each other file is a source
 * and has a position by its stem. A position owns its stem. A zeroed struct is valid: the beginning
 * of a source, or an empty set.
 */
#ifndef BUFFER_POSITION_H
#define BUFFER_POSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct position {
	char *stem;     /* NULL: the beginning */
	uint64_t pos;   /* bytes; in an unsorted file: lines passed, in sorted order */
	uint64_t limit; /* of an unsorted file: its size when it was sorted; else 0 */
};

struct positions {
	struct position chain;
	struct position *files;
	size_t nfiles;
};

void position_set(struct position *p, const char *stem, uint64_t pos, uint64_t limit);
void position_clear(struct position *p);
/* Compares positions in one source: <0, 0, >0. A position without a stem is before all others. */
int position_cmp(const struct position *a, const char *stem, uint64_t pos);

/* Finds the position of a file, or NULL. */
struct position *positions_find(const struct positions *ps, const char *stem);
/* Adds one more position with this stem, at the beginning. */
struct position *positions_add(struct positions *ps, const char *stem);
struct position *positions_find_or_add(struct positions *ps, const char *stem);
/* The position of a source: of the chain, or of the file `stem`. NULL when it has none. */
struct position *positions_get(struct positions *ps, bool chain, const char *stem);
void positions_set(
    struct positions *ps, bool chain, const char *stem, uint64_t pos, uint64_t limit);
void positions_drop(struct positions *ps, const char *stem);
void positions_clear(struct positions *ps);
/* Overwrites *to without freeing it. */
void positions_copy(struct positions *to, const struct positions *from);
bool positions_empty(const struct positions *ps);
/* True when a line at pos of this source (stem: of the chain's segment, or of the file) lies
 * before the source's position. *known: the set has a position for it. */
bool positions_passed(
    const struct positions *ps, bool chain, const char *stem, uint64_t pos, bool *known);

#endif
