/*
 * io: whole writes, whole small files, locks with a deadline.
 */
#ifndef BASE_IO_H
#define BASE_IO_H

#include <stddef.h>
#include <stdint.h>

/* Writes all n bytes, through short writes, EINTR and (by poll) EAGAIN. 0, or -1 with errno. */
int io_write_all(int fd, const void *p, size_t n);
/* An exclusive flock(2) with a deadline, which flock(2) itself has not. 0, or -1 with errno:
 * EWOULDBLOCK when it is still held after ms. */
int io_lock(int fd, int64_t ms);
/*
 * Renames within the directory unless the new name exists: renameat2(2) with RENAME_NOREPLACE, for
 * which musl has no function. 0, or -1 with errno: EEXIST when it does.
 */
int io_rename_new(int dirfd, const char *from, const char *to);
/*
 * Reads a whole small file (at most max bytes) relative to dirfd (AT_FDCWD for the working
 * directory) into a fresh NUL-terminated string that the caller frees; *n gets the length when n is
 * not NULL. NULL with errno (EFBIG when larger).
 */
char *io_read_file(int dirfd, const char *path, size_t max, size_t *n);

#endif
