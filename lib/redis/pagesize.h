/*
 * pagesize: how many entries to ask for, so that a reply stays small whatever the size of the
 * entries. Pure.
 *
 * It begins with few, since nothing is known of them: an entry may have hundreds of MiB. What was
 * learned holds only as long as entries stay alike; who may not hold a reply that is larger says so
 * to the bus (conn_limit_reply) and begins again, with one.
 */
#ifndef REDIS_PAGESIZE_H
#define REDIS_PAGESIZE_H

#include <stddef.h>

#define PAGESIZE_MOST 500 /* entries */
#define PAGESIZE_FIRST 4
/* wanted at most, of field names and values, in one reply  */
#define PAGESIZE_BYTES (512UL * 1024)
#define PAGESIZE_REPLY_MAX (32 << 20) /* held at most, of a reply of more than one entry */

struct pagesize {
	size_t count; /* to ask for next */
	size_t most;
};

struct pagesize pagesize_start(size_t first, size_t most); /* most 0: PAGESIZE_MOST */
/* After a reply of `got` entries: four times as many while replies are full, and fewer at once when
 * entries are large. */
void pagesize_learn(struct pagesize *p, size_t got, size_t bytes);

#endif
