/*
 * buffer: the directory of the disk buffer. Opening it safely, its lock, its
 * notebook, and to whom it belongs. Files and locks only; knows nothing of Redis.
 *
 * The directory is 0700 and ours (or, for root, another user's: then the process becomes that
 * user). In it:
 *
 *     buffer_*.jsonl, *.jsonl.gz   segments (segment.h)
 *     .lock       held by who appends; its content is the writers' notebook. Never unlinked
 *     .replay     held by who drains
 *     .target     "PLACE PREFIX", to whom the events belong
 *     .roster     which segments there ought to be (manifest.h)
 *     .progress   what was delivered (checkpoint.h)
 *     .counters   convenience (counters.h)
 *     .probe      one process asks a silent server for all (breaker.h)
 *     .outage     Redis was away and events were buffered; until a drain begins
 *     quarantine/ what cannot be replayed (quarantine.h)
 *
 * Locks are flock(2): they vanish with the process. Nobody waits for one without a deadline.
 * Format for people: ebbuffer(5).
 */
#ifndef BUFFER_BUFFER_H
#define BUFFER_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct buffer;

/*
 * Opens dir, and creates it (with parents, each synced) when create is true. NULL: f->sys is ENOENT
 * when it is not there and create is false; f->status 78 when it is unsafe (others can write to it,
 * wrong owner, not a directory), else 74.
 */
struct buffer *buffer_open(const char *dir, bool create, struct err *err);
void buffer_close(struct buffer *buf);   /* NULL is fine; drops the locks */
int buffer_fd(const struct buffer *buf); /* of the directory, for *at(2) */
const char *buffer_dir(const struct buffer *buf);
/* 1 while the path still leads to this directory; checked before anything is accepted. */
int buffer_is_current(const struct buffer *buf);
/* A word of warning about the file system (network: O_APPEND is not atomic; tmpfs: gone after a
 * reboot), or NULL. */
const char *buffer_warning(const struct buffer *buf);

/* --- the writers' lock ----------------------------------------------------- */

/* What the last writer left: hints that are checked against the files, never truth. */
struct buffer_hints {
	uint64_t generation; /* grows with each append */
	int64_t stamp;       /* the last buffered_at given, us */
	char stem[64];       /* the newest segment ever made, "" for none */
	/* of it after the last append; inode 0: closed, start another */
	uint64_t inode, size;
	char boot[40]; /* boot id at that time */
};

/* 0; -1 with f->sys EWOULDBLOCK when the holder did not let go within ms. Fills *nb. */
int buffer_lock(struct buffer *buf, int64_t ms, struct buffer_hints *hints, struct err *err);
/* under the lock */
int buffer_write_hints(struct buffer *buf, const struct buffer_hints *hints, struct err *err);
/* What was noted is durable: with each new segment, so that no stale note leads a writer back into
 * one that was passed already. */
int buffer_sync_hints(struct buffer *buf, struct err *err);
void buffer_unlock(struct buffer *buf);
/* Reads the notebook without the lock. What it says may be a moment old; empty when there is none.
 */
void buffer_read_hints(struct buffer *buf, struct buffer_hints *hints);
/* A number that changes whenever somebody appended or a file came or went, for the price of two
 * system calls. */
uint64_t buffer_version(struct buffer *buf);

/* --- the replay lock ------------------------------------------------------- */

/* 0; -1 with f->sys EWOULDBLOCK when another replay is running. */
int buffer_replay_lock(struct buffer *buf, struct err *err);
void buffer_replay_unlock(struct buffer *buf);

/* --- target ----------------------------------------------------------------- */

/*
 * Makes `target` the owner of the buffer, or says that somebody else is: -1 with status 78, naming
 * both. `holds` tells whether there are segments: then an existing .target decides. Under the
 * writers' lock.
 */
int buffer_bind_target(struct buffer *buf, const char *target, bool holds, struct err *err);
/* fresh string, or NULL: errno is ENOENT when none is written, else it cannot be read */
char *buffer_target(struct buffer *buf);
int buffer_retarget(struct buffer *buf, const char *target, struct err *err);

/* --- small state files -------------------------------------------------------- */

/* Writes name whole and durably (temporary file, fsync, rename, directory). */
int buffer_write_state(
    struct buffer *buf, const char *name, const void *p, size_t n, struct err *err);
/* Opens a state file of ours safely: O_NOFOLLOW, O_CLOEXEC, O_NONBLOCK, regular, one link, mode
 * 0600. -1 with errno. */
int buffer_open_state(struct buffer *buf, const char *name, int flags);
int buffer_sync(struct buffer *buf, struct err *err); /* fsync of the directory */

/*
 * Takes away what processes that were killed left half made in the buffer.
 *
 * That are temporary files only (.NAME.PID, .own-PID, .compressing): what was not renamed was never
 * part of the buffer. The owner of one may be alive in another PID namespace, so they go by age.
 */

#define TIDY_AGE 3600 /* seconds */

/* Best effort; needs no lock. */
void buffer_remove_stale(struct buffer *buf);

#endif
