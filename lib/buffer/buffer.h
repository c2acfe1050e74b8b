/*
 * buffer: the directory of the disk buffer: opening it safely, its locks, its state files and the
 * target that its events belong to. Knows nothing of Redis.
 *
 * The directory has mode 0700 and belongs to the caller. For root it may belong to another user:
 * the process then becomes that user. It holds (ebbuffer(5)):
 *
 *     buffer_*.jsonl, *.jsonl.gz   segments (segment.h)
 *     .lock       the writers' lock, held while a process appends; holds struct buffer_hints
 *     .replay     the replay lock, held while a process drains
 *     .target     "URL PREFIX": the target
 *     .roster     the manifest: which segments must exist (manifest.h)
 *     .progress   the checkpoint: which lines are delivered (checkpoint.h)
 *     .counters   statistics (counters.h)
 *     .probe      the circuit breaker (breaker.h)
 *     .outage     Redis was unavailable and events were buffered; removed by the next drain
 *     quarantine/ lines that cannot be replayed (quarantine.h)
 */
#ifndef BUFFER_BUFFER_H
#define BUFFER_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct buffer {
	char *dir;
	int fd;        /* of the directory, for *at(2) */
	int lock_fd;   /* .lock, open from the first use on, locked or not; -1 */
	int replay_fd; /* .replay, open while locked; -1 */
};

/* Opens dir. With create, makes the missing directories, each durable in its parent. NULL on
 * failure: err->sys is ENOENT when dir does not exist and create is false; err->status is 78 when
 * it is unsafe (writable by others, wrong owner, not a directory), else 74. */
struct buffer *buffer_open(const char *dir, bool create, struct err *err);
/* Returns whether a directory that buffer_open refused may hold events: false when there is none,
 * or one without segments. */
bool buffer_may_hold(const char *dir);
/* -1 with err when events cannot be appended: the directory, or .lock, cannot be written. Costs two
 * system calls. */
int buffer_check_writable(struct buffer *buf, struct err *err);
/* The same for what appends and drains need now and then: the other state files, and a file system
 * that can lock. */
int buffer_check_locks(struct buffer *buf, struct err *err);
/* Releases the locks too. NULL is fine. */
void buffer_close(struct buffer *buf);
/* A warning about the file system, to be printed after the path (network: O_APPEND is not atomic;
 * tmpfs: lost at a reboot), or NULL. */
const char *buffer_warning(const struct buffer *buf);

/* --- the writers' lock ----------------------------------------------------- */

/* The content of .lock: what the last writer recorded. Always checked against the files. */
struct buffer_hints {
	uint64_t generation; /* grows with each append */
	int64_t stamp;       /* the last buffered_at, us */
	char stem[64];       /* of the newest segment ever made; "" for none */
	/* of that segment after the last append; inode 0: closed, start another */
	uint64_t inode, size;
	char boot[40]; /* boot ID at that time */
};

/* Takes the writers' lock and fills *hints. -1 with err->sys EWOULDBLOCK when the holder kept it
 * for ms, ENOLCK when the file system cannot lock. Opens the directory again when it was removed or
 * replaced. */
int buffer_lock(struct buffer *buf, int64_t ms, struct buffer_hints *hints, struct err *err);
void buffer_unlock(struct buffer *buf);
/* Under the writers' lock. Not durable before buffer_sync_hints. */
int buffer_write_hints(struct buffer *buf, const struct buffer_hints *hints, struct err *err);
/* Called with each new segment: after a power cut, older hints would lead a writer back into a
 * segment that the checkpoint has passed. */
int buffer_sync_hints(struct buffer *buf, struct err *err);
/* The boot ID, as in the hints. */
void buffer_boot_id(char out[40]);
/* Reads the hints without the lock: they may be out of date. Zeros when they are missing. */
void buffer_read_hints(struct buffer *buf, struct buffer_hints *hints);
/* A hash that differs after each append and after each file created or removed. Has no order. Costs
 * two system calls. */
uint64_t buffer_fingerprint(struct buffer *buf);

/* --- the replay lock ------------------------------------------------------- */

/* -1 with status 75 and err->sys EWOULDBLOCK when another process holds it; else as buffer_lock. */
int buffer_replay_lock(struct buffer *buf, struct err *err);
void buffer_replay_unlock(struct buffer *buf);

/* --- target ----------------------------------------------------------------- */

/* 1 when the buffer belongs to this target, 0 when to none. -1 with status 78 and a message that
 * names both when it belongs to another; -1 with status 74 when .target is unreadable. */
int buffer_check_target(struct buffer *buf, const char *target, struct err *err);
/* Makes target the target of the buffer. With has_segments a different one is kept: -1 as
 * buffer_check_target. Under the writers' lock. */
int buffer_bind_target(struct buffer *buf, const char *target, bool has_segments, struct err *err);
/* A fresh string. NULL with errno: ENOENT when there is no target, else .target is unreadable. */
char *buffer_target(struct buffer *buf);
/* Replaces the target, whatever the buffer holds. Durable on return. */
int buffer_retarget(struct buffer *buf, const char *target, struct err *err);

/* --- state files -------------------------------------------------------------- */

/* Replaces the whole file `name`: temporary file, fsync, rename, fsync of the directory. Others are
 * opened with io_open_own. */
int buffer_write_state(
    struct buffer *buf, const char *name, const void *p, size_t n, struct err *err);
/* The same, but keeps an existing file: -1 with err->sys EEXIST. */
int buffer_create_state(
    struct buffer *buf, const char *name, const void *p, size_t n, struct err *err);
/* fsync(2) of the directory. */
int buffer_sync(struct buffer *buf, struct err *err);

/* Removes temporary files (.NAME.N, .own-N, .compressing-N) that killed processes left. A file
 * that was not renamed was never part of the buffer. Its owner may be alive in another PID
 * namespace, so only files older than an hour go. Best effort; needs no lock. */
void buffer_remove_stale(struct buffer *buf);

#endif
