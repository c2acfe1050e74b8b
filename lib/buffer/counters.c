#include "buffer/counters.h"

#include <sys/file.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE 37L /* a name of at most 19 characters, a blank and 16 digits */
#define SIZE (LINE * COUNTERS)

const char *const counter_names[COUNTERS] = {"published", "buffered", "replayed", "quarantined",
    "possible_duplicates", "refused", "trimmed_unread"};

static void
parse(const char *text, ssize_t n, uint64_t out[COUNTERS])
{
	char digits[17];
	int i;

	memset(out, 0, COUNTERS * sizeof(*out));
	if (n != SIZE)
		return;
	for (i = 0; i < COUNTERS; i++) {
		memcpy(digits, text + i * LINE + LINE - 17, 16);
		digits[16] = '\0';
		out[i] = strtoull(digits, NULL, 10);
	}
}

void
counters_read(struct buffer *buf, uint64_t out[COUNTERS])
{
	char text[SIZE];
	int fd = buffer_open_state(buf, ".counters", O_RDONLY);

	parse(text, fd == -1 ? 0 : pread(fd, text, SIZE, 0), out);
	if (fd != -1)
		close(fd);
}

void
counters_add(struct buffer *buf, const uint64_t add[COUNTERS])
{
	char text[SIZE + 1];
	uint64_t now[COUNTERS];
	int fd, i, any = 0;

	for (i = 0; i < COUNTERS; i++)
		any |= add[i] != 0;
	if (!any || (fd = buffer_open_state(buf, ".counters", O_RDWR | O_CREAT)) == -1)
		return;
	/* A holder stopped in the middle costs this count, not our time. */
	for (i = 0; flock(fd, LOCK_EX | LOCK_NB) == -1 && i < 50; i++)
		usleep(200);
	if (i < 50) {
		parse(text, pread(fd, text, SIZE, 0), now);
		for (i = 0; i < COUNTERS; i++)
			snprintf(text + i * LINE, LINE + 1, "%-20s%016" PRIu64 "\n",
			    counter_names[i], (now[i] + add[i]) % UINT64_C(10000000000000000));
		if (pwrite(fd, text, SIZE, 0) == -1) {
			/* A convenience, never a truth. */
		}
	}
	close(fd);
}
