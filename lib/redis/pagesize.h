/*
 * pagesize: chooses how many entries to ask for, so that a reply stays small whatever the size of
 * the entries. Does no I/O.
 *
 * The first page is small, since the size of entries is unknown: one may have hundreds of MiB. The
 * choice assumes that the next entries are like the last ones. A caller that must not hold a larger
 * reply limits it (conn_limit_reply), which ends the connection, and starts again with one entry.
 */
#ifndef REDIS_PAGESIZE_H
#define REDIS_PAGESIZE_H

#include <stddef.h>

#define PAGESIZE_MOST 500 /* entries of one page */
#define PAGESIZE_FIRST 4
/* field names and values of one page should not be larger */
#define PAGESIZE_BYTES (512UL * 1024)
#define PAGESIZE_REPLY_MAX (32 << 20) /* limit for a reply of more than one entry */

struct pagesize {
	size_t count; /* entries to ask for next */
	size_t most;  /* its upper limit */
};

/* Returns a size with count = first; most 0: PAGESIZE_MOST. */
struct pagesize pagesize_start(size_t first, size_t most);
/* Adapts count to a reply of `got` entries: four times as many after a full page, but never more
 * than would fit PAGESIZE_BYTES if all were as large. */
void pagesize_learn(struct pagesize *p, size_t got, size_t bytes);

#endif
