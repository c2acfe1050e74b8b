#include "buffer/lateclose.h"

#include <sys/vfs.h>

#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <unistd.h>

#define LARGE (1 << 20) /* bytes; below, a thread costs more than it hides */

/* On NFS a file that somebody holds gets another name instead of being removed. */
int
lateclose_hold(int dirfd, const char *name, uint64_t bytes)
{
	struct statfs fs;

	if (bytes < LARGE || fstatfs(dirfd, &fs) == -1 || fs.f_type == NFS_SUPER_MAGIC)
		return -1;
	return openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

static void *
let_go(void *arg)
{
	const struct lateclose *r = arg;

	close(r->fd);
	return NULL;
}

void
lateclose_start(struct lateclose *r, int fd)
{
	sigset_t all, before;

	if (fd == -1)
		return;
	lateclose_wait(r);
	r->fd = fd;
	sigfillset(&all);
	/* signals are for those who wait in a call */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r->busy = pthread_create(&r->thread, NULL, let_go, r) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!r->busy)
		close(fd);
}

void
lateclose_wait(struct lateclose *r)
{
	if (r->busy)
		pthread_join(r->thread, NULL);
	r->busy = false;
}
