/*
 * segment: the files that hold the lines of the buffer, by name and kind.
 *
 *     STEM.jsonl              chain: all publishers append to it in turn
 *     STEM.jsonl.gz           the same, closed and compressed
 *     STEM.suspect.jsonl      the same, its fdatasync(2) failed once
 *     STEM.own-N.jsonl        written whole by one publisher that did not get the writers' lock, or
 *                             by a quarantine retry (requeue.h); N: see append_own_number
 *     buffer_NAME.jsonl       plain: any other NAME; of a plain writer, not yet adopted
 *     buffer_NAME.claimed-N.jsonl
 *                             adopted: the same, renamed by a drain ("claimed" is an earlier name,
 *                             kept for compatibility); N has at least six digits
 *
 * Any other *.jsonl or *.jsonl.gz is foreign: not a part of the buffer, and left alone. An earlier
 * version also adopted files without buffer_: a NAME.claimed-N.jsonl is adopted if the manifest has
 * it.
 *
 * STEM is buffer_2025-12-04_10-30-00_000001. The stem of a segment (struct segment) is its name up
 * to ".jsonl", without ".suspect". It never changes and is never used twice. Chain stems sort by
 * age.
 */
#ifndef BUFFER_SEGMENT_H
#define BUFFER_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

#define SEGMENT_NAME 256
#define MANIFEST_MAX (64u << 20) /* bytes of .roster */

enum segment_kind {
	SEGMENT_NONE,
	SEGMENT_CHAIN,
	SEGMENT_OWN,
	SEGMENT_ADOPTED,
	SEGMENT_PLAIN,
	SEGMENT_FOREIGN
};

struct segment {
	char *name, *stem;
	enum segment_kind kind;
	bool gz, suspect;
	const char *ignored; /* why it cannot be used: reported, never opened; NULL: it can */
	uint64_t size;       /* bytes on disk when listed; 0: not a regular file */
};

/* Lists all segments: the chain by age, then the others by name. Leaves out a compressed file
 * beside its plain one. The caller frees *list, which holds the names too: there may be thousands.
 * A name has room for SEGMENT_SUSPECT. */
#define SEGMENT_SUSPECT ".suspect"
int segment_list(int dirfd, struct segment **list, size_t *n, struct err *err);
/* Returns whether the segment may hold lines. An empty file of a plain writer holds none, nor does
 * what is not a regular file. A segment of ours that cannot be used may, as one that was given to
 * another user. */
bool segment_may_hold(const struct segment *s);
/* True for a file to which a plain writer may append at any time. */
bool segment_may_grow(const struct segment *s);
/* 1 when there is a segment that may hold lines; else 2 when there is one that may grow, 0 when
 * there is none; -1 with errno. Cheaper than a list. */
int segment_any(int dirfd);
/* Returns the number of foreign files. Appends the names of some, unless names is NULL. */
size_t segment_count_foreign(int dirfd, struct bytes *names);
/* Fills name, stem, kind, gz and suspect from a file name, which *s refers to, as to the array
 * stem. -1 when it is not a segment's: kind is then SEGMENT_FOREIGN for a foreign file, and
 * SEGMENT_ADOPTED for one that an earlier version may have adopted. */
int segment_parse(char *name, char stem[SEGMENT_NAME], struct segment *s);

/* True for the stem of a chain segment. */
bool segment_is_chain(const char *stem);
/* Makes the stem of the next chain segment: the second of now_us, or `last` counted up when that
 * is not later. */
void segment_next_stem(const char *last, int64_t now_us, char out[64]);
/* True when a chain stem is of the UTC day of now_us or later. */
bool segment_day_is_current(const char *stem, int64_t now_us);
/* Returns the length of the name that the file of this stem had before it was adopted. */
size_t segment_plain_length(const char *stem);

/* Unlinks the segment, and the .gz that an interrupted compression left beside it. -1 with errno;
 * ENOENT is not a failure. */
int segment_unlink(int dirfd, const struct segment *s);

#endif
