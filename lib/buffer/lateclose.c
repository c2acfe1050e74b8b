#include "buffer/lateclose.h"

#include <sys/vfs.h>

#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <unistd.h>

#define LATECLOSE_MIN (1 << 20) /* bytes; below that a thread costs more than it saves */

/* NFS renames an open file instead of removing it. */
int
lateclose_hold(int dirfd, const char *name, uint64_t bytes)
{
	struct statfs fs;

	if (bytes < LATECLOSE_MIN || fstatfs(dirfd, &fs) == -1 || fs.f_type == NFS_SUPER_MAGIC)
		return -1;
	return openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

static void *
close_file(void *arg)
{
	const struct lateclose *lc = arg;

	close(lc->fd);
	return NULL;
}

void
lateclose_start(struct lateclose *lc, int fd)
{
	sigset_t all, before;

	if (fd == -1)
		return;
	lateclose_wait(lc);
	lc->fd = fd;
	sigfillset(&all);
	/* the main thread must get the signals, which interrupt its system calls */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	lc->busy = pthread_create(&lc->thread, NULL, close_file, lc) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!lc->busy)
		close(fd);
}

void
lateclose_wait(struct lateclose *lc)
{
	if (lc->busy)
		pthread_join(lc->thread, NULL);
	lc->busy = false;
}
