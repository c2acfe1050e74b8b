#include "base/process.h"

#include <sys/stat.h>

#include <fcntl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define TRIM_THRESHOLD (4 << 20) /* bytes */

volatile sig_atomic_t process_stop_signals;

const char *
process_env(const char *name)
{
	const char *s = getenv(name);

	return s == NULL || *s == '\0' ? NULL : s;
}

static mode_t initial_umask = 022;

void
process_init(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		/* opened for the opposite direction, so that using it fails like a closed one */
		int mode = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;

		if (fcntl(fd, F_GETFD) == -1 && open("/dev/null", mode) == -1)
			/* cppcheck-suppress leakReturnValNotUsed ; it stays open */
			open("/", O_RDONLY | O_DIRECTORY);
	}
#ifdef M_TRIM_THRESHOLD
	/* keeps the pages of a freed batch for the next one */
	mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD);
	mallopt(M_MMAP_THRESHOLD, TRIM_THRESHOLD);
#endif
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	initial_umask = umask(077);
}

mode_t
process_initial_umask(void)
{
	return initial_umask;
}

void
process_on_signal(int sig, void (*fn)(int))
{
	struct sigaction was, sa = {.sa_handler = fn};

	if (sigaction(sig, NULL, &was) == 0 && was.sa_handler == SIG_IGN)
		return;
	sigaction(sig, &sa, NULL);
}
