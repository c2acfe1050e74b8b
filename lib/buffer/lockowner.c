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
#define RANGE_MS 20

/* The process with an exclusive flock(2) of this file, 0 when there is none that is known. */
static long
owner_of(const struct stat *st)
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

/* Asked first: the kernel stops all lockers for 10 to 20 ms to show /proc/locks. */
static bool
is_free(struct buffer *buf)
{
	int fd = buffer_open_state(buf, ".lock", O_RDONLY);
	bool mine = fd != -1 && flock(fd, LOCK_SH | LOCK_NB) == 0;

	if (fd != -1)
		close(fd);
	return mine;
}

char *
lockowner_stuck(struct buffer *buf, int64_t ms)
{
	int64_t until = clock_mono() + ms;
	struct bytes b = {0};
	char path[48], *name;
	struct stat st;
	long pid;

	if (fstatat(buffer_fd(buf), ".lock", &st, AT_SYMLINK_NOFOLLOW) == -1 || is_free(buf) ||
	    (pid = owner_of(&st)) <= 0)
		return NULL;
	while (clock_mono() < until) {
		nanosleep(&(struct timespec){0, RANGE_MS * 1000000L}, NULL);
		if (owner_of(&st) != pid)
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
