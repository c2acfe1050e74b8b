/* A worker that says ok to each line, as fast as it can: what is left is ebsub's own time. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
put(const char *p, size_t n)
{
	ssize_t w;

	for (; n > 0; p += w, n -= (size_t)w)
		if ((w = write(STDOUT_FILENO, p, n)) <= 0)
			exit(1);
}

int
main(void)
{
	static char in[1 << 16], out[3 << 16];
	ssize_t n;

	while ((n = read(STDIN_FILENO, in, sizeof(in))) > 0) {
		size_t len = 0;

		for (const char *p = in, *end = in + n;
		     (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++) {
			/* NOLINTNEXTLINE(bugprone-not-null-terminated-result): it goes on */
			memcpy(out + len, "ok\n", 3);
			len += 3;
		}
		put(out, len);
	}
	return n == 0 ? 0 : 1;
}
