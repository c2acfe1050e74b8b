#include "buffer/breaker.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"

#define RECORD 2048

/*
 * The file is its own lock. Its content is "MS PLACE": when (CLOCK_MONOTONIC) that place last
 * did not answer. After a reboot the number may lie ahead: then it has expired.
 */

/* 1: silent within the last BREAKER_OPEN_MS; 0: a record that has expired; -1: no record of this
 * place.
 */
static int
silent(int fd, const char *place)
{
	char text[RECORD];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	int64_t at, age;
	int used = 0;

	if (n <= 0)
		return -1;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	/* NOLINTNEXTLINE(cert-err34-c): what does not fit becomes a time that no clock gave */
	if (sscanf(text, "%" SCNd64 " %n", &at, &used) != 1 || at < 0 ||
	    strcmp(text + used, place) != 0)
		return -1;
	age = clock_mono() - at;
	return age >= 0 && age < BREAKER_OPEN_MS;
}

static void
record(int fd, const char *place)
{
	struct bytes b = {0};

	bytes_addf(&b, "%" PRId64 " %s\n", clock_mono(), place);
	if (ftruncate(fd, 0) == -1 || pwrite(fd, b.p, b.len, 0) == -1) {
		/* The next one tries for itself. */
	}
	bytes_free(&b);
}

/* The descriptor stays open from enter to leave: that is the lock. One probe at a time in a
 * process. */
static int held = -1;

int
breaker_enter(struct buffer *buf, const char *place, int64_t ms)
{
	struct timespec pause = {0, 50000};
	int64_t until = clock_mono() + ms;
	int fd = buffer_open_state(buf, ".probe", O_RDWR | O_CREAT), r;

	if (fd == -1)
		return 1; /* no way to agree with the others */
	while (flock(fd, LOCK_EX | LOCK_NB) == -1) {
		r = silent(fd, place);
		if (r != -1 || clock_mono() >= until) {
			/* known to be silent, and somebody is asking; or nobody has an answer */
			close(fd);
			return 0;
		}
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < 1000000)
			pause.tv_nsec *= 2;
	}
	if (silent(fd, place) == 1) {
		close(fd);
		return 0;
	}
	held = fd;
	return 1;
}

void
breaker_leave(struct buffer *buf, const char *place, bool timed_out)
{
	struct stat st;

	if (held == -1) {
		if (timed_out)
			breaker_trip(buf, place);
		return;
	}
	if (timed_out)
		record(held, place);
	else if (fstat(held, &st) == 0 && st.st_size > 0 && silent(held, place) != -1 &&
	    ftruncate(held, 0) == -1) {
		/* It expires by itself. */
	}
	close(held);
	held = -1;
}

void
breaker_trip(struct buffer *buf, const char *place)
{
	int fd = buffer_open_state(buf, ".probe", O_RDWR | O_CREAT);

	if (fd == -1)
		return;
	record(fd, place);
	close(fd);
}

void
breaker_reset(struct buffer *buf, const char *place)
{
	int fd = buffer_open_state(buf, ".probe", O_RDWR);

	if (fd == -1)
		return;
	if (silent(fd, place) != -1 && ftruncate(fd, 0) == -1) {
		/* It expires by itself. */
	}
	close(fd);
}
