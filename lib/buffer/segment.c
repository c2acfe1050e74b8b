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
#include "base/io.h"
#include "base/mem.h"
#include "base/status.h"

#define STEM_SHAPE "buffer_dddd-dd-dd_dd-dd-dd_dddddd" /* a chain stem; d: a digit */
#define STEM_LENGTH (sizeof(STEM_SHAPE) - 1)

/* Returns the length of the chain stem at the front of s; 0 when s begins with another name. */
static size_t
chain_stem_length(const char *s)
{
	for (size_t i = 0; i < STEM_LENGTH; i++)
		if (STEM_SHAPE[i] == 'd' && i >= 7 ? s[i] < '0' || s[i] > '9'
		                                   : s[i] != STEM_SHAPE[i])
			return 0;
	return STEM_LENGTH;
}

static bool
has_suffix(const char *s, const char *tail)
{
	size_t n = strlen(s), t = strlen(tail);

	return n > t && strcmp(s + n - t, tail) == 0;
}

static bool
is_digits(const char *s)
{
	return *s != '\0' && s[strspn(s, "0123456789")] == '\0';
}

static enum segment_kind
kind_of_stem(const char *stem)
{
	size_t n = chain_stem_length(stem);
	const char *dot = strrchr(stem, '.');

	if (n && stem[n] == '\0')
		return SEGMENT_CHAIN;
	if (n && strncmp(stem + n, ".own-", 5) == 0 && is_digits(stem + n + 5))
		return SEGMENT_OWN;
	if (dot != NULL && strncmp(dot, ".claimed-", 9) == 0 && is_digits(dot + 9))
		return SEGMENT_ADOPTED;
	return SEGMENT_FOREIGN;
}

bool
segment_is_chain(const char *stem)
{
	return kind_of_stem(stem) == SEGMENT_CHAIN;
}

int
segment_parse(const char *name, struct segment *s)
{
	size_t n = strlen(name);

	memset(s, 0, sizeof(*s));
	if (name[0] == '.' || n >= sizeof(s->name))
		return -1;
	memcpy(s->name, name, n + 1);
	if (has_suffix(name, ".jsonl"))
		n -= 6;
	else if (has_suffix(name, ".jsonl.gz")) {
		n -= 9;
		s->gz = true;
	} else
		return -1;
	memcpy(s->stem, name, n);
	if (has_suffix(s->stem, ".suspect") && chain_stem_length(s->stem) &&
	    s->stem[STEM_LENGTH] == '.') {
		s->stem[n - 8] = '\0';
		s->suspect = true;
	}
	s->kind = kind_of_stem(s->stem);
	if (s->kind == SEGMENT_FOREIGN && (s->gz || s->suspect))
		return -1; /* plain writers have no such names */
	return 0;
}

static int
compare_segments(const void *pa, const void *pb)
{
	const struct segment *a = pa, *b = pb;
	int r;

	if ((a->kind == SEGMENT_CHAIN) != (b->kind == SEGMENT_CHAIN))
		return a->kind == SEGMENT_CHAIN ? -1 : 1;
	r = strcmp(a->stem, b->stem);
	return r ? r : (int)a->gz - (int)b->gz;
}

/* Reads the next segment of a listing: 1, 0 at the end, -1 with errno. After -1 the caller must
 * fail: it must not treat the segment as empty. */
static int
next_segment(DIR *d, int dirfd, struct segment *s)
{
	struct dirent *e;
	struct stat st;

	for (errno = 0; (e = readdir(d)) != NULL; errno = 0) {
		if (segment_parse(e->d_name, s) == -1)
			continue;
		if (fstatat(dirfd, s->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			s->ignored =
			    !S_ISREG(st.st_mode) || st.st_nlink != 1 || st.st_uid != geteuid();
			s->size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
			return 1;
		}
		if (errno != ENOENT)
			return -1;
	}
	return errno ? -1 : 0;
}

int
segment_list(int dirfd, struct segment **list, size_t *n, struct err *err)
{
	DIR *d = io_open_dir(dirfd, ".");
	size_t cap = 16, k = 0, kept = 0;
	struct segment *s;
	int r;

	*list = NULL;
	*n = 0;
	if (d == NULL)
		return err_sys(err, STATUS_UNSAFE, "list buffer");
	s = mem_realloc(NULL, cap * sizeof(*s));
	while ((r = next_segment(d, dirfd, &s[k])) == 1)
		if (++k == cap)
			s = mem_realloc(s, (cap *= 2) * sizeof(*s));
	if (r == -1)
		err_sys(err, STATUS_UNSAFE, "list buffer");
	closedir(d);
	if (r == -1) {
		free(s);
		return -1;
	}
	if (k)
		qsort(s, k, sizeof(*s), compare_segments);
	/* An interrupted compression leaves both files: keeps the plain one, which sorts first. */
	for (size_t i = 0; i < k; i++)
		if (kept == 0 || strcmp(s[kept - 1].stem, s[i].stem) != 0)
			s[kept++] = s[i];
	*list = s;
	*n = kept;
	return 0;
}

int
segment_any(int dirfd)
{
	DIR *d = io_open_dir(dirfd, ".");
	struct segment s;
	int r;

	if (d == NULL)
		return -1;
	while ((r = next_segment(d, dirfd, &s)) == 1 && s.ignored)
		;
	closedir(d);
	return r;
}

/* Formats "buffer_2025-12-04_10-30-00". gmtime_r and strftime would read /etc/localtime first. */
static void
format_stem_second(int64_t us, char out[32])
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

	format_stem_second(now_us, second);
	if (chain_stem_length(last) && strncmp(last, second, STEM_LENGTH - 7) >= 0) {
		memcpy(second, last, STEM_LENGTH - 7);
		second[STEM_LENGTH - 7] = '\0';
		counter = (int)strtol(last + STEM_LENGTH - 6, NULL, 10);
	}
	if (counter == 999999) { /* a million segments in one second: use the next second */
		snprintf(when, sizeof(when), "%.10sT%.2s:%.2s:%.2sZ", second + 7, second + 18,
		    second + 21, second + 24);
		if (clock_parse(when, strlen(when), &us) == 0)
			format_stem_second(us + 1000000, second);
		counter = 0;
	}
	snprintf(out, 64, "%s_%06d", second, counter + 1);
}

bool
segment_day_is_current(const char *stem, int64_t now_us)
{
	char day[32];

	format_stem_second(now_us, day);
	/* a clock that was set back: go on with the later day */
	return strncmp(stem, day, strlen("buffer_YYYY-mm-dd")) >= 0;
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
