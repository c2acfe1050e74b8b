/*
 * segment: the files of the buffer, by name and kind.
 *
 *     buffer_2025-12-04_10-30-00_000001.jsonl           chain: ours, appended to by all publishers
 * in turn buffer_2025-12-04_10-30-00_000001.jsonl.gz        the same, closed and compressed
 *     buffer_2025-12-04_10-30-00_000001.suspect.jsonl   the same, its fdatasync failed once
 *     buffer_2025-12-04_10-30-00_000001.own-N.jsonl     ours, written whole by one publisher that
 * could not get the lock; N: last stamp and process NAME.claimed-000007.jsonl somebody else's
 * NAME.jsonl, taken by us by rename any other *.jsonl                                 somebody
 * else's, not yet taken
 *
 * The stem is the name up to ".jsonl" (without ".suspect"): it never changes and is never used
 * twice. Chain stems sort in order of age.
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
	/* not a regular file of one link that is ours: reported, never opened for writing */
	bool ignored;
	uint64_t size; /* bytes on disk when listed */
	uint64_t inode;
	int64_t mtime_ns; /* its mtime, ns */
};

/* All of them, chain first in order of age, then the others by name. A compressed file beside its
 * plain one is left out. The array is fresh (free it); -1 on failure. */
int segment_list(int dirfd, struct segment **list, size_t *n, struct err *err);
/* 1 when there is at least one that is not odd; 0 none; -1 errno. Cheaper than a list. */
int segment_any(int dirfd);
/* The youngest of the chain that is not odd: 1, 0 there is none, -1. Cheaper than a list. */
int segment_last(int dirfd, struct segment *last, struct err *err);
/* Reads a name; 0, or -1 when it is not a segment. Fills name, stem, kind, gz, suspect. */
int segment_parse(const char *name, struct segment *s);

/* The stem of the next chain segment: the second of now, or `last` counted up when that is not
 * later. */
void segment_next_stem(const char *last, int64_t now_us, char out[64]);
/* 1 when a chain stem was made on the UTC day of now_us, or a later one. */
int segment_is_today(const char *stem, int64_t now_us);

/* Removes it, and what a compression that was cut off left beside it. 0, or -1 with errno; ENOENT
 * is no failure. */
int segment_unlink(int dirfd, const struct segment *s);

/* Opens for reading: O_NOFOLLOW, O_NONBLOCK, regular, one link. -1 with errno (EINVAL when it is
 * something else). */
int segment_open(int dirfd, const struct segment *s);

#endif
