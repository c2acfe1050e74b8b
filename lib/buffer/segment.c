#include "buffer/segment.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/status.h"
#include "buffer/token.h"

#define STEM_SHAPE "buffer_dddd-dd-dd_dd-dd-dd_dddddd" /* a chain stem; d: a digit */
#define STEM_LENGTH (sizeof(STEM_SHAPE) - 1)
#define ADOPTED ".claimed-"
#define FOREIGN_NAMED 3 /* foreign files that are named */

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
has_plain_prefix(const char *s)
{
	return strncmp(s, "buffer_", 7) == 0;
}

static bool
is_digits(const char *s)
{
	return *s != '\0' && s[strspn(s, "0123456789")] == '\0';
}

size_t
segment_plain_length(const char *stem)
{
	const char *dot = strrchr(stem, '.');

	return dot != NULL && strncmp(dot, ADOPTED, strlen(ADOPTED)) == 0 &&
	        is_digits(dot + strlen(ADOPTED)) && strlen(dot) >= strlen(ADOPTED) + 6
	    ? (size_t)(dot - stem)
	    : strlen(stem);
}

static enum segment_kind
kind_of_stem(const char *stem)
{
	size_t n = chain_stem_length(stem);

	if (n && stem[n] == '\0')
		return SEGMENT_CHAIN;
	if (n && strncmp(stem + n, ".own-", 5) == 0 && is_digits(stem + n + 5))
		return SEGMENT_OWN;
	if (segment_plain_length(stem) < strlen(stem))
		return SEGMENT_ADOPTED;
	return has_plain_prefix(stem) ? SEGMENT_PLAIN : SEGMENT_FOREIGN;
}

bool
segment_is_chain(const char *stem)
{
	return kind_of_stem(stem) == SEGMENT_CHAIN;
}

int
segment_parse(char *name, char stem[SEGMENT_NAME], struct segment *s)
{
	size_t n = strlen(name);

	*s = (struct segment){.name = name, .stem = stem};
	if (name[0] == '.' || n >= SEGMENT_NAME)
		return -1;
	if (has_suffix(name, ".jsonl"))
		n -= 6;
	else if (has_suffix(name, ".jsonl.gz")) {
		n -= 9;
		s->gz = true;
	} else
		return -1;
	memcpy(stem, name, n);
	stem[n] = '\0';
	if (has_suffix(stem, SEGMENT_SUSPECT) && chain_stem_length(stem) &&
	    stem[STEM_LENGTH] == '.') {
		stem[n - strlen(SEGMENT_SUSPECT)] = '\0';
		s->suspect = true;
	}
	s->kind = kind_of_stem(stem);
	/* plain writers have no such names */
	if (s->kind == SEGMENT_PLAIN && (s->gz || s->suspect))
		s->kind = SEGMENT_FOREIGN;
	return s->kind == SEGMENT_FOREIGN || (s->kind == SEGMENT_ADOPTED && !has_plain_prefix(stem))
	    ? -1
	    : 0;
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

/* A listing of the buffer. */
struct listing {
	int dirfd;
	DIR *d; /* NULL with errno: it cannot be read */
	char stem[SEGMENT_NAME];
	bool has_manifest;
	char *manifest; /* read when a name is one that an earlier version may have made */
};

static void
open_listing(struct listing *l, int dirfd)
{
	*l = (struct listing){.dirfd = dirfd, .d = io_open_dir(dirfd, ".")};
}

static void
close_listing(struct listing *l)
{
	if (l->d != NULL)
		closedir(l->d);
	free(l->manifest);
}

/* Returns whether an earlier version adopted the file: its name has not the form of today's, but
 * the manifest (manifest.h) has its stem. */
static bool
is_recorded_adoption(struct listing *l, const struct segment *s)
{
	struct bytes b = {0};
	bool found;

	if (s->kind != SEGMENT_ADOPTED || s->gz)
		return false;
	if (!l->has_manifest)
		l->manifest = io_read_file(l->dirfd, ".roster", MANIFEST_MAX, NULL);
	l->has_manifest = true;
	bytes_addc(&b, '+');
	token_add(&b, s->stem);
	bytes_adds(&b, " .");
	found = l->manifest != NULL && strstr(l->manifest, bytes_str(&b)) != NULL;
	bytes_free(&b);
	return found;
}

/* Takes the next of the names: 1 for a segment, 2 for a foreign file, 0 at the end, -1 with errno.
 * The names are valid until the next call. */
static int
next_name(struct listing *l, struct segment *s)
{
	struct dirent *e;

	if (l->d == NULL)
		return -1;
	for (errno = 0; (e = readdir(l->d)) != NULL; errno = 0) {
		if (segment_parse(e->d_name, l->stem, s) == 0 || is_recorded_adoption(l, s))
			return 1;
		if (s->kind != SEGMENT_NONE)
			return 2;
	}
	return errno ? -1 : 0;
}

/* Reads the next segment of a listing: 1, 0 at the end, -1 with errno. After -1 the caller must
 * fail: it must not treat the segment as empty. The names are valid until the next call. */
static int
next_segment(struct listing *l, struct segment *s)
{
	struct stat st;
	int r;

	while ((r = next_name(l, s)) > 0) {
		if (r == 2)
			continue;
		if (fstatat(l->dirfd, s->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			/* The directory is ours alone: each of several links is ours too. */
			s->ignored = !S_ISREG(st.st_mode) ? "it is not a regular file"
			    : st.st_uid != geteuid()      ? "it belongs to another user"
			                                  : NULL;
			s->size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
			return 1;
		}
		if (errno != ENOENT)
			return -1;
	}
	return r;
}

/* Returns the segments in one block, followed by their names. The name and the stem of each stand
 * in `names`, each with its NUL, the name with room for SEGMENT_SUSPECT. */
static struct segment *
pack_segments(const struct bytes *segments, const struct bytes *names)
{
	size_t n = segments->len / sizeof(struct segment);
	struct segment *s = mem_alloc(segments->len + names->len + 1);
	char *p = (char *)(s + n);

	if (n == 0)
		return s;
	memcpy(s, segments->p, segments->len);
	memcpy(p, names->p, names->len);
	for (size_t i = 0; i < n; i++) {
		s[i].name = p;
		p += strlen(p) + sizeof(SEGMENT_SUSPECT);
		s[i].stem = p;
		p += strlen(p) + 1;
	}
	return s;
}

int
segment_list(int dirfd, struct segment **list, size_t *n, struct err *err)
{
	static const char room[sizeof(SEGMENT_SUSPECT)];
	struct listing l;
	struct bytes segments = {0}, names = {0};
	struct segment one, *s = NULL;
	size_t k, kept = 0;
	int r;

	open_listing(&l, dirfd);
	while ((r = next_segment(&l, &one)) == 1) {
		bytes_add(&segments, (const char *)&one, sizeof(one));
		bytes_adds(&names, one.name);
		bytes_add(&names, room, sizeof(room));
		bytes_add(&names, one.stem, strlen(one.stem) + 1);
	}
	if (r == -1)
		err_sys(err, STATUS_UNSAFE, "list buffer");
	else
		s = pack_segments(&segments, &names);
	k = segments.len / sizeof(one);
	close_listing(&l);
	bytes_free(&segments);
	bytes_free(&names);
	*list = s;
	*n = 0;
	if (r == -1)
		return -1;
	if (k)
		qsort(s, k, sizeof(*s), compare_segments);
	/* An interrupted compression leaves both files: keeps the plain one, which sorts first. */
	for (size_t i = 0; i < k; i++)
		if (kept == 0 || strcmp(s[kept - 1].stem, s[i].stem) != 0)
			s[kept++] = s[i];
	*n = kept;
	return 0;
}

int
segment_any(int dirfd)
{
	struct listing l;
	struct segment s;
	bool grows = false;
	int r;

	open_listing(&l, dirfd);
	while ((r = next_segment(&l, &s)) == 1 && !segment_may_hold(&s))
		grows |= segment_may_grow(&s);
	close_listing(&l);
	return r == 0 && grows ? 2 : r;
}

bool
segment_may_grow(const struct segment *s)
{
	return s->ignored == NULL && (s->kind == SEGMENT_PLAIN || s->kind == SEGMENT_ADOPTED);
}

bool
segment_may_hold(const struct segment *s)
{
	bool plain = s->kind == SEGMENT_PLAIN || s->kind == SEGMENT_ADOPTED;

	return s->ignored != NULL ? s->size > 0 && s->kind != SEGMENT_PLAIN : s->size > 0 || !plain;
}

size_t
segment_count_foreign(int dirfd, struct bytes *names)
{
	struct listing l;
	struct segment s;
	size_t n = 0;
	int r;

	open_listing(&l, dirfd);
	while ((r = next_name(&l, &s)) > 0)
		if (r == 2 && ++n <= FOREIGN_NAMED && names != NULL)
			bytes_addf(names, "%s'%s'", n > 1 ? ", " : "", s.name);
	close_listing(&l);
	if (n > FOREIGN_NAMED && names != NULL)
		bytes_adds(names, ", ...");
	return n;
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
