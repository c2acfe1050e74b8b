/* scratch: the scratch directory and its files. Declared in fuzz.h. */
#include <sys/stat.h>

#include <fcntl.h>
#include <unistd.h>

#include "fuzz.h"

const char *
scratch(void)
{
	static char dir[4000];
	const char *in = getenv("FUZZ_DIR");

	if (dir[0] == '\0') {
		snprintf(dir, sizeof(dir), "%s/fuzz.XXXXXX", in != NULL ? in : "/tmp");
		if (mkdtemp(dir) == NULL)
			abort();
	}
	return dir;
}

void
scratch_put(const char *name, const void *p, size_t n)
{
	char path[5000];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", scratch(), name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd == -1 || write(fd, p, n) != (ssize_t)n)
		abort();
	close(fd);
}
