#include "base/io.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/uuid.h"

#define READ_WAIT_MS 2000 /* for the writer of a pipe, such as bash's <(command) */

void
io_close(int fd)
{
	int sys = errno;

	if (fd != -1)
		close(fd);
	errno = sys;
}

int
io_open_own(int dirfd, const char *name, int flags)
{
	struct stat st;
	int fd = openat(dirfd, name, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);

	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == 0) {
		if (S_ISREG(st.st_mode) && st.st_uid == geteuid())
			return fd;
		errno = EINVAL;
	}
	io_close(fd);
	return -1;
}

int
io_create_unique(int dirfd, const char *prefix, char *name, size_t size)
{
	int fd = -1;

	for (int tries = 0; tries < 8 && (tries == 0 || (fd == -1 && errno == EEXIST)); tries++) {
		snprintf(name, size, "%s%" PRIu64, prefix, uuid_random_bits());
		fd = io_open_own(dirfd, name, O_WRONLY | O_CREAT | O_EXCL);
	}
	if (fd == -1)
		*name = '\0';
	return fd;
}

bool
io_is_open_as(int dirfd, const char *name, int fd)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && fstatat(dirfd, name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	    a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int
io_write_all(int fd, const void *p, size_t n)
{
	const char *from = p;

	while (n > 0) {
		ssize_t done = write(fd, from, n);

		if (done >= 0) {
			from += done;
			n -= (size_t)done;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			struct pollfd pf = {.fd = fd, .events = POLLOUT};

			if (poll(&pf, 1, -1) == -1 && errno != EINTR)
				return -1;
		} else if (errno != EINTR) {
			return -1;
		}
	}
	return 0;
}

/* Returns whether the byte before `at` is another than `end`, or cannot be read. */
static bool
is_torn_before(int fd, off_t at, char end)
{
	char name[32], last;
	int in;
	bool torn;

	/* opened again because fd may be write-only */
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	in = open(name, O_RDONLY | O_CLOEXEC);
	torn = pread(in == -1 ? fd : in, &last, 1, at - 1) != 1 || last != end;
	io_close(in);
	return torn;
}

int
io_end_torn(int fd, char end)
{
	struct stat st;
	off_t at;

	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))
		return 0;
	at = (fcntl(fd, F_GETFL) & O_APPEND) != 0 ? st.st_size : lseek(fd, 0, SEEK_CUR);
	return at > 0 && is_torn_before(fd, at, end) ? io_write_all(fd, &end, 1) : 0;
}

int
io_lock(int fd, int64_t ms)
{
	struct timespec pause = {0, 50000};
	int64_t until = clock_mono() + ms;

	while (flock(fd, LOCK_EX | LOCK_NB) == -1) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -1;
		if (clock_mono() >= until) {
			errno = EWOULDBLOCK;
			return -1;
		}
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < 2000000)
			pause.tv_nsec *= 2;
	}
	return 0;
}

/* True for what file systems give that lack a call: NFS and FUSE the first. */
static bool
is_unsupported(int sys)
{
	return sys == EINVAL || sys == ENOSYS || sys == EOPNOTSUPP;
}

int
io_rename_new(int dirfd, const char *from, const char *to)
{
	if (syscall(SYS_renameat2, dirfd, from, dirfd, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (!is_unsupported(errno))
		return -1;
	if (faccessat(dirfd, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		errno = EEXIST;
	return errno == ENOENT ? renameat(dirfd, from, dirfd, to) : -1;
}

int
io_sync_dir(int fd)
{
	int r = fsync(fd);

	return r == -1 && is_unsupported(errno) ? syncfs(fd) : r;
}

/* Calls read(2), waiting for a pipe for at most READ_WAIT_MS. */
static ssize_t
read_with_deadline(int fd, void *p, size_t n)
{
	struct pollfd pf = {.fd = fd, .events = POLLIN};
	ssize_t got;

	while ((got = read(fd, p, n)) == -1) {
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -1;
		if (poll(&pf, 1, READ_WAIT_MS) == 0) {
			errno = ETIMEDOUT;
			return -1;
		}
	}
	return got;
}

static int
read_to_end(int fd, size_t max, struct bytes *b)
{
	ssize_t got;

	do {
		bytes_reserve(b, 4096);
		got = read_with_deadline(fd, b->p + b->len, b->cap - b->len);
		if (got == -1)
			return -1;
		b->len += (size_t)got;
		if (b->len > max) {
			errno = EFBIG;
			return -1;
		}
	} while (got > 0);
	bytes_str(b);
	return 0;
}

char *
io_read_file(int dirfd, const char *path, size_t max, size_t *n)
{
	struct bytes b = {0};
	int fd, sys, result;

	if ((fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)) == -1)
		return NULL;
	result = read_to_end(fd, max, &b);
	sys = errno;
	close(fd);
	if (result == -1) {
		bytes_free(&b);
		errno = sys;
		return NULL;
	}
	if (n != NULL)
		*n = b.len;
	return b.p;
}

static int
sync_parent(const char *path)
{
	char *copy = mem_strdup(path), *slash = strrchr(copy, '/');
	const char *parent = slash == NULL ? "." : slash == copy ? "/" : copy;
	int fd, r;

	if (slash != NULL)
		*slash = '\0';
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = fd == -1 ? -1 : io_sync_dir(fd);
	io_close(fd);
	free(copy);
	return r;
}

static int
make_dir(const char *path)
{
	if (mkdir(path, 0700) == 0)
		return sync_parent(path);
	return errno == EEXIST ? 0 : -1;
}

int
io_make_dirs(const char *path)
{
	char *copy = mem_strdup(path);
	int r = 0;

	for (char *p = copy + 1; r == 0 && p[-1] != '\0' && *p != '\0'; p++)
		if (*p == '/' && p[-1] != '/') {
			*p = '\0';
			r = make_dir(copy);
			*p = '/';
		}
	if (r == 0)
		r = make_dir(copy);
	free(copy);
	return r;
}

DIR *
io_open_dir(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);

	if (d == NULL)
		io_close(fd);
	return d;
}
