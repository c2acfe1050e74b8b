#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "reader.h"
#include "status.h"
#include "util.h"

#define CHAIN_CHUNK (256u << 10)
#define FILE_CHUNK (16u << 10)	/* there may be many of them at once */

struct reader {
	char *name;
	int fd;
	gzFile gz;		/* owns fd when set */
	struct buf b;
	size_t used, seen;	/* given out; searched for a newline */
	uint64_t at;		/* offset in the file of b.p[0] */
	uint64_t limit;
	size_t chunk;
	bool live, eof;
};

struct reader *
reader_open(int dirfd, const struct segment *s, uint64_t from, uint64_t limit, int flags, struct fail *f)
{
	struct reader *r;
	int fd = segment_open(dirfd, s);

	if (fd == -1 || ((flags & READER_SYNC) && fdatasync(fd) == -1)) {
		fail_errno(f, STATUS_UNSAFE, "read '%s'", s->name);
		if (fd != -1)
			close(fd);
		return NULL;
	}
	r = util_alloc(sizeof *r);
	r->fd = fd;
	r->name = util_strdup(s->name);
	r->at = from;
	r->limit = limit;
	r->live = flags & READER_LIVE;
	r->chunk = s->kind == SEGMENT_CHAIN ? CHAIN_CHUNK : FILE_CHUNK;
	if (s->gz && (!(r->gz = gzdopen(fd, "rb")) || gzseek(r->gz, (z_off_t)from, SEEK_SET) == -1)) {
		fail_set(f, STATUS_UNSAFE, "read '%s': not a whole gzip file", s->name);
		reader_close(r);
		return NULL;
	}
	return r;
}

void
reader_close(struct reader *r)
{
	if (!r)
		return;
	if (r->gz)
		gzclose(r->gz);
	else
		close(r->fd);
	buf_free(&r->b);
	free(r->name);
	free(r);
}

static ssize_t
read_some(struct reader *r, char *to, size_t n)
{
	uint64_t pos = r->at + r->b.len, left = r->limit > pos ? r->limit - pos : 0;
	ssize_t got;

	if (n > left)
		n = (size_t)left;
	if (n == 0)
		return 0;
	if (r->gz) {
		got = gzread(r->gz, to, (unsigned)n);
		if (got == -1)
			errno = EIO;
		return got;
	}
	do
		got = pread(r->fd, to, n, (off_t)pos);
	while (got == -1 && errno == EINTR);
	return got;
}

static int
refill(struct reader *r, struct fail *f)
{
	ssize_t got;

	if (r->used) {
		buf_drop(&r->b, r->used);
		r->at += r->used;
		r->seen -= r->used;
		r->used = 0;
	}
	buf_reserve(&r->b, r->b.len < r->chunk ? r->chunk - r->b.len : r->b.len);
	got = read_some(r, r->b.p + r->b.len, r->b.cap - r->b.len);
	if (got == -1)
		return fail_errno(f, STATUS_UNSAFE, "read '%s'", r->name);
	r->eof = got == 0;
	r->b.len += (size_t)got;
	return 0;
}

int
reader_next(struct reader *r, struct reader_line *l, struct fail *f)
{
	char *nl;
	size_t n;

	while (!(nl = r->b.len > r->seen ? memchr(r->b.p + r->seen, '\n', r->b.len - r->seen) : NULL)) {
		r->seen = r->b.len;
		if (r->eof)
			break;
		if (refill(r, f) == -1)
			return -1;
	}
	if (!nl && (r->live || r->b.len == r->used))
		return 0;
	n = nl ? (size_t)(nl - r->b.p) - r->used : r->b.len - r->used;
	l->text = (struct slice){ r->b.p + r->used, n };
	l->pos = r->at + r->used;
	l->end = l->pos + n + (nl != NULL);
	l->torn = !nl;
	r->used += n + (nl != NULL);
	r->seen = r->used;
	return 1;
}

int
reader_at(struct reader *r, uint64_t pos, char *to, size_t n, struct fail *f)
{
	if (pread(r->fd, to, n, (off_t)pos) == (ssize_t)n)
		return 0;
	return fail_errno(f, STATUS_UNSAFE, "read '%s'", r->name);
}

uint64_t
reader_size(const struct reader *r)
{
	return r->at + r->b.len;
}
