#include "buffer/lockowner.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/io.h"

#define LOCKS_MAX (16u << 20)
#define POLL_MS 20

/* Returns the process with an exclusive flock(2) on this file, 0 when /proc/locks shows none. */
static long
find_flock_owner(const struct stat *st)
{
	char *text = io_read_file(AT_FDCWD, "/proc/locks", LOCKS_MAX, NULL), *line = text, *end;
	unsigned major, minor;
	unsigned long inode;
	long pid, found = 0;

	for (; line != NULL && !found && (end = strchr(line, '\n')) != NULL; line = end + 1) {
		*end = '\0';
		/* NOLINTNEXTLINE(cert-err34-c): the kernel writes what fits */
		if (sscanf(line, "%*d: FLOCK ADVISORY WRITE %ld %x:%x:%lu", &pid, &major, &minor,
		        &inode) == 4 &&
		    inode == st->st_ino && makedev(major, minor) == st->st_dev)
			found = pid;
	}
	free(text);
	return found;
}

/* Tested first: to show /proc/locks the kernel stops all lockers for 10 to 20 ms. */
static bool
is_lock_free(struct buffer *buf)
{
	int fd = buffer_open_state(buf, ".lock", O_RDONLY);
	bool is_free = fd != -1 && flock(fd, LOCK_SH | LOCK_NB) == 0;

	if (fd != -1)
		close(fd);
	return is_free;
}

char *
lockowner_stuck(struct buffer *buf, int64_t ms)
{
	int64_t until = clock_mono() + ms;
	struct bytes b = {0};
	char path[48], *name;
	struct stat st;
	long pid;

	if (fstatat(buf->fd, ".lock", &st, AT_SYMLINK_NOFOLLOW) == -1 || is_lock_free(buf) ||
	    (pid = find_flock_owner(&st)) <= 0)
		return NULL;
	while (clock_mono() < until) {
		nanosleep(&(struct timespec){0, POLL_MS * 1000000L}, NULL);
		if (find_flock_owner(&st) != pid)
			return NULL;
	}
	snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
	name = io_read_file(AT_FDCWD, path, 64, NULL);
	bytes_addf(&b, "%ld (%.*s)", pid, name != NULL ? (int)strcspn(name, "\n") : 1,
	    name != NULL ? name : "?");
	free(name);
	bytes_str(&b);
	return b.p;
}
