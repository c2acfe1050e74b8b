#include "buffer/segment.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/status.h"

#define SHAPE "buffer_dddd-dd-dd_dd-dd-dd_dddddd" /* of a chain stem */
#define SHAPE_LEN (sizeof(SHAPE) - 1)

/* How many characters of s have the shape of a chain stem, 0 when they do not. */
static size_t
shape(const char *s)
{
	size_t i;

	for (i = 0; i < SHAPE_LEN; i++)
		if (SHAPE[i] == 'd' && i >= 7 ? s[i] < '0' || s[i] > '9' : s[i] != SHAPE[i])
			return 0;
	return SHAPE_LEN;
}

static int
ends(const char *s, const char *tail)
{
	size_t n = strlen(s), t = strlen(tail);

	return n > t && strcmp(s + n - t, tail) == 0;
}

static int
all_digits(const char *s, const char *end)
{
	if (s == end)
		return 0;
	for (; s < end; s++)
		if (*s < '0' || *s > '9')
			return 0;
	return 1;
}

static enum segment_kind
kind_of(const char *stem)
{
	size_t n = shape(stem);
	const char *end = stem + strlen(stem), *dot = strrchr(stem, '.');

	if (n && stem[n] == '\0')
		return SEGMENT_CHAIN;
	if (n && strncmp(stem + n, ".own-", 5) == 0 && all_digits(stem + n + 5, end))
		return SEGMENT_OWN;
	if (dot != NULL && strncmp(dot, ".claimed-", 9) == 0 && all_digits(dot + 9, end))
		return SEGMENT_ADOPTED;
	return SEGMENT_FOREIGN;
}

int
segment_parse(const char *name, struct segment *s)
{
	size_t n = strlen(name);

	memset(s, 0, sizeof(*s));
	if (name[0] == '.' || n >= sizeof(s->name))
		return -1;
	memcpy(s->name, name, n + 1);
	if (ends(name, ".jsonl"))
		n -= 6;
	else if (ends(name, ".jsonl.gz")) {
		n -= 9;
		s->gz = true;
	} else
		return -1;
	memcpy(s->stem, name, n);
	if (ends(s->stem, ".suspect") && shape(s->stem) && s->stem[SHAPE_LEN] == '.') {
		s->stem[n - 8] = '\0';
		s->suspect = true;
	}
	s->kind = kind_of(s->stem);
	if (s->kind == SEGMENT_FOREIGN && (s->gz || s->suspect))
		return -1; /* not ours to judge */
	return 0;
}

static int
by_age(const void *pa, const void *pb)
{
	const struct segment *a = pa, *b = pb;
	int r;

	if ((a->kind == SEGMENT_CHAIN) != (b->kind == SEGMENT_CHAIN))
		return a->kind == SEGMENT_CHAIN ? -1 : 1;
	r = strcmp(a->stem, b->stem);
	return r ? r : (int)a->gz - (int)b->gz;
}

/* A compression cut off between its two steps leaves both files: the plain one counts. */
static size_t
drop_twins(struct segment *s, size_t n)
{
	size_t i, k = 0;

	for (i = 0; i < n; i++)
		if (k == 0 || strcmp(s[k - 1].stem, s[i].stem) != 0)
			s[k++] = s[i];
	return k;
}

static bool
is_ours(const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_nlink == 1 && st->st_uid == geteuid();
}

/* 1, 0 when it has gone meanwhile, -1: then nobody may go on as if it held nothing. */
static int
measure(int dirfd, struct segment *s)
{
	struct stat st;

	if (fstatat(dirfd, s->name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return errno == ENOENT ? 0 : -1;
	s->ignored = !is_ours(&st);
	s->size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	s->inode = st.st_ino;
	s->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
	return 1;
}

static DIR *
open_listing(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);

	if (d == NULL && fd != -1)
		close(fd);
	return d;
}

int
segment_list(int dirfd, struct segment **list, size_t *n, struct err *err)
{
	DIR *d = open_listing(dirfd);
	struct dirent *e;
	size_t cap = 16, k = 0;
	struct segment *s;
	int there = 0;

	*list = NULL;
	*n = 0;
	if (d == NULL)
		return err_sys(err, STATUS_UNSAFE, "list buffer");
	s = mem_realloc(NULL, cap * sizeof(*s));
	for (errno = 0; there != -1 && (e = readdir(d)) != NULL; errno = there == -1 ? errno : 0) {
		if (k == cap)
			s = mem_realloc(s, (cap *= 2) * sizeof(*s));
		if (segment_parse(e->d_name, &s[k]) == 0 && (there = measure(dirfd, &s[k])) == 1)
			k++;
	}
	if (errno) {
		err_sys(err, STATUS_UNSAFE, "list buffer");
		closedir(d);
		free(s);
		return -1;
	}
	closedir(d);
	if (k)
		qsort(s, k, sizeof(*s), by_age);
	*list = s;
	*n = drop_twins(s, k);
	return 0;
}

int
segment_any(int dirfd)
{
	DIR *d = open_listing(dirfd);
	struct dirent *e;
	struct segment s;
	int found = 0;

	if (d == NULL)
		return -1;
	for (errno = 0; !found && (e = readdir(d)) != NULL; errno = 0)
		if (segment_parse(e->d_name, &s) == 0)
			found = measure(dirfd, &s) == 0 ? 0 : !s.ignored;
	if (!found && errno)
		found = -1;
	closedir(d);
	return found;
}

int
segment_last(int dirfd, struct segment *last, struct err *err)
{
	DIR *d = open_listing(dirfd);
	struct dirent *e;
	struct segment s;
	int found = 0, there = 0, cmp;

	if (d == NULL)
		return err_sys(err, STATUS_UNSAFE, "list buffer");
	for (errno = 0; there != -1 && (e = readdir(d)) != NULL; errno = there == -1 ? errno : 0) {
		if (segment_parse(e->d_name, &s) == -1 || s.kind != SEGMENT_CHAIN)
			continue;
		cmp = found ? strcmp(s.stem, last->stem) : 1;
		if (cmp < 0 || (cmp == 0 && s.gz)) /* of twins the plain one counts */
			continue;
		if ((there = measure(dirfd, &s)) == 1 && !s.ignored) {
			*last = s;
			found = 1;
		}
	}
	if (errno)
		found = err_sys(err, STATUS_UNSAFE, "list buffer");
	closedir(d);
	return found;
}

/* "buffer_2025-12-04_10-30-00". Not by gmtime_r and strftime, which read /etc/localtime first. */
static void
stem_of(int64_t us, char out[32])
{
	char when[CLOCK_SIZE];

	clock_format(us, when);
	when[10] = '_';
	when[13] = when[16] = '-';
	when[19] = '\0';
	snprintf(out, 32, "buffer_%.19s", when);
}

void
segment_next_stem(const char *last, int64_t now_us, char out[64])
{
	char second[32], when[32];
	int64_t us;
	int counter = 0;

	stem_of(now_us, second);
	if (shape(last) && strncmp(last, second, SHAPE_LEN - 7) >= 0) {
		memcpy(second, last, SHAPE_LEN - 7);
		second[SHAPE_LEN - 7] = '\0';
		counter = (int)strtol(last + SHAPE_LEN - 6, NULL, 10);
	}
	if (counter == 999999) { /* a million segments in one second: borrow the next */
		snprintf(when, sizeof(when), "%.10sT%.2s:%.2s:%.2sZ", second + 7, second + 18,
		    second + 21, second + 24);
		if (clock_parse(when, strlen(when), &us) == 0)
			stem_of(us + 1000000, second);
		counter = 0;
	}
	snprintf(out, 64, "%s_%06d", second, counter + 1);
}

int
segment_is_today(const char *stem, int64_t now_us)
{
	char day[32];

	stem_of(now_us, day);
	/* that of a clock that was ahead is filled up too */
	return strncmp(stem, day, strlen("buffer_YYYY-mm-dd")) >= 0;
}

int
segment_open(int dirfd, const struct segment *s)
{
	struct stat st;
	int fd = openat(dirfd, s->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC),
	    why = EINVAL;

	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == -1)
		why = errno;
	else if (is_ours(&st))
		return fd;
	close(fd);
	errno = why;
	return -1;
}

int
segment_unlink(int dirfd, const struct segment *s)
{
	char twin[SEGMENT_NAME + 16];

	snprintf(twin, sizeof(twin), "%s.jsonl.gz", s->stem);
	if (!s->gz && s->kind == SEGMENT_CHAIN && unlinkat(dirfd, twin, 0) == -1 && errno != ENOENT)
		return -1;
	return unlinkat(dirfd, s->name, 0) == -1 && errno != ENOENT ? -1 : 0;
}
