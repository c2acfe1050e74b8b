#include "buffer/counters.h"

#include <sys/file.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"

#define LINE_SIZE 37L /* a name of at most 19 characters, a blank and 16 digits */
#define FILE_SIZE (LINE_SIZE * COUNTERS)

const char *const counter_names[COUNTERS] = {"published", "buffered", "replayed", "quarantined",
    "possible_duplicates", "refused", "trimmed_unread"};

static void
parse_counters(const char *text, ssize_t n, uint64_t out[COUNTERS])
{
	char digits[17];
	int i;

	memset(out, 0, COUNTERS * sizeof(*out));
	if (n != FILE_SIZE)
		return;
	for (i = 0; i < COUNTERS; i++) {
		memcpy(digits, text + i * LINE_SIZE + LINE_SIZE - 17, 16);
		digits[16] = '\0';
		out[i] = strtoull(digits, NULL, 10);
	}
}

void
counters_read(struct buffer *buf, uint64_t out[COUNTERS])
{
	char text[FILE_SIZE];
	int fd = io_open_own(buf->fd, ".counters", O_RDONLY);

	parse_counters(text, fd == -1 ? 0 : pread(fd, text, FILE_SIZE, 0), out);
	io_close(fd);
}

void
counters_add(struct buffer *buf, const uint64_t add[COUNTERS])
{
	char text[FILE_SIZE + 1];
	uint64_t now[COUNTERS];
	int fd, i, any = 0;

	for (i = 0; i < COUNTERS; i++)
		any |= add[i] != 0;
	if (!any || (fd = io_open_own(buf->fd, ".counters", O_RDWR | O_CREAT)) == -1)
		return;
	/* Give up after 10 ms: the process that holds the lock may be stopped. Where the file
	 * system cannot lock, a count may get lost. */
	for (i = 0; i < 50 && flock(fd, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK; i++)
		usleep(200);
	if (i < 50) {
		parse_counters(text, pread(fd, text, FILE_SIZE, 0), now);
		for (i = 0; i < COUNTERS; i++) {
			if (add[i] > INT64_MAX && now[i] < -add[i]) /* the file was lost */
				now[i] = -add[i];
			snprintf(text + i * LINE_SIZE, LINE_SIZE + 1, "%-20s%016" PRIu64 "\n",
			    counter_names[i], (now[i] + add[i]) % UINT64_C(10000000000000000));
		}
		if (pwrite(fd, text, FILE_SIZE, 0) == -1) {
			/* the counts are lost */
		}
	}
	close(fd);
}
