/*
 * backlog: what the buffer holds, counted. Reads only; has a lock, shared, for no longer than it
 * takes to see that it is free.
 */
#ifndef BUFFER_BACKLOG_H
#define BUFFER_BACKLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "buffer/buffer.h"

struct backlog_held {
	char *type, *reason;
	int64_t tried; /* us; when it was last refused */
	uint64_t events;
};

struct backlog {
	char *dir;
	char *target;   /* NULL when none is written */
	uint64_t files; /* segments of all kinds */
	/* undelivered, held ones included; bad lines not yet quarantined count too */
	uint64_t events;
	uint64_t bytes; /* of the segments, delivered lines included */
	/* buffered_at of the oldest undelivered line, us; 0 when none */
	int64_t oldest;
	uint64_t quarantined;
	uint64_t doubles; /* possible duplicates so far (counters.h) */
	uint64_t odd;     /* *.jsonl that are no regular file of one link: left alone */
	uint64_t suspect; /* segments whose fdatasync failed */
	char **vanished;  /* segments that went away with undelivered lines */
	size_t nvanished;
	struct backlog_held *held;
	size_t nheld;
	bool replaying;    /* somebody holds the replay lock just now */
	char *lock_holder; /* who has the writers' lock and does not let go, or NULL */
};

int backlog_read(struct buffer *buf, struct backlog *b, struct err *err);
/* The same for the price of a listing: events are counted only where a type is held, and are 0
 * else. */
int backlog_read_brief(struct buffer *buf, struct backlog *b, struct err *err);
void backlog_free(struct backlog *b);
/* Appends it as the JSON object that is `buffer` in ebstat -j. */
void backlog_json(struct bytes *out, const struct backlog *b);

/* A line's buffered_at, for walk_open. */
int backlog_stamp(struct slice line, int64_t *stamp);

/*
 * Whether an event of this type may go straight to its stream: 1 when the buffer holds no
 * undelivered line of it, 0 when it does or may. *holds: whether there is any segment at all. Costs
 * a directory listing when the buffer is empty.
 */
int backlog_lacks_type(struct buffer *buf, const char *type, bool *holds, struct err *err);
/* Whether none of the undelivered lines is of this type, by reading all of them: for when the
 * answer above is not good enough. 1, 0, or -1. */
int backlog_scan_lacks_type(struct buffer *buf, const char *type, struct err *err);
/* Whether there is anything to be done about a buffer: a segment, or one that vanished. 0 or -1. */
int backlog_has_work(struct buffer *buf, bool *any, struct err *err);

#endif
