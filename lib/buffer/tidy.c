#include <sys/stat.h>

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "buffer/tidy.h"
#include "base/clock.h"

/* What append, compress and buffer_put call theirs. */
static int
is_temporary(const char *name)
{
	const char *digits = strpbrk(name, "0123456789");
	size_t n = digits ? (size_t)(digits - name) : 0;

	if (strcmp(name, ".compressing") == 0)
		return 1;
	if (n < 2 || digits[strspn(digits, "0123456789")])
		return 0;
	return strncmp(name, ".own-", n) == 0 || strncmp(name, ".target.", n) == 0 || strncmp(name, ".progress.", n) == 0;
}

void
buffer_tidy(struct buffer *buf)
{
	int fd = openat(buffer_fd(buf), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *e;
	struct stat st;

	if (!d) {
		if (fd != -1)
			close(fd);
		return;
	}
	while ((e = readdir(d)))
		if (is_temporary(e->d_name) && fstatat(buffer_fd(buf), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    clock_now() / 1000000 - st.st_mtim.tv_sec > TIDY_AGE)
			unlinkat(buffer_fd(buf), e->d_name, 0);
	closedir(d);
}
