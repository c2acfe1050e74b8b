/*
 * io: write(2) and read(2) of whole buffers and small files, flock(2) with a deadline, directories.
 */
#ifndef BASE_IO_H
#define BASE_IO_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As close(2); -1 is fine. Keeps errno. */
void io_close(int fd);
/* As openat(2) with O_NOFOLLOW, O_CLOEXEC, O_NONBLOCK and mode 0600; only a regular file that the
 * caller owns, in a directory that others cannot write to. Returns -1 with errno, EINVAL for any
 * other file. */
int io_open_own(int dirfd, const char *name, int flags);
/* Creates a file of the caller's own, for writing, and stores its name: prefix and a random number,
 * so that no other process has the same, whatever its process ID. size of name: that of prefix and
 * 21 more. Returns -1 with errno and name "" on failure. */
int io_create_unique(int dirfd, const char *prefix, char *name, size_t size);
/* True while name is still the file that fd has open. */
bool io_is_open_as(int dirfd, const char *name, int fd);
/* Writes all n bytes. Retries short writes and EINTR, and polls on EAGAIN. Returns 0, or -1 with
 * errno. */
int io_write_all(int fd, const void *p, size_t n);
/* Called before the first record is written to fd. Where that is a regular file which ends, before
 * the place of the record, in something else than `end` (a torn record), writes `end`; and where
 * the file cannot be read back. Returns 0, or -1 with errno. */
int io_end_torn(int fd, char end);
/* Takes an exclusive flock(2), retrying for at most ms milliseconds. Returns 0, or -1 with errno;
 * EWOULDBLOCK when the deadline has passed. */
int io_lock(int fd, int64_t ms);
/* Renames a file within dirfd by renameat2(2) with RENAME_NOREPLACE, for which musl has no wrapper.
 * A file system that lacks it is asked first whether `to` exists: no other process may make that
 * name. Returns 0, or -1 with errno; EEXIST when `to` exists. */
int io_rename_new(int dirfd, const char *from, const char *to);
/* As fsync(2) of a directory. Where the file system cannot do that, syncs all of it. */
int io_sync_dir(int fd);
/*
 * Reads a file of at most max bytes, relative to dirfd (AT_FDCWD for the working directory), into a
 * new NUL-terminated string, which the caller frees. Stores the length in *n unless n is NULL.
 * Returns NULL with errno on failure; EFBIG when the file is larger.
 */
char *io_read_file(int dirfd, const char *path, size_t max, size_t *n);
/* Creates a directory and its parents, mode 0700, as mkdir -p; each new one is durable in its
 * parent. Returns 0, or -1 with errno. */
int io_make_dirs(const char *path);
/* Opens a directory within dirfd for readdir(3); a symbolic link is not followed. Returns NULL with
 * errno on failure. */
DIR *io_open_dir(int dirfd, const char *name);

#endif
