/*
 * spool: the directory of the disk buffer. Opening it safely, its lock, its
 * notebook, and to whom it belongs. Files and locks only; knows nothing of Redis.
 *
 * The directory is 0700 and ours (or, for root, another user's: then the process becomes that user). In it:
 *
 *     buffer_*.jsonl, *.jsonl.gz   segments (segment.h)
 *     .lock       held by who appends; its content is the writers' notebook. Never unlinked
 *     .replay     held by who drains
 *     .target     "PLACE PREFIX", to whom the events belong
 *     .roster     which segments there ought to be (roster.h)
 *     .progress   what was delivered (progress.h)
 *     .counters   convenience (counters.h)
 *     .probe      one process asks a silent server for all (probe.h)
 *     .outage     Redis was away and events were buffered; until a drain begins
 *     quarantine/ what cannot be replayed (quarantine.h)
 *
 * Locks are flock(2): they vanish with the process. Nobody waits for one without a deadline.
 * Format for people: ebspool(5).
 */
#ifndef SPOOL_H
#define SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail.h"

struct spool;

/*
 * Opens dir, and creates it (with parents, each synced) when create is true. NULL: f->sys is ENOENT when it is not there and create is
 * false; f->status 78 when it is unsafe (others can write to it, wrong owner, not a directory), else 74.
 */
struct spool *spool_open(const char *dir, bool create, struct fail *f);
void spool_close(struct spool *sp);		/* NULL is fine; drops the locks */
int spool_fd(const struct spool *sp);		/* of the directory, for *at(2) */
const char *spool_dir(const struct spool *sp);
/* 1 while the path still leads to this directory; checked before anything is accepted. */
int spool_same(const struct spool *sp);
/* A word of warning about the file system (network: O_APPEND is not atomic; tmpfs: gone after a reboot), or NULL. */
const char *spool_warning(const struct spool *sp);

/* --- the writers' lock ----------------------------------------------------- */

/* What the last writer left: hints that are checked against the files, never truth. */
struct notebook {
	uint64_t generation;	/* grows with each append */
	int64_t stamp;		/* the last buffered_at given, us */
	char stem[64];		/* the newest segment ever made, "" for none */
	uint64_t inode, size;	/* of it after the last append; inode 0: closed, start another */
	char boot[40];		/* boot id at that time */
};

/* 0; -1 with f->sys EWOULDBLOCK when the holder did not let go within ms. Fills *nb. */
int spool_lock(struct spool *sp, int64_t ms, struct notebook *nb, struct fail *f);
int spool_note(struct spool *sp, const struct notebook *nb, struct fail *f);	/* under the lock */
/* What was noted is durable: with each new segment, so that no stale note leads a writer back into one that was passed already. */
int spool_note_sync(struct spool *sp, struct fail *f);
void spool_unlock(struct spool *sp);
/* Reads the notebook without the lock. What it says may be a moment old; empty when there is none. */
void spool_peek(struct spool *sp, struct notebook *nb);
/* A number that changes whenever somebody appended or a file came or went, for the price of two system calls. */
uint64_t spool_change(struct spool *sp);

/* --- the replay lock ------------------------------------------------------- */

/* 0; -1 with f->sys EWOULDBLOCK when another replay is running. */
int spool_replay_lock(struct spool *sp, struct fail *f);
void spool_replay_unlock(struct spool *sp);

/* --- target ----------------------------------------------------------------- */

/*
 * Makes `target` the owner of the buffer, or says that somebody else is: -1 with status 78, naming both. `holds` tells whether there are
 * segments: then an existing .target decides. Under the writers' lock.
 */
int spool_claim(struct spool *sp, const char *target, bool holds, struct fail *f);
char *spool_target(struct spool *sp);		/* fresh string, or NULL: errno is ENOENT when none is written, else it cannot be read */
int spool_retarget(struct spool *sp, const char *target, struct fail *f);

/* --- small state files -------------------------------------------------------- */

/* Writes name whole and durably (temporary file, fsync, rename, directory). */
int spool_put(struct spool *sp, const char *name, const void *p, size_t n, struct fail *f);
/* Opens a state file of ours safely: O_NOFOLLOW, O_CLOEXEC, O_NONBLOCK, regular, one link, mode 0600. -1 with errno. */
int spool_state(struct spool *sp, const char *name, int flags);
int spool_sync(struct spool *sp, struct fail *f);	/* fsync of the directory */

#endif
