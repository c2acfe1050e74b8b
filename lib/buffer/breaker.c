#include "buffer/breaker.h"

#include <sys/file.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/io.h"

#define RECORD_MAX 2048

/*
 * The file is its own lock. Its content is "MS ADDRESS": when (CLOCK_MONOTONIC) the last connection
 * to that address timed out. A time in the future is from before a reboot, and has expired.
 */

/* 1: open; 0: the last time-out is older than BREAKER_OPEN_MS; -1: no time-out of this address. */
static int
read_breaker_state(int fd, const char *address)
{
	char text[RECORD_MAX];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	int64_t at, age;
	int used = 0;

	if (n <= 0)
		return -1;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	/* NOLINTNEXTLINE(cert-err34-c): what does not fit becomes a time that no clock gave */
	if (sscanf(text, "%" SCNd64 " %n", &at, &used) != 1 || at < 0 ||
	    strcmp(text + used, address) != 0)
		return -1;
	age = clock_mono() - at;
	return age >= 0 && age < BREAKER_OPEN_MS;
}

/* Open, and so locked, from breaker_enter to breaker_leave: one attempt at a time in a process. */
static int entered_fd = -1;

bool
breaker_enter(struct buffer *buf, const char *address, int64_t ms)
{
	struct timespec pause = {0, 50000};
	int64_t until = clock_mono() + ms;
	int fd = io_open_own(buf->fd, ".probe", O_RDWR | O_CREAT), r;

	if (fd == -1)
		return true; /* without the file there is no breaker */
	/* Where the file system cannot lock, processes connect at the same time. */
	while (flock(fd, LOCK_EX | LOCK_NB) == -1 && (errno == EWOULDBLOCK || errno == EINTR)) {
		r = read_breaker_state(fd, address);
		if (r != -1 || clock_mono() >= until) {
			/* open or half-open; or the other process takes longer than ms */
			close(fd);
			return false;
		}
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < 1000000)
			pause.tv_nsec *= 2;
	}
	if (read_breaker_state(fd, address) == 1) {
		close(fd);
		return false;
	}
	entered_fd = fd;
	return true;
}

void
breaker_leave(struct buffer *buf, const char *address, bool timed_out)
{
	struct bytes b = {0};
	int fd = entered_fd;

	if (fd == -1)
		fd = io_open_own(buf->fd, ".probe", timed_out ? O_RDWR | O_CREAT : O_RDWR);
	entered_fd = -1;
	if (fd == -1)
		return;
	if (timed_out) {
		bytes_addf(&b, "%" PRId64 " %s\n", clock_mono(), address);
		if (ftruncate(fd, 0) == -1 || pwrite(fd, b.p, b.len, 0) == -1) {
			/* The next process tries for itself. */
		}
		bytes_free(&b);
	} else if (read_breaker_state(fd, address) != -1 && ftruncate(fd, 0) == -1) {
		/* It expires by itself. */
	}
	close(fd);
}
