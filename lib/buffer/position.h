/*
 * position: a place in a source of lines, and a set of them, one for each source (checkpoint.h,
 * walk.h).
 *
 * The chain, which is one source over all of its segments, has one mark; each file that is a source
 * of its own has another, by its stem. Strings belong to the mark. A zeroed struct is a mark at the
 * beginning, or a set of none, and valid.
 */
#ifndef BUFFER_POSITION_H
#define BUFFER_POSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct position {
	char *stem;     /* NULL: no mark, i.e. the beginning */
	uint64_t pos;   /* bytes; of an unsorted file: lines given out */
	uint64_t limit; /* of an unsorted file: its size when it was sorted; else 0 */
};

struct positions {
	struct position chain;
	struct position *files;
	size_t nfiles;
};

void position_set(struct position *ps, const char *stem, uint64_t pos, uint64_t limit);
void position_clear(struct position *ps);
/* among the files; NULL */
struct position *positions_find(const struct positions *ps, const char *stem);
/* made when missing */
struct position *positions_find_or_add(struct positions *ps, const char *stem);
void positions_drop(struct positions *ps, const char *stem);
void positions_clear(struct positions *ps);
/* *to is overwritten, not freed */
void positions_copy(struct positions *to, const struct positions *from);
int positions_empty(const struct positions *ps);
/* Chain positions: <0 0 >0; a mark without a stem is before everything. */
int position_cmp(const struct position *a, const char *stem, uint64_t pos);
/* Whether a line at pos of this source (stem: of the chain's segment, or of the file) lies before
 * its mark; *has: there is one. */
int positions_passed(
    const struct positions *ps, bool chain, const char *stem, uint64_t pos, int *has);

#endif
