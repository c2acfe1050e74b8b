/*
 * segment: the files that hold the lines of the buffer, by name and kind.
 *
 *     STEM.jsonl              chain: all publishers append to it in turn
 *     STEM.jsonl.gz           the same, closed and compressed
 *     STEM.suspect.jsonl      the same, its fdatasync(2) failed once
 *     STEM.own-N.jsonl        written whole by one publisher that did not get the writers' lock, or
 *                             by a quarantine retry (requeue.h); N: see append_own_number
 *     NAME.claimed-N.jsonl    adopted: the NAME.jsonl of a plain writer, renamed by a drain
 *                             ("claimed" is an earlier name, kept for compatibility)
 *     any other *.jsonl       foreign: the file of a plain writer, not yet adopted
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

#include "base/err.h"

#define SEGMENT_NAME 256

enum segment_kind { SEGMENT_CHAIN, SEGMENT_OWN, SEGMENT_ADOPTED, SEGMENT_FOREIGN };

struct segment {
	char name[SEGMENT_NAME];
	char stem[SEGMENT_NAME];
	enum segment_kind kind;
	bool gz, suspect;
	/* not a regular file with one link that the caller owns: reported, never opened */
	bool ignored;
	uint64_t size; /* bytes on disk when listed */
};

/* Lists all segments: the chain by age, then the others by name. Leaves out a compressed file
 * beside its plain one. The caller frees *list. */
int segment_list(int dirfd, struct segment **list, size_t *n, struct err *err);
/* 1 when there is a segment that is not ignored, else 0; -1 with errno. Cheaper than a list. */
int segment_any(int dirfd);
/* Fills name, stem, kind, gz and suspect from a file name. -1 when it is not a segment's. */
int segment_parse(const char *name, struct segment *s);

/* True for the stem of a chain segment. */
bool segment_is_chain(const char *stem);
/* Makes the stem of the next chain segment: the second of now_us, or `last` counted up when that
 * is not later. */
void segment_next_stem(const char *last, int64_t now_us, char out[64]);
/* True when a chain stem is of the UTC day of now_us or later. */
bool segment_day_is_current(const char *stem, int64_t now_us);

/* Unlinks the segment, and the .gz that an interrupted compression left beside it. -1 with errno;
 * ENOENT is not a failure. */
int segment_unlink(int dirfd, const struct segment *s);

#endif
