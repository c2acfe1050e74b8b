/*
 * mark: a place in a source of lines, and a set of them, one for each source (progress.h, walk.h).
 *
 * The chain, which is one source over all of its segments, has one mark; each file that is a source of its own has another, by its stem.
 * Strings belong to the mark. A zeroed struct is a mark at the beginning, or a set of none, and valid.
 */
#ifndef MARK_H
#define MARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mark {
	char *stem;		/* NULL: no mark, i.e. the beginning */
	uint64_t pos;		/* bytes; of an unsorted file: lines given out */
	uint64_t limit;		/* of an unsorted file: its size when it was sorted; else 0 */
};

struct marks {
	struct mark chain;
	struct mark *file;
	size_t files;
};

void mark_set(struct mark *m, const char *stem, uint64_t pos, uint64_t limit);
void mark_clear(struct mark *m);
struct mark *marks_find(const struct marks *m, const char *stem);		/* among the files; NULL */
struct mark *marks_get(struct marks *m, const char *stem);		/* made when missing */
void marks_drop(struct marks *m, const char *stem);
void marks_clear(struct marks *m);
void marks_copy(struct marks *to, const struct marks *from);		/* *to is overwritten, not freed */
int marks_none(const struct marks *m);
/* Chain positions: <0 0 >0; a mark without a stem is before everything. */
int mark_cmp(const struct mark *a, const char *stem, uint64_t pos);
/* Whether a line at pos of this source (stem: of the chain's segment, or of the file) lies before its mark; *has: there is one. */
int marks_passed(const struct marks *m, bool chain, const char *stem, uint64_t pos, int *has);

#endif
