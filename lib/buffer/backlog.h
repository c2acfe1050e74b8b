/*
 * backlog: counts what the buffer holds. Changes nothing in the buffer. Holds its locks only for
 * the moment it takes to test whether they are free.
 */
#ifndef BUFFER_BACKLOG_H
#define BUFFER_BACKLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "buffer/buffer.h"
#include "buffer/checkpoint.h"
#include "buffer/manifest.h"
#include "buffer/segment.h"

struct backlog_held {
	char *type, *reason;
	int64_t tried; /* us, wall clock: the last refusal */
	uint64_t events;
};

struct backlog {
	char *dir;
	char *target;   /* NULL: not recorded */
	uint64_t files; /* segments of all kinds */
	/* undelivered lines, those of held types and bad ones not yet in quarantine included */
	uint64_t events;
	uint64_t bytes; /* of the segments, delivered lines included */
	/* buffered_at of the oldest undelivered line, us; 0: the buffer is empty */
	int64_t oldest;
	uint64_t quarantined;
	uint64_t possible_duplicates; /* so far (counters.h) */
	uint64_t ignored;             /* segments that cannot be used (segment.h) */
	uint64_t foreign;             /* other files *.jsonl */
	uint64_t suspect;             /* segments whose fdatasync failed */
	char **vanished;              /* segments that went away with undelivered lines */
	size_t nvanished;
	struct manifest_shrunk *shrunk; /* segments that lost lines */
	size_t nshrunk;
	struct backlog_held *held;
	size_t nheld;
	bool replaying;    /* a process holds the replay lock */
	char *lock_holder; /* "PID (COMMAND)" that keeps the writers' lock, or NULL */
};

int backlog_read(struct buffer *buf, struct backlog *b, struct err *err);
/* Like backlog_read at the cost of a directory listing: counts events only if a type is held; else
 * events is 0. */
int backlog_read_brief(struct buffer *buf, struct backlog *b, struct err *err);
void backlog_free(struct backlog *b);
/* Appends the object `buffer` of ebstat -j. */
void backlog_json(struct bytes *out, const struct backlog *b);

/* Returns 1 when the buffer certainly holds no undelivered line of this type, 2 when it holds none
 * now but a plain writer may append one at any time to a file that is there, 0 when it may hold
 * one, -1 on failure. Reads the checkpoint and the directory, no lines; with an empty buffer, the
 * directory only. *holds: whether there is any segment. */
int backlog_lacks_type(struct buffer *buf, const char *type, bool *holds, struct err *err);
/* The same by reading every undelivered line: 0 when one is of this type. */
int backlog_scan_lacks_type(struct buffer *buf, const char *type, struct err *err);
/* Returns whether every line of the segment was delivered, except those of lagging types. */
bool backlog_is_delivered(struct buffer *buf, const struct checkpoint *cp, const struct segment *s);
/* Stores whether a drain has work in this buffer: a segment that may hold lines, or one that
 * vanished or shrank. 0 or -1. */
int backlog_has_work(struct buffer *buf, bool *has_work, struct err *err);

#endif
