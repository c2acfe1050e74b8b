#include "consume/consumer.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/status.h"
#include "event/names.h"

#define NUMBER_MAX 10000 /* consumers on one host */

int
consumer_check(const char *option, const char *name, struct err *err)
{
	size_t n = strlen(name);
	bool legal = n >= 1 && n <= NAMES_MAX;

	for (size_t i = 0; i < n && legal; i++)
		legal = name[i] > ' ' && name[i] <= '~';
	if (legal)
		return 0;
	return err_set(err, STATUS_USAGE,
	    "%s '%s': a consumer's name is 1 to 200 printable characters without space", option,
	    name);
}

static int
open_consumers_dir(const char *state)
{
	int dir, sub;

	if (io_make_dirs(state) == -1 ||
	    (dir = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return -1;
	if (mkdirat(dir, "consumers", 0700) == -1 && errno != EEXIST)
		sub = -1;
	else
		sub = openat(dir, "consumers", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	close(dir);
	return sub;
}

/* Returns 1 when the name is locked now, 0 when another process holds it, -1 with errno. */
static int
lock_number(struct consumer *consumer, int dir, int number)
{
	char file[300];
	int sys;

	snprintf(consumer->name, sizeof(consumer->name), "%s%d", consumer->host_prefix, number);
	snprintf(file, sizeof(file), "%s.lock", consumer->name);
	consumer->fd =
	    openat(dir, file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (consumer->fd == -1)
		return -1;
	if (flock(consumer->fd, LOCK_EX | LOCK_NB) == 0)
		return 1;
	sys = errno;
	close(consumer->fd);
	consumer->fd = -1;
	errno = sys;
	return sys == EWOULDBLOCK ? 0 : -1;
}

int
consumer_take(struct consumer *consumer, const char *state, struct err *err)
{
	char host[65];
	int dir = -1, got = -1;

	consumer->fd = -1;
	if (gethostname(host, sizeof(host)) == -1 || host[0] == '\0')
		snprintf(host, sizeof(host), "localhost");
	host[sizeof(host) - 1] = '\0';
	for (char *p = host; *p != '\0'; p++)
		if (!names_legal(p, 1) && *p != '-')
			*p = '_';
	snprintf(consumer->host_prefix, sizeof(consumer->host_prefix), "eb-%s-", host);
	if (state != NULL && (dir = open_consumers_dir(state)) != -1)
		for (int n = 1; n <= NUMBER_MAX; n++)
			if ((got = lock_number(consumer, dir, n)) != 0)
				break;
	if (state == NULL)
		err_set(err, STATUS_SOME,
		    "no directory for the consumer's lock: "
		    "set STATE_DIRECTORY, XDG_STATE_HOME or HOME");
	else if (got != 1)
		err_sys(err, STATUS_SOME, "lock a consumer name below '%s'", state);
	if (dir != -1)
		close(dir);
	if (got == 1)
		return 0;
	snprintf(
	    consumer->name, sizeof(consumer->name), "%s%ld", consumer->host_prefix, (long)getpid());
	return -1;
}

void
consumer_release(struct consumer *consumer)
{
	if (consumer->fd != -1)
		close(consumer->fd);
	consumer->fd = -1;
}
